// Causal attention, one head of one example at a time, without a matrix product per example.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

#include <vector>

namespace orrery::kernels {

/// The attention output z [batch, n_read, head, d_head] for queries at ascending `positions`: the softmax of
/// q k / sqrt(d_head) over keys up to the query's position, times v. q: [batch, n_read, head, d_head]; k, v:
/// [batch, n_ctx, head, d_head]; differentiable. Fast for float32 on the CPU; otherwise
/// plain_causal_attention.
ORRERY_API torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                                          const torch::Tensor& v, const std::vector<int64_t>& positions);
/// The same for the first n_read positions, with q, k and v stored together: qkv [batch, n_ctx, 3, head,
/// d_head], float32 on the CPU.
ORRERY_API torch::Tensor causal_attention(const torch::Tensor& qkv, int64_t n_read);
/// The reference, by plain tensor operations, in any real dtype on any device.
ORRERY_API torch::Tensor plain_causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                                                const torch::Tensor& v,
                                                const std::vector<int64_t>& positions);

}  // namespace orrery::kernels
