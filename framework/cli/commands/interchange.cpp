// orrery interchange RUN: does a subspace at a site of the network carry a variable of the task?
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/subspace.h>

#include <iostream>
#include <optional>

#include "cli/commands/commands.h"
#include "cli/text/interchange_text.h"
#include "cli/text/terminal.h"
#include "engine/experiment/open_run.h"
#include "engine/intervene/interchange.h"
#include "engine/reporter/numbers.h"
#include "engine/train/hardware.h"

namespace orrery::cli {
namespace {

struct InterchangeArguments {
  std::string run, step = "last", reference = "last", directions, tensor;
  std::vector<std::string> hypotheses, sites, files;
  KeyFrequencyParams rule;
  int64_t pairs = 2000, seed = 0;
  bool json = false;
};

TestOptions tests_of(const InterchangeArguments& options) {
  TestOptions tests{.pairs = options.pairs, .seed = static_cast<uint64_t>(options.seed)};
  if (!options.hypotheses.empty()) tests.hypotheses = options.hypotheses;
  if (options.directions.empty() && !options.tensor.empty())
    throw UsageError("--tensor names a tensor of the file of --directions, which is not given",
                     "add --directions FILE, or leave --tensor out");
  if (options.directions.empty()) return tests;
  if (options.sites.empty())
    throw UsageError("--directions needs --site, the hook point whose activation they lie in",
                     "for example --site blocks.0.hook_resid_post");
  tests.directions = read_tensor(options.directions, options.tensor);
  return tests;
}

int interchange_run(const InterchangeArguments& options) {
  const TestOptions tests = tests_of(options);
  const auto registry = load_plugins(options.files);
  NetworkAtStep loaded(*registry, options.run, options.step);
  prepare_processor(loaded.experiment().settings().train);
  std::optional<NetworkAtStep> other;
  if (needs_keys(loaded.experiment().structure()) &&
      choose_checkpoint(loaded.run(), options.reference, "--reference").step != loaded.step())
    other.emplace(*registry, options.run, options.reference, "--reference");
  if (!loaded.experiment().structure().cyclic && !options.rule.frequencies.empty())
    throw UsageError(
        fmt::format("--frequency: the task {} has no frequencies", loaded.experiment().settings().task.name),
        "leave it out; its variables are those that are listed without it");
  KeyFrequencyParams rule = options.rule;
  if (!rule.frequencies.empty()) rule.rule = "given";
  const VariableSet variables =
      interchange_variables(loaded.experiment(), other ? other->experiment() : loaded.experiment(), rule,
                            options.sites, static_cast<uint64_t>(options.seed));
  const int64_t inputs = variables.inputs.size();
  if (options.pairs == 0)
    note(fmt::format(
        "{} pairs of {} inputs, each with a pass for every hypothesis and null; --pairs K takes K of them",
        thousands(inputs * (inputs - 1)), thousands(inputs)));
  const TestedSet tested = test_network(loaded.experiment(), variables, tests);
  std::vector<std::string> said;
  for (const CausalVariable& variable : variables.variables)
    said.push_back(fmt::format("{} is {}", variable.name, variable.says));
  note(fmt::format("step {}: the network answers {:.2f} % of the bases right; {}", loaded.step(),
                   100 * tested.base_accuracy, fmt::join(said, ", ")));
  std::cout << (options.json ? interchange_json(tested, loaded.step())
                             : interchange_text(tested, line_limit()));
  return 0;
}

}  // namespace

Command add_interchange(CLI::App& program) {
  auto options = std::make_shared<InterchangeArguments>();
  CLI::App* command = program.add_subcommand(
      "interchange", "Test which part of a network carries which variable of the task");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  const auto repeated = [&](const char* name, std::vector<std::string>& into, const char* doc,
                            const char* type) {
    command->add_option(name, into, doc)->type_name(type)->allow_extra_args(false);
  };
  command->add_option("--step", options->step,
                      "The checkpoint: first, last, a step, or grokked (the first with 99 % test accuracy)");
  repeated("--hypothesis", options->hypotheses, "Those tested, by VARIABLE/SITE or glob", "GLOB");
  repeated("--site", options->sites,
           "Where variables are looked for, instead of the usual sites: hook points "
           "by name or glob, or logits",
           "GLOB");
  command
      ->add_option("--directions", options->directions,
                   "A safetensors file with a tensor [m, d]: tests the span of its rows at --site")
      ->type_name("FILE");
  command->add_option("--tensor", options->tensor, "The tensor's name, if the file holds several");
  command->add_option("--pairs", options->pairs, "Pairs of inputs, drawn at random; 0: all")
      ->check(at_least(0));
  command->add_option("--seed", options->seed, "The seed of the pairs and of the random subspaces")
      ->check(at_least(0));
  command->add_option("--reference", options->reference,
                      "The checkpoint that key frequencies or representations are found at, as --step");
  command
      ->add_option("--rule", options->rule.rule,
                   "How key frequencies are told from the rest, as in trig_loss")
      ->check(CLI::IsMember({"neurons", "embedding", "logits"}));
  command->add_option("--frequency", options->rule.frequencies, "A key frequency, instead of a rule")
      ->type_name("K")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "Print a line of JSON per hypothesis");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(An input, the base, is run with its coordinates in a subspace taken from the run of another, the source. The
accuracy is the share of labels at which the network then answers as if the variable were the source's; only
labels that differ from the base's own count. Beside it: the same with a random subspace of that size, with the
directions of other functions, and the accuracy had another variable been exchanged.
Examples:
  orrery interchange runs/quickstart-...
  orrery interchange runs/quickstart-... --step 1000 --hypothesis "result/*"
  orrery interchange runs/quickstart-... --directions d.safetensors --site blocks.0.hook_resid_post --json)");
  return {command, [options] { return interchange_run(*options); }};
}

}  // namespace orrery::cli
