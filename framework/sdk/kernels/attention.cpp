#include "sdk/kernels/attention.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "sdk/kernels/positions.h"
#include "sdk/kernels/simd/dispatch.h"

namespace orrery::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Sizes {
  int64_t batch, n_ctx, n_heads, d_head;
};

// seen: int32 [n_read]. Pointers and distances of q, k and v are the caller's.
Attention attention_of(const Sizes& sizes, const torch::Tensor& seen) {
  const int64_t joined = sizes.n_heads * sizes.d_head;
  Attention a = {};
  a.n_examples = sizes.batch;
  a.n_heads = sizes.n_heads;
  a.d_head = sizes.d_head;
  a.n_queries = a.q_rows = seen.size(0);
  a.n_keys = sizes.n_ctx;
  a.seen = seen.data_ptr<int32_t>();
  a.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(sizes.d_head)));
  a.ld_q = a.ld_k = a.ld_v = a.ld_z = joined;
  a.pattern_width = loops().padded(sizes.n_ctx);
  return a;
}

Attention separate(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                   const torch::Tensor& seen) {
  Attention a = attention_of({k.size(0), k.size(1), k.size(2), k.size(3)}, seen);
  a.q = q.data_ptr<float>();
  a.k = k.data_ptr<float>();
  a.v = v.data_ptr<float>();
  return a;
}

Attention packed(const torch::Tensor& qkv, const torch::Tensor& seen) {
  Attention a = attention_of({qkv.size(0), qkv.size(1), qkv.size(3), qkv.size(4)}, seen);
  const int64_t joined = a.n_heads * a.d_head;
  a.q = qkv.data_ptr<float>();
  a.k = a.q + joined;
  a.v = a.k + joined;
  a.ld_q = a.ld_k = a.ld_v = 3 * joined;
  a.q_rows = a.n_keys;
  return a;
}

// {pattern, z}
std::pair<torch::Tensor, torch::Tensor> run(const Attention& a) {
  const int64_t rows = (a.n_queries + 3) / 4 * 4;
  const torch::Tensor pattern = torch::zeros({a.n_examples * a.n_heads * rows * a.pattern_width});
  const torch::Tensor z = torch::empty({a.n_examples, a.n_queries, a.n_heads, a.d_head});
  loops().attention_forward(a, pattern.data_ptr<float>(), z.data_ptr<float>());
  return {pattern, z};
}

class SeparateAttention final : public torch::autograd::Function<SeparateAttention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& q_, const torch::Tensor& k_,
                               const torch::Tensor& v_, const torch::Tensor& seen) {
    const torch::Tensor q = q_.contiguous(), k = k_.contiguous(), v = v_.contiguous();
    const auto [pattern, z] = run(separate(q, k, v, seen));
    context->saved_data["tensors"] = std::vector<torch::Tensor>{q, k, v, seen, pattern};
    return z;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->saved_data["tensors"].toTensorVector();
    const torch::Tensor &q = saved[0], &k = saved[1], &v = saved[2], d_z = gradients[0].contiguous();
    const torch::Tensor d_q = torch::empty_like(q), d_k = torch::empty_like(k), d_v = torch::empty_like(v);
    loops().attention_backward(separate(q, k, v, saved[3]), saved[4].data_ptr<float>(), d_z.data_ptr<float>(),
                               d_q.data_ptr<float>(), d_k.data_ptr<float>(), d_v.data_ptr<float>());
    return {d_q, d_k, d_v, torch::Tensor()};
  }
};

class PackedAttention final : public torch::autograd::Function<PackedAttention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& qkv_,
                               const torch::Tensor& seen) {
    const torch::Tensor qkv = qkv_.contiguous();
    const auto [pattern, z] = run(packed(qkv, seen));
    context->saved_data["tensors"] = std::vector<torch::Tensor>{qkv, seen, pattern};
    return z;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->saved_data["tensors"].toTensorVector();
    const torch::Tensor &qkv = saved[0], &seen = saved[1], d_z = gradients[0].contiguous();
    const torch::Tensor d_qkv = torch::empty_like(qkv);
    if (seen.size(0) < qkv.size(1)) d_qkv.narrow(1, seen.size(0), qkv.size(1) - seen.size(0)).zero_();
    const Attention a = packed(qkv, seen);
    float* const d_q = d_qkv.data_ptr<float>();
    loops().attention_backward(a, saved[2].data_ptr<float>(), d_z.data_ptr<float>(), d_q, d_q + (a.k - a.q),
                               d_q + (a.v - a.q));
    return {d_qkv, torch::Tensor()};
  }
};

// [n_read] int32: how many keys each query sees.
torch::Tensor seen_from(const std::vector<int64_t>& positions) {
  return (torch::tensor(positions, torch::kInt64) + 1).to(torch::kInt32);
}

}  // namespace

torch::Tensor causal_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                               const std::vector<int64_t>& positions) {
  if (!q.device().is_cpu() || q.scalar_type() != torch::kFloat32)
    return plain_causal_attention(q, k, v, positions);
  return SeparateAttention::apply(q, k, v, seen_from(positions));
}

torch::Tensor causal_attention(const torch::Tensor& qkv, int64_t n_read) {
  std::vector<int64_t> positions(n_read);
  std::iota(positions.begin(), positions.end(), 0);
  return PackedAttention::apply(qkv, seen_from(positions));
}

torch::Tensor plain_causal_attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                                     const std::vector<int64_t>& positions) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  torch::Tensor scores = torch::matmul(q.transpose(1, 2) * scale, k.permute({0, 2, 3, 1}));
  const torch::Tensor asking = positions_on(q.device(), positions);
  const torch::Tensor future = torch::arange(k.size(1), asking.options()).unsqueeze(0) > asking.unsqueeze(1);
  scores = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
  return torch::matmul(torch::softmax(scores, -1), v.transpose(1, 2)).transpose(1, 2);
}

}  // namespace orrery::kernels
