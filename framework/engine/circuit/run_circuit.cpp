#include "engine/circuit/run_circuit.h"

#include <orrery/error.h>

#include <exception>
#include <functional>
#include <set>
#include <utility>

namespace orrery::engine {
namespace {

Inputs inputs_named(const std::string& name) {
  return name == "train" ? Inputs::train : name == "grid" ? Inputs::grid : Inputs::test;
}

std::vector<ScoredEdge> by_score(const CircuitGraph& graph, const FoundCircuit& found) {
  const std::set<int64_t> inside(found.circuit.edges.begin(), found.circuit.edges.end());
  std::vector<ScoredEdge> edges;
  for (const int64_t edge : by_importance(found.scores)) {
    const double score = found.scores[edge].item<double>();
    edges.push_back({graph.edges()[edge].name, score, found.bounds.share(found.bounds.empty + score),
                     inside.contains(edge)});
  }
  return edges;
}

struct Stopped {};

// Shows each kind of passes as a piece of work of its own.
class ShownPasses {
 public:
  explicit ShownPasses(Reporter& reporter) : reporter_(reporter) {}
  void operator()(const std::string& what, int64_t done, int64_t of) {
    if (reporter_.stop_requested()) throw Stopped();
    if (what != what_) {
      shown_.reset();  // ends its line first
      shown_ = reporter_.progress(of, "passes");
      what_ = what;
    }
    shown_->show(done, what);
  }

 private:
  Reporter& reporter_;
  std::string what_;
  std::unique_ptr<Progress> shown_;
};

// Corruption and the loss are the task's and the run's, which the host has for probes.
class CircuitProbe final : public Probe {
 public:
  CircuitProbe(const CircuitRequest& request, Reporter& reporter) : request_(request), reporter_(reporter) {}

  Needs needs() const override {
    Needs needs;
    needs.inputs = inputs_named(request_.inputs);
    return needs;
  }

  void measure(const Observation& observation, Recorder&) override {
    try {
      find(observation);
    } catch (const Stopped&) {
      stopped_ = true;
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  std::optional<RunCircuit> take() {
    if (failure_) std::rethrow_exception(failure_);
    if (stopped_) return std::nullopt;
    return std::move(result_);
  }

 private:
  void find(const Observation& observation) {
    auto rng = make_generator(static_cast<uint64_t>(request_.seed));
    const auto [clean, corrupted] = circuit_examples(observation, request_.examples, rng);
    ShownPasses shown(reporter_);
    CircuitOptions options;
    options.grain = request_.nodes;
    const CircuitGraph graph(observation.model, observation.spec, clean.tokens, options);
    const Objective metric = circuit_metric(
        request_.metric, observation.spec, clean, corrupted,
        [&](const torch::Tensor& logits, const Batch& inputs) { return observation.losses(logits, inputs); });
    CircuitSearch search = request_.search;
    search.progress = std::ref(shown);
    result_.found = find_circuit(CircuitPatching(graph, clean.tokens, corrupted.tokens), metric, search, rng);
    result_.edges = by_score(graph, result_.found);
    result_.examples = clean.size();
  }

  const CircuitRequest& request_;
  Reporter& reporter_;
  RunCircuit result_;
  bool stopped_ = false;
  std::exception_ptr failure_;
};

}  // namespace

std::optional<RunCircuit> run_circuit(Experiment& experiment, int64_t step, const CircuitRequest& request,
                                      Reporter& reporter) {
  CircuitProbe probe(request, reporter);
  ProbeInRun in_run{.label = "circuit", .probe = &probe, .needs = probe.needs(), .plugin = "circuit"};
  experiment.probe_host().check(in_run);
  for (const Outcome& outcome : experiment.probe_host().measure(step, {&in_run}, Reference::fitted))
    if (!outcome.ok()) throw Error(outcome.error, outcome.hint);
  return probe.take();
}

}  // namespace orrery::engine
