#include "sdk/kernels/folded_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "sdk/kernels/simd/dispatch.h"

namespace orrery::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The first score of example i, key k; those of all heads are adjacent.
struct Places {
  int64_t n_examples, n_keys, n_heads, n_distinct;
  const int32_t *index, *query;
  int64_t operator()(int64_t i, int64_t k) const {
    return (query[i] * n_distinct + index[i * n_keys + k]) * n_heads;
  }
};

Places places_of(const torch::Tensor& scores, const FoldedBatch& batch) {
  return {batch.index.size(0),
          batch.index.size(1),
          scores.size(2),
          scores.size(1),
          batch.index.data_ptr<int32_t>(),
          batch.query.data_ptr<int32_t>()};
}

// exp(score - the largest score of its query and head), in double: 700 below the largest is still above 0.
std::vector<double> exponentials(const torch::Tensor& scores) {
  const int64_t n_queries = scores.size(0), n_distinct = scores.size(1), n_heads = scores.size(2);
  const float* const s = scores.data_ptr<float>();
  std::vector<double> e(scores.numel());
  for (int64_t q = 0; q < n_queries; ++q)
    for (int64_t h = 0; h < n_heads; ++h) {
      const int64_t first = q * n_distinct * n_heads + h, end = first + n_distinct * n_heads;
      float top = s[first];
      for (int64_t j = first; j < end; j += n_heads) top = std::max(top, s[j]);
      for (int64_t j = first; j < end; j += n_heads) e[j] = std::exp(static_cast<double>(s[j]) - top);
    }
  return e;
}

// The pattern of one example and head on its own, for when the exponentials of all its keys underflow to 0.
void softmax(const Places& places, const float* scores, int64_t i, int64_t h, float* pattern) {
  double top = -INFINITY, sum = 0;
  for (int64_t k = 0; k < places.n_keys; ++k) top = std::max<double>(top, scores[places(i, k) + h]);
  for (int64_t k = 0; k < places.n_keys; ++k) sum += std::exp(scores[places(i, k) + h] - top);
  for (int64_t k = 0; k < places.n_keys; ++k)
    pattern[k] = static_cast<float>(std::exp(scores[places(i, k) + h] - top) / sum);
}

// [n_examples, n_heads, n_keys]
torch::Tensor pattern_of(const torch::Tensor& scores, const FoldedBatch& batch) {
  const Places places = places_of(scores, batch);
  const std::vector<double> e = exponentials(scores);
  const torch::Tensor pattern = torch::empty({places.n_examples, places.n_heads, places.n_keys});
  float* p = pattern.data_ptr<float>();
  for (int64_t i = 0; i < places.n_examples; ++i)
    for (int64_t h = 0; h < places.n_heads; ++h, p += places.n_keys) {
      double sum = 0;
      for (int64_t k = 0; k < places.n_keys; ++k) sum += e[places(i, k) + h];
      if (sum > 1e-280)
        for (int64_t k = 0; k < places.n_keys; ++k) p[k] = static_cast<float>(e[places(i, k) + h] / sum);
      else
        softmax(places, scores.data_ptr<float>(), i, h, p);
    }
  return pattern;
}

torch::Tensor scores_gradient(const torch::Tensor& scores, const torch::Tensor& pattern,
                              const torch::Tensor& d_pattern, const FoldedBatch& batch) {
  const Places places = places_of(scores, batch);
  const torch::Tensor d_scores = torch::zeros_like(scores);
  float* const d = d_scores.data_ptr<float>();
  const float *p = pattern.data_ptr<float>(), *d_p = d_pattern.data_ptr<float>();
  for (int64_t i = 0; i < places.n_examples; ++i)
    for (int64_t h = 0; h < places.n_heads; ++h, p += places.n_keys, d_p += places.n_keys) {
      float mean = 0;
      for (int64_t k = 0; k < places.n_keys; ++k) mean += p[k] * d_p[k];
      for (int64_t k = 0; k < places.n_keys; ++k) d[places(i, k) + h] += p[k] * (d_p[k] - mean);
    }
  return d_scores;
}

FoldedSum sum_of(const FoldedBatch& batch, const torch::Tensor& pattern, const torch::Tensor& table,
                 const torch::Tensor& base) {
  return {.n_examples = batch.index.size(0),
          .n_heads = table.size(0),
          .n_keys = batch.index.size(1),
          .n_rowed = batch.n_rowed,
          .n_distinct = table.size(1),
          .n_queries = base.size(0),
          .width = table.size(2),
          .index = batch.index.data_ptr<int32_t>(),
          .query = batch.query.data_ptr<int32_t>(),
          .pattern = pattern.data_ptr<float>(),
          .table = table.data_ptr<float>(),
          .base = base.data_ptr<float>(),
          .ld_out = table.size(2)};
}

class FoldedAttention final : public torch::autograd::Function<FoldedAttention> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& scores_,
                               const torch::Tensor& table_, const torch::Tensor& base_,
                               const FoldedBatch& batch) {
    const torch::Tensor scores = scores_.contiguous(), table = table_.contiguous(), base = base_.contiguous();
    const torch::Tensor pattern = pattern_of(scores, batch);
    const torch::Tensor out = torch::empty({batch.index.size(0), table.size(2)});
    loops().folded_forward(sum_of(batch, pattern, table, base), out.data_ptr<float>());
    context->saved_data["tensors"] =
        std::vector<torch::Tensor>{scores, table, base, pattern, batch.index, batch.query};
    context->saved_data["n_rowed"] = batch.n_rowed;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->saved_data["tensors"].toTensorVector();
    const torch::Tensor &scores = saved[0], &table = saved[1], &base = saved[2], &pattern = saved[3];
    const FoldedBatch batch = {saved[4], saved[5], context->saved_data["n_rowed"].toInt()};
    const torch::Tensor d_out = gradients[0].contiguous();
    const torch::Tensor d_pattern = torch::empty_like(pattern), d_table = torch::empty_like(table),
                        d_base = torch::empty_like(base);
    loops().folded_backward(sum_of(batch, pattern, table, base), d_out.data_ptr<float>(),
                            d_pattern.data_ptr<float>(), d_table.data_ptr<float>(), d_base.data_ptr<float>());
    return {scores_gradient(scores, pattern, d_pattern, batch), d_table, d_base, torch::Tensor()};
  }
};

}  // namespace

bool folded_attention_fits(const FoldedBatch& batch, int64_t n_heads) {
  return n_heads * batch.n_rowed <= most_terms;
}

torch::Tensor folded_attention(const torch::Tensor& scores, const torch::Tensor& table,
                               const torch::Tensor& base, const FoldedBatch& batch) {
  return FoldedAttention::apply(scores, table, base, batch);
}

torch::Tensor plain_folded_attention(const torch::Tensor& scores, const torch::Tensor& table,
                                     const torch::Tensor& base, const FoldedBatch& batch) {
  const torch::Tensor query = batch.query.to(torch::kInt64), index = batch.index.to(torch::kInt64);
  const torch::Tensor pattern =
      scores.index({query.unsqueeze(1), index}).softmax(1);  // [n_examples, key, head]
  torch::Tensor out = base.index_select(0, query);
  for (int64_t k = 0; k < batch.n_rowed; ++k)
    for (int64_t h = 0; h < scores.size(2); ++h)
      out =
          out + pattern.select(1, k).select(1, h).unsqueeze(1) * table[h].index_select(0, index.select(1, k));
  return out;
}

int64_t padded_width(int64_t n) {
  constexpr int64_t vector = 16;
  const int64_t vectors = (n + vector - 1) / vector;
  return (vectors < 16 ? vectors : vectors | 1) * vector;
}

}  // namespace orrery::kernels
