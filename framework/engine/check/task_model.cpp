// Checks that networks can be trained on a task.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <cmath>
#include <set>

#include "engine/check/bitwise.h"
#include "engine/check/small_models.h"
#include "engine/check/task_checks.h"
#include "engine/check/training_checks.h"
#include "engine/train/loss.h"
#include "sdk/files/tensors.h"
#include "sdk/model/catalog.h"

namespace orrery::engine::checks {
namespace {

constexpr int64_t most_examples = 64;

Batch first_rows(const Batch& batch) {
  return batch.rows(torch::arange(std::min(batch.size(), most_examples), torch::kInt64));
}

// What is wrong with the loss on `batch`, or with its gradient; "" if nothing is.
std::string loss_fault(Model& model, const Variant& variant, const std::string& name, const Batch& batch) {
  const Batch some = first_rows(batch);
  if (some.size() == 0) return "";
  if (some.scored.defined() && !some.scored.any().item<bool>())
    return fmt::format("no label of {} counts", name);
  for (NamedWeight& weight : model.weights()) weight.value.mutable_grad() = torch::Tensor();
  const torch::Tensor logits = read_out(model, {some.tokens, variant.spec.read_out})->logits();
  torch::Tensor loss = mean_loss(variant.spec, logits, some, torch::kFloat64);
  if (const torch::Tensor penalty = model.penalty(); penalty.defined()) loss = loss + penalty;
  if (!std::isfinite(loss.item<double>()))
    return fmt::format("the loss on {} is {}", name, loss.item<double>());
  loss.backward();
  for (const NamedWeight& weight : model.weights())
    if (weight.value.grad().defined() && !weight.value.grad().isfinite().all().item<bool>())
      return fmt::format("the gradient of the loss on {} by {} is not finite", name, weight.name);
  return "";
}

// The model, or null and the reason.
std::unique_ptr<Model> try_model(const SmallModel& small, const Variant& variant) {
  try {
    return small.make(*variant.task, variant.spec, 0);
  } catch (const UsageError&) {
    return nullptr;
  }
}

NamedTensors first_weights(const Model& model) {
  NamedTensors all;
  for (const NamedWeight& weight : model.weights())
    all.emplace_back(weight.name, weight.value.detach().clone());
  return all;
}

bool same_weights(const NamedTensors& a, const NamedTensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && same(x.second, y.second);
  });
}

}  // namespace

std::string seed_fault(const std::function<std::unique_ptr<Model>(torch::Generator)>& make) {
  const auto drawn = [&](uint64_t seed) { return first_weights(*make(make_generator(seed))); };
  if (!same_weights(drawn(0), drawn(0))) return "one seed gives two different sets of weights";
  const torch::Generator used = make_generator(0), fresh = make_generator(0);
  make(used);
  const bool draws = !same(used.get_state(), fresh.get_state());
  if (draws && same_weights(drawn(0), drawn(1))) return "two seeds give the same weights";
  return "";
}

std::string weights_fault(const Model& model) {
  std::set<std::string> names;
  for (const NamedWeight& weight : model.weights()) {
    if (!names.insert(weight.name).second) return fmt::format("weight \"{}\" is there twice", weight.name);
    if (!weight.value.is_leaf() || !weight.value.requires_grad())
      return fmt::format("weight \"{}\" cannot be trained: it is not a leaf that requires a gradient",
                         weight.name);
  }
  return names.empty() ? "it has no weights" : "";
}

std::string forward_fault(Model& model, const TaskSpec& spec, const torch::Tensor& tokens) {
  torch::NoGradGuard no_grad;
  const torch::Tensor logits = model.forward(tokens);
  const std::vector<int64_t> shape = {tokens.size(0), spec.n_ctx, spec.d_vocab_out};
  if (logits.sizes() != shape)
    return fmt::format("forward() gives logits [{}]; expected [{}]", fmt::join(logits.sizes(), ", "),
                       fmt::join(shape, ", "));
  const torch::Tensor plain = logits.index_select(1, torch::tensor(spec.read_out, torch::kInt64));
  const torch::Tensor fast = read_out(model, {tokens, spec.read_out})->logits();
  if (fast.sizes() != plain.sizes() || !torch::allclose(fast, plain, 1e-4, 1e-5))
    return "fast_read_out() gives other logits than forward() at these positions";
  return "";
}

Result finite_loss(TaskUnderCheck& task) {
  std::vector<std::string> on;
  for (const Variant& variant : task.variants())
    for (const SmallModel& small : small_models()) {
      if (!variant.name.empty() && small.kind != "transformer") continue;
      task.note(variant.at(small.name));
      const auto model = try_model(small, variant);
      if (!model) continue;
      if (variant.name.empty()) on.push_back(small.name);
      for (const auto& [name, batch] : variant.batches())
        if (const std::string fault = loss_fault(*model, variant, name, *batch); !fault.empty())
          return failed(
              variant.at(fmt::format("{}: {}", small.name, fault)),
              "make sure that the loss mask (scored) keeps at least one label, and that labels are classes");
    }
  if (on.empty())
    return failed("no model can be made for it",
                  "make sure that spec() describes inputs that a model can read");
  return ok("on " + counted(static_cast<int64_t>(on.size()), "small network"));
}

Result own_model(TaskUnderCheck& task) {
  const Variant& given = task.variants().front();
  task.note("make_model");
  const auto model = given.task->make_model(make_generator(0));
  if (!model) return not_applicable("it brings no model of its own");
  const auto make = [&](torch::Generator rng) { return given.task->make_model(std::move(rng)); };
  for (const std::string& fault :
       {weights_fault(*model), forward_fault(*model, given.spec, first_rows(given.split.train).tokens),
        seed_fault(make)})
    if (!fault.empty()) return failed(fault, "orrery/model.h says what a model must do");
  return ok(counted(model->n_parameters(), "parameter"));
}

}  // namespace orrery::engine::checks
