// orrery patch RUN: activation patching between two inputs (clean and corrupted) or two checkpoints.
#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>
#include <iostream>

#include "cli/commands/commands.h"
#include "cli/text/effects.h"
#include "cli/text/terminal.h"
#include "engine/config/parse_text.h"
#include "engine/experiment/open_run.h"
#include "engine/intervene/intervention.h"
#include "engine/reporter/numbers.h"
#include "engine/train/hardware.h"
#include "engine/train/trainer.h"

namespace orrery::cli {
namespace {

struct PatchArguments {
  std::string run, step = "last", input, source, from_step, inputs = "test";
  std::vector<std::string> hooks, files;
  bool json = false;
};

// "50 70 113" or "50,70,113" as tokens [1, n_ctx].
torch::Tensor parse_tokens(const std::string& option, const std::string& text, const TaskSpec& spec) {
  std::vector<int64_t> tokens;
  for (const std::string& number : split_text(text, " ,")) {
    const auto token = parse_integer(number);
    if (!token || *token < 0 || *token >= spec.d_vocab)
      throw UsageError(fmt::format("{}: \"{}\" is not a token", option, number),
                       fmt::format("tokens are numbers from 0 to {}", spec.d_vocab - 1));
    tokens.push_back(*token);
  }
  if (static_cast<int64_t>(tokens.size()) != spec.n_ctx)
    throw UsageError(fmt::format("{}: expected {} tokens, got {}", option, spec.n_ctx, tokens.size()),
                     "every position of the input has one, such as the \"=\" at its end");
  return torch::tensor(tokens, torch::kInt64).unsqueeze(0);
}

// The activations that --hook names; by default every head, every layer of neurons, and the residual stream
// position by position.
std::vector<Component> parts(const PatchArguments& options, const Model& model, const TaskSpec& spec,
                             bool by_position) {
  std::vector<Component> all;
  const std::vector<std::string> globs =
      options.hooks.empty() ? std::vector<std::string>{"*hook_resid_pre"} : options.hooks;
  if (options.hooks.empty()) all = main_components(model);
  for (const std::string& glob : globs)
    for (const auto& point : model.hook_points()) {
      if (!matches(glob, point->name())) continue;
      if (!by_position || point->position_dim() < 0) {
        all.push_back(whole_component(model, point->name()));
        continue;
      }
      for (int64_t position = 0; position < spec.n_ctx; ++position)
        all.push_back(whole_component(model, point->name(), position));
    }
  for (const std::string& glob : options.hooks)
    find_hook_points(model, glob);  // throws if it matches nothing
  return all;
}

int between_checkpoints(const PatchArguments& options, const Registry& registry, NetworkAtStep& loaded) {
  NetworkAtStep donor(registry, options.run, options.from_step, "--from-step");
  Model& model = loaded.experiment().model();
  const TaskSpec& spec = loaded.experiment().spec();
  const Batch& batch = loaded.inputs(options.inputs);
  const std::vector<Component> components = parts(options, model, spec, /*by_position=*/false);
  const auto scored = [&](const std::vector<Component>& taken) {
    const Source source = patched(donor.experiment().model(), {}, taken);
    return scores(spec, intervene(model, spec, batch.tokens, taken, source), batch);
  };
  const Metrics plain = scored({});
  std::vector<Effect> effects;
  for (const Component& component : components) effects.push_back({component.name, scored({component})});
  note(fmt::format(
      "activations of step {} in the network of step {}, on {} {} inputs; changes relative to step {}",
      donor.step(), loaded.step(), thousands(batch.size()), options.inputs, loaded.step()));
  std::cout << (options.json ? effects_json(plain, effects)
                             : effects_text("patched", plain, effects, line_limit()));
  return 0;
}

// The logit of what the network says to --input minus that of what it says to --source, summed over the
// output positions. Whether it is right does not matter.
struct LogitDifference {
  torch::Tensor clean, corrupted;  // [n_read]: its answers to the two

  double of(const torch::Tensor& logits) const {  // [1, n_read, d_vocab_out]
    const torch::Tensor at = logits[0];
    const auto pick = [&](const torch::Tensor& answer) {
      return at.gather(-1, answer.unsqueeze(-1)).squeeze(-1);
    };
    return (pick(clean) - pick(corrupted)).sum().item<double>();
  }
};

std::string numbers(const torch::Tensor& row) {
  std::string text;
  for (int64_t i = 0; i < row.size(0); ++i) text += (i ? " " : "") + std::to_string(row[i].item<int64_t>());
  return text;
}

int between_inputs(const PatchArguments& options, NetworkAtStep& loaded) {
  Model& model = loaded.experiment().model();
  const TaskSpec& spec = loaded.experiment().spec();
  if (has_one_logit(spec.loss))
    throw UsageError("the task has one logit, so there is no logit difference between two answers",
                     "use --from-step");
  const torch::Tensor input = parse_tokens("--input", options.input, spec);
  const torch::Tensor source = parse_tokens("--source", options.source, spec);
  const auto plain = intervene(model, spec, input, {}, zeros());
  const auto corrupted = intervene(model, spec, source, {}, zeros());
  const LogitDifference difference{plain.argmax(-1)[0], corrupted.argmax(-1)[0]};
  if (torch::equal(difference.clean, difference.corrupted))
    throw UsageError(
        fmt::format(
            "--source: the network of step {} says {} to both inputs, so there is no logit difference "
            "that a patch could move",
            loaded.step(), numbers(difference.clean)),
        "choose a source to which it says something else, or a --step at which it tells them apart");
  const double from = difference.of(plain), to = difference.of(corrupted);
  const auto& task = loaded.experiment().task();
  note(fmt::format("the network of step {} says {} -> {}, and {} -> {}, whose activations are patched in",
                   loaded.step(), task.show(input[0]), numbers(difference.clean), task.show(source[0]),
                   numbers(difference.corrupted)));
  if (!options.json)
    std::cout << fmt::format(
        "{:<40}  {:>10}  {:>8}\n{:<40}  {:>10.4g}  {:>8.3f}\n{:<40}  {:>10.4g}  {:>8.3f}\n", "patched",
        "logit diff", "moved", "none (clean)", from, 0.0, "all (corrupted)", to, 1.0);
  for (const Component& component : parts(options, model, spec, /*by_position=*/true)) {
    const double here =
        difference.of(intervene(model, spec, input, {component}, patched(model, source, {component})));
    const double moved = (from - here) / (from - to);
    if (options.json)
      std::cout << patch_json(component.name, here, moved);
    else
      std::cout << fmt::format("{:<40}  {:>10.4g}  {:>8.3f}\n", component.name, here, moved);
  }
  return 0;
}

int patch(const PatchArguments& options) {
  const bool inputs = !options.input.empty() && !options.source.empty();
  if (inputs == !options.from_step.empty())
    throw UsageError("give either --input and --source, or --from-step",
                     "--input and --source patch between two inputs, --from-step between two checkpoints");
  const auto registry = load_plugins(options.files);
  NetworkAtStep loaded(*registry, options.run, options.step);
  prepare_processor(loaded.experiment().settings().train);
  return inputs ? between_inputs(options, loaded) : between_checkpoints(options, *registry, loaded);
}

}  // namespace

Command add_patch(CLI::App& program) {
  auto options = std::make_shared<PatchArguments>();
  CLI::App* command = program.add_subcommand("patch", "Patch activations from one forward pass into another");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  command->add_option("--input", options->input, "The clean input, to patch into, as tokens")
      ->type_name("TOKENS");
  command->add_option("--source", options->source, "The corrupted input, to patch from, as tokens")
      ->type_name("TOKENS");
  command->add_option("--from-step", options->from_step, "The checkpoint to patch from, as --step");
  command->add_option(
      "--step", options->step,
      "The checkpoint to patch into: first, last, a step, or grokked (the first with 99 % test accuracy)");
  command->add_option("--inputs", options->inputs, "With --from-step: the inputs to evaluate on")
      ->check(CLI::IsMember({"train", "test", "grid"}));
  command
      ->add_option("--hook", options->hooks,
                   "Activations to patch instead of the default ones, by name or glob")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "Print a line of JSON per patch");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(The logit difference is that of the two tokens that the network itself gives for --input and for --source, right
or wrong. "moved" is the normalised patching effect on it: 0 as for --input, 1 as for --source.
Examples:
  orrery patch runs/quickstart-... --input "50 7 59" --source "12 7 59"
  orrery patch runs/quickstart-... --input "50 7 59" --source "12 7 59" --hook "*hook_attn_out"
  orrery patch runs/quickstart-... --from-step 0)");
  return {command, [options] { return patch(*options); }};
}

}  // namespace orrery::cli
