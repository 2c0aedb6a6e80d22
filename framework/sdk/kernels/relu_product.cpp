#include "sdk/kernels/relu_product.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>

#include "sdk/kernels/simd/dispatch.h"

namespace orrery::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

torch::Tensor padded_columns(const torch::Tensor& W) {
  const int64_t ld = loops().padded(W.size(1));
  const torch::Tensor padded = torch::zeros({W.size(0), ld});
  padded.narrow(1, 0, W.size(1)).copy_(W);
  return padded;
}

ReluProduct product_of(const torch::Tensor& input, const torch::Tensor& W, const torch::Tensor& padded) {
  return {input.size(0),           W.size(0),     W.size(1),
          input.data_ptr<float>(), input.size(1), padded.data_ptr<float>()};
}

// Columns first..first+n of a matrix, sharing memory.
torch::Tensor columns(const torch::Tensor& matrix, int64_t first, int64_t n) {
  return matrix.narrow(1, first, n);
}

// The rows of d_y in the order of the examples: the gradient of the part of `input` that is added to the
// output.
void gather_rows(const torch::Tensor& d_y, const int32_t* place, const torch::Tensor& to, int64_t column) {
  const int64_t n_out = d_y.size(1), width = to.size(1);
  const float* const from = d_y.data_ptr<float>();
  for (int64_t i = 0; i < to.size(0); ++i) {
    float* const row = to.data_ptr<float>() + i * width + column;
    std::memcpy(row, from + (place ? place[i] : i) * n_out, sizeof(float) * n_out);
    std::memset(row + n_out, 0, sizeof(float) * (width - column - n_out));
  }
}

// Hidden from autograd, which does not accept an undefined tensor.
struct Place {
  torch::Tensor rows;
};

class ReluProductFunction final : public torch::autograd::Function<ReluProductFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& input, const torch::Tensor& W,
                               bool direct, const Place& place) {
    const torch::Tensor padded = padded_columns(W);
    const torch::Tensor output = torch::empty({input.size(0), W.size(1)});
    const float* const added = direct ? input.data_ptr<float>() + W.size(0) : nullptr;
    loops().relu_product(product_of(input, W, padded), added, input.size(1),
                         place.rows.defined() ? place.rows.data_ptr<int32_t>() : nullptr,
                         output.data_ptr<float>());
    context->save_for_backward({input, W});
    context->saved_data["padded"] = padded;
    context->saved_data["place"] = place.rows;
    context->saved_data["direct"] = direct;
    context->saved_data["input_matters"] = input.requires_grad();
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &input = saved[0], &W = saved[1];
    const torch::Tensor place = context->saved_data["place"].toTensor();
    const torch::Tensor padded = context->saved_data["padded"].toTensor();
    const bool direct = context->saved_data["direct"].toBool();
    const torch::Tensor d_output = gradients[0].contiguous();
    const int32_t* const places = place.defined() ? place.data_ptr<int32_t>() : nullptr;
    const int64_t n_neurons = W.size(0), n_out = W.size(1);
    const bool input_matters = direct || context->saved_data["input_matters"].toBool();
    const torch::Tensor d_input = input_matters ? torch::empty_like(input) : torch::Tensor();
    torch::Tensor d_rows = d_output;
    if (direct) {
      gather_rows(d_output, places, d_input, n_neurons);
      d_rows = columns(d_input, n_neurons, n_out);
    } else if (places) {
      d_rows = torch::empty_like(d_output);
      gather_rows(d_output, places, d_rows, 0);
    }
    const ReluProduct product = product_of(input, W, padded);
    const float* const d = d_rows.data_ptr<float>();
    if (input_matters) {
      loops().relu_product_inputs(product, d, d_rows.stride(0), d_input.data_ptr<float>());
      const int64_t padding = input.size(1) - n_neurons;
      if (!direct && padding > 0) columns(d_input, n_neurons, padding).zero_();
    }
    const torch::Tensor d_W = torch::empty({n_neurons, loops().padded(n_out)});
    loops().relu_product_weights(product, d, d_rows.stride(0), d_W.data_ptr<float>());
    return {d_input, columns(d_W, 0, n_out), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor relu_product(const torch::Tensor& input, const torch::Tensor& W, Direct direct,
                           const torch::Tensor& place) {
  return ReluProductFunction::apply(input, W, direct == Direct::added, Place{place});
}

torch::Tensor plain_relu_product(const torch::Tensor& input, const torch::Tensor& W, Direct direct,
                                 const torch::Tensor& place) {
  torch::Tensor output = columns(input, 0, W.size(0)).relu().mm(W);
  if (direct == Direct::added) output = output + columns(input, W.size(0), W.size(1));
  if (!place.defined()) return output;
  return torch::zeros_like(output).index_copy(0, place.to(torch::kInt64), output);
}

}  // namespace orrery::kernels
