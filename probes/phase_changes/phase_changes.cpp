// Phase changes of a training curve, with confidence intervals (Nanda et al. 2023, section 5.2, name three
// phases of grokking: memorisation, circuit formation, cleanup). A broken line is fitted to the logarithm of
// a loss; the Bayesian information criterion chooses the number of breakpoints. A phase change is the start
// of a fall of at least `min_fall` nats, over segments that fall at least 1/`contrast` as fast as the
// steepest of them, after a slower stretch. If ln(test loss) is 1 until step 9,400, falls to -14 by step
// 14,000 and stays there, and the first fall of ln(train loss) ends at step 1,400, then memorisation ends at
// 1,400, circuit formation at 9,400, cleanup at 14,000.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "broken_line.h"

namespace {

using orrery::Curve;
using phase_changes::BrokenLine;

struct Params {
  std::vector<std::string> curves = {"test/loss*"};
  std::string axis = "linear";
  int64_t max_breakpoints = 6;
  double min_fall = 1;
  double contrast = 4;
  double floor = 1e-12;
  int64_t max_points = 400;
  int64_t n_bootstrap = 200;
  double confidence = 0.95;

  static void fields(orrery::Fields<Params>& f) {
    f.add("curves", &Params::curves, "the curves, by glob: columns of metrics.jsonl, \"probe/LABEL/SCALAR\"");
    f.add("axis", &Params::axis, "segments are straight in the step, or in ln(1 + step)")
        .one_of({"linear", "log"});
    f.add("max_breakpoints", &Params::max_breakpoints, "most breakpoints a curve may have").between(0, 12);
    f.add("min_fall", &Params::min_fall, "a phase change is a fall by at least this many nats").at_least(0);
    f.add("contrast", &Params::contrast, "it is steeper than what is around it by at least this factor")
        .at_least(1);
    f.add("floor", &Params::floor, "values below this, 0 among them, count as this").between(1e-300, 1);
    f.add("max_points", &Params::max_points, "curves with more points are averaged in as many equal bins")
        .between(10, 2000);
    f.add("n_bootstrap", &Params::n_bootstrap, "resampled curves that intervals are taken from").at_least(20);
    f.add("confidence", &Params::confidence, "of the intervals").between(0.5, 0.999);
  }
};

/// A curve as it is fitted: n points.
struct Points {
  std::vector<double> x;      ///< along the axis
  std::vector<double> steps;  ///< of a bin: the mean
  std::vector<double> y;      ///< logarithms; of a bin: the mean
};

double along_axis(const std::string& axis, double step) { return axis == "log" ? std::log1p(step) : step; }

// NaN, infinite and repeated points are left out.
Points points_of(const Curve& curve, const Params& params) {
  Points all;
  for (size_t i = 0; i < curve.values.size(); ++i) {
    const auto step = static_cast<double>(curve.steps[i]);
    if (!std::isfinite(curve.values[i]) || (!all.steps.empty() && step <= all.steps.back())) continue;
    all.x.push_back(along_axis(params.axis, step));
    all.steps.push_back(step);
    all.y.push_back(std::log(std::max(curve.values[i], params.floor)));
  }
  const size_t most = static_cast<size_t>(params.max_points), n = all.x.size();
  if (n <= most) return all;
  Points binned;
  const double first = all.x.front(), width = (all.x.back() - first) / static_cast<double>(most);
  for (size_t i = 0; i < n;) {
    const double bin = std::min(std::floor((all.x[i] - first) / width), static_cast<double>(most - 1));
    const double end = bin + 1 < static_cast<double>(most) ? first + width * (bin + 1) : HUGE_VAL;
    double x = 0, step = 0, y = 0, count = 0;
    for (; i < n && (count == 0 || all.x[i] < end); ++i, ++count) {
      x += all.x[i];
      step += all.steps[i];
      y += all.y[i];
    }
    binned.x.push_back(x / count);
    binned.steps.push_back(step / count);
    binned.y.push_back(y / count);
  }
  return binned;
}

/// A place on the axis of steps, and the interval around it.
struct Boundary {
  int64_t step, low, high;
};

/// A run of segments that belong to one fall. `first` and `last` count segments.
struct Fall {
  size_t first, last;
  double size = 0;      ///< in nats
  bool begins = false;  ///< it is slower before
  bool ends = false;    ///< and after
  bool open = false;    ///< there is no after: the curve stops first
};

/// A fitted curve.
struct Fit {
  std::string name;
  Points points;
  BrokenLine line;
  std::vector<double> fitted;
  std::vector<double> bic;
  std::vector<Boundary> knots;  ///< first and last point among them
  std::vector<Fall> falls;      ///< in the order of steps

  const Boundary& onset(const Fall& fall) const { return knots[fall.first]; }
  const Boundary& end(const Fall& fall) const { return knots[fall.last + 1]; }
};

// Nats per step, from one knot to the next: in steps whatever the axis, so that a steady exponential decay
// has one rate.
std::vector<double> rates(const Fit& fit) {
  std::vector<double> all;
  for (size_t s = 0; s + 1 < fit.line.knots.size(); ++s)
    all.push_back((fit.line.heights[s] - fit.line.heights[s + 1]) /
                  (fit.points.steps[fit.line.knots[s + 1]] - fit.points.steps[fit.line.knots[s]]));
  return all;
}

// Whether the segments before `fall` are slower than `slow` for long enough to fall by min_fall at the pace
// of the fall. A shorter slow start cannot be told from noise.
bool begins(const Fit& fit, const Fall& fall, const std::vector<double>& rate, double slow, double min_fall) {
  const auto step = [&](size_t knot) { return fit.points.steps[fit.line.knots[knot]]; };
  size_t s = fall.first;
  while (s > 0 && rate[s - 1] < slow) --s;
  const double pace = fall.size / (step(fall.last + 1) - step(fall.first));
  return s < fall.first && pace * (step(fall.first) - step(s)) >= min_fall;
}

// The steepest segment with all those beside it that are not slower by `contrast`; then the steepest of the
// rest, and so on.
std::vector<Fall> find_falls(const Fit& fit, const Params& params) {
  const std::vector<double> rate = rates(fit);
  std::vector<bool> seen(rate.size(), false);
  std::vector<Fall> falls;
  for (;;) {
    size_t peak = rate.size();
    for (size_t s = 0; s < rate.size(); ++s)
      if (!seen[s] && rate[s] > 0 && (peak == rate.size() || rate[s] > rate[peak])) peak = s;
    if (peak == rate.size()) break;
    const double slow = rate[peak] / params.contrast;
    Fall fall = {peak, peak};
    while (fall.first > 0 && !seen[fall.first - 1] && rate[fall.first - 1] >= slow) --fall.first;
    while (fall.last + 1 < rate.size() && !seen[fall.last + 1] && rate[fall.last + 1] >= slow) ++fall.last;
    for (size_t s = fall.first; s <= fall.last; ++s) seen[s] = true;
    fall.size = fit.line.heights[fall.first] - fit.line.heights[fall.last + 1];
    fall.open = fall.last + 1 == rate.size();
    fall.ends = !fall.open && rate[fall.last + 1] < slow;
    fall.begins = begins(fit, fall, rate, slow, params.min_fall);
    falls.push_back(fall);
  }
  std::sort(falls.begin(), falls.end(), [](const Fall& a, const Fall& b) { return a.first < b.first; });
  return falls;
}

// A point covers the steps half way to its neighbours.
Boundary boundary(const std::vector<double>& steps, size_t at, size_t low, size_t high) {
  const double from = low > 0 ? (steps[low - 1] + steps[low]) / 2 : steps[low];
  const double to = high + 1 < steps.size() ? (steps[high] + steps[high + 1]) / 2 : steps[high];
  return {std::llround(steps[at]), static_cast<int64_t>(std::floor(from)),
          static_cast<int64_t>(std::ceil(to))};
}

constexpr size_t kFewest = 5;  // points that a line with one breakpoint does not run through anyway

std::optional<Fit> fit_curve(const Curve& curve, const Params& params) {
  Fit fit{curve.name, points_of(curve, params), {}, {}, {}, {}, {}};
  const auto& [x, steps, y] = fit.points;
  if (x.size() < kFewest) return {};
  phase_changes::Fitter fitter(x);
  fitter.set(y);
  const auto lines = fitter.search(static_cast<size_t>(params.max_breakpoints));
  auto choice = phase_changes::choose(fitter, lines, y);
  fit.line = lines[choice.n_breakpoints];
  fit.fitted = fitter.values(fit.line);
  fit.bic = std::move(choice.bic);
  const auto sure = phase_changes::intervals(fitter, fit.line, y, choice.correlation, params.n_bootstrap,
                                             params.confidence);
  fit.knots.push_back(
      {std::llround(steps.front()), std::llround(steps.front()), std::llround(steps.front())});
  for (size_t j = 0; j < sure.size(); ++j)
    fit.knots.push_back(boundary(steps, fit.line.knots[j + 1], sure[j].first, sure[j].second));
  fit.knots.push_back({std::llround(steps.back()), std::llround(steps.back()), std::llround(steps.back())});
  fit.falls = find_falls(fit, params);
  return fit;
}

/// The phases of a curve, given where its training curve stops falling.
struct Phases {
  std::vector<Fall> falls;      ///< phase changes
  std::optional<Fall> cleanup;  ///< the one of them that is the cleanup of a memorised solution
  const Boundary* memorised = nullptr;
};

// Where the training curve bottoms out: the first breakpoint after a fall of min_fall from which it falls at
// less than 1/contrast of its mean rate so far.
const Boundary* end_of_memorisation(const Fit* train, const Params& params) {
  if (!train) return nullptr;
  const std::vector<double> rate = rates(*train);
  for (size_t j = 1; j < rate.size(); ++j) {
    const double fallen = train->line.heights[0] - train->line.heights[j];
    const double took = train->points.steps[train->line.knots[j]] - train->points.steps[0];
    if (fallen >= params.min_fall && rate[j] < fallen / took / params.contrast) return &train->knots[j];
  }
  return nullptr;
}

// Cleanup: the largest phase change that begins after memorisation has ended.
Phases phases_of(const Fit& fit, const Fit* train, const Params& params) {
  Phases phases;
  for (const Fall& fall : fit.falls)
    if (fall.size >= params.min_fall && fall.begins && (fall.ends || fall.open)) phases.falls.push_back(fall);
  const Boundary* memorised = end_of_memorisation(train, params);
  if (!memorised) return phases;
  for (const Fall& fall : phases.falls)
    if (fit.onset(fall).step >= memorised->step && (!phases.cleanup || fall.size > phases.cleanup->size))
      phases.cleanup = fall;
  if (phases.cleanup) phases.memorised = memorised;
  return phases;
}

torch::Tensor column(const std::vector<double>& values) { return torch::tensor(values, torch::kFloat64); }

class PhaseChanges final : public orrery::Probe {
 public:
  explicit PhaseChanges(Params params) : params_(std::move(params)) {
    if (params_.curves.empty())
      throw orrery::UsageError("curves is empty", "name curves to look at, such as [\"test/loss*\"]");
  }

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::none;
    needs.null = false;
    needs.curves = params_.curves;
    for (const std::string& glob : params_.curves)
      if (glob.rfind("test/", 0) == 0) needs.curves.push_back("train/" + glob.substr(5));
    return needs;
  }

  void measure(const orrery::Observation&, orrery::Recorder&) override {}

  void conclude(const orrery::History& history, orrery::Recorder& recorder) override {
    const std::vector<Curve>& curves = history.curves;
    std::set<std::string> done;
    std::map<std::string, std::optional<Fit>> trained;  // each is fitted once
    std::set<std::string> memorised;
    for (const Curve& curve : curves) {
      if (!wanted(curve.name) || !done.insert(curve.name).second) continue;
      const std::optional<Fit> fit = fit_curve(curve, params_);
      const Curve* train = training_curve(curves, curve.name);
      if (train && !trained.count(train->name)) trained[train->name] = fit_curve(*train, params_);
      const std::optional<Fit>& partner = train ? trained[train->name] : trained[""];
      report(curve.name, fit, partner, memorised, recorder);
    }
    if (done.empty())
      throw orrery::UsageError("the run has no curve " + listed(params_.curves),
                               "set curves to columns of its metrics.jsonl, such as [\"test/loss*\"]");
  }

 private:
  bool wanted(const std::string& name) const {
    return std::any_of(params_.curves.begin(), params_.curves.end(),
                       [&](const std::string& glob) { return orrery::matches(glob, name); });
  }

  static std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
    return text;
  }

  // "train/loss/digit_0" for "test/loss/digit_0", or else "train/loss".
  static const Curve* training_curve(const std::vector<Curve>& curves, const std::string& name) {
    if (name.rfind("test/", 0) != 0) return nullptr;
    for (const std::string& wanted : {"train/" + name.substr(5), std::string("train/loss")})
      for (const Curve& curve : curves)
        if (curve.name == wanted) return &curve;
    return nullptr;
  }

  void report(const std::string& curve, const std::optional<Fit>& fit, const std::optional<Fit>& train,
              std::set<std::string>& memorised, orrery::Recorder& recorder) const {
    const std::string prefix = "phase/" + curve + "/";
    if (!fit) {  // too few points to see anything
      recorder.headline(prefix + "n_falls", 0);
      return;
    }
    const Phases phases = phases_of(*fit, train ? &*train : nullptr, params_);
    recorder.headline(prefix + "n_falls", static_cast<double>(phases.falls.size()));
    recorder.scalar(prefix + "n_breakpoints", static_cast<double>(fit->line.n_breakpoints()));
    recorder.scalar(prefix + "bic_gain", fit->bic[0] - fit->bic[fit->line.n_breakpoints()]);
    recorder.scalar(prefix + "rms", std::sqrt(fit->line.sse / static_cast<double>(fit->points.x.size())));
    for (size_t i = 0; i < phases.falls.size(); ++i) {
      const Fall& fall = phases.falls[i];
      const std::string name = prefix + "fall_" + std::to_string(i + 1) + "/";
      recorder.scalar(name + "size", fall.size);
      scalars(name + "onset", fit->onset(fall), recorder);
      if (fall.ends) scalars(name + "end", fit->end(fall), recorder);
    }
    if (phases.cleanup) {
      scalars(prefix + "memorisation", *phases.memorised, recorder);
      scalars(prefix + "circuit_formation", fit->onset(*phases.cleanup), recorder);
      if (phases.cleanup->ends) scalars(prefix + "cleanup", fit->end(*phases.cleanup), recorder);
      if (memorised.insert(train->name).second) finding(*train, "memorisation", *phases.memorised, recorder);
    }
    for (const Fall& fall : phases.falls) {
      const bool grokked = phases.cleanup && phases.cleanup->first == fall.first;
      finding(*fit, grokked ? "circuit formation" : "fall", fit->onset(fall), recorder);
      if (grokked && fall.ends) finding(*fit, "cleanup", fit->end(fall), recorder);
    }
    recorder.figure(figure(*fit, phases));
  }

  static void scalars(const std::string& name, const Boundary& at, orrery::Recorder& recorder) {
    recorder.scalar(name, static_cast<double>(at.step));
    recorder.scalar(name + "_low", static_cast<double>(at.low));
    recorder.scalar(name + "_high", static_cast<double>(at.high));
  }

  void finding(const Fit& fit, const std::string& ends, const Boundary& at,
               orrery::Recorder& recorder) const {
    recorder.finding(orrery::phase_change_finding(fit.name, ends, at.step, at.low, at.high,
                                                  params_.confidence,
                                                  static_cast<double>(at.step) / fit.points.steps.back()));
  }

  // The curve, the fit, and an interval for each of its breakpoints at the height of the fit.
  orrery::Figure figure(const Fit& fit, const Phases& phases) const {
    const bool log = params_.axis == "log";
    const auto x = [&](double step) { return log ? 1 + step : step; };
    std::vector<double> steps;
    for (const double step : fit.points.steps) steps.push_back(x(step));
    orrery::Figure figure = orrery::Figure::line(
        "phase_" + orrery::file_safe_name(fit.name), fit.name + ": " + title(phases),
        {log ? "1 + step" : "step", {}, column(steps)}, fit.name + " (nats)",
        {{fit.name, column(fit.points.y).exp()}, {"broken line", column(fit.fitted).exp()}});
    figure.x_log = log;
    figure.y_log = true;
    for (size_t j = 1; j + 1 < fit.knots.size(); ++j) {
      const Boundary& at = fit.knots[j];
      const double height = std::exp(fit.line.heights[j]);
      figure.traces.push_back({label(fit, phases, j) + std::to_string(at.step),
                               column({x(double(at.low)), x(double(at.step)), x(double(at.high))}),
                               column({height, height, height}),
                               {}});
    }
    return figure;
  }

  static std::string title(const Phases& phases) {
    if (phases.falls.empty()) return "no phase change";
    if (phases.cleanup)
      return phases.cleanup->ends ? "memorisation, circuit formation, cleanup"
                                  : "memorisation, circuit formation, cleanup under way";
    return std::to_string(phases.falls.size()) + (phases.falls.size() == 1 ? " fall" : " falls");
  }

  static std::string label(const Fit& fit, const Phases& phases, size_t knot) {
    for (const Fall& fall : phases.falls) {
      const bool grokked = phases.cleanup && phases.cleanup->first == fall.first;
      if (knot == fall.first) return grokked ? "circuit formation ends: " : "fall begins: ";
      if (knot == fall.last + 1) return grokked ? "cleanup ends: " : "fall ends: ";
    }
    return "breakpoint: ";
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(PhaseChanges, Params, "phase_changes", "1.1.0",
             "When memorisation, circuit formation and cleanup end.")
