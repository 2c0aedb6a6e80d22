// orrery ablate RUN: ablates components of a network and measures the effect.
#include <fmt/format.h>
#include <orrery/error.h>

#include <filesystem>
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
#include "sdk/files/tensors.h"

namespace orrery::cli {
namespace {

struct AblateArguments {
  std::string run, step = "last", inputs = "test", mode = "mean", at;
  std::vector<std::string> heads, neurons, directions, hooks, files;
  int64_t seed = 0;
  bool json = false;
};

// "0.17", "0.3-9,12": a layer and some of its heads or neurons.
std::pair<int64_t, std::vector<int64_t>> parse_part(const std::string& option, const std::string& text) {
  const auto fail = [&] {
    throw UsageError(
        fmt::format("{}: expected LAYER.NUMBER, as in 0.2, 0.3-9 or 0.3,5; got \"{}\"", option, text));
  };
  const auto whole = [&](const std::string& digits) {
    const auto number = parse_integer(digits);
    if (!number || *number < 0) fail();
    return *number;
  };
  const size_t dot = text.find('.');
  if (dot == std::string::npos) fail();
  std::vector<int64_t> numbers;
  for (const std::string& part : split_text(text.substr(dot + 1), ",")) {
    const size_t dash = part.find('-');
    const int64_t first = whole(part.substr(0, dash));
    const int64_t last = dash == std::string::npos ? first : whole(part.substr(dash + 1));
    if (last < first || last - first > 1'000'000) fail();
    for (int64_t number = first; number <= last; ++number) numbers.push_back(number);
  }
  if (numbers.empty()) fail();
  return {whole(text.substr(0, dot)), numbers};
}

torch::Tensor only_tensor(const std::string& file) {
  if (!std::filesystem::exists(file))
    throw UsageError(fmt::format("--direction {}: there is no such file", file));
  const NamedTensors tensors = read_tensors(file).tensors;
  if (tensors.size() != 1)
    throw UsageError(fmt::format("{}: expected one tensor, the direction; it has {}", file, tensors.size()),
                     "write a safetensors file with one tensor of shape [d] or [k, d]");
  return tensors[0].second;
}

std::vector<Component> chosen(const AblateArguments& options, const Model& model) {
  std::vector<Component> all;
  for (const std::string& text : options.heads) {
    const auto [layer, heads] = parse_part("--head", text);
    for (const int64_t head : heads) all.push_back(head_component(model, layer, head));
  }
  for (const std::string& text : options.neurons) {
    const auto [layer, neurons] = parse_part("--neuron", text);
    all.push_back(neuron_component(model, layer, neurons, "neuron " + text));
  }
  for (const std::string& file : options.directions) {
    if (options.at.empty())
      throw UsageError("--direction needs --at, the hook point whose activation it lies in",
                       "for example --at blocks.0.hook_resid_post");
    all.push_back(direction_component(model, options.at, only_tensor(file), "direction " + file));
  }
  for (const std::string& glob : options.hooks)
    for (const HookPoint* point : find_hook_points(model, glob))
      all.push_back(whole_component(model, point->name()));
  return all.empty() ? main_components(model) : all;
}

Source ablation_source(const AblateArguments& options, Model& model, const Batch& batch,
                       const std::vector<Component>& components) {
  if (options.mode == "zero") return zeros();
  if (options.mode == "mean") return means(model, batch, components);
  return resampled(model, batch, components, make_generator(static_cast<uint64_t>(options.seed)));
}

int ablate(const AblateArguments& options) {
  const auto registry = load_plugins(options.files);
  NetworkAtStep loaded(*registry, options.run, options.step);
  prepare_processor(loaded.experiment().settings().train);
  Model& model = loaded.experiment().model();
  const TaskSpec& spec = loaded.experiment().spec();
  const Batch& batch = loaded.inputs(options.inputs);
  const std::vector<Component> components = chosen(options, model);
  const Source source = ablation_source(options, model, batch, components);
  const auto scored = [&](const std::vector<Component>& taken) {
    return scores(spec, intervene(model, spec, batch.tokens, taken, source), batch);
  };

  const Metrics plain = scored({});
  std::vector<Effect> effects;
  catch_interrupts();
  const bool together = components.size() > 1;
  const auto progress = terminal().progress(static_cast<int64_t>(components.size() + together), "ablations");
  for (const Component& component : components) {
    effects.push_back({component.name, scored({component})});
    progress->show(static_cast<int64_t>(effects.size()), component.name);
    if (interrupted()) return 130;
  }
  if (together) effects.push_back({"all of these", scored(components)});
  note(fmt::format("{} ablation at step {}, on {} {} inputs; changes relative to the baseline", options.mode,
                   loaded.step(), thousands(batch.size()), options.inputs));
  std::cout << (options.json ? effects_json(plain, effects)
                             : effects_text("ablated", plain, effects, line_limit()));
  return 0;
}

}  // namespace

Command add_ablate(CLI::App& program) {
  auto options = std::make_shared<AblateArguments>();
  CLI::App* command = program.add_subcommand("ablate", "Ablate parts of a network and measure the effect");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  const auto repeated = [&](const char* name, std::vector<std::string>& into, const char* doc,
                            const char* type) {
    command->add_option(name, into, doc)->type_name(type)->allow_extra_args(false);
  };
  repeated("--head", options->heads, "An attention head, as LAYER.HEAD", "0.2");
  repeated("--neuron", options->neurons, "Neurons after their activation function, ablated together",
           "0.3-9,12");
  repeated("--direction", options->directions,
           "A safetensors file with one tensor [d] or [k, d]: ablate the activation at --at within its span",
           "FILE");
  repeated("--hook", options->hooks, "Whole activations, by hook name or glob", "GLOB");
  command->add_option("--at", options->at, "The hook point that --direction belongs to")->type_name("HOOK");
  command
      ->add_option("--mode", options->mode,
                   "The replacement: zero, the mean over the inputs at each position, or another input's "
                   "activation (resample)")
      ->check(CLI::IsMember({"zero", "mean", "resample"}));
  command->add_option("--inputs", options->inputs, "The inputs to evaluate on")
      ->check(CLI::IsMember({"train", "test", "grid"}));
  command->add_option("--step", options->step,
                      "The checkpoint: first, last, a step, or grokked (the first with 99 % test accuracy)");
  command->add_option("--seed", options->seed, "The seed of the random order for resample");
  command->add_flag("--json", options->json, "Print a line of JSON per ablation");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(Without --head, --neuron, --direction or --hook, ablates every head and every layer of neurons in turn.
Examples:
  orrery ablate runs/induction-...                          every head in turn
  orrery ablate runs/quickstart-... --head 0.2 --mode zero
  orrery ablate runs/quickstart-... --neuron 0.0-63 --inputs train --json
  orrery ablate runs/quickstart-... --direction d.safetensors --at blocks.0.hook_resid_post)");
  return {command, [options] { return ablate(*options); }};
}

}  // namespace orrery::cli
