#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <limits>
#include <random>

namespace orrery::testing {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

// exp of `log_value(step)`, with noise of standard deviation `sigma` in the exponent.
template <class Log>
Curve curve(const std::string& name, int64_t last, int64_t every, Log log_value, double sigma = 0,
            uint64_t seed = 0) {
  std::mt19937_64 rng(seed * 1000 + name.size());
  std::normal_distribution<double> normal;
  Curve made{name, {}, {}};
  for (int64_t step = 0; step <= last; step += every) {
    made.steps.push_back(step);
    made.values.push_back(std::exp(log_value(static_cast<double>(step)) + sigma * normal(rng)));
  }
  return made;
}

// From `high` before step `from` to `low` after step `to`.
double ramp(double step, double high, double low, double from, double to) {
  return high + (low - high) * std::clamp((step - from) / (to - from), 0.0, 1.0);
}

// Memorised at 1,500, cleanup from 9,000 to 14,000.
Curve grokking_train(double sigma = 0, uint64_t seed = 0, const std::string& name = "train/loss") {
  return curve(
      name, 20000, 100, [](double step) { return ramp(step, 1.5, -13, 0, 1500); }, sigma, seed);
}
Curve grokking_test(double sigma = 0, uint64_t seed = 0, const std::string& name = "test/loss") {
  const auto log_loss = [](double step) {
    return ramp(step, 1.5, 3, 0, 1500) + ramp(step, 0, -12, 9000, 14000);
  };
  return curve(name, 20000, 100, log_loss, sigma, seed);
}

Recorder concluded(const std::vector<Curve>& curves, const std::string& json = "{}") {
  Recorder recorder;
  make_probe(json)->conclude({.curves = curves}, recorder);
  return recorder;
}
int64_t n_falls(const Recorder& recorder, const std::string& curve = "test/loss") {
  return static_cast<int64_t>(scalar(recorder, "phase/" + curve + "/n_falls"));
}
bool holds(const Recorder& recorder, const std::string& name, double truth) {
  return has_scalar(recorder, name + "_low") && scalar(recorder, name + "_low") <= truth &&
         truth <= scalar(recorder, name + "_high");
}
std::vector<std::string> boundaries(const Recorder& recorder) {
  std::vector<std::string> all;
  for (const Finding& found : recorder.record().findings)
    all.push_back(std::get<std::string>(found.fields.at("curve")) + " " +
                  std::get<std::string>(found.fields.at("boundary")));
  return all;
}

TEST(PhaseChanges, NamesTheThreePhasesOfGrokking) {
  const Recorder recorder = concluded({grokking_train(), grokking_test()});
  EXPECT_EQ(n_falls(recorder), 1);
  EXPECT_EQ(scalar(recorder, "phase/test/loss/memorisation"), 1500);
  EXPECT_EQ(scalar(recorder, "phase/test/loss/circuit_formation"), 9000);
  EXPECT_EQ(scalar(recorder, "phase/test/loss/cleanup"), 14000);
  // Without noise a breakpoint is known to half the distance between points.
  EXPECT_EQ(scalar(recorder, "phase/test/loss/cleanup_low"), 13950);
  EXPECT_EQ(scalar(recorder, "phase/test/loss/cleanup_high"), 14050);
  EXPECT_NEAR(scalar(recorder, "phase/test/loss/fall_1/size"), 12, 1e-9);
  EXPECT_EQ(scalar(recorder, "phase/test/loss/n_breakpoints"), 3);
  EXPECT_EQ(boundaries(recorder),
            (std::vector<std::string>{"train/loss memorisation", "test/loss circuit formation",
                                      "test/loss cleanup"}));
  const auto& found = recorder.record().findings[1];
  EXPECT_EQ(found.kind, "phase_change");
  EXPECT_EQ(std::get<int64_t>(found.fields.at("step")), 9000);
  EXPECT_EQ(std::get<int64_t>(found.fields.at("low")), 8950);
  EXPECT_EQ(std::get<int64_t>(found.fields.at("high")), 9050);
  EXPECT_EQ(std::get<double>(found.fields.at("confidence")), 0.95);
  EXPECT_EQ(std::get<double>(found.fields.at("fraction")), 0.45);
}

// Each interval holds the truth in 95 of 100 curves if all is well. Of 60 draws with probability 0.95 fewer
// than 50 come about once in 6,000 tries.
TEST(PhaseChanges, IntervalsHoldTheTruth) {
  int memorisation = 0, formation = 0, cleanup = 0;
  double width = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const Recorder recorder = concluded({grokking_train(0.5, seed), grokking_test(0.5, seed)},
                                        R"({"n_bootstrap": 100, "max_breakpoints": 4})");
    ASSERT_EQ(n_falls(recorder), 1) << seed;
    memorisation += holds(recorder, "phase/test/loss/memorisation", 1500);
    formation += holds(recorder, "phase/test/loss/circuit_formation", 9000);
    cleanup += holds(recorder, "phase/test/loss/cleanup", 14000);
    width +=
        (scalar(recorder, "phase/test/loss/cleanup_high") - scalar(recorder, "phase/test/loss/cleanup_low")) /
        60;
  }
  EXPECT_GE(memorisation, 50);
  EXPECT_GE(formation, 50);
  EXPECT_GE(cleanup, 50);
  EXPECT_GT(width, 150);   // more than the 100 steps between two points
  EXPECT_LT(width, 2000);  // and a fraction of the fall
}

TEST(PhaseChanges, OrdinaryLearningIsNone) {
  const auto exponential = [](double step) { return 1.5 - step / 2000; };
  const auto to_a_floor = [](double step) { return std::log(4 * std::exp(-step / 1500) + 0.01); };
  const auto power_law = [](double step) { return 1.5 - 0.9 * std::log1p(step / 10); };
  for (const double sigma : {0.0, 0.1, 0.3}) {
    for (const std::string axis : {R"({"axis": "linear"})", R"({"axis": "log"})"}) {
      EXPECT_EQ(n_falls(concluded({curve("test/loss", 20000, 100, exponential, sigma)}, axis)), 0) << axis;
      EXPECT_EQ(n_falls(concluded({curve("test/loss", 20000, 100, to_a_floor, sigma)}, axis)), 0) << axis;
      EXPECT_EQ(n_falls(concluded({curve("test/loss", 20000, 100, power_law, sigma)}, axis)), 0) << axis;
    }
  }
}

TEST(PhaseChanges, NoiseIsNone) {
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (const double sigma : {0.01, 1.0}) {
      const auto noise = curve(
          "test/loss", 10000, 100, [](double) { return 0.7; }, sigma, seed);
      const Recorder recorder = concluded({noise});
      EXPECT_EQ(n_falls(recorder), 0) << seed;
      EXPECT_TRUE(recorder.record().findings.empty());
      EXPECT_EQ(recorder.record().figures[0].title, "test/loss: no phase change");
    }
}

TEST(PhaseChanges, TwoFallsAreTwo) {
  const auto twice = [](double step) {
    return 2 + ramp(step, 0, -3, 3000, 4000) + ramp(step, 0, -4, 12000, 15000);
  };
  const Recorder recorder = concluded({curve("test/loss", 20000, 100, twice, 0.05)});
  ASSERT_EQ(n_falls(recorder), 2);
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_1/onset", 3000));
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_1/end", 4000));
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_2/onset", 12000));
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_2/end", 15000));
  // Nothing was memorised first, as far as one can know without the training curve.
  EXPECT_EQ(boundaries(recorder), (std::vector<std::string>{"test/loss fall", "test/loss fall"}));
  EXPECT_FALSE(has_scalar(recorder, "phase/test/loss/memorisation"));
  EXPECT_EQ(n_falls(concluded({curve("test/loss", 20000, 100, twice)}, R"({"min_fall": 3.5})")), 1);
  EXPECT_EQ(n_falls(concluded({curve("test/loss", 20000, 100, twice)}, R"({"max_breakpoints": 0})")), 0);
}

// Test and training loss fall together: a phase change, and no grokking.
TEST(PhaseChanges, NothingIsCleanedUpThatWasNotMemorised) {
  const auto fall = [](double step) { return ramp(step, 1.5, -6, 3000, 6000); };
  const Recorder recorder =
      concluded({curve("train/loss", 20000, 100, fall, 0.02), curve("test/loss", 20000, 100, fall, 0.02)});
  EXPECT_EQ(boundaries(recorder), (std::vector<std::string>{"test/loss fall"}));
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_1/onset", 3000));
}

TEST(PhaseChanges, AFallThatTheRunCutsShortHasNoEnd) {
  Curve test = grokking_test(0.02), train = grokking_train(0.02);
  for (Curve* each : {&test, &train}) {
    each->steps.resize(121);  // to step 12,000
    each->values.resize(121);
  }
  const Recorder recorder = concluded({test, train});
  EXPECT_EQ(boundaries(recorder),
            (std::vector<std::string>{"train/loss memorisation", "test/loss circuit formation"}));
  EXPECT_FALSE(has_scalar(recorder, "phase/test/loss/fall_1/end"));
}

TEST(PhaseChanges, EachLossGroupHasItsOwn) {
  const auto late = [](double step) { return ramp(step, 1, -5, 15000, 17000); };
  const std::vector<Curve> curves = {grokking_train(),
                                     grokking_test(),
                                     grokking_train(0.01, 1, "train/loss/digit_0"),
                                     grokking_test(0.01, 1, "test/loss/digit_0"),
                                     curve("test/loss/digit_1", 20000, 100, late, 0.01),
                                     grokking_test(),
                                     curve("weights/norm", 20000, 100, late)};
  const Recorder recorder = concluded(curves);
  EXPECT_TRUE(holds(recorder, "phase/test/loss/digit_0/cleanup", 14000));
  EXPECT_TRUE(holds(recorder, "phase/test/loss/digit_1/cleanup", 17000));
  // digit_1 has no training curve of its own, and goes by the total one.
  EXPECT_EQ(scalar(recorder, "phase/test/loss/digit_1/memorisation"), 1500);
  EXPECT_EQ(boundaries(recorder),
            (std::vector<std::string>{"train/loss memorisation", "test/loss circuit formation",
                                      "test/loss cleanup", "train/loss/digit_0 memorisation",
                                      "test/loss/digit_0 circuit formation", "test/loss/digit_0 cleanup",
                                      "test/loss/digit_1 circuit formation", "test/loss/digit_1 cleanup"}));
  EXPECT_EQ(recorder.record().figures.size(), 3u);
  const Recorder one = concluded(curves, R"({"curves": ["*norm"]})");
  EXPECT_EQ(boundaries(one), std::vector<std::string>{"weights/norm fall"});
}

TEST(PhaseChanges, DegenerateCurves) {
  const auto curve_of = [](std::vector<double> values) {
    Curve made{"test/loss", {}, std::move(values)};
    for (size_t i = 0; i < made.values.size(); ++i) made.steps.push_back(static_cast<int64_t>(10 * i));
    return std::vector<Curve>{made};
  };
  for (const auto& values : std::vector<std::vector<double>>{{},
                                                             {2},
                                                             {3, 1e-4},
                                                             {3, 3, 1e-4, 1e-4},
                                                             {2, 2, 2, 2, 2, 2, 2, 2, 2, 2},
                                                             {0, 0, 0, 0, 0, 0, 0, 0},
                                                             std::vector<double>(30, kNan),
                                                             {kInf, kNan, 1, kNan, kInf, 1, kNan, 1}}) {
    const Recorder recorder = concluded(curve_of(values));
    EXPECT_EQ(n_falls(recorder), 0);
    for (const auto& [name, value] : recorder.record().scalars) EXPECT_TRUE(std::isfinite(value)) << name;
    EXPECT_TRUE(recorder.record().findings.empty());
  }
  Curve gaps = grokking_test(0.01);
  for (size_t i = 0; i < gaps.values.size(); i += 3) gaps.values[i] = i % 2 ? kNan : kInf;
  EXPECT_TRUE(holds(concluded({grokking_train(), gaps}), "phase/test/loss/cleanup", 14000));
}

// Where the loss reaches 0 the fall ends at the floor, and its size says so.
TEST(PhaseChanges, ZeroCountsAsTheFloor) {
  Curve zero = grokking_test();
  for (size_t i = 0; i < zero.values.size(); ++i)
    if (zero.steps[i] > 14000) zero.values[i] = 0;
  const Recorder recorder = concluded({zero}, R"({"floor": 0.00012340980408667956})");  // exp(-9)
  EXPECT_NEAR(scalar(recorder, "phase/test/loss/fall_1/size"), 12, 1e-6);
  EXPECT_EQ(scalar(recorder, "phase/test/loss/fall_1/end"), 14000);
}

// A fall at steps 60 to 120 of 40,000 is less than a bin wide on a linear axis.
TEST(PhaseChanges, ALogarithmicAxisSeesEarlyFalls) {
  const auto early = [](double step) {
    return 1 +
           -3 * std::clamp((std::log1p(step) - std::log1p(60)) / (std::log1p(120) - std::log1p(60)), 0., 1.);
  };
  const auto test = curve("test/loss", 40000, 1, early, 0.02);
  const Recorder recorder = concluded({test}, R"({"axis": "log"})");
  ASSERT_EQ(n_falls(recorder), 1);
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_1/onset", 60));
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_1/end", 120));
  const Figure& figure = recorder.record().figures[0];
  EXPECT_EQ(figure.x_label, "1 + step");
  EXPECT_TRUE(figure.x_log);
  EXPECT_EQ(figure.traces[0].x[0].item<double>(), 1 + double(test.steps[0]));
  EXPECT_EQ(n_falls(concluded({test})), 0);
}

TEST(PhaseChanges, LongCurvesAreAveragedInBins) {
  const auto fall = [](double step) { return 2 + ramp(step, 0, -6, 20000, 26000); };
  const Recorder recorder = concluded({curve("test/loss", 39999, 1, fall, 0.5)});
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_1/onset", 20000));
  EXPECT_TRUE(holds(recorder, "phase/test/loss/fall_1/end", 26000));
  const auto& figure = recorder.record().figures[0];
  EXPECT_EQ(figure.name, "phase_test_loss");
  EXPECT_EQ(figure.traces[0].x.numel(), 400);
  // A bin holds 100 points, and its mean a tenth of their noise: the breakpoint is known to a bin or two.
  EXPECT_LT(scalar(recorder, "phase/test/loss/fall_1/end_high") -
                scalar(recorder, "phase/test/loss/fall_1/end_low"),
            500);
  EXPECT_NEAR(scalar(recorder, "phase/test/loss/rms"), 0.05, 0.01);
}

TEST(PhaseChanges, FiguresShowCurveFitAndBreakpoints) {
  const Recorder recorder = concluded({grokking_train(), grokking_test()});
  const auto& figure = recorder.record().figures[0];
  EXPECT_EQ(figure.title, "test/loss: memorisation, circuit formation, cleanup");
  EXPECT_EQ(figure.y_label, "test/loss (nats)");
  EXPECT_TRUE(figure.y_log);
  EXPECT_FALSE(figure.x_log);
  EXPECT_EQ(figure.traces[0].y[0].item<double>(), std::exp(std::log(grokking_test().values[0])));
  std::vector<std::string> names;
  for (const Trace& trace : figure.traces) {
    names.push_back(trace.name);
    EXPECT_EQ(trace.x.sizes(), trace.y.sizes());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"test/loss", "broken line", "breakpoint: 1500",
                                             "circuit formation ends: 9000", "cleanup ends: 14000"}));
  EXPECT_LT((figure.traces[0].y / figure.traces[1].y).log().abs().max().item<double>(), 1e-6);
}

TEST(PhaseChanges, NeedsCurvesAndNothingElse) {
  const Needs needs = make_probe(R"({"curves": ["test/loss", "probe/x/*"]})")->needs();
  EXPECT_EQ(needs.inputs, Inputs::none);
  EXPECT_FALSE(needs.null);
  EXPECT_FALSE(needs.reference);
  EXPECT_EQ(needs.curves, (std::vector<std::string>{"test/loss", "probe/x/*", "train/loss"}));
  EXPECT_THROW(make_probe(R"({"curves": []})"), UsageError);
  EXPECT_THROW(make_probe(R"({"contrast": 0.5})"), Error);
  try {
    concluded({grokking_train()});
    ADD_FAILURE();
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()), "the run has no curve \"test/loss*\"");
    EXPECT_NE(error.hint(), "");
  }
}

}  // namespace
}  // namespace orrery::testing
