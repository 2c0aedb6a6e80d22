// Linear probes (Alain and Bengio 2016, arXiv 1610.01644): what can be read off the activations at a hook
// point by a linear map? For a variable of the input, such as the label, a read-out is fitted to the
// activations of some inputs and scored on others: the accuracy of a logistic regression for classes, R^2 of
// a ridge regression for numbers such as cos w_k(a + b) and sin w_k(a + b). A stream that holds a one-hot
// vector of a + b gives accuracy 1; one of a and one of b at different places gives what a sum of two tables
// can, and shuffled labels what chance can. That something can be read out does not mean that the network
// reads it.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/read_outs.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "variable.h"

namespace {

using orrery::Observation;
using orrery::UsageError;
using torch::Tensor;

enum class At { last, read_out, all };
orrery::Names<At> names_of(At) { return {{"last", At::last}, {"read_out", At::read_out}, {"all", At::all}}; }

enum class Fit { automatic, logistic, ridge };
orrery::Names<Fit> names_of(Fit) {
  return {{"auto", Fit::automatic}, {"logistic", Fit::logistic}, {"ridge", Fit::ridge}};
}

enum class Set { test, train, grid };
orrery::Names<Set> names_of(Set) { return {{"test", Set::test}, {"train", Set::train}, {"grid", Set::grid}}; }

struct Params {
  std::string hook = "*hook_resid*";
  std::string variable = "label";
  At positions = At::last;
  Set inputs = Set::test;
  Fit fit = Fit::automatic;
  double held_out = 0.25;
  std::string hold_out = "";
  std::vector<double> penalties = {1e-3, 1e-1};
  int64_t shuffles = 3;
  int64_t max_inputs = 1000;
  int64_t seed = 0;
  bool keep_weights = false;

  static void fields(orrery::Fields<Params>& f) {
    f.add("hook", &Params::hook, "hook points, by glob; \"*\" are all but the attention scores");
    f.add("variable", &Params::variable,
          "label, operand_a, operand_b, sum, \"wave K\", \"token at POSITION\", or an auxiliary label");
    f.add("positions", &Params::positions,
          "read out at the last output position, at each of them, or at all of the context");
    f.add("inputs", &Params::inputs, "the inputs, of which some are fitted and some held out");
    f.add("fit", &Params::fit, "auto: ridge for waves, logistic for the rest");
    f.add("held_out", &Params::held_out, "share that is held out").between(0.01, 0.99);
    f.add("hold_out", &Params::hold_out,
          "a variable whose values are held out together; empty: inputs are held out one by one");
    f.add("penalties", &Params::penalties, "penalties to choose from, on a part of the fitted inputs")
        .between(1e-12, 1e12);
    f.add("shuffles", &Params::shuffles, "fits with shuffled labels, for the null").between(2, 1000);
    f.add("max_inputs", &Params::max_inputs, "so many inputs at most, drawn at random").at_least(8);
    f.add("seed", &Params::seed, "of that draw, the held-out part and the shuffles").at_least(0);
    f.add("keep_weights", &Params::keep_weights, "whether to record the directions that are read out");
  }
};

// Where a logistic fit stops; the finding says whether it came so far.
constexpr orrery::LogisticLimits kLimits{.tolerance = 1e-4, .iterations = 200};

// Activations at one hook point and position, with their read-out.
struct Reading {
  std::string hook;
  int64_t position;  // -1: an activation of the whole input
  orrery::ReadOut read_out;
};

bool masked_scores(const std::string& hook) {
  return orrery::matches("*hook_attn_scores", hook);  // minus infinity where a key is masked
}

class LinearProbe final : public orrery::Probe {
 public:
  explicit LinearProbe(Params params) : params_(std::move(params)), variable_(params_.variable) {
    if (!params_.hold_out.empty()) held_together_.emplace(params_.hold_out);
    if (params_.penalties.empty())
      throw UsageError("penalties is empty", "name one or more, or leave the key out");
    if (params_.fit == Fit::logistic && variable_.is_number())
      throw UsageError("\"" + params_.variable + "\" is a number, not a class",
                       "leave fit = \"logistic\" out");
    if (held_together_ && !is_ridge() && params_.hold_out == params_.variable)
      throw UsageError("with hold_out = \"" + params_.hold_out + "\" no class that is held out was fitted",
                       "hold out the values of another variable");
  }

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = params_.inputs == Set::grid    ? orrery::Inputs::grid
                   : params_.inputs == Set::train ? orrery::Inputs::train
                                                  : orrery::Inputs::test;
    needs.activations = {params_.hook};
    needs.positions = params_.positions == At::all ? orrery::Positions::all : orrery::Positions::read_out;
    variable_.add_to(needs);
    if (held_together_) held_together_->add_to(needs);
    needs.refusal = [variable = variable_, together = held_together_](const orrery::Model&,
                                                                      const orrery::TaskSpec& spec) {
      const std::string why = variable.refusal(spec);
      return why.empty() && together ? together->refusal(spec) : why;
    };
    return needs;
  }

  void measure(const Observation& observation, orrery::Recorder& recorder) override {
    const Variable::Values values = variable_.values(observation);
    std::optional<Variable::Values> together;
    if (held_together_) together = held_together_->values(observation);
    std::vector<Reading> readings;
    for (const auto& point : observation.model.hook_points()) {
      if (!orrery::matches(params_.hook, point->name())) continue;  // the cache may hold others' too
      if (masked_scores(point->name()) && params_.hook != point->name()) continue;
      read(observation, *point, values, together, readings);
    }
    if (readings.empty())
      throw UsageError(
          "\"" + params_.variable + "\" is the same for all inputs: there is nothing to read out",
          "name another variable, or other inputs");
    record(readings, observation.spec, recorder);
  }

 private:
  bool is_ridge() const {
    return params_.fit == Fit::ridge || (params_.fit == Fit::automatic && variable_.is_number());
  }
  std::string score() const { return is_ridge() ? "R^2" : "accuracy"; }

  void read(const Observation& observation, const orrery::HookPoint& point, const Variable::Values& values,
            const std::optional<Variable::Values>& together, std::vector<Reading>& readings) const {
    const Tensor& activation = observation.cache[point.name()];
    const bool whole = point.position_dim() < 0;
    const int64_t dim = whole ? 1 : point.position_dim();
    for (int64_t i = params_.positions == At::last ? activation.size(dim) - 1 : 0; i < activation.size(dim);
         ++i) {
      const int64_t position = whole ? -1 : params_.positions == At::all ? i : observation.spec.read_out[i];
      Tensor known = values.at(values.known, position, observation.spec);
      if (together) known = known.logical_and(together->at(together->known, position, observation.spec));
      const Tensor rows = chosen(known);
      const Tensor x = activation.select(dim, i).flatten(1).index_select(0, rows);
      const Tensor target = values.at(values.all, position, observation.spec).index_select(0, rows);
      if (rows.size(0) == 0 || (target == target[0]).all().item<bool>()) continue;  // as at "="
      orrery::ReadOutOptions options{.held_out = params_.held_out,
                                     .penalties = params_.penalties,
                                     .shuffles = params_.shuffles,
                                     .seed = static_cast<uint64_t>(params_.seed),
                                     .limits = kLimits};
      if (together) {
        options.groups = together->at(together->all, position, observation.spec).index_select(0, rows);
        check_groups(target, options.groups);
      }
      readings.push_back({point.name(), position, fitted(x, target, options, point.name())});
    }
  }

  // Where every class lies in one group, none that is held out was fitted, and accuracy is 0 whatever the
  // activations hold.
  void check_groups(const Tensor& target, const Tensor& groups) const {
    if (is_ridge() || (groups == groups[0]).all().item<bool>()) return;  // one group: nothing can be held out
    const auto count = [](const Tensor& x) { return std::get<0>(at::unique_dim(x, 0)).size(0); };
    if (count(torch::stack({target, groups}, 1)) > count(target)) return;
    throw UsageError("with hold_out = \"" + params_.hold_out + "\" no class of \"" + params_.variable +
                         "\" that is held out was fitted",
                     "hold out the values of a variable that each class has several of");
  }

  // Rows with a value, max_inputs at most.
  Tensor chosen(const Tensor& known) const {
    const Tensor rows = known.nonzero().flatten();
    const int64_t n = std::min(rows.size(0), params_.max_inputs);
    const auto rng = orrery::make_generator(static_cast<uint64_t>(params_.seed));
    const Tensor drawn = torch::randperm(rows.size(0), rng, torch::kInt64).narrow(0, 0, n);
    return rows.index_select(0, std::get<0>(drawn.sort()));
  }

  orrery::ReadOut fitted(const Tensor& x, const Tensor& target, const orrery::ReadOutOptions& options,
                         const std::string& hook) const {
    try {
      return is_ridge() ? orrery::ridge_read_out(x, target, options)
                        : orrery::logistic_read_out(x, target, options);
    } catch (const orrery::Error& error) {
      throw orrery::Error("\"" + params_.variable + "\" at " + hook + ": " + error.what(), error.hint());
    }
  }

  // Whether names have to tell positions apart.
  bool several_positions(const std::vector<Reading>& readings, const orrery::TaskSpec& spec) const {
    if (params_.positions == At::last) return false;
    if (params_.positions == At::read_out && spec.read_out.size() == 1) return false;
    return std::any_of(readings.begin(), readings.end(),
                       [](const Reading& reading) { return reading.position >= 0; });
  }

  void record(const std::vector<Reading>& readings, const orrery::TaskSpec& spec,
              orrery::Recorder& recorder) const {
    panels(recorder);
    const bool several = several_positions(readings, spec);
    const Reading* best = &readings[0];
    for (const Reading& reading : readings) {
      if (std::isnan(best->read_out.held_out) || reading.read_out.held_out > best->read_out.held_out)
        best = &reading;
      const bool named = several && reading.position >= 0;
      const std::string at = reading.hook + (named ? "/at " + std::to_string(reading.position) : "");
      const orrery::ReadOut& r = reading.read_out;
      for (const auto& [name, value] :
           {std::pair("held_out", r.held_out), std::pair("train", r.train), std::pair("null", r.null_mean),
            std::pair("null_sd", r.null_sd), std::pair("chance", r.chance)})
        recorder.scalar(std::string(name) + "/" + at, value);
      if (params_.keep_weights) recorder.tensor("weights/" + at, r.map.weights);
      recorder.finding(finding(reading, at));
    }
    recorder.headline("best", best->read_out.held_out);
    recorder.scalar("best/shuffled", best->read_out.null_mean);
    recorder.figure(several ? by_position(readings) : by_hook(readings));
  }

  void panels(orrery::Recorder& recorder) const {
    const std::string of = score() + " of \"" + params_.variable + "\" ";
    recorder.panel("held_out", of + "on held-out inputs", score());
    recorder.panel("train", of + "on the fitted inputs", score());
    recorder.panel("null", of + "with shuffled labels", score());
    recorder.panel("null_sd", of + "with shuffled labels: deviation over shuffles", score());
    recorder.panel("chance", of + "without looking", score());
    recorder.panel("best", of + "where it is read out best, and with shuffled labels there", score());
  }

  orrery::Finding finding(const Reading& reading, const std::string& name) const {
    const orrery::ReadOut& r = reading.read_out;
    return {name,
            "linear_read_out",
            {{"variable", params_.variable},
             {"hook", reading.hook},
             {"position", reading.position},
             {"score", score()},
             {"held_out", r.held_out},
             {"train", r.train},
             {"null_mean", r.null_mean},
             {"null_sd", r.null_sd},
             {"chance", r.chance},
             {"penalty", r.penalty},
             {"converged", r.converged},
             {"n_fitted", r.rows.fitted.size(0)},
             {"n_held_out", r.rows.held_out.size(0)}}};
  }

  orrery::Figure by_hook(const std::vector<Reading>& readings) const {
    std::vector<std::string> names;
    std::vector<double> held_out, train, null;
    for (const Reading& reading : readings) {
      names.push_back(reading.hook);
      held_out.push_back(reading.read_out.held_out);
      train.push_back(reading.read_out.train);
      null.push_back(reading.read_out.null_mean);
    }
    const auto values = [](const std::vector<double>& of) { return torch::tensor(of, torch::kFloat64); };
    return orrery::Figure::bars(
        "read_outs", "\"" + params_.variable + "\" by linear read-out", {"hook point", names}, score(),
        {{"held out", values(held_out)}, {"fitted", values(train)}, {"shuffled labels", values(null)}});
  }

  // Held-out scores; NaN where a hook point has no such position. One of the whole input has it in the last
  // column.
  orrery::Figure by_position(const std::vector<Reading>& readings) const {
    std::vector<std::string> hooks, positions;
    std::vector<int64_t> of;
    for (const Reading& reading : readings) {
      if (hooks.empty() || hooks.back() != reading.hook) hooks.push_back(reading.hook);
      if (reading.position >= 0 && std::find(of.begin(), of.end(), reading.position) == of.end())
        of.push_back(reading.position);
    }
    std::sort(of.begin(), of.end());
    for (const int64_t position : of) positions.push_back(std::to_string(position));
    Tensor z = torch::full({static_cast<int64_t>(hooks.size()), static_cast<int64_t>(of.size())}, NAN,
                           torch::kFloat64);
    for (const Reading& reading : readings) {
      const auto row = std::find(hooks.begin(), hooks.end(), reading.hook) - hooks.begin();
      const auto column = reading.position < 0
                              ? static_cast<int64_t>(of.size()) - 1
                              : std::find(of.begin(), of.end(), reading.position) - of.begin();
      z[row][column] = reading.read_out.held_out;
    }
    return orrery::Figure::heatmap("read_outs", "\"" + params_.variable + "\" by linear read-out, held out",
                                   {"position", positions}, {"hook point", hooks}, score(), z);
  }

  Params params_;
  Variable variable_;
  std::optional<Variable> held_together_;
};

}  // namespace

ORRERY_PROBE(LinearProbe, Params, "linear_probe", "1.1.0",
             "What a linear map reads off the activations, on held-out inputs and beside its null.")
