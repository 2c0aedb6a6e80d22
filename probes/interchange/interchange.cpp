// Does a network compute with a variable, or is it only to be seen there? (interchange interventions: Geiger
// et al. 2021, arXiv 2106.02997) For a + b mod p a network may hold cos w_k(a + b) and sin w_k(a + b) in its
// neurons. Find the directions along which the neurons turn with them, run the input 3 + 4 with the
// coordinates along these from the run of 20 + 9, and look at its answer: 29 if the network reads its sum
// there, 7 if it does not, whatever a regression says. The same for a and b apart, where 3 + 4 with the a of
// 20 + 9 must answer 24; for representations of groups, carries, and the earlier position of a repeat.
#include <orrery/error.h>
#include <orrery/interchange_variables.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

using orrery::TestedHypothesis;
using orrery::TestedSet;
using torch::Tensor;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Params : orrery::KeyFrequencyParams {
  std::vector<std::string> hypotheses = {"*"};
  std::vector<std::string> sites;
  std::string directions, tensor;
  int64_t pairs = 300;
  bool all_pairs = false;
  int64_t seed = 0;
  double carried_at = 0.9;
  int64_t das_dimension = 0;
  std::vector<std::string> progress;

  static void fields(orrery::Fields<Params>& f) {
    f.add("hypotheses", &Params::hypotheses, "which are tested, by glob over VARIABLE/SITE: \"result/*\"");
    f.add("sites", &Params::sites,
          "hook points by glob, or \"logits\", where variables are looked for; empty: the usual ones");
    f.add("directions", &Params::directions,
          "a safetensors file: its rows are tested in place of the directions that a regression finds");
    f.add("tensor", &Params::tensor, "the tensor's name in that file; may be empty if it is the only one");
    f.add("pairs", &Params::pairs, "pairs of inputs, drawn at random").between(1, 1 << 24);
    f.add("all_pairs", &Params::all_pairs, "all pairs of different inputs instead");
    f.add("seed", &Params::seed, "of the pairs, the random subspaces and the other functions").at_least(0);
    f.add("carried_at", &Params::carried_at, "interchange accuracy from which a variable is carried")
        .between(0, 1);
    f.add("das_dimension", &Params::das_dimension,
          "dimensions of a subspace that is searched by gradient beside the given one; 0: none is")
        .at_least(0);
    f.add("progress", &Params::progress,
          "curves of losses to set the conclusion beside, by glob: \"probe/trig_loss/loss/test\"");
    KeyFrequencyParams::fields(f);
  }
};

double accuracy_of(const std::optional<orrery::InterchangeScore>& score) {
  return score ? score->accuracy : kNone;
}

// Those of `pairs` that `known` does not have.
orrery::InterchangePairs without(const orrery::InterchangePairs& pairs, const orrery::InterchangePairs& known,
                                 int64_t n_inputs) {
  const auto number = [&](const orrery::InterchangePairs& of) { return of.base * n_inputs + of.source; };
  const Tensor rows = at::isin(number(pairs), number(known)).logical_not().nonzero().flatten();
  return {pairs.base.index_select(0, rows), pairs.source.index_select(0, rows)};
}

// The first step from which all values pass, and NaN if the last does not.
double from_step(const std::vector<int64_t>& steps, const std::vector<double>& values,
                 const std::function<bool(double)>& passes) {
  double from = kNone;
  for (size_t i = steps.size(); i-- > 0 && passes(values[i]);) from = static_cast<double>(steps[i]);
  return from;
}

class Interchange final : public orrery::Probe {
 public:
  explicit Interchange(Params params) : params_(std::move(params)) {
    params_.check();
    if (params_.directions.empty() && !params_.tensor.empty())
      throw orrery::UsageError("tensor names one of a file, and directions names no file",
                               "set directions to a safetensors file");
    if (params_.directions.empty()) return;
    if (params_.sites.empty())
      throw orrery::UsageError("directions are those of a site, and sites is empty",
                               "set sites, for example [\"blocks.0.hook_resid_post\"]");
    given_ = orrery::read_tensor(params_.directions, params_.tensor);
  }

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::none;
    needs.reference = true;
    needs.curves = params_.progress;
    needs.tensors = {"accuracy"};
    needs.findings = {"hypotheses"};
    needs.refusal = [](const orrery::Model&, const orrery::TaskSpec& spec) {
      return spec.d_vocab_out < 2 ? std::string("interchange needs a logit for each class") : std::string();
    };
    return needs;
  }

  void fit(const orrery::Observation& reference) override {
    keys_.reset();
    if (orrery::needs_keys(reference.structure)) keys_ = keys_at(reference);
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    const orrery::VariableSet set = orrery::ready_variables(
        observation, {.keys = keys_, .sites = params_.sites, .seed = static_cast<uint64_t>(params_.seed)});
    const TestedSet tested = orrery::test_variables(observation.model, observation.spec, set,
                                                    {.hypotheses = params_.hypotheses,
                                                     .pairs = params_.all_pairs ? 0 : params_.pairs,
                                                     .seed = static_cast<uint64_t>(params_.seed),
                                                     .directions = given_});
    record(tested, recorder);
    if (params_.das_dimension > 0) search(observation, set, tested, recorder);
  }

  void conclude(const orrery::History& history, orrery::Recorder& recorder) override {
    const orrery::TensorSeries& series = history.tensor("accuracy");
    const orrery::FindingSeries named = history.finding("hypotheses");
    if (named.steps.empty()) return;
    const auto names = std::get<std::vector<std::string>>(named.findings.back().fields.at("names"));
    orrery::Figure figure{"over_training",
                          orrery::Figure::Kind::line,
                          "When each variable is used: interchange accuracy",
                          "step",
                          "interchange accuracy; share of the fall of a loss",
                          {}};
    std::vector<std::vector<double>> values(names.size());
    for (const int64_t step : series.steps) {
      const Tensor at = series.at(step);
      for (size_t i = 0; i < names.size(); ++i) values[i].push_back(at[int64_t(i)].item<double>());
    }
    recorder.panel("used_from", "Step from which the variable is carried", "step");
    recorder.panel("halfway", "Step from which a loss is more than halfway down, in its logarithm", "step");
    for (size_t i = 0; i < names.size(); ++i) {
      recorder.scalar("used_from/" + names[i], from_step(series.steps, values[i], [&](double accuracy) {
                        return accuracy >= params_.carried_at;
                      }));
      figure.traces.push_back(trace(names[i], series.steps, values[i]));
    }
    for (const orrery::Curve& curve : history.curves) progress(curve, figure, recorder);
    recorder.figure(std::move(figure));
  }

 private:
  orrery::KeyFunctions keys_at(const orrery::Observation& observation) const {
    return orrery::find_key_functions(params_, observation, static_cast<uint64_t>(params_.seed));
  }

  static void panels(orrery::Recorder& recorder) {
    const std::string share = "share of the labels";
    recorder.panel("base_accuracy", "Accuracy without an exchange", share);
    recorder.panel("n_carried", "Hypotheses that hold, and their nulls do not", "hypotheses (count)");
    recorder.panel("accuracy", "Interchange accuracy", share);
    recorder.panel("random", "Interchange accuracy of a random subspace of the same size", share);
    recorder.panel("wrong", "Interchange accuracy of the directions of other functions", share);
    recorder.panel("shared", "How much of the directions of other functions lies in the own ones", share);
    recorder.panel("other", "Interchange accuracy, had another variable been exchanged", share);
    recorder.panel("kept", "Answers that an exchange does not change", share);
    recorder.panel("logit_difference", "Logit of the counterfactual answer less that of the base's",
                   "logit difference (nats)");
    recorder.panel("dimension", "Dimensions exchanged", "dimensions (count)");
    recorder.panel("das", "Interchange accuracy of a subspace found by gradient", share);
    recorder.panel("das_angle", "Largest angle between that subspace and the given one", "angle (degrees)");
  }

  // The directions of other functions may be the same ones: where few directions are in use at all, whatever
  // a regression looks for is found along these.
  bool carried(const TestedHypothesis& one) const {
    const auto below = [&](double accuracy) { return !(accuracy >= params_.carried_at); };
    return one.score.accuracy >= params_.carried_at && below(accuracy_of(one.random)) &&
           below(one.score.other_accuracy);
  }

  void record(const TestedSet& tested, orrery::Recorder& recorder) const {
    recorder.scalar("base_accuracy", tested.base_accuracy);
    std::vector<std::string> names;
    std::vector<double> accuracy, random, wrong, other;
    double n_carried = 0;
    for (const TestedHypothesis& one : tested.hypotheses) {
      names.push_back(one.name);
      accuracy.push_back(one.score.accuracy);
      random.push_back(accuracy_of(one.random));
      wrong.push_back(accuracy_of(one.wrong));
      other.push_back(one.score.other_accuracy);
      scalars(one, recorder);
      if (!carried(one)) continue;
      ++n_carried;
      recorder.finding({"carries/" + one.name,
                        "interchange",
                        {{"variable", one.variable},
                         {"site", one.site.hook},
                         {"hypothesis", one.name},
                         {"dimension", dimension(one)},
                         {"accuracy", one.score.accuracy},
                         {"random", accuracy_of(one.random)},
                         {"wrong", accuracy_of(one.wrong)}}});
    }
    recorder.headline("n_carried", n_carried);
    recorder.finding({"hypotheses", "hypotheses", {{"names", names}}});
    const auto as_tensor = [](const std::vector<double>& x) { return torch::tensor(x, torch::kFloat64); };
    recorder.tensor("accuracy", as_tensor(accuracy));
    std::vector<double> null;
    for (size_t i = 0; i < names.size(); ++i)
      null.push_back(std::fmax(random[i], std::fmax(wrong[i], other[i])));
    recorder.figure(by_site("accuracy_by_site", "Which site carries which variable: interchange accuracy",
                            names, accuracy));
    recorder.figure(
        by_site("null_by_site", "The largest null: random, other functions, another variable", names, null));
  }

  // Of hypotheses VARIABLE/SITE: variables above each other, sites side by side; empty where none was tested.
  static orrery::Figure by_site(const std::string& name, const std::string& title,
                                const std::vector<std::string>& hypotheses,
                                const std::vector<double>& values) {
    std::vector<std::string> variables, sites;
    const auto place = [](std::vector<std::string>& known, const std::string& one) {
      const auto found = std::find(known.begin(), known.end(), one);
      if (found != known.end()) return found - known.begin();
      known.push_back(one);
      return static_cast<std::ptrdiff_t>(known.size()) - 1;
    };
    std::vector<std::pair<int64_t, int64_t>> cells;
    for (const std::string& hypothesis : hypotheses) {
      const size_t slash = hypothesis.find('/');
      cells.emplace_back(place(variables, hypothesis.substr(0, slash)),
                         place(sites, hypothesis.substr(slash + 1)));
    }
    const Tensor z =
        torch::full({static_cast<int64_t>(variables.size()), static_cast<int64_t>(sites.size())}, kNone);
    for (size_t i = 0; i < cells.size(); ++i) z[cells[i].first][cells[i].second] = values[i];
    return orrery::Figure::heatmap(name, title, {"site", sites}, {"variable", variables}, "accuracy", z);
  }

  static int64_t dimension(const TestedHypothesis& one) {  // -1: the whole activation
    return one.directions.defined() ? one.directions.size(0) : -1;
  }

  static void scalars(const TestedHypothesis& one, orrery::Recorder& recorder) {
    recorder.scalar("accuracy/" + one.name, one.score.accuracy);
    if (one.random) recorder.scalar("random/" + one.name, one.random->accuracy);
    if (one.wrong) recorder.scalar("wrong/" + one.name, one.wrong->accuracy);
    if (!std::isnan(one.shared)) recorder.scalar("shared/" + one.name, one.shared);
    recorder.scalar("other/" + one.name, one.score.other_accuracy);
    recorder.scalar("kept/" + one.name, one.score.kept);
    recorder.scalar("logit_difference/" + one.name, one.score.logit_difference);
    if (one.directions.defined())
      recorder.scalar("dimension/" + one.name, static_cast<double>(dimension(one)));
  }

  // On pairs of their own, and tested on those of another seed that are not among them.
  void search(const orrery::Observation& observation, const orrery::VariableSet& set, const TestedSet& tested,
              orrery::Recorder& recorder) const {
    const auto seed = static_cast<uint64_t>(params_.seed);
    const auto train =
        orrery::sampled_pairs(set.inputs.size(), params_.pairs, orrery::make_generator(seed + 1));
    const auto test =
        without(orrery::sampled_pairs(set.inputs.size(), params_.pairs, orrery::make_generator(seed)), train,
                set.inputs.size());
    for (const TestedHypothesis& one : tested.hypotheses) {
      if (one.site.hook == "logits" || !one.directions.defined()) continue;
      const auto variable = std::find_if(set.variables.begin(), set.variables.end(),
                                         [&](const auto& of) { return of.name == one.variable; });
      orrery::Hypothesis hypothesis{one.name, one.site, {}, variable->labels};
      hypothesis.directions =
          orrery::distributed_alignment_search(
              observation.model, observation.spec, set.inputs, hypothesis, train,
              {.dimension = std::min(params_.das_dimension, one.directions.size(1)), .seed = seed})
              .directions;
      double accuracy = kNone;
      if (test.base.size(0) > 0)
        accuracy = orrery::interchange(observation.model, observation.spec, set.inputs, {hypothesis}, test)
                       .hypotheses.front()
                       .accuracy;
      recorder.scalar("das/" + one.name, accuracy);
      const Tensor angles = orrery::principal_angles(one.directions, hypothesis.directions);
      recorder.scalar("das_angle/" + one.name,
                      angles.numel() > 0 ? angles.max().item<double>() * 180 / M_PI : kNone);
    }
  }

  static orrery::Trace trace(const std::string& name, const std::vector<int64_t>& steps,
                             const std::vector<double>& values) {
    return {name, torch::tensor(steps, torch::kInt64), torch::tensor(values, torch::kFloat64), {}};
  }

  // A loss as the share of its fall, in its logarithm, from its first value to its last. One of 0, which has
  // none, counts as the smallest above it.
  static void progress(const orrery::Curve& curve, orrery::Figure& figure, orrery::Recorder& recorder) {
    if (curve.values.empty()) return;
    double least = std::numeric_limits<double>::infinity();
    for (const double value : curve.values)
      if (value > 0) least = std::min(least, value);
    const auto log = [&](double value) { return std::log(value == 0 ? least : value); };
    const double first = log(curve.values.front()), last = log(curve.values.back());
    std::vector<double> fallen;
    for (const double value : curve.values)
      fallen.push_back(first > last ? (first - log(value)) / (first - last) : kNone);
    recorder.scalar("halfway/" + curve.name,
                    from_step(curve.steps, fallen, [](double share) { return share >= 0.5; }));
    figure.traces.push_back(trace(curve.name, curve.steps, fallen));
  }

  Params params_;
  Tensor given_;
  std::optional<orrery::KeyFunctions> keys_;
};

}  // namespace

ORRERY_PROBE(Interchange, Params, "interchange", "1.1.0",
             "Which site carries which variable, by interchange interventions.")
