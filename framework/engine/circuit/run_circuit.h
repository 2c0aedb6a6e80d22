// The circuit of a run's network: what `orrery circuit` does. See orrery/circuit.h.
#pragma once

#include <orrery/circuit.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/reporter/reporter.h"

namespace orrery::engine {

struct CircuitRequest {
  std::string inputs = "test";  ///< "train", "test" or "grid"
  int64_t examples = 0;         ///< clean inputs, drawn at random; 0: circuit_examples_by_length()
  int64_t seed = 0;             ///< of the inputs, their partners and the null
  CircuitMetric metric = CircuitMetric::logit_difference;
  CircuitGrain nodes = CircuitGrain::automatic;
  CircuitSearch search = {};
};

struct ScoredEdge {
  std::string name;
  double score = 0;  ///< the fall of the metric
  double share = 0;  ///< of m(M) - m(empty); NaN where that is 0
  bool in_circuit = false;
};

struct RunCircuit {
  FoundCircuit found;
  std::vector<ScoredEdge> edges;  ///< by descending absolute score
  int64_t examples = 0;           ///< those there were
};

/// Finds the circuit of the experiment's network with its present weights, shown as to a probe at `step`.
/// Tells `reporter` how far it is. Nothing if it was asked to stop. Throws orrery::UsageError for a network
/// without a graph, inputs that there are not, or examples without a metric.
std::optional<RunCircuit> run_circuit(Experiment& experiment, int64_t step, const CircuitRequest& request,
                                      Reporter& reporter);

}  // namespace orrery::engine
