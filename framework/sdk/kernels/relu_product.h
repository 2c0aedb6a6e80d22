// The hidden layer of a one-hidden-layer network and its product with the output weights, skipping inactive
// neurons.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

namespace orrery::kernels {

/// The layout of a row of `input`.
enum class Direct {
  none,  ///< n_neurons pre-activations, then padding
  added  ///< n_neurons pre-activations, then n_out numbers that are added to the output, then padding
};

/// Returns direct + relu(pre) W: [n_examples, n_out] float32, rows in the order given by `place`. input:
/// [n_examples, width] float32 on the CPU, contiguous. W: [n_neurons, n_out]. place: int32 [n_examples], the
/// output row of each example; undefined: its own.
ORRERY_API torch::Tensor relu_product(const torch::Tensor& input, const torch::Tensor& W, Direct direct,
                                      const torch::Tensor& place = {});
/// The reference, by plain tensor operations.
ORRERY_API torch::Tensor plain_relu_product(const torch::Tensor& input, const torch::Tensor& W, Direct direct,
                                            const torch::Tensor& place = {});

}  // namespace orrery::kernels
