#include "engine/intervene/interchange.h"

namespace orrery::engine {
namespace {

// As the host shows a network to a probe that asks for Inputs::none.
struct Shown {
  explicit Shown(Experiment& of) : experiment(of) {}
  Observation observe() {
    return {
        0,         experiment.spec(), experiment.structure(), experiment.split(), nothing, experiment.model(),
        no_logits, no_cache};
  }

  Experiment& experiment;
  Batch nothing = {};
  torch::Tensor no_logits = {};
  ActivationCache no_cache = {};
};

}  // namespace

VariableSet interchange_variables(Experiment& network, Experiment& reference, const KeyFrequencyParams& rule,
                                  const std::vector<std::string>& sites, uint64_t seed) {
  rule.check();
  VariableOptions options{.keys = {}, .sites = sites, .seed = seed};
  if (needs_keys(network.structure())) {
    Shown shown(reference);
    options.keys = find_key_functions(rule, shown.observe(), seed);
  }
  Shown shown(network);
  return ready_variables(shown.observe(), options);
}

TestedSet test_network(Experiment& network, const VariableSet& variables, const TestOptions& options) {
  return test_variables(network.model(), network.spec(), variables, options);
}

}  // namespace orrery::engine
