// The hidden layer of a one-hidden-layer network and what comes after it, without the neurons that are off.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

namespace orrery::kernels {

/// What comes before the product in a row of `input`.
enum class Direct {
  none,  ///< n_neurons pre-activations, then padding
  added  ///< n_neurons pre-activations, then n_out numbers that are added to the output, then padding
};

/// direct + relu(pre) W: [n_examples, n_out], in the order in which `place` says.
/// input: [n_examples, width] float32 on the CPU, contiguous. W: [n_neurons, n_out].
/// place: int32 [n_examples], the output row of each example; undefined: its own.
ORRERY_API torch::Tensor relu_product(const torch::Tensor& input, const torch::Tensor& W, Direct direct,
                                      const torch::Tensor& place = {});
/// The same by plain tensor operations.
ORRERY_API torch::Tensor plain_relu_product(const torch::Tensor& input, const torch::Tensor& W, Direct direct,
                                            const torch::Tensor& place = {});

}  // namespace orrery::kernels
