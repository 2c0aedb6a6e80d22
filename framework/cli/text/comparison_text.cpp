#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "cli/text/comparison_text.h"
#include "cli/text/table.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

std::string percent(std::optional<double> share) {
  return share ? fmt::format("{:.2f} %", std::floor(1e4 * *share) / 100) : "-";
}
std::string loss(std::optional<double> value) { return value ? compact(*value) : "-"; }
std::string scores(const ComparedRun& run, const std::string& set) {
  const auto share = run.metric(set + "/accuracy");
  if (share && std::isnan(*share)) return fmt::format("no {} examples", set);
  return fmt::format("loss {}, {}", loss(run.metric(set + "/loss")), percent(share));
}
std::string three(double value) { return std::isnan(value) ? "-" : fmt::format("{:.3g}", value); }

std::string number_text(const Feature& feature) {
  const double whole = std::round(feature.value);
  if (whole == feature.value && std::abs(whole) < 1e9) return thousands(static_cast<int64_t>(whole));
  return feature.scale == Scale::loss ? compact(feature.value) : three(feature.value);
}

// `in_full`: with the details beside the number.
std::string feature_text(const Feature& feature, bool in_full) {
  if (feature.scale == Scale::shares) {
    std::vector<std::string> parts;
    for (const double part : feature.parts) parts.push_back(fmt::format("{:.2f}", part));
    if (parts.empty()) return "none";
    return in_full ? fmt::format("{}: {}", feature.shown, fmt::join(parts, " "))
                   : fmt::format("{}", fmt::join(parts, " "));
  }
  const std::string number = number_text(feature);
  return feature.shown.empty() || !in_full ? number : fmt::format("{} ({})", number, feature.shown);
}

std::string null_value(const Feature& null) {
  if (null.scale != Scale::shares) return number_text(null);
  return null.parts.empty() ? "none" : fmt::format("{} of them", null.value);
}

// Over all runs: one text if their values are equal, else the smallest and the largest.
std::string null_range(const FeatureRow& row) {
  std::vector<const Feature*> nulls;
  for (const Feature* null : row.nulls)
    if (null) nulls.push_back(null);
  if (nulls.empty()) return "";
  const auto [low, high] =
      std::minmax_element(nulls.begin(), nulls.end(), [](auto* x, auto* y) { return x->value < y->value; });
  const std::string least = null_value(**low), most = null_value(**high);
  return least == most ? least : fmt::format("{} to {}", least, most);
}

// For two runs the nulls stand beside the values, for more in a separate column.
std::vector<std::string> cells(const FeatureRow& row) {
  const bool in_full = row.values.size() == 2;
  std::vector<std::string> all;
  for (size_t i = 0; i < row.values.size(); ++i) {
    std::string cell = row.values[i] ? feature_text(*row.values[i], in_full) : row.absent[i];
    if (in_full && row.nulls[i]) cell += fmt::format(" (null {})", null_value(*row.nulls[i]));
    all.push_back(std::move(cell));
  }
  if (!in_full) all.push_back(null_range(row));
  all.push_back(row.distance ? fmt::format("{:.3f}", *row.distance) : "");
  return all;
}

// "key frequencies, by share (trig_loss)": names the probe, because several probes report this.
std::pair<std::string, std::string> split_probe(const std::string& name) {
  const size_t open = name.rfind(" (");
  if (open == name.npos || name.back() != ')') return {name, ""};
  return {name.substr(0, open), name.substr(open + 2, name.size() - open - 3)};
}

// Merges rows in which several probes report the same.
std::vector<std::vector<std::string>> merged(const std::vector<FeatureRow>& rows) {
  std::vector<std::vector<std::string>> all;
  std::vector<std::string> group_of;
  for (const FeatureRow& row : rows) {
    const auto [stem, probe] = split_probe(row.name);
    std::vector<std::string> line = cells(row);
    line.insert(line.begin(), row.name);
    bool known = false;
    for (size_t i = 0; i < all.size() && !probe.empty() && !known; ++i)
      if (group_of[i] == row.group && split_probe(all[i][0]).first == stem &&
          std::equal(all[i].begin() + 1, all[i].end(), line.begin() + 1, line.end())) {
        all[i][0].back() = ',';
        all[i][0] += fmt::format(" {})", probe);
        known = true;
      }
    if (known) continue;
    all.push_back(std::move(line));
    group_of.push_back(row.group);
  }
  for (size_t i = all.size(); i-- > 0;) {
    all[i][0] = "  " + all[i][0];
    if (i == 0 || group_of[i] != group_of[i - 1])
      all.insert(all.begin() + static_cast<std::ptrdiff_t>(i), {group_of[i]});
  }
  return all;
}

std::string side_by_side(const Comparison& comparison, size_t width) {
  const Column narrow{Align::left, 0, 14, true};
  Table table(std::vector<Column>(comparison.runs.size() + 3, narrow));
  const auto add = [&](const std::string& name, auto&& cell) {
    std::vector<std::string> row = {name};
    for (const auto& run : comparison.runs) row.push_back(cell(*run));
    table.add(std::move(row));
  };
  add("", [](const ComparedRun& run) { return run.name(); });
  add("task", [](const ComparedRun& run) { return run.experiment().settings().task.name; });
  add("step", [](const ComparedRun& run) {
    return fmt::format("{} of {}", thousands(run.step()), thousands(run.last_step()));
  });
  for (const std::string set : {"train", "test"})
    add(set, [&](const ComparedRun& run) { return scores(run, set); });
  for (const auto& [key, values] : config_differences(comparison)) {
    std::vector<std::string> row = {key};
    row.insert(row.end(), values.begin(), values.end());
    if (key != "task.name") table.add(std::move(row));
  }
  std::vector<std::string> head(comparison.runs.size() + 1);
  if (comparison.runs.size() > 2) head.emplace_back("null");
  head.push_back(comparison.runs.size() > 2 ? "largest distance" : "distance");
  table.add(head);
  for (auto& row : merged(feature_rows(comparison))) table.add(std::move(row));
  return table.text(width);
}

std::string distance_text(const ComparedPair& pair) {
  if (!pair.features.distance) return "not comparable: " + pair.features.why_not;
  return fmt::format("{:.3f}   over {} features in {} groups{}", *pair.features.distance,
                     pair.features.n_counted, pair.features.n_groups,
                     pair.to_random ? fmt::format("; to random weights {:.3f}", *pair.to_random) : "");
}

std::vector<const ComparedPair*> by_distance(const Comparison& comparison) {
  std::vector<const ComparedPair*> pairs;
  for (const ComparedPair& pair : comparison.pairs) pairs.push_back(&pair);
  std::stable_sort(pairs.begin(), pairs.end(), [](auto* x, auto* y) {
    return x->features.distance.value_or(2) < y->features.distance.value_or(2);
  });
  return pairs;
}

// Two names and what is said of them.
Table table_of_pairs() {
  return Table({{Align::left, 0, 12}, {Align::left, 0, 12}, {Align::left, 0, 20, true}});
}

std::string distances(const Comparison& comparison, size_t width) {
  Table table = table_of_pairs();
  for (const ComparedPair* pair : by_distance(comparison))
    table.add(
        {"  " + comparison.runs[pair->a]->name(), comparison.runs[pair->b]->name(), distance_text(*pair)});
  return "\ndistance of the circuits: 0 alike, 1 nothing in common\n" + table.text(width);
}

std::string frequencies(const Comparison& comparison, size_t width) {
  Table table(
      {{Align::left, 0, 12}, {Align::left, 0, 12}, {Align::left, 0, 10, true}, {Align::left, 0, 20, true}});
  bool any = false;
  for (const ComparedPair& pair : comparison.pairs)
    for (const FrequencyOverlap& each : pair.overlaps) {
      any = true;
      table.add({"  " + comparison.runs[pair.a]->name(), comparison.runs[pair.b]->name(), each.probe,
                 fmt::format("{} of {} and {}, by chance {:.2g}", each.common, each.in_a, each.in_b,
                             each.by_chance)});
    }
  return any ? "\n" +
                   wrapped(
                       "key frequencies in common (names that a change of units permutes, so not part of the "
                       "distance)",
                       0, width) +
                   "\n" + table.text(width)
             : "";
}

std::string circuits(const Comparison& comparison, size_t width) {
  Table table(
      {{Align::left, 0, 12}, {Align::left, 0, 12}, {Align::left, 0, 10, true}, {Align::left, 0, 20, true}});
  bool any = false;
  for (const ComparedPair& pair : comparison.pairs)
    for (const CircuitOverlap& each : pair.circuits) {
      any = true;
      const EdgeOverlap& edges = each.edges;
      table.add(
          {"  " + comparison.runs[pair.a]->name(), comparison.runs[pair.b]->name(), each.probe,
           fmt::format("{} of {} and {}, by chance {:.2g}; Jaccard {:.2f}; scores correlate by {:.3f}{}",
                       edges.common, edges.in_a, edges.in_b, edges.by_chance, edges.jaccard,
                       edges.correlation, edges.renamed ? "; heads renamed to fit" : "")});
    }
  return any ? "\nedges of the circuits in common\n" + table.text(width) : "";
}

std::string share_text(double share) {
  return std::isnan(share) ? "-" : fmt::format("{:.1f} %", 100 * share);
}

std::string list_of(const std::string& before, const std::vector<std::string>& names) {
  return names.empty() ? "" : fmt::format("; {}: {}", before, fmt::join(names, ", "));
}

// Which variables are carried by which sites of two networks.
std::string carried_text(const CarriedInBoth& variables, const std::string& a, const std::string& b) {
  std::string text = fmt::format(
      "{} of {} hypotheses carried by both{}{}{}", variables.both.size(), variables.rows.size(),
      variables.both.empty() ? "" : fmt::format(": {}", fmt::join(variables.both, ", ")),
      list_of("by " + a + " only", variables.only_a), list_of("by " + b + " only", variables.only_b));
  if (!std::isnan(variables.mean))
    text += fmt::format("; accuracies differ by {} on average, most at {}: {}", share_text(variables.mean),
                        variables.largest_at, share_text(variables.largest));
  return text;
}

std::string carried(const Comparison& comparison, size_t width) {
  std::string out;
  for (const ComparedPair& pair : comparison.pairs)
    for (const CarriedOverlap& each : pair.carried) {
      const std::string &a = comparison.runs[pair.a]->name(), &b = comparison.runs[pair.b]->name();
      out += wrapped(fmt::format("  {}, {}, {}: {}", a, b, each.probe, carried_text(each.variables, a, b)), 4,
                     width) +
             "\n";
      Table table(
          {{Align::left, 0, 24, true}, {Align::right}, {Align::right}, {Align::right}, {Align::right}});
      table.add({"    interchange accuracy", a, b, "random", "difference"});
      for (const CarriedInBoth::Row& row : each.variables.rows)
        table.add({"    " + row.hypothesis, share_text(row.a.accuracy), share_text(row.b.accuracy),
                   share_text(std::fmax(row.a.random, row.b.random)),
                   share_text(row.b.accuracy - row.a.accuracy)});
      out += table.text(width);
    }
  return out.empty() ? "" : "\nvariables that are carried, by interchange interventions\n" + out;
}

void branch(const Comparison& comparison, size_t cluster, const std::string& first, const std::string& rest,
            std::string& out) {
  const size_t n = comparison.runs.size();
  if (cluster < n) {
    out += fmt::format("{}{}\n", first, comparison.runs[cluster]->name());
    return;
  }
  const Merge& merge = comparison.tree[cluster - n];
  out += fmt::format("{}{:.3f}\n", first, merge.height);
  branch(comparison, merge.a, rest + "├─ ", rest + "│  ", out);
  branch(comparison, merge.b, rest + "└─ ", rest + "   ", out);
}

std::string tree(const Comparison& comparison, size_t width) {
  const size_t n = comparison.runs.size();
  if (n < 3 || comparison.tree.empty()) return "";
  std::vector<bool> inside(n + comparison.tree.size(), false);
  for (const Merge& merge : comparison.tree) inside[merge.a] = inside[merge.b] = true;
  std::string out = "\ntree by average linkage, with the distance at which branches meet\n";
  for (size_t cluster = inside.size(); cluster-- > 0;)
    if (!inside[cluster]) branch(comparison, cluster, "  ", "  ", out);
  return lines_cut(out, width);
}

std::string site_text(const SiteSimilarity& site) {
  std::string angles;
  for (size_t i = 0; i < site.angles.size() && i < 4; ++i)
    angles += fmt::format("{}{:.0f}", i > 0 ? " " : "", site.angles[i]);
  if (site.angles.size() > 4) angles += fmt::format(" ... {:.0f}", site.angles.back());
  return fmt::format("{} and {} dimensions, shared {:.2f} (null {:.2f}), angles {}", site.dims_a, site.dims_b,
                     site.shared, site.shared_null, angles);
}

std::string activations(const Comparison& comparison, size_t width) {
  std::string out;
  for (const ComparedPair& pair : comparison.pairs) {
    if (!pair.activations) continue;
    const std::string names = comparison.runs[pair.a]->name() + ", " + comparison.runs[pair.b]->name();
    if (!pair.activations->why_not.empty()) {
      out += wrapped(fmt::format("  {}: no common inputs: {}", names, pair.activations->why_not), 4, width) +
             "\n";
      continue;
    }
    out += wrapped(fmt::format("  {}: on {}", names, pair.activations->inputs), 4, width) + "\n";
    Table table({{Align::left, 0, 16, true}, {Align::left, 0, 12, true}, {Align::left, 0, 20, true}});
    for (const SiteSimilarity& site : pair.activations->sites)
      table.add({"    " + site.site, fmt::format("CKA {} (null {})", three(site.cka), three(site.cka_null)),
                 site_text(site)});
    out += table.text(width);
  }
  return out.empty()
             ? ""
             : "\n" +
                   wrapped(
                       "activations on the same inputs: linear CKA, and the principal angles, in degrees, of "
                       "the subspaces that hold 99 % of the variance",
                       0, width) +
                   "\n" + out;
}

std::string missing(const Comparison& comparison, size_t width) {
  if (comparison.missing.empty()) return "";
  std::string out = "\nnot measured, although it applies to at least two of these runs\n";
  for (const MissingProbe& probe : comparison.missing) {
    std::vector<std::string> names;
    for (const size_t run : probe.runs)
      names.push_back(
          fmt::format("{} (step {})", comparison.runs[run]->name(), comparison.runs[run]->step()));
    out += wrapped(fmt::format("  {}: {}", probe.plugin, fmt::join(names, ", ")), 4, width) + "\n";
  }
  return out +
         wrapped("  to measure them and store the results: the same command with --probe-missing", 4, width) +
         "\n";
}

std::string partly_concluded(const Comparison& comparison, size_t width) {
  std::string out;
  for (const auto& run : comparison.runs)
    for (const auto& [label, checkpoints] : run->partly_concluded())
      out += wrapped(fmt::format("  {}: {}, {}", run->name(), label, to_text(checkpoints)), 4, width) + "\n";
  return out.empty() ? "" : "\nconcluded from a part of a run\n" + out;
}

}  // namespace

std::string comparison_text(const Comparison& comparison, size_t width) {
  return side_by_side(comparison, width) + distances(comparison, width) + tree(comparison, width) +
         frequencies(comparison, width) + circuits(comparison, width) + carried(comparison, width) +
         activations(comparison, width) + partly_concluded(comparison, width) + missing(comparison, width);
}

}  // namespace orrery::cli
