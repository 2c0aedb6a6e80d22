// Circuits: sets of edges, how faithful they are, and how to find a small one.
#include <ATen/Functions.h>
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "sdk/analysis/circuit_parts.h"

namespace orrery {
namespace {

using torch::Tensor;

// Faithfulness of sets of edges.
class Faithfulness {
 public:
  Faithfulness(const CircuitPatching& patching, const Objective& metric)
      : patching_(patching), metric_(metric), bounds_(circuit_bounds(patching, metric)) {}

  double of(const Tensor& kept) const { return bounds_.share(value(kept)); }
  double without(const Tensor& kept) const { return of(kept.logical_not()); }
  double value(const Tensor& kept) const {
    const torch::NoGradGuard no_grad;
    return metric_(patching_.logits(kept)).item<double>();
  }
  const CircuitBounds& bounds() const { return bounds_; }
  const CircuitGraph& graph() const { return patching_.graph(); }

  Tensor first(const std::vector<int64_t>& order, int64_t n) const {
    const Tensor rows = torch::tensor(std::vector<int64_t>(order.begin(), order.begin() + n), torch::kInt64);
    return torch::zeros({graph().n_edges()}, torch::kBool).index_fill(0, rows, true);
  }

 private:
  const CircuitPatching& patching_;
  const Objective& metric_;
  CircuitBounds bounds_;
};

std::vector<int64_t> edges_in(const Tensor& kept) {
  const Tensor rows = kept.nonzero().flatten().contiguous();
  return {rows.data_ptr<int64_t>(), rows.data_ptr<int64_t>() + rows.numel()};
}

void check_order(const std::vector<int64_t>& order, int64_t n_edges) {
  if (std::set<int64_t>(order.begin(), order.end()).size() != static_cast<size_t>(n_edges) ||
      static_cast<int64_t>(order.size()) != n_edges)
    throw Error(fmt::format("an order of the edges is to list each of {} once", n_edges));
}

// The first so many edges of `order` that reach `share`: between the last of `sizes` that fails and the next.
int64_t size_reaching(const Faithfulness& f, const std::vector<int64_t>& order,
                      const std::vector<int64_t>& sizes, double share) {
  int64_t below = -1;
  for (const int64_t size : sizes) {
    if (!(f.of(f.first(order, size)) >= share)) {  // nor where it is not a number
      below = size;
      continue;
    }
    int64_t reached = size;
    while (reached - below > 1) {
      const int64_t middle = below + (reached - below) / 2;
      (f.of(f.first(order, middle)) >= share ? reached : below) = middle;
    }
    return reached;
  }
  return f.graph().n_edges();
}

void add_estimates(const CircuitPatching& patching, const Objective& metric, const CircuitSearch& search,
                   const Tensor& exact, FoundCircuit& found) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  found.eap = found.eap_ig = {nan, nan, nan};
  if (!search.estimates) return;
  found.eap = agreement(eap_scores(patching, metric), exact);
  found.eap_ig = agreement(eap_ig_scores(patching, metric, search.ig_steps), exact);
}

Tensor scores_by(const CircuitPatching& patching, const Objective& metric, const CircuitSearch& search) {
  using Method = CircuitSearch::Method;
  if (search.method == Method::eap) return eap_scores(patching, metric);
  if (search.method == Method::eap_ig) return eap_ig_scores(patching, metric, search.ig_steps);
  return exact_edge_scores(patching, metric);
}

// Tells how far a search is: a pass ends with the metric.
class Passes {
 public:
  Passes(const Objective& metric, const CircuitSearch& search) : search_(search) {
    counted_ = [this, &metric](const Tensor& logits) {
      if (search_.progress) search_.progress(what_, done_, std::max(done_, of_));
      ++done_;
      return metric(logits);
    };
  }
  Passes(const Passes&) = delete;
  Passes& operator=(const Passes&) = delete;

  /// The metric, for `of` passes or fewer of this kind.
  const Objective& next(const std::string& what, int64_t of) {
    what_ = what;
    of_ = of;
    done_ = 0;
    return counted_;
  }

 private:
  const CircuitSearch& search_;
  Objective counted_;
  std::string what_;
  int64_t done_ = 0, of_ = 0;
};

}  // namespace

double CircuitBounds::share(double m) const {
  return whole == empty ? std::numeric_limits<double>::quiet_NaN() : (m - empty) / (whole - empty);
}

CircuitBounds circuit_bounds(const CircuitPatching& patching, const Objective& metric) {
  const torch::NoGradGuard no_grad;
  return {metric(patching.clean_logits()).item<double>(), metric(patching.corrupted_logits()).item<double>()};
}

std::vector<int64_t> by_importance(const Tensor& scores) {
  const Tensor order = std::get<1>(scores.abs().sort(/*stable=*/true, 0, /*descending=*/true)).contiguous();
  return {order.data_ptr<int64_t>(), order.data_ptr<int64_t>() + order.numel()};
}

std::vector<int64_t> circuit_sizes(int64_t n_edges, int64_t most) {
  std::set<int64_t> sizes{0, n_edges};
  if (n_edges <= most)
    for (int64_t size = 1; size < n_edges; ++size) sizes.insert(size);
  const int64_t spread = std::max<int64_t>(2, most / 2);
  for (int64_t i = 0; n_edges > most && i < spread; ++i)
    sizes.insert(std::llround(std::pow(n_edges, static_cast<double>(i) / static_cast<double>(spread - 1))));
  return {sizes.begin(), sizes.end()};
}

double circuit_area(const std::vector<int64_t>& sizes, const std::vector<double>& faithfulness) {
  double area = 0;
  const auto height = [&](size_t i) {
    return std::isnan(faithfulness[i]) ? faithfulness[i] : std::clamp(faithfulness[i], 0.0, 1.0);
  };
  for (size_t i = 1; i < sizes.size(); ++i)
    area += static_cast<double>(sizes[i] - sizes[i - 1]) * (height(i) + height(i - 1)) / 2;
  return area / static_cast<double>(sizes.back() - sizes.front());
}

CircuitCurve circuit_curve(const CircuitPatching& patching, const Objective& metric,
                           const std::vector<int64_t>& order, const std::vector<int64_t>& sizes) {
  const Faithfulness f(patching, metric);
  check_order(order, f.graph().n_edges());
  CircuitCurve curve{sizes, {}, {}, 0};
  for (const int64_t size : sizes) {
    const Tensor kept = f.first(order, size);
    curve.faithfulness.push_back(f.of(kept));
    curve.completeness.push_back(f.without(kept));
  }
  curve.area = circuit_area(sizes, curve.faithfulness);
  return curve;
}

Tensor random_faithfulness(const CircuitPatching& patching, const Objective& metric,
                           const std::vector<int64_t>& sizes, int64_t draws, torch::Generator rng) {
  const Faithfulness f(patching, metric);
  Tensor all = torch::zeros({draws, static_cast<int64_t>(sizes.size())}, torch::kFloat64);
  for (int64_t draw = 0; draw < draws; ++draw) {
    const Tensor order = torch::randperm(f.graph().n_edges(), rng, torch::kInt64);
    for (size_t i = 0; i < sizes.size(); ++i) {
      const Tensor kept =
          torch::zeros({f.graph().n_edges()}, torch::kBool).index_fill(0, order.narrow(0, 0, sizes[i]), true);
      all[draw][static_cast<int64_t>(i)] = f.of(kept);
    }
  }
  return all;
}

Circuit circuit_of(const CircuitPatching& patching, const Objective& metric, const Tensor& kept) {
  const Faithfulness f(patching, metric);
  return {edges_in(kept), f.of(kept), f.without(kept)};
}

Circuit smallest_circuit(const CircuitPatching& patching, const Objective& metric,
                         const std::vector<int64_t>& order, const std::vector<int64_t>& sizes, double share) {
  const Faithfulness f(patching, metric);
  check_order(order, f.graph().n_edges());
  Tensor kept = f.graph().connected(f.first(order, size_reaching(f, order, sizes, share)));
  // Without an edge that harms, others may be spared that could not be before.
  for (bool spared = true; spared;) {
    spared = false;
    for (auto edge = order.rbegin(); edge != order.rend(); ++edge) {
      if (!kept[*edge].item<bool>()) continue;
      const Tensor fewer =
          f.graph().connected(kept.index_fill(0, torch::tensor({*edge}, torch::kInt64), false));
      if (!(f.of(fewer) >= share)) continue;
      kept = fewer;
      spared = true;
    }
  }
  return circuit_of(patching, metric, kept);
}

Circuit acdc(const CircuitPatching& patching, const Objective& metric, double threshold) {
  const Faithfulness f(patching, metric);
  Tensor kept = torch::ones({f.graph().n_edges()}, torch::kBool);
  double share = f.of(kept);
  for (int64_t edge = f.graph().n_edges() - 1; edge >= 0; --edge) {
    kept[edge] = false;
    const double fewer = f.of(kept);
    if (std::abs(fewer - share) < threshold)
      share = fewer;
    else
      kept[edge] = true;
  }
  return circuit_of(patching, metric, f.graph().connected(kept));
}

FoundCircuit find_circuit(const CircuitPatching& patching, const Objective& metric,
                          const CircuitSearch& search, torch::Generator rng) {
  using Method = CircuitSearch::Method;
  Passes passes(metric, search);
  const int64_t n_edges = patching.graph().n_edges();
  const auto n_nodes = static_cast<int64_t>(patching.graph().nodes().size());
  FoundCircuit found;
  found.bounds = circuit_bounds(patching, metric);
  found.scores = scores_by(patching, passes.next("edges", n_edges), search);
  found.nodes = exact_node_scores(patching, passes.next("nodes", n_nodes));
  const std::vector<int64_t> order = by_importance(found.scores);
  const std::vector<int64_t> sizes = circuit_sizes(n_edges);
  const auto n_sizes = static_cast<int64_t>(sizes.size());
  found.curve = circuit_curve(patching, passes.next("circuits of each size", 2 * n_sizes), order, sizes);
  found.circuit =
      search.method == Method::acdc
          ? acdc(patching, passes.next("acdc", n_edges), search.threshold)
          : smallest_circuit(patching, passes.next("smallest circuit", n_edges), order, sizes, search.share);
  found.random = random_faithfulness(patching, passes.next("random sets", search.draws * n_sizes), sizes,
                                     search.draws, rng);
  for (int64_t draw = 0; draw < search.draws; ++draw) {
    const Tensor row = found.random[draw].contiguous();
    const std::vector<double> one(row.data_ptr<double>(), row.data_ptr<double>() + row.numel());
    found.random_area += circuit_area(sizes, one) / static_cast<double>(search.draws);
  }
  const auto as_large = static_cast<int64_t>(found.circuit.edges.size());
  found.random_faithfulness = random_faithfulness(patching, passes.next("random circuits", search.draws),
                                                  {as_large}, search.draws, rng)
                                  .mean()
                                  .item<double>();
  const bool exact = search.method == Method::exact || search.method == Method::acdc;
  const bool measured = exact || !search.estimates;
  add_estimates(patching, metric, search,
                measured ? found.scores : exact_edge_scores(patching, passes.next("measured edges", n_edges)),
                found);
  return found;
}

Finding circuit_finding(const CircuitGraph& graph, const FoundCircuit& found, const std::string& metric,
                        const std::string& method) {
  std::vector<int64_t> edges = found.circuit.edges;
  const Tensor scores = found.scores.contiguous();
  const double* const score = scores.data_ptr<double>();
  std::stable_sort(edges.begin(), edges.end(),
                   [&](int64_t i, int64_t j) { return std::abs(score[i]) > std::abs(score[j]); });
  std::vector<std::string> names;
  std::vector<double> shares;
  for (const int64_t edge : edges) {
    names.push_back(graph.edges()[edge].name);
    shares.push_back(score[edge] / (found.bounds.whole - found.bounds.empty));
  }
  return {"circuit",
          "circuit",
          {{"edges", names},
           {"scores", shares},
           {"faithfulness", found.circuit.faithfulness},
           {"completeness", found.circuit.completeness},
           {"n_edges", graph.n_edges()},
           {"metric", metric},
           {"method", method}}};
}

}  // namespace orrery
