// The MLP as the kernels see it, outside of autograd: a table whose rows are added, then one matrix.
#pragma once

#include <optional>
#include <vector>

#include "sdk/kernels/simd/dispatch.h"
#include "sdk/model/mlp_model.h"

namespace orrery {

/// A constant matrix with few entries that are not 0, as a factor.
class SparseFactor {
 public:
  explicit SparseFactor(torch::Tensor dense);
  /// to = this times x, with the bits of at::mm: by a loop if the BLAS sums such shapes by ascending column,
  /// as most do, else by the BLAS.
  void times(const torch::Tensor& x, torch::Tensor to);

 private:
  void loop(const torch::Tensor& x, const torch::Tensor& to) const;
  bool sums_like_the_blas(int64_t n_columns) const;

  torch::Tensor dense_;
  std::vector<int32_t> begin_, column_;
  std::vector<float> value_;
  std::optional<bool> by_loop_;
};

/// For what is_one_table() says yes to. Not for use under autograd: weights are read, and nothing is
/// recorded.
class Mlp::Table {
 public:
  /// Of the examples `tokens`. Throws orrery::Error if a token is none of the vocabulary.
  Table(Mlp& mlp, const torch::Tensor& tokens);
  /// Takes the current weights.
  void write();
  /// [n_examples, d_vocab_out], of few outputs, with the current weights.
  torch::Tensor logits();

  const torch::Tensor& values() const { return values_; }  ///< [n_rows, width], as first_layer_table()
  const torch::Tensor& rows() const { return rows_; }      ///< [n_examples, n_terms] int32: those to be added
  const torch::Tensor& W() const { return W_; }            ///< [n_neurons, n_out]: W_out, or W_out W_U
  kernels::FewOutputs network() const;

  int64_t n_parts() const { return n_parts_; }
  /// Of `table`, like values(): the rows of operand i, or of the bits, without the padding.
  torch::Tensor part(const torch::Tensor& table, int64_t i) const {
    return table.narrow(0, i * part_rows_, part_rows_).narrow(1, 0, W_.size(0));
  }
  torch::Tensor bias_row(const torch::Tensor& table) const {
    return table.select(0, n_parts_ * part_rows_).narrow(0, 0, W_.size(0));
  }

 private:
  Mlp& mlp_;
  const int64_t n_parts_;
  int64_t part_rows_;
  std::optional<SparseFactor> patterns_;
  torch::Tensor values_, rows_, places_, W_, product_;
};

}  // namespace orrery
