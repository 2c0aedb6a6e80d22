// Causal attention, one head of one example at a time, without a matrix product per example.
#pragma once

#include <orrery/export.h>
#include <torch/types.h>

#include <vector>

namespace orrery::kernels {

/// z [batch, n_read, head, d_head], for queries at ascending `positions`: the softmax, over the keys up to
/// the query's position, of q k / sqrt(d_head), times v. q: [batch, n_read, head, d_head]; k, v: [batch,
/// n_ctx, head, d_head]; float32 or, for the plain one, any.
ORRERY_API torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                                          const torch::Tensor& v, const std::vector<int64_t>& positions);
/// The same for the first n_read positions, where q, k and v lie beside each other: qkv [batch, n_ctx, 3,
/// head, d_head].
ORRERY_API torch::Tensor causal_attention(const torch::Tensor& qkv, int64_t n_read);
/// The same as the first by plain tensor operations; what the first does off the CPU.
ORRERY_API torch::Tensor plain_causal_attention(const torch::Tensor& q, const torch::Tensor& k,
                                                const torch::Tensor& v,
                                                const std::vector<int64_t>& positions);

}  // namespace orrery::kernels
