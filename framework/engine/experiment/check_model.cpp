#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>

#include "engine/experiment/check_split.h"

namespace orrery::engine {
namespace {

void check_logits(const std::string& call, const torch::Tensor& logits, const std::vector<int64_t>& shape,
                  const std::string& meaning) {
  if (!logits.defined()) throw Error(fmt::format("{} gives an undefined tensor", call), "return the logits");
  if (logits.sizes() == shape && logits.is_floating_point()) return;
  throw Error(
      fmt::format("{} gives logits of shape [{}] and dtype {}; expected [{}] and a real dtype", call,
                  fmt::join(logits.sizes(), ", "), toString(logits.scalar_type()), fmt::join(shape, ", ")),
      fmt::format("they are {}; a model with one output for the whole input gives it at every position: "
                  ".unsqueeze(1).expand({{-1, n, -1}})",
                  meaning));
}

// The activations at the model's hook points, in one pass over `tokens`.
void check_positions(Model& model, const torch::Tensor& tokens, int64_t n_ctx) {
  torch::NoGradGuard no_grad;
  for (const auto& point : model.hook_points()) {
    std::string fault;
    run_with_hooks(model, tokens, {{point->name(), [&](const torch::Tensor& activation) {
                                      fault = position_fault(*point, activation, n_ctx);
                                      return activation;
                                    }}});
    if (!fault.empty())
      throw Error(
          "its model's " + fault,
          "name the dimension in add_hook_point(name, dimension); -1 for an activation of the whole input");
  }
}

}  // namespace

std::string position_fault(const HookPoint& point, const torch::Tensor& activation, int64_t n_ctx) {
  const int64_t dim = point.position_dim();
  if (dim < 0 || (dim < activation.dim() && activation.size(dim) == n_ctx)) return "";
  return fmt::format("activation at \"{}\" is [{}], and dimension {} of it is to run over {} positions",
                     point.name(), fmt::join(activation.sizes(), ", "), dim, n_ctx);
}

void check_model(Model& model, const TaskSpec& spec, const Batch& batch) {
  if (model.weights().empty())
    throw Error("the model has no weights", "make each with add_weight(name, value) in its constructor");
  const int64_t n = std::min<int64_t>(batch.size(), 3), n_read = static_cast<int64_t>(spec.read_out.size());
  if (n == 0) return;
  const torch::Tensor tokens = batch.tokens.narrow(0, 0, n).to(model.device());
  const torch::Tensor logits = model.forward(tokens);
  check_logits("its model's forward()", logits, {n, spec.n_ctx, spec.d_vocab_out},
               "[batch, n_ctx, d_vocab_out]");
  if (!logits.requires_grad())
    throw Error("its model's forward() gives logits that do not depend on the weights",
                "compute with the tensors that add_weight() returned, without detach() or a NoGradGuard");
  check_positions(model, tokens, spec.n_ctx);
  const torch::Tensor fast = read_out(model, {tokens, spec.read_out})->logits();
  check_logits("its model's fast_read_out()", fast, {n, n_read, spec.d_vocab_out},
               "[batch, n_read, d_vocab_out]");
  const torch::Tensor positions = torch::tensor(spec.read_out, torch::kInt64).to(model.device());
  if (!torch::allclose(fast, logits.index_select(1, positions), 1e-3, 1e-4, /*equal_nan=*/true))
    throw Error("its model's fast_read_out() gives other logits than forward() at the read-out positions",
                "leave fast_read_out() out: without it the framework calls forward()");
}

}  // namespace orrery::engine
