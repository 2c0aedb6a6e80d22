#include "engine/compare/edges.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace orrery::engine {
namespace {

using Renaming = std::map<std::string, std::string>;  // of heads: "head 0.3" -> "head 0.1"

// The heads in the names of edges, by layer: "head 0" -> {"head 0.0", ...}
std::map<std::string, std::vector<std::string>> heads_by_layer(const EdgeSet& set) {
  std::map<std::string, std::set<std::string>> heads;
  for (const auto& [name, score] : set.scores) {
    const std::string sender = name.substr(0, name.find(" -> "));
    if (sender.starts_with("head ")) heads[sender.substr(0, sender.find('.'))].insert(sender);
  }
  std::map<std::string, std::vector<std::string>> lists;
  for (const auto& [layer, names] : heads) lists[layer] = {names.begin(), names.end()};
  return lists;
}

std::string renamed_node(const std::string& node, const Renaming& names) {
  const auto found = names.find(node);
  return found == names.end() ? node : found->second;
}

// "head 0.1 -> head 1.0 q": the receiver's part stays.
std::string renamed_edge(const std::string& edge, const Renaming& names) {
  const size_t arrow = edge.find(" -> ");
  const std::string sender = edge.substr(0, arrow), to = edge.substr(arrow + 4);
  const bool has_part = to.size() > 2 && to[to.size() - 2] == ' ' && to.starts_with("head ");
  const std::string receiver = has_part ? to.substr(0, to.size() - 2) : to;
  return renamed_node(sender, names) + " -> " + renamed_node(receiver, names) +
         (has_part ? to.substr(to.size() - 2) : "");
}

double score_of(const EdgeSet& set, const std::string& edge) {
  const auto found = set.scores.find(edge);
  return found == set.scores.end() ? 0 : found->second;  // only small ones are not listed
}

// b's scores under names of a, times a's.
double fit(const EdgeSet& a, const EdgeSet& b, const Renaming& names) {
  double sum = 0;
  for (const auto& [edge, score] : b.scores) sum += score * score_of(a, renamed_edge(edge, names));
  return sum;
}

Renaming best_renaming(const EdgeSet& a, const EdgeSet& b) {
  Renaming names;
  const auto layers = heads_by_layer(b);
  for (const auto& [layer, heads] : layers)
    for (const std::string& head : heads) names[head] = head;
  double best = fit(a, b, names);
  for (bool better = true; better;) {
    better = false;
    for (const auto& [layer, heads] : layers)
      for (size_t i = 0; i < heads.size(); ++i)
        for (size_t j = i + 1; j < heads.size(); ++j) {
          std::swap(names[heads[i]], names[heads[j]]);
          const double now = fit(a, b, names);
          if (now > best + 1e-12 * std::abs(best)) {
            best = now;
            better = true;
          } else {
            std::swap(names[heads[i]], names[heads[j]]);
          }
        }
  }
  return names;
}

double correlation_of(const EdgeSet& a, const std::map<std::string, double>& b) {
  std::set<std::string> names;
  for (const auto& [name, score] : a.scores) names.insert(name);
  for (const auto& [name, score] : b) names.insert(name);
  const auto n = static_cast<double>(a.n_edges);  // those that nobody lists count as zeros
  double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (const std::string& name : names) {
    const auto found = b.find(name);
    const double one = score_of(a, name), other = found == b.end() ? 0 : found->second;
    x += one;
    y += other;
    xx += one * one;
    yy += other * other;
    xy += one * other;
  }
  const double spread = (xx - x * x / n) * (yy - y * y / n);
  return spread > 0 ? (xy - x * y / n) / std::sqrt(spread) : std::numeric_limits<double>::quiet_NaN();
}

// Scores of edges that a probe did not list are smaller than those that it did.
std::vector<EdgeInBoth> edges_in_either(const EdgeSet& a, const std::map<std::string, double>& b,
                                        const std::set<std::string>& circuit_b, double fall_b) {
  constexpr double kLeastShare = 0.01;
  if (!(a.fall != 0 && fall_b != 0)) return {};
  std::map<std::string, EdgeInBoth> all;
  for (const auto& [name, score] : a.scores) all[name].share_a = score / a.fall;
  for (const auto& [name, score] : b) all[name].share_b = score / fall_b;
  std::vector<EdgeInBoth> edges;
  const auto larger = [](const EdgeInBoth& e) { return std::max(std::abs(e.share_a), std::abs(e.share_b)); };
  for (auto& [name, edge] : all) {
    edge.name = name;
    edge.in_a = a.circuit.contains(name);
    edge.in_b = circuit_b.contains(name);
    if (edge.in_a || edge.in_b || larger(edge) >= kLeastShare) edges.push_back(edge);
  }
  std::stable_sort(edges.begin(), edges.end(),
                   [&](const EdgeInBoth& x, const EdgeInBoth& y) { return larger(x) > larger(y); });
  return edges;
}

template <class T>
T edge_field(const Finding& finding, const std::string& name) {
  const auto found = finding.fields.find(name);
  if (found == finding.fields.end()) return {};
  const auto* value = std::get_if<T>(&found->second);
  return value ? *value : T{};
}

// On disk round numbers look like integers.
double edge_number(const Finding& finding, const std::string& name) {
  const auto found = finding.fields.find(name);
  if (found != finding.fields.end())
    if (const auto* whole = std::get_if<int64_t>(&found->second)) return static_cast<double>(*whole);
  return edge_field<double>(finding, name);
}

std::vector<double> scores_of(const Finding& finding) {
  const auto found = finding.fields.find("scores");
  if (found == finding.fields.end()) return {};
  if (const auto* whole = std::get_if<std::vector<int64_t>>(&found->second))
    return {whole->begin(), whole->end()};
  const auto* reals = std::get_if<std::vector<double>>(&found->second);
  return reals ? *reals : std::vector<double>{};
}

}  // namespace

std::optional<EdgeSet> edges_of(const Record& record) {
  EdgeSet set;
  bool scored = false, found = false;
  for (const Finding& finding : record.findings) {
    const auto names = edge_field<std::vector<std::string>>(finding, "edges");
    if (finding.kind == "edge_scores") {
      const std::vector<double> scores = scores_of(finding);
      for (size_t i = 0; i < std::min(names.size(), scores.size()); ++i) set.scores[names[i]] = scores[i];
      set.n_edges = edge_field<int64_t>(finding, "n_edges");
      set.fall = edge_number(finding, "whole") - edge_number(finding, "empty");
      scored = true;
    }
    if (finding.kind == "circuit") {
      set.circuit = {names.begin(), names.end()};
      found = true;
    }
  }
  return scored && found ? std::optional(set) : std::nullopt;
}

std::optional<EdgeOverlap> edge_overlap(const EdgeSet& a, const EdgeSet& b) {
  if (a.n_edges != b.n_edges || a.n_edges == 0) return std::nullopt;
  const Renaming names = best_renaming(a, b);
  std::map<std::string, double> scores;
  for (const auto& [edge, score] : b.scores) scores[renamed_edge(edge, names)] = score;
  EdgeOverlap both;
  both.in_a = a.circuit.size();
  both.in_b = b.circuit.size();
  std::set<std::string> circuit;
  for (const std::string& edge : b.circuit) circuit.insert(renamed_edge(edge, names));
  for (const std::string& edge : circuit) both.common += a.circuit.contains(edge);
  const auto either = static_cast<double>(both.in_a + both.in_b - both.common);
  both.jaccard = either > 0 ? static_cast<double>(both.common) / either : 1;
  both.by_chance =
      static_cast<double>(both.in_a) * static_cast<double>(both.in_b) / static_cast<double>(a.n_edges);
  both.correlation = correlation_of(a, scores);
  both.edges = edges_in_either(a, scores, circuit, b.fall);
  for (const auto& [before, after] : names) both.renamed = both.renamed || before != after;
  return both;
}

}  // namespace orrery::engine
