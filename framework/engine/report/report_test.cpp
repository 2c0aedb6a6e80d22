#include "engine/report/report.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/findings.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>

#include "engine/report/figure_frames.h"
#include "engine/report/thin.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// The numbers that "f32:0:100" refers to.
std::vector<double> numbers_of(const std::string& reference, const Numbers& numbers) {
  std::istringstream parts(reference);
  std::string type, at, count;
  std::getline(parts, type, ':');
  std::getline(parts, at, ':');
  std::getline(parts, count, ':');
  std::vector<double> values;
  const auto read = [&](auto like) {
    for (size_t i = 0; i < std::stoul(count); ++i) {
      std::memcpy(&like, numbers.bytes().data() + std::stoul(at) + i * sizeof like, sizeof like);
      values.push_back(static_cast<double>(like));
    }
  };
  if (type == "f32") read(float{});
  if (type == "f64") read(double{});
  if (type == "i16") read(int16_t{});
  if (type == "i8") read(int8_t{});
  return values;
}

Figure heatmap(const std::string& name, const torch::Tensor& z) {
  Figure figure;
  figure.name = name;
  figure.kind = Figure::Kind::heatmap;
  figure.title = "Title of " + name;
  figure.traces = {{"", {}, {}, z}};
  return figure;
}

FigureFrames frames(const std::string& name, size_t n, int64_t side) {
  FigureFrames all{name, {}, {}};
  for (size_t i = 0; i < n; ++i) all.frames.emplace_back(i, heatmap(name, torch::ones({side, side})));
  return all;
}

TEST(ThinCurve, KeepsTheEndsAndEverySpike) {
  Curve curve{"loss", {}, {}};
  for (int i = 0; i < 10'000; ++i) {
    curve.steps.push_back(i);
    curve.values.push_back(i == 4321 ? 100 : i == 7000 ? -100 : i == 5000 ? nan : std::sin(i / 500.0));
  }
  const Curve thin = thin_curve(curve, 400);
  EXPECT_LE(thin.steps.size(), 400u);
  EXPECT_GE(thin.steps.size(), 300u);
  EXPECT_EQ(thin.steps.front(), 0);
  EXPECT_EQ(thin.steps.back(), 9999);
  EXPECT_TRUE(std::is_sorted(thin.steps.begin(), thin.steps.end()));
  for (size_t i = 0; i < thin.steps.size(); ++i) EXPECT_EQ(thin.values[i], curve.values[thin.steps[i]]);
  EXPECT_EQ(std::count(thin.values.begin(), thin.values.end(), 100.0), 1);
  EXPECT_EQ(std::count(thin.values.begin(), thin.values.end(), -100.0), 1);
  EXPECT_EQ(thin_curve(curve, 10'000).steps.size(), 10'000u);
}

TEST(Spread, HoldsBothEnds) {
  EXPECT_EQ(spread(5, 9), (std::vector<size_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(spread(401, 3), (std::vector<size_t>{0, 200, 400}));
  EXPECT_EQ(spread(7, 1), std::vector<size_t>{6});
  EXPECT_TRUE(spread(0, 3).empty());
}

TEST(Packing, GivesUpPrecisionFirstAndThenFramesOfTheLargest) {
  const std::vector<FigureFrames> figures = {frames("large", 100, 10), frames("small", 100, 1)};
  const size_t full = 100 * 101 * 4;
  EXPECT_EQ(choose_packing(figures, full).precision, Precision::full);
  EXPECT_EQ(choose_packing(figures, full - 1).precision, Precision::sixteen_bits);
  EXPECT_EQ(choose_packing(figures, full / 2 - 1).precision, Precision::eight_bits);
  EXPECT_EQ(choose_packing(figures, full / 4).n_frames, (std::vector<size_t>{100, 100}));
  EXPECT_EQ(choose_packing(figures, 5100).n_frames, (std::vector<size_t>{50, 100}));
  EXPECT_EQ(choose_packing(figures, 0).n_frames, (std::vector<size_t>{2, 2}));
}

TEST(PackFigure, IsWithinHalfAUnitOfItsPrecision) {
  const torch::Tensor z = torch::tensor({{-3.0, 0.5, nan}, {0.0, 1.25, 2.0}}, torch::kDouble);
  FigureFrames figure{"map", {{0, heatmap("map", z)}, {10, heatmap("map", 2 * z)}}, {}};
  for (const auto& [precision, units] :
       {std::pair{Precision::eight_bits, 127.0}, {Precision::sixteen_bits, 32767.0}}) {
    Numbers numbers;
    const Json packed = pack_figure(figure, 2, precision, numbers);
    EXPECT_EQ(packed["range"]["z"], Json::array({-6.0, 4.0}));
    const Json stored = packed["frames"][0][2][0][2];
    EXPECT_EQ(stored[1], 2);
    EXPECT_EQ(stored[2], 3);
    const std::vector<double> values = numbers_of(stored[0], numbers);
    for (const size_t i : {0, 1, 3, 4, 5})
      EXPECT_NEAR(values[i] * stored[3].get<double>(), z.flatten()[i].item<double>(), 0.5001 * 3 / units)
          << i;
    EXPECT_EQ(values[2], precision == Precision::eight_bits ? -128 : -32768);
  }
  Numbers numbers;
  const Json exact = pack_figure(figure, 2, Precision::full, numbers)["frames"][1][2][0][2];
  EXPECT_EQ(numbers_of(exact[0], numbers)[4], 2.5);
}

TEST(PackFigure, SharesWhatDoesNotChange) {
  FigureFrames figure{"bars", {}, {}};
  for (int64_t step = 0; step < 50; ++step) {
    Figure bars;
    bars.name = "bars";
    bars.title = step < 25 ? "early" : "late";
    bars.x_ticks = {"a", "b"};
    bars.traces = {{"W_E", torch::arange(56), torch::full({56}, static_cast<double>(step)), {}}};
    figure.frames.emplace_back(step, bars);
  }
  Numbers numbers;
  const Json packed = pack_figure(figure, 50, Precision::full, numbers);
  EXPECT_EQ(numbers.bytes().size(), 56u * 8 + 50 * 56 * 4);
  ASSERT_EQ(packed["heads"].size(), 2u);
  EXPECT_EQ(packed["heads"][1]["title"], "late");
  EXPECT_EQ(packed["heads"][0]["x_ticks"], Json::array({"a", "b"}));
  EXPECT_EQ(packed["frames"][30][1], 1);
}

TEST(PackFigure, ErrorBarsLabelsAndFacets) {
  Figure points;
  points.name = "points";
  points.kind = Figure::Kind::scatter;
  Trace plain{"a", {}, torch::tensor({1.0, 2.0}), {}}, whole = plain;
  whole.y_error = torch::tensor({0.5, 4.0});
  whole.labels = {"p", "q"};
  whole.facet = "right";
  points.traces = {plain, whole};
  Numbers numbers;
  const Json packed = pack_figure({"points", {{0, points}}, {}}, 1, Precision::full, numbers);
  EXPECT_EQ(packed["heads"][0]["facets"], Json::array({"", "right"}));
  EXPECT_EQ(packed["heads"][0]["labels"], Json::parse(R"([[], ["p", "q"]])"));
  EXPECT_EQ(packed["range"]["y"], Json::array({-2, 6, 0.5}));
  const Json& traces = packed["frames"][0][2];
  EXPECT_EQ(traces[0].size(), 3u);
  EXPECT_EQ(numbers_of(traces[1][3][0], numbers), (std::vector<double>{0.5, 4}));
  EXPECT_EQ(traces[1][3][1], 1);
}

class ReportOf : public ::testing::Test {
 protected:
  TestFolder folder_;

  RunDirectory make() {
    RunDirectory run = RunDirectory::create(folder_ / "run");
    run.write_run_json(R"({"orrery": "0.1.0", "n_parameters": 12345, "config": {"task": {"name": "t"},
      "model": {"kind": "mlp"}}, "sessions": [{"ended": "finished"}]})");
    for (int64_t step = 0; step <= 20; step += 10)
      run.metrics().append(metrics_line(step, {{"train/loss", step + 0.5}}));
    for (int64_t step = 0; step <= 20; step += 10) {
      std::filesystem::create_directories(run.checkpoint_path(step).parent_path());
      std::ofstream(run.checkpoint_path(step)) << "weights";
      Recorder recorder;
      recorder.headline("score", static_cast<double>(step));
      recorder.panel("score", step < 20 ? "Early score" : "Score", "points");
      recorder.figure(heatmap("map", torch::full({2, 2}, static_cast<double>(step))));
      recorder.finding(key_frequencies_finding(7, {step < 20 ? 1 : 2}, {0.5}));
      run.save_probe_result("look", step, RunDirectory::checkpoint_name(step), recorder.record(),
                            Provenance{"", "looking", "", {}, "", "", ""});
    }
    Recorder null, conclusion;
    null.headline("score", nan);
    null.figure(heatmap("map", -torch::ones({2, 2})));
    run.save_run_level(
        "look", RunLevelResult::null,
        pack_result(result_line(RunLevelResult::null, {{"look", &null.record()}}), null.record()));
    conclusion.finding(phase_change_finding("test/loss", "cleanup", 15, 12, 18, 0.95, 0.75));
    run.save_run_level("look", RunLevelResult::conclusion,
                       pack_result(result_line(RunLevelResult::conclusion, {{"look", &conclusion.record()}}),
                                   conclusion.record()));
    return run;
  }
  RunDirectory reading() const { return RunDirectory::open(folder_ / "run", RunDirectory::Access::read); }
  std::filesystem::path results() const { return folder_ / "run/probes/look/results.jsonl"; }
};

TEST_F(ReportOf, HoldsWhatTheRunRecorded) {
  const RunDirectory run = make();
  ReportChoices choices;
  choices.summaries["looking"] = "Looks.";
  choices.differences = {"train.lr 0.01"};
  const Report report = make_report(run, choices);
  EXPECT_EQ(report.title, "run");
  EXPECT_EQ(report.n_figures, 1u);
  EXPECT_TRUE(report.notes.empty());
  const Json data = Json::parse(report.json);
  EXPECT_EQ(data["facts"], "t · mlp, 12,345 parameters · 20 steps");
  EXPECT_EQ(data["differences"], Json::array({"train.lr 0.01"}));
  EXPECT_EQ(data["phases"][0]["step"], 15);
  EXPECT_EQ(numbers_of(data["metrics"][0]["values"], report.numbers), (std::vector<double>{0.5, 10.5, 20.5}));
  const Json& probe = data["probes"][0];
  EXPECT_EQ(probe["summary"], "Looks.");
  EXPECT_EQ(probe["headlines"], Json::array({"score"}));
  EXPECT_EQ(probe["panels"].dump(), R"([{"scalars":"score","title":"Score","y_label":"points"}])");
  EXPECT_EQ(numbers_of(probe["curves"][0]["steps"], report.numbers), (std::vector<double>{0, 10, 20}));
  EXPECT_EQ(probe["null"]["score"], "NaN");
  const Json& figure = probe["figures"][0];
  EXPECT_EQ(figure["frames"].size(), 3u);
  EXPECT_EQ(figure["frames"][2][0], 20);
  EXPECT_EQ(numbers_of(figure["frames"][2][2][0][2][0], report.numbers),
            (std::vector<double>{20, 20, 20, 20}));
  EXPECT_EQ(numbers_of(figure["null"][2][0][2][0], report.numbers), (std::vector<double>{-1, -1, -1, -1}));
  // Findings stand where they change.
  EXPECT_EQ(probe["findings"][0]["at"].size(), 2u);
  EXPECT_EQ(probe["findings"][0]["at"][1][0], 20);
  EXPECT_EQ(recorded_steps(run), (std::vector<int64_t>{0, 10, 20}));
}

TEST_F(ReportOf, ShowsTheStepsAskedForOnly) {
  make();
  ReportChoices choices;
  choices.steps = {10};
  const Json data = Json::parse(make_report(reading(), choices).json);
  EXPECT_EQ(data["probes"][0]["figures"][0]["frames"].size(), 1u);
  EXPECT_EQ(data["probes"][0]["figures"][0]["frames"][0][0], 10);
}

TEST_F(ReportOf, SaysWhatItLeftOut) {
  make();
  ReportChoices choices;
  choices.byte_budget = 8;
  const Report report = make_report(reading(), choices);
  ASSERT_EQ(report.notes.size(), 2u);
  EXPECT_NE(report.notes[0].find("1/127"), std::string::npos) << report.notes[0];
  EXPECT_NE(report.notes[1].find("2 of 3"), std::string::npos) << report.notes[1];
  EXPECT_EQ(Json::parse(report.json)["notes"].size(), 2u);
}

TEST_F(ReportOf, SaysHowManyCheckpointsAreGone) {
  std::filesystem::remove(make().checkpoint_path(10));
  const Report report = make_report(reading(), {});
  ASSERT_EQ(report.notes.size(), 1u);
  expect_holds(report.notes[0], "1 results are of checkpoints that are gone");
}

// Of a probe that the run no longer asks: the run went on to step 20 without it.
TEST_F(ReportOf, SaysWhereAConclusionIsOfAnEarlierSession) {
  make();
  const auto notes_if_until = [&](int64_t until) {
    RunDirectory run = RunDirectory::open(folder_ / "run");
    Recorder conclusion;
    conclusion.scalar("n_falls", 0);
    run.save_run_level("look", RunLevelResult::conclusion,
                       pack_result(result_line(RunLevelResult::conclusion, {{"look", &conclusion.record()}},
                                               std::nullopt, until),
                                   conclusion.record()));
    return make_report(run, {}).notes;
  };
  EXPECT_TRUE(notes_if_until(20).empty());
  const auto notes = notes_if_until(10);
  ASSERT_EQ(notes.size(), 1u);
  expect_holds(notes[0], "The conclusion of look is of an earlier session: it looked at steps up to 10.");
}

TEST_F(ReportOf, ARunWithoutProbesHasItsCurves) {
  RunDirectory run = RunDirectory::create(folder_ / "bare");
  run.write_run_json(R"({"config": {}})");
  run.metrics().append(metrics_line(0, {{"train/loss", nan}}));
  const Report report = make_report(run);
  EXPECT_EQ(report.n_figures, 0u);
  EXPECT_EQ(Json::parse(report.json)["metrics"].size(), 1u);
}

TEST_F(ReportOf, ReadsWholeLinesOfARunThatIsStillTrained) {
  make();
  std::ofstream(results(), std::ios::app) << R"({"step": 30, "checkpoint": "checkpoints/st)";
  EXPECT_EQ(Json::parse(make_report(reading()).json)["probes"][0]["figures"][0]["frames"].size(), 3u);
}

TEST_F(ReportOf, SaysWhereAFileIsDamaged) {
  make();
  std::ofstream(results(), std::ios::app) << "{\"step\": 30, damaged}\n";
  expect_holds(error_of([&] { make_report(reading()); }), "results.jsonl:4");
}

TEST_F(ReportOf, SaysWhichDataAreMissing) {
  make();
  std::filesystem::remove(folder_ / "run/probes/look/step_00000010.safetensors");
  expect_holds(error_of([&] { make_report(reading()); }), "step_00000010");
}

}  // namespace
}  // namespace orrery::engine
