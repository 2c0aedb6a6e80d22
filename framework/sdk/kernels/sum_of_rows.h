// Sums of rows of a table: a linear layer applied to one-hot vectors and their sums.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

namespace orrery::kernels {

/// The most terms of a sum.
constexpr int64_t most_summed_rows = 64;

/// [n_examples, width], row i being the sum of table[index[i, k]] over k.
/// table: [n_rows, width] float32 on the CPU, width a multiple of 16; index: int32 [n_examples, n_terms],
/// with n_terms <= most_summed_rows.
ORRERY_API torch::Tensor sum_of_rows(const torch::Tensor& table, const torch::Tensor& index);
/// The reference, by plain tensor operations.
ORRERY_API torch::Tensor plain_sum_of_rows(const torch::Tensor& table, const torch::Tensor& index);

}  // namespace orrery::kernels
