// The distinct inputs of a batch: before the first attention layer, everything is a function of (token,
// position).
#pragma once

#include <torch/types.h>

namespace orrery {

/// The distinct (token, position) pairs of a batch.
struct DistinctInputs {
  torch::Tensor token, position;  // [n_distinct]
  torch::Tensor index;            // [batch, n_ctx]: which distinct pair stands there
  int64_t count() const { return token.size(0); }
};

/// tokens: [batch, n_ctx] int64.
DistinctInputs find_distinct(const torch::Tensor& tokens);

}  // namespace orrery
