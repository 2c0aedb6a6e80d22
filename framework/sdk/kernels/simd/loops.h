// The hot loops of training, over plain arrays: compiled once for each instruction set, chosen at run time.
// All are deterministic: the order of summation does not depend on the input. Matrices are row-major; `ld_x`
// is the distance between two rows of x, in numbers.
#pragma once

#include <cstdint>

namespace orrery::kernels {

/// The sum computed by folded_forward and folded_backward. Output row i is
///     base[query[i]] + sum over heads h and keys k < n_rowed of pattern[i, h, k] table[h, index[i, k]].
struct FoldedSum {
  int64_t n_examples, n_heads, n_keys, n_rowed, n_distinct, n_queries;
  int64_t width;         // a multiple of Loops::vector
  const int32_t* index;  // [n_examples, n_keys]
  const int32_t* query;  // [n_examples]
  const float* pattern;  // [n_examples, n_heads, n_keys]; null: all 1
  const float* table;    // [n_heads, n_distinct, width]
  const float* base;     // [n_queries, width]
  int64_t ld_out;
};

/// y[i] = y_in[i] + sum over m of relu(x[i, m]) w[m]; neurons that are off are skipped.
struct ReluProduct {
  int64_t n_examples, n_neurons, n_out;
  const float* x;  // [n_examples, n_neurons]
  int64_t ld_x;
  const float* w;  // [n_neurons, padded(n_out)], the padding 0
};

/// Causal attention: pattern[b, h, i] is the softmax over keys k < seen[i] of scale q[b, i, h] k[b, k, h],
/// and z[b, i, h] the sum of pattern[b, h, i, k] v[b, k, h].
struct Attention {
  int64_t n_examples, n_heads, d_head, n_queries, n_keys;
  const int32_t* seen;  // [n_queries], ascending, from 1 to n_keys
  float scale;
  // [n_examples, n_queries or n_keys, n_heads, d_head]; ld_ is the distance between two positions
  const float *q, *k, *v;
  int64_t ld_q, ld_k, ld_v, ld_z;
  int64_t q_rows;         // rows of q per example, of which the first n_queries ask
  int64_t pattern_width;  // n_keys, rounded up to a whole number of vectors
};

/// A network with few outputs whose hidden layer is a sum of rows of a table:
/// logits[i] = relu(sum over k of the row at offset[i, k]) w + b.
struct FewOutputs {
  int64_t n_examples, n_terms, n_rows, n_neurons;
  int64_t n_out;          // at most few_outputs
  int64_t width;          // of the table's rows: a multiple of Loops::vector, at least n_neurons
  const int32_t* offset;  // [n_examples, n_terms]: the first number of a row in `table`
  const float* table;     // [n_rows, width]
  const float* w;         // [n_neurons, n_out]
  const float* b;         // [n_out]; null: 0
};

/// The loss of logits: the cross-entropy of n_out classes, or the hinge of one logit.
struct LabelledLoss {
  bool hinge;
  const int64_t* labels;  // [n_examples]
  const bool* counts;     // [n_examples]: which examples count; null: all
  double scale;           // what the gradient of the sum is multiplied with
};

/// A sparse matrix [n_rows, any]: row r has the entries begin[r] to begin[r + 1], ascending by column.
struct SparseMatrix {
  int64_t n_rows;
  const int32_t* begin;   // [n_rows + 1]
  const int32_t* column;  // [begin[n_rows]]
  const float* value;     // likewise
};

struct AdamUpdate {
  float decay;        // what values are multiplied with first: 1 - lr * weight decay
  float beta1, new1;  // the share of the old moment, and that of the new gradient
  float beta2, new2;
  float eps;
  float rate;        // lr / (1 - beta1^t)
  float correction;  // sqrt(1 - beta2^t)
};

struct Loops {
  const char* name;
  int64_t vector;  // floats in a vector; padded(n) is n rounded up to a multiple of it

  /// The summed cross-entropy of rows of logits [n, n_classes], in double. counts [n]: which rows count;
  /// null: all. gradient [n, n_classes], unless null: that of the sum, times `scale`.
  double (*cross_entropy)(int64_t n, int64_t n_classes, const float* logits, const int64_t* labels,
                          const bool* counts, double scale, float* gradient);
  /// The cross-entropy of each row of logits [n, n_classes]: losses [n]. Labels are classes.
  void (*row_losses)(int64_t n, int64_t n_classes, const double* logits, const int64_t* labels,
                     double* losses);
  void (*adam)(int64_t n, const AdamUpdate& update, const float* gradient, float* values, float* exp_avg,
               float* exp_avg_sq);
  void (*folded_forward)(const FoldedSum& sum, float* out);  ///< out: [n_examples, ld_out]
  /// From d_out [n_examples, ld_out]: d_pattern (unless null), d_table and d_base, overwritten.
  void (*folded_backward)(const FoldedSum& sum, const float* d_out, float* d_pattern, float* d_table,
                          float* d_base);
  /// y_in: [n_examples, n_out] with ld_in, or one row where ld_in is 0; null: 0. y: [n_examples, n_out]; that
  /// of example i becomes row `place[i]`, or row i where place is null.
  void (*relu_product)(const ReluProduct& product, const float* y_in, int64_t ld_in, const int32_t* place,
                       float* y);
  /// d_w [n_neurons, padded(n_out)] from d_y [n_examples, n_out], overwritten.
  void (*relu_product_weights)(const ReluProduct& product, const float* d_y, int64_t ld_d, float* d_w);
  /// d_x [n_examples, n_neurons], with ld_x, from d_y [n_examples, n_out].
  void (*relu_product_inputs)(const ReluProduct& product, const float* d_y, int64_t ld_d, float* d_x);
  void (*few_outputs_logits)(const FewOutputs& network, float* logits);  ///< logits: [n_examples, n_out]
  /// The summed loss, in double, and its gradients, overwritten: d_table [n_rows, width], of which the
  /// columns after n_neurons are unspecified; d_w [n_neurons, n_out]; d_logits [n_examples, n_out], unless
  /// null. Sums in the order of folded_forward, relu_product, cross_entropy and their gradients, to the same
  /// bits.
  double (*few_outputs_gradients)(const FewOutputs& network, const LabelledLoss& loss, float* d_table,
                                  float* d_w, float* d_logits);
  /// y = a x, for n_columns columns of x and y, each entry a sum by ascending column of a.
  void (*sparse_product)(const SparseMatrix& a, int64_t n_columns, const float* x, int64_t ld_x, float* y,
                         int64_t ld_y);
  /// pattern: room for n_examples * n_heads * (n_queries rounded up to a multiple of 4) * pattern_width. Its
  /// numbers must be finite or 0 beforehand.
  void (*attention_forward)(const Attention& attention, float* pattern, float* z);
  /// d_q, d_k, d_v, laid out as q, k, v, from d_z; overwritten.
  void (*attention_backward)(const Attention& attention, const float* pattern, const float* d_z, float* d_q,
                             float* d_k, float* d_v);

  int64_t padded(int64_t n) const { return (n + vector - 1) / vector * vector; }
};

constexpr int64_t most_terms = 64;  // n_heads * n_rowed of a FoldedSum
constexpr int64_t few_outputs = 4;  // the most outputs of a network that is vectorised over its neurons

}  // namespace orrery::kernels
