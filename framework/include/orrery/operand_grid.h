// The inputs of a task a op b = c laid out over its two operands: which index in a group of order n each
// token and each class has, which input holds each pair of indices, and losses over all pairs. For the probes
// that read tables over pairs (orrery/fourier.h, orrery/groups.h) and for everything else that asks how a
// token becomes an element.
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

/// The indices 0..n-1 of operands and results in a group of order n. A token or a class may have none, as 0
/// in multiplication mod p and "=".
class ORRERY_API OperandIndices {
 public:
  /// Indices are those of the structure. Throws orrery::Error, naming the map, unless each of 0..order-1 is
  /// the index of exactly one left value, one right value and one class.
  explicit OperandIndices(const CyclicStructure& cyclic);
  /// Indices are the elements, which are the tokens and classes 0..n-1 themselves.
  explicit OperandIndices(const GroupStructure& group);

  int64_t order() const { return order_; }                    ///< n
  int64_t left_position() const { return left_.position; }    ///< in the context
  int64_t right_position() const { return right_.position; }  ///< likewise
  /// Classes that the structure lists, with an index or without.
  int64_t n_classes() const { return static_cast<int64_t>(result_.index.size()); }

  /// The index of a token as left or right operand, or of a class as result; -1 where it has none.
  int64_t left_index(int64_t token) const;
  int64_t right_index(int64_t token) const;
  int64_t result_index(int64_t output_class) const;

  /// The pair of each input: tokens [batch, n_ctx] int64 to [batch] int64, i*n + j for the indices i of the
  /// left and j of the right operand, -1 where one of them has none. Throws orrery::Error if tokens has no
  /// such position.
  torch::Tensor pairs(const torch::Tensor& tokens) const;

  /// Values of the left, or right, operand by index: x [d_vocab, ...] to [n, ...].
  torch::Tensor left(const torch::Tensor& x) const;
  torch::Tensor right(const torch::Tensor& x) const;
  /// Classes by index: x [..., classes] to [..., n]. All three throw orrery::Error where x ends before the
  /// last value that has an index.
  torch::Tensor classes(const torch::Tensor& x) const;
  /// The reverse of `classes`: x [rows, n] to [rows, n_classes()], with 0 for a class without an index.
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

/// An observation of a task's grid, laid out: row i*n + j holds the input whose left operand has the index i
/// and whose right operand has the index j; inputs with an operand that has none are left out. The grid must
/// hold every pair; a task that trains and tests on the pairs a <= b only lists the others in its grid all
/// the same, and they count for everything here but the losses on those two sets. Everything is on the CPU.
class ORRERY_API OperandGrid {
 public:
  /// Throws orrery::UsageError where the task has no grid or more than one read-out position, and
  /// orrery::Error where structure and grid do not fit: each pair of indices must occur exactly once.
  OperandGrid(OperandIndices indices, const Observation& observation);

  const OperandIndices& indices() const { return indices_; }
  int64_t order() const { return indices_.order(); }  ///< n
  /// [n*n] int64: the row of the grid that holds each pair.
  const torch::Tensor& rows() const { return rows_; }
  /// [n*n, classes] float64: the logits of every class that the structure lists, with an index or without.
  const torch::Tensor& logits() const { return logits_; }

  /// Rows of the grid laid out: x [grid rows, ...] to [n*n, ...].
  torch::Tensor inputs(const torch::Tensor& x) const { return x.index_select(0, rows_); }
  /// See OperandIndices.
  torch::Tensor classes(const torch::Tensor& x) const { return indices_.classes(x); }
  torch::Tensor to_classes(const torch::Tensor& x) const { return indices_.to_classes(x); }
  torch::Tensor left(const torch::Tensor& x) const { return indices_.left(x); }
  torch::Tensor right(const torch::Tensor& x) const { return indices_.right(x); }

  /// The cross-entropy of `logits` [n*n, classes] in float64, a mean over the laid-out inputs of each set. A
  /// set without inputs is left out.
  Losses losses(const torch::Tensor& logits) const;

 private:
  OperandIndices indices_;
  torch::Tensor rows_, labels_;  // int64 [n*n]
  torch::Tensor train_, test_;   // int64: the pairs i*n + j of each set
  torch::Tensor logits_;
};

}  // namespace orrery
