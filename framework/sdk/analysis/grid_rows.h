// What OperandGrid and GridPieces share: which input holds each pair, and means of losses over pairs.
#pragma once

#include <orrery/operand_grid.h>

namespace orrery {

/// The row of the grid that holds each of the `order`^2 pairs, [order^2] int64. pairs: [rows], -1 for none.
torch::Tensor rows_of_pairs(const torch::Tensor& pairs, int64_t order);

/// The positions in `rows` of the entries that are in `chosen`.
torch::Tensor pairs_among(const torch::Tensor& rows, const torch::Tensor& chosen, int64_t grid_size);

/// OperandGrid::losses of the losses of all pairs. weights: of the pairs, or undefined.
Losses mean_losses(const torch::Tensor& loss, const torch::Tensor& weights, const torch::Tensor& train,
                   const torch::Tensor& test);

}  // namespace orrery
