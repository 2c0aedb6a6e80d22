// orrery circuit RUN: finds the circuit of a network by patching the edges of its graph.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands/commands.h"
#include "cli/text/circuit_text.h"
#include "cli/text/terminal.h"
#include "engine/circuit/run_circuit.h"
#include "engine/experiment/open_run.h"
#include "engine/reporter/numbers.h"
#include "engine/train/hardware.h"

namespace orrery::cli {
namespace {

struct CircuitArguments {
  std::string run, step = "last", metric = "logit_difference", method = "exact", nodes = "automatic";
  std::vector<std::string> files;
  CircuitRequest request;
  bool json = false, fast = false;
};

constexpr size_t kLeastEdges = 15;

template <class Enum>
Enum chosen_of(const std::string& name) {
  for (const auto& [known, value] : names_of(Enum{}))
    if (known == name) return value;
  return {};  // CLI11 has checked it
}

int circuit(const CircuitArguments& options) {
  const auto registry = load_plugins(options.files);
  NetworkAtStep loaded(*registry, options.run, options.step);
  prepare_processor(loaded.experiment().settings().train);
  CircuitRequest request = options.request;
  request.metric = chosen_of<CircuitMetric>(options.metric);
  request.search.method = chosen_of<CircuitSearch::Method>(options.method);
  request.nodes = chosen_of<CircuitGrain>(options.nodes);
  request.search.estimates = !options.fast;
  catch_interrupts();
  const auto found = run_circuit(loaded.experiment(), loaded.step(), request, terminal());
  if (!found) {
    note("stopped; a circuit is found in one go, so nothing was kept");
    return 130;
  }
  note(fmt::format("{} of {} {} inputs at step {}: {}, and {} with every edge corrupted", options.metric,
                   thousands(found->examples), request.inputs, loaded.step(),
                   compact(found->found.bounds.whole), compact(found->found.bounds.empty)));
  std::cout << (options.json ? circuit_json(*found, request)
                             : circuit_text(*found, request, kLeastEdges, line_limit()));
  return 0;
}

}  // namespace

Command add_circuit(CLI::App& program) {
  auto options = std::make_shared<CircuitArguments>();
  CircuitRequest& request = options->request;
  CLI::App* command =
      program.add_subcommand("circuit", "Find the edges through which a network's answer passes");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  command->add_option("--step", options->step,
                      "The checkpoint: first, last, a step, or grokked (the first with 99 % test accuracy)");
  command
      ->add_option(
          "--metric", options->metric,
          "What is to be kept: the logit of the label less that of the corrupted input's, or less the "
          "mean of all others, or minus the loss")
      ->check(CLI::IsMember({"logit_difference", "logit_above_mean", "loss"}));
  command
      ->add_option(
          "--method", options->method,
          "How edges are scored: measured one by one, or estimated; acdc: measured, and the circuit is "
          "that of ACDC")
      ->check(CLI::IsMember({"exact", "eap", "eap_ig", "acdc"}));
  command
      ->add_option(
          "--nodes", options->nodes,
          "Whether a layer of neurons is one node, or each neuron; automatic: layers of a transformer, "
          "neurons of an mlp")
      ->check(CLI::IsMember({"automatic", "layers", "neurons"}));
  command->add_option("--inputs", request.inputs, "Where the clean inputs are from")
      ->check(CLI::IsMember({"train", "test", "grid"}));
  command
      ->add_option(
          "--examples", request.examples,
          "Clean inputs, drawn at random; all if there are fewer. 0: 128, or of long inputs as many as "
          "have 2,048 tokens")
      ->check(at_least(0));
  command->add_option("--seed", request.seed, "Of the inputs, their corrupted partners and the random sets");
  command
      ->add_option("--share", request.search.share, "The faithfulness that the smallest circuit is to have")
      ->check(CLI::Range(0.01, 1.0));
  command
      ->add_option("--threshold", request.search.threshold,
                   "ACDC leaves out an edge that changes faithfulness by less")
      ->check(CLI::Range(1e-9, 1.0));
  command->add_option("--ig-steps", request.search.ig_steps, "Steps of EAP-IG")->check(at_least(1));
  command->add_flag("--no-estimates", options->fast, "Do not compare EAP and EAP-IG with measured scores");
  command->add_flag("--json", options->json, "Print a line of JSON per edge");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(An edge carries what one part adds to the input of a later one. Corrupted, it carries what that part says to
another input, of which the answer is another (docs/circuits.md).
Examples:
  orrery circuit runs/quickstart-...
  orrery circuit runs/induction-... --method acdc --threshold 0.02
  orrery circuit runs/quickstart-... --step grokked --metric loss --json)");
  return {command, [options] { return circuit(*options); }};
}

}  // namespace orrery::cli
