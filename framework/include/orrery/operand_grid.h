// The inputs of a task a op b = c laid out over its two operands: the index of each token and class in a
// group of order n, the input that holds each pair of indices, and losses over all pairs. For probes that
// read tables over pairs (orrery/fourier.h, orrery/groups.h), and wherever tokens are mapped to group
// elements.
#pragma once

#include <orrery/export.h>
#include <orrery/probe.h>
#include <orrery/structure.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// The indices 0..n-1 of operands and results in a group of order n. A token or class may have none, like
/// "=", or 0 in multiplication mod p.
class ORRERY_API OperandIndices {
 public:
  /// Takes the indices from the structure. Throws orrery::Error, naming the map, unless each of 0..order-1 is
  /// the index of exactly one left value, one right value and one class.
  explicit OperandIndices(const CyclicStructure& cyclic);
  /// Indices are the group elements, that is the tokens and classes 0..n-1.
  explicit OperandIndices(const GroupStructure& group);

  int64_t order() const { return order_; }                    ///< n
  int64_t left_position() const { return left_.position; }    ///< in the context
  int64_t right_position() const { return right_.position; }  ///< likewise
  /// Number of classes that the structure lists, with an index or without.
  int64_t n_classes() const { return static_cast<int64_t>(result_.index.size()); }

  /// The index of a token as left or right operand, or of a class as result; -1 if it has none.
  int64_t left_index(int64_t token) const;
  int64_t right_index(int64_t token) const;
  int64_t result_index(int64_t output_class) const;

  /// The pair of each input: tokens [batch, n_ctx] int64 to [batch] int64, i*n + j for the indices i of the
  /// left and j of the right operand, -1 if one of them has none. Throws orrery::Error if n_ctx does not
  /// reach the positions of the operands.
  torch::Tensor pairs(const torch::Tensor& tokens) const;

  /// Selects rows by the index of the left, or right, operand: x [d_vocab, ...] to [n, ...], same dtype.
  torch::Tensor left(const torch::Tensor& x) const;
  torch::Tensor right(const torch::Tensor& x) const;
  /// Selects classes by index: x [..., classes] to [..., n], same dtype. All three throw orrery::Error if x
  /// is too short for a value that has an index.
  torch::Tensor classes(const torch::Tensor& x) const;
  /// The inverse of `classes`: x [rows, n] to [rows, n_classes()], with 0 for classes without an index.
  torch::Tensor to_classes(const torch::Tensor& x) const;

 private:
  friend class OperandGrid;
  struct Map {
    std::string name;            // "left", as in the structure
    std::vector<int64_t> index;  // of each value, -1 for none
    torch::Tensor values;        // [n] int64: the value of each index
    int64_t position = -1;       // in the context

    int64_t index_of(int64_t value) const;
    torch::Tensor laid_out(const torch::Tensor& x, int64_t dim) const;
    torch::Tensor tokens_at(const torch::Tensor& tokens) const;  // [batch]
    torch::Tensor indices(const torch::Tensor& tokens) const;    // [batch]
  };
  Map make_map(const char* name, const std::vector<int64_t>& index, int64_t position) const;

  int64_t order_ = 0;
  Map left_, right_, result_;
};

/// Mean losses in nats by set of inputs: {"train", ...}, {"test", ...}, {"all", ...}.
using Losses = std::vector<std::pair<std::string, double>>;

/// An observation of a task's grid, laid out over the operands: row i*n + j holds the input whose left
/// operand has index i and whose right operand has index j. Inputs with an operand without an index are left
/// out. The grid must hold every pair; pairs that are in neither the training nor the test set (a task may
/// train and test on a <= b only) count here, except in the losses of those two sets. All tensors are on the
/// CPU.
class ORRERY_API OperandGrid {
 public:
  /// Throws orrery::UsageError if the task has no grid or more than one output position, and orrery::Error if
  /// structure and grid do not agree: each pair of indices must occur exactly once.
  OperandGrid(OperandIndices indices, const Observation& observation);

  const OperandIndices& indices() const { return indices_; }
  int64_t order() const { return indices_.order(); }  ///< n
  /// [n*n] int64: the row of the grid that holds each pair.
  const torch::Tensor& rows() const { return rows_; }
  /// [n*n, classes] float64: the logits of all classes that the structure lists, with an index or without.
  const torch::Tensor& logits() const { return logits_; }

  /// Lays out rows of the grid: x [grid rows, ...] to [n*n, ...].
  torch::Tensor inputs(const torch::Tensor& x) const { return x.index_select(0, rows_); }
  /// See OperandIndices.
  torch::Tensor classes(const torch::Tensor& x) const { return indices_.classes(x); }
  torch::Tensor to_classes(const torch::Tensor& x) const { return indices_.to_classes(x); }
  torch::Tensor left(const torch::Tensor& x) const { return indices_.left(x); }
  torch::Tensor right(const torch::Tensor& x) const { return indices_.right(x); }

  /// The mean cross-entropy of `logits` [n*n, classes], in nats, over the laid-out inputs of each set,
  /// weighted by Batch::weights of the grid; computed in float64. Sets without inputs are left out.
  Losses losses(const torch::Tensor& logits) const;

 private:
  OperandIndices indices_;
  torch::Tensor rows_, labels_;  // int64 [n*n]
  torch::Tensor weights_;        // float64 [n*n], undefined if all are 1
  torch::Tensor train_, test_;   // int64: the pairs i*n + j of each set
  torch::Tensor logits_;
};

}  // namespace orrery
