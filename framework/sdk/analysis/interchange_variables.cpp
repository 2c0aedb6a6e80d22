#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/interchange_variables.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <limits>

#include "sdk/analysis/interchange_ready.h"

namespace orrery {
namespace {

using torch::Tensor;

std::string name_of_site(const InterchangeSite& site) {
  return site.dim >= 1 && site.hook != "hook_embed" ? fmt::format("{}.{}", site.hook, site.entry) : site.hook;
}

struct Chosen {
  const CausalVariable* variable;
  InterchangeSite site;
  std::string name;
};

std::vector<Chosen> every_hypothesis(const VariableSet& set) {
  std::vector<Chosen> all;
  for (const CausalVariable& variable : set.variables)
    for (const InterchangeSite& site : variable.sites)
      all.push_back({&variable, site, variable.name + "/" + name_of_site(site)});
  return all;
}

std::vector<Chosen> chosen_of(const VariableSet& set, const std::vector<std::string>& globs) {
  std::vector<Chosen> all = every_hypothesis(set);
  std::vector<std::string> names;
  for (const Chosen& one : all) names.push_back(one.name);
  for (const std::string& glob : globs)
    if (std::none_of(names.begin(), names.end(), [&](const auto& name) { return matches(glob, name); }))
      throw UsageError(fmt::format("no hypothesis is called \"{}\"{}", glob, did_you_mean(glob, names)),
                       fmt::format("there are: {}", fmt::join(names, ", ")));
  std::erase_if(all, [&](const Chosen& one) {
    return std::none_of(globs.begin(), globs.end(),
                        [&](const auto& glob) { return matches(glob, one.name); });
  });
  return all;
}

// What directions are tested for each hypothesis: those of the variable, and of something else.
struct Directions {
  Tensor own, random, wrong;
  double shared = std::numeric_limits<double>::quiet_NaN();
};

// The regression tells how wide the site is. Where there is none, interchange() does.
void check_width(const Chosen& one, const Directions& found) {
  if (!found.own.defined() || !found.wrong.defined() || found.own.size(1) == found.wrong.size(1)) return;
  throw UsageError(fmt::format("hypothesis \"{}\": the directions have {} entries, and the activation has {} "
                               "features",
                               one.name, found.own.size(1), found.wrong.size(1)),
                   "give directions of the site's last dimension (of all its features, if it has more)");
}

// Takes the own directions out of the other ones. Where few directions are in use at all, as behind a layer
// of which few outputs are left, every function is written along the same ones, and to exchange those of
// another function would be to exchange the variable. For a regression this is the same as looking for the
// other functions in what the own directions leave of the activation.
void take_own_out(Directions& found) {
  constexpr double kLeastSine = 0.01;  // closer than this, two directions found by regression are the same
  if (!found.wrong.defined() || !found.own.defined()) return;
  if (found.wrong.size(0) == 0) {
    found.wrong = Tensor();
    return;
  }
  const Tensor inside = found.wrong.matmul(found.own.t());
  found.shared = inside.square().sum().item<double>() / static_cast<double>(found.wrong.size(0));
  const auto [u, sines, rows] =
      at::linalg_svd(found.wrong - inside.matmul(found.own), /*full_matrices=*/false);
  const auto rank = (sines > kLeastSine).sum().item<int64_t>();
  found.wrong = rank > 0 ? rows.narrow(0, 0, rank).contiguous() : Tensor();
}

std::vector<Directions> directions_for(Model& model, const TaskSpec& spec, const VariableSet& set,
                                       const std::vector<Chosen>& chosen, const TestOptions& options) {
  std::vector<Directions> found(chosen.size());
  std::vector<Regression> regressions;
  std::vector<Tensor*> into;
  const auto seek = [&](const Chosen& one, const Tensor& functions, Tensor& where) {
    if (!functions.defined() || functions.size(0) == 0) return;  // there may be no others
    regressions.push_back({one.site, functions});
    into.push_back(&where);
  };
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (options.directions.defined())
      found[i].own = orthonormal_rows(options.directions);
    else
      seek(chosen[i], chosen[i].variable->functions, found[i].own);
    seek(chosen[i], chosen[i].variable->wrong_functions, found[i].wrong);
  }
  if (!regressions.empty()) {
    const std::vector<Tensor> sought = regression_directions(model, spec, set.fit_inputs, regressions);
    for (size_t i = 0; i < sought.size(); ++i) *into[i] = sought[i];
  }
  auto rng = make_generator(options.seed);
  for (size_t i = 0; i < chosen.size(); ++i) {
    check_width(chosen[i], found[i]);
    take_own_out(found[i]);
  }
  for (Directions& directions : found)
    if (directions.own.defined())
      directions.random = random_directions(directions.own.size(0), directions.own.size(1), rng);
  return found;
}

}  // namespace

namespace interchanging {

std::vector<InterchangeSite> sites_matching(const Model& model, const std::vector<std::string>& globs) {
  for (const std::string& glob : globs)
    if (glob != "logits") find_hook_points(model, glob);  // throws if it matches nothing
  std::vector<InterchangeSite> sites;
  for (const auto& point : model.hook_points())
    if (std::any_of(globs.begin(), globs.end(),
                    [&](const auto& glob) { return matches(glob, point->name()); }))
      sites.push_back({.hook = point->name()});
  if (std::count(globs.begin(), globs.end(), "logits") > 0) sites.push_back({.hook = "logits"});
  return sites;
}

std::vector<std::string> usual_sites(const Model& model) {
  std::vector<std::string> globs{"*hook_resid_mid", "*mlp.hook_post", "*mlp.hook_post_2", "*hook_resid_post"};
  const auto has = [&](const std::string& glob) {
    const auto names = model.hook_point_names();
    return std::any_of(names.begin(), names.end(), [&](const auto& name) { return matches(glob, name); });
  };
  // A gated MLP reads its inputs twice, so hook_pre is not all that its neurons read.
  if (!has("*mlp.hook_pre_linear")) globs.insert(globs.end(), {"*mlp.hook_pre", "*mlp.hook_pre_2"});
  if (!has("*hook_resid_post")) globs.emplace_back("*hook_mlp_out");
  std::erase_if(globs, [&](const std::string& glob) { return !has(glob); });
  globs.emplace_back("logits");
  return globs;
}

Tensor in_random_order(const Tensor& functions, uint64_t seed) {
  return functions.index_select(1, torch::randperm(functions.size(1), make_generator(seed), torch::kInt64));
}

}  // namespace interchanging

bool needs_keys(const Structure& structure) { return structure.cyclic || structure.group; }

VariableSet ready_variables(const Observation& observation, const VariableOptions& options) {
  if (needs_keys(observation.structure)) return interchanging::operand_variables(observation, options);
  if (observation.structure.repeats) return interchanging::repeat_variables(observation, options);
  if (interchanging::has_digits(observation.spec))
    return interchanging::carry_variables(observation, options);
  throw UsageError(
      "no variables are ready for this task: it declares neither cyclic or group structure nor "
      "repeats, and has no loss groups digit_0, digit_1, ...",
      "orrery/interchange.h tests a hypothesis of your own from a probe");
}

std::vector<std::string> hypothesis_names(const VariableSet& set) {
  std::vector<std::string> names;
  for (const Chosen& one : every_hypothesis(set)) names.push_back(one.name);
  return names;
}

TestedSet test_variables(Model& model, const TaskSpec& spec, const VariableSet& set,
                         const TestOptions& options) {
  const std::vector<Chosen> chosen = chosen_of(set, options.hypotheses);
  const std::vector<Directions> directions = directions_for(model, spec, set, chosen, options);
  const int64_t n = set.inputs.size();
  const InterchangePairs pairs =
      options.pairs > 0 ? sampled_pairs(n, options.pairs, make_generator(options.seed)) : all_pairs(n);
  std::vector<Hypothesis> tried;
  TestedSet tested;
  for (size_t i = 0; i < chosen.size(); ++i) {
    const CausalVariable& variable = *chosen[i].variable;
    tested.hypotheses.push_back({chosen[i].name, variable.name, chosen[i].site, directions[i].own, {}});
    tested.hypotheses.back().shared = directions[i].shared;
    tried.push_back({chosen[i].name, chosen[i].site, directions[i].own, variable.labels, variable.others});
    for (const Tensor& other : {directions[i].random, directions[i].wrong})
      if (other.defined()) tried.push_back({chosen[i].name, chosen[i].site, other, variable.labels});
  }
  const InterchangeScores scores = interchange(model, spec, set.inputs, tried, pairs);
  tested.base_accuracy = scores.base_accuracy;
  auto score = scores.hypotheses.begin();
  for (size_t i = 0; i < chosen.size(); ++i) {
    tested.hypotheses[i].score = *score++;
    if (directions[i].random.defined()) tested.hypotheses[i].random = *score++;
    if (directions[i].wrong.defined()) tested.hypotheses[i].wrong = *score++;
  }
  return tested;
}

}  // namespace orrery
