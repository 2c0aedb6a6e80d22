// Checks that a model keeps its side of the contract, on made-up tasks of several shapes.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <cmath>
#include <set>

#include "engine/check/bitwise.h"
#include "engine/check/heard_disturbances.h"
#include "engine/check/training_checks.h"
#include "engine/experiment/check_split.h"
#include "engine/train/trainer.h"

namespace orrery::engine::checks {
namespace {

struct MadeUpTask {
  std::string name;
  TaskSpec spec;
  Split split;
};

MadeUpTask made_up(const std::string& name, TaskSpec spec) {
  const torch::Generator rng = make_generator(1);
  const int64_t n = 40, n_read = static_cast<int64_t>(spec.read_out.size());
  const int64_t n_labels = has_one_logit(spec.loss) ? 2 : spec.d_vocab_out;
  const Batch all{.tokens = torch::randint(spec.d_vocab, {n, spec.n_ctx}, rng, torch::kInt64),
                  .labels = torch::randint(n_labels, {n, n_read}, rng, torch::kInt64)};
  const torch::Tensor rows = torch::arange(n, torch::kInt64);
  return {name, std::move(spec), Split::of_grid(all, rows.narrow(0, 0, 30), rows.narrow(0, 30, 10))};
}

std::vector<MadeUpTask> made_up_tasks() {
  return {
      made_up("two operands and =", {.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}}),
      made_up("a sequence", {.d_vocab = 6, .d_vocab_out = 6, .n_ctx = 5, .read_out = {1, 2, 3, 4}}),
      made_up("bits", {.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 8, .read_out = {7}}),
      made_up(
          "bits and one logit",
          {.d_vocab = 2, .d_vocab_out = 1, .n_ctx = 8, .read_out = {7}, .groups = {}, .loss = Loss::hinge})};
}

class ModelUnderCheck {
 public:
  ModelUnderCheck(SourceOf<ModelMaker> source, Note note)
      : source_(std::move(source)), note_(std::move(note)), tasks_(made_up_tasks()) {}

  void note(const std::string& what) const { note_(what); }
  std::unique_ptr<Model> make(const TaskSpec& spec, torch::Generator rng) const {
    return source_.make()->make(spec, std::move(rng));
  }
  /// The tasks that it does not refuse.
  std::vector<const MadeUpTask*> tasks() const {
    std::vector<const MadeUpTask*> accepted;
    for (const MadeUpTask& task : tasks_) try {
        make(task.spec, make_generator(0));
        accepted.push_back(&task);
      } catch (const UsageError&) {
        // its right
      }
    return accepted;
  }

 private:
  SourceOf<ModelMaker> source_;
  Note note_;
  std::vector<MadeUpTask> tasks_;
};

Result makes_a_model(const ModelUnderCheck& check) {
  check.note("make");
  const auto tasks = check.tasks();
  if (tasks.empty())
    return failed("it refuses every shape: two operands, a sequence, bits",
                  "throw orrery::UsageError only for what the model cannot do");
  std::vector<std::string> names;
  for (const MadeUpTask* task : tasks) {
    names.push_back(task->name);
    if (const std::string fault = weights_fault(*check.make(task->spec, make_generator(0))); !fault.empty())
      return failed(fmt::format("{}: {}", task->name, fault),
                    "make each weight with add_weight(name, value)");
  }
  return ok(fmt::format("for {}", fmt::join(names, ", ")));
}

Result forward_passes(const ModelUnderCheck& check) {
  for (const MadeUpTask* task : check.tasks()) {
    check.note("forward, " + task->name);
    const auto model = check.make(task->spec, make_generator(0));
    if (const std::string fault = forward_fault(*model, task->spec, task->split.train.tokens); !fault.empty())
      return failed(fmt::format("{}: {}", task->name, fault), "orrery/model.h says what a model must do");
  }
  return ok();
}

Result seeds(const ModelUnderCheck& check) {
  for (const MadeUpTask* task : check.tasks()) {
    check.note("make, from several seeds");
    seed_global_generator();
    const HeardDisturbances heard;
    const auto make = [&](torch::Generator rng) { return check.make(task->spec, std::move(rng)); };
    if (const std::string fault = seed_fault(make); !fault.empty())
      return failed(fmt::format("{}: {}", task->name, fault),
                    "draw weights from the generator that is given");
    if (const std::string drew = heard.first("generator"); !drew.empty())
      return failed(fmt::format("{}: {}", task->name, drew),
                    "pass the generator to torch::rand, torch::randn");
  }
  return ok();
}

// A hook sees an activation of the batch, and what it returns is what the pass goes on with.
std::string hook_fault(Model& model, const MadeUpTask& task) {
  torch::NoGradGuard no_grad;
  const torch::Tensor tokens = task.split.train.tokens;
  std::set<std::string> names;
  const torch::Tensor before = model.forward(tokens);
  bool any_matters = model.hook_points().empty();
  for (const auto& point : model.hook_points()) {
    if (!names.insert(point->name()).second)
      return fmt::format("hook point \"{}\" is there twice", point->name());
    int64_t calls = 0, rows = 0;
    std::string misplaced;
    const torch::Tensor after =
        run_with_hooks(model, tokens, {{point->name(), [&](const torch::Tensor& activation) {
                                          ++calls;
                                          rows = activation.dim() > 0 ? activation.size(0) : 0;
                                          misplaced = position_fault(*point, activation, task.spec.n_ctx);
                                          return torch::zeros_like(activation);
                                        }}});
    if (calls == 0)
      return fmt::format("forward() passes nothing through the hook point \"{}\"", point->name());
    if (!misplaced.empty()) return misplaced;
    if (rows != tokens.size(0))
      return fmt::format("the activation at \"{}\" has {} rows for {} inputs", point->name(), rows,
                         tokens.size(0));
    any_matters |= !same(before, after);
  }
  return any_matters ? "" : "what hooks return is not what forward() goes on with, at any hook point";
}

Result hook_points(const ModelUnderCheck& check) {
  int64_t n = 0;
  for (const MadeUpTask* task : check.tasks()) {
    check.note("hook points, " + task->name);
    const auto model = check.make(task->spec, make_generator(0));
    n = static_cast<int64_t>(model->hook_points().size());
    if (const std::string fault = hook_fault(*model, *task); !fault.empty())
      return failed(fmt::format("{}: {}", task->name, fault),
                    "send each activation through its hook point: x = hook_(x), in every forward pass");
  }
  return n > 0 ? ok(counted(n, "hook point"))
               : not_applicable("it has no hook points, so probes see no activations");
}

Result trains(const ModelUnderCheck& check) {
  for (const MadeUpTask* task : check.tasks()) {
    check.note("training on " + task->name);
    const auto model = check.make(task->spec, make_generator(0));
    TrainSettings settings;
    settings.weight_decay = 0;
    settings.warmup_steps = 0;
    settings.lr = 3e-3;
    Trainer trainer(*model, task->spec, task->split, settings, 0);
    const double first = trainer.step();
    for (const NamedWeight& weight : model->weights())
      if (!weight.value.grad().defined() || !weight.value.grad().any().item<bool>())
        return failed(fmt::format("{}: the weight \"{}\" has no gradient", task->name, weight.name),
                      "use the tensor that add_weight() returned, and only weights that reach the logits");
    double last = first;
    for (int i = 0; i < 60; ++i) last = trainer.step();
    if (!std::isfinite(last) || last >= first)
      return failed(fmt::format("{}: the training loss is {:.4g} at first and {:.4g} after 60 steps of AdamW",
                                task->name, first, last),
                    "look for activations that are detached, or weights that do not reach the logits");
  }
  return ok();
}

}  // namespace

std::vector<Check> model_checks(SourceOf<ModelMaker> source, const Note& note) {
  const auto under_check = std::make_shared<ModelUnderCheck>(std::move(source), note);
  const auto with = [under_check](Result (*check)(const ModelUnderCheck&)) {
    return [under_check, check] { return check(*under_check); };
  };
  return {{model_works, {}, with(makes_a_model)},
          {"forward and fast passes agree", {model_works}, with(forward_passes)},
          {"weights come from the generator only", {model_works}, with(seeds)},
          {"activations go through the hook points",
           {model_works, "forward and fast passes agree"},
           with(hook_points)},
          {"it can be trained", {model_works, "forward and fast passes agree"}, with(trains)}};
}

}  // namespace orrery::engine::checks
