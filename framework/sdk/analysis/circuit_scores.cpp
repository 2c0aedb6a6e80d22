// Scores of edges, nodes and paths: measured, and estimated from gradients.
#include <ATen/Functions.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sdk/analysis/circuit_parts.h"

namespace orrery {
namespace {

using torch::Tensor;

double metric_of(const Objective& metric, const Tensor& logits) {
  const torch::NoGradGuard no_grad;
  return metric(logits).item<double>();
}

std::vector<double> numbers_of(const Tensor& x) {
  const Tensor flat = x.to(torch::kCPU, torch::kFloat64).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

double pearson(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : std::numeric_limits<double>::quiet_NaN();
}

// Ranks of the absolute values, equal ones sharing their mean rank.
std::vector<double> ranks_of_sizes(std::vector<double> x) {
  for (double& value : x) value = std::abs(value);
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return x[i] < x[j]; });
  std::vector<double> ranks(x.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && x[order[end]] == x[order[i]]) ++end;
    for (size_t j = i; j < end; ++j) ranks[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return ranks;
}

}  // namespace

Tensor exact_edge_scores(const CircuitPatching& patching, const Objective& metric) {
  const int64_t n = patching.graph().n_edges();
  const double whole = metric_of(metric, patching.clean_logits());
  Tensor scores = torch::zeros({n}, torch::kFloat64), kept = torch::ones({n}, torch::kBool);
  for (int64_t edge = 0; edge < n; ++edge) {
    kept[edge] = false;
    scores[edge] = whole - metric_of(metric, patching.logits(kept));
    kept[edge] = true;
  }
  return scores;
}

Tensor exact_node_scores(const CircuitPatching& patching, const Objective& metric) {
  const CircuitGraph& graph = patching.graph();
  const double whole = metric_of(metric, patching.clean_logits());
  Tensor scores = torch::zeros({static_cast<int64_t>(graph.nodes().size())}, torch::kFloat64);
  std::vector<std::vector<int64_t>> from(graph.nodes().size());
  for (int64_t e = 0; e < graph.n_edges(); ++e) from[graph.edges()[e].sender].push_back(e);
  for (size_t node = 0; node + 1 < from.size(); ++node) {
    const Tensor kept = torch::ones({graph.n_edges()}, torch::kBool)
                            .index_fill(0, torch::tensor(from[node], torch::kInt64), false);
    scores[static_cast<int64_t>(node)] = whole - metric_of(metric, patching.logits(kept));
  }
  return scores;
}

double path_score(const CircuitPatching& patching, const Objective& metric,
                  const std::vector<int64_t>& edges) {
  return metric_of(metric, patching.clean_logits()) - metric_of(metric, patching.path_logits(edges));
}

Tensor eap_scores(const CircuitPatching& patching, const Objective& metric) {
  return patching.slopes(metric);
}

Tensor eap_ig_scores(const CircuitPatching& patching, const Objective& metric, int64_t steps) {
  if (steps < 1) throw UsageError("EAP-IG takes at least one step", "set its steps to 1 or more");
  Tensor sum = torch::zeros({patching.graph().n_edges()}, torch::kFloat64);
  for (int64_t k = 0; k < steps; ++k)
    sum += patching.slopes(metric, (static_cast<double>(k) + 0.5) / static_cast<double>(steps));
  return sum / static_cast<double>(steps);
}

CircuitAgreement agreement(const Tensor& scores, const Tensor& exact) {
  if (scores.sizes() != exact.sizes() || scores.numel() == 0)
    throw Error("scores are compared edge by edge, and these are of different numbers of edges");
  const std::vector<double> x = numbers_of(scores), y = numbers_of(exact);
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
  return {pearson(x, y), pearson(ranks_of_sizes(x), ranks_of_sizes(y)), largest};
}

}  // namespace orrery
