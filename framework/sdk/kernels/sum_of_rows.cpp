#include "sdk/kernels/sum_of_rows.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <torch/csrc/autograd/custom_function.h>

#include "sdk/kernels/simd/dispatch.h"

namespace orrery::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

static_assert(most_summed_rows == most_terms);

// A folded sum with one head and every weight 1. `query` and `base` are zeros.
FoldedSum sum_of(const torch::Tensor& index, const float* table, int64_t n_rows, int64_t width,
                 const torch::Tensor& query, const torch::Tensor& base) {
  return {.n_examples = index.size(0),
          .n_heads = 1,
          .n_keys = index.size(1),
          .n_rowed = index.size(1),
          .n_distinct = n_rows,
          .n_queries = 1,
          .width = width,
          .index = index.data_ptr<int32_t>(),
          .query = query.data_ptr<int32_t>(),
          .pattern = nullptr,
          .table = table,
          .base = base.data_ptr<float>(),
          .ld_out = width};
}

void check_rows(const torch::Tensor& index, int64_t n_rows) {
  const int32_t* const row = index.data_ptr<int32_t>();
  for (int64_t i = 0; i < index.numel(); ++i)
    if (row[i] < 0 || row[i] >= n_rows)
      throw Error(fmt::format("a sum takes row {} of a table of {} rows", row[i], n_rows),
                  "look at the tokens of the task that made the batch");
}

class SumOfRows final : public torch::autograd::Function<SumOfRows> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& table_,
                               const torch::Tensor& index) {
    check_rows(index, table_.size(0));
    const torch::Tensor table = table_.contiguous(), out = torch::empty({index.size(0), table.size(1)});
    const torch::Tensor query = torch::zeros({index.size(0)}, torch::kInt32),
                        base = torch::zeros({table.size(1)});
    loops().folded_forward(sum_of(index, table.data_ptr<float>(), table.size(0), table.size(1), query, base),
                           out.data_ptr<float>());
    context->saved_data["index"] = index;
    context->saved_data["n_rows"] = table.size(0);
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const torch::Tensor index = context->saved_data["index"].toTensor(), d_out = gradients[0].contiguous();
    const int64_t n_rows = context->saved_data["n_rows"].toInt(), width = d_out.size(1);
    const torch::Tensor query = torch::zeros({index.size(0)}, torch::kInt32), base = torch::empty({width}),
                        d_table = torch::empty({n_rows, width});
    loops().folded_backward(sum_of(index, nullptr, n_rows, width, query, base), d_out.data_ptr<float>(),
                            nullptr, d_table.data_ptr<float>(), base.data_ptr<float>());
    return {d_table, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor sum_of_rows(const torch::Tensor& table, const torch::Tensor& index) {
  return SumOfRows::apply(table, index);
}

torch::Tensor plain_sum_of_rows(const torch::Tensor& table, const torch::Tensor& index) {
  return torch::embedding(table, index.to(torch::kInt64)).sum(1);
}

}  // namespace orrery::kernels
