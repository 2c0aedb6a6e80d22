// make_runs FOLDER: writes three runs and a sweep for the tests in a browser. "small" has values that the
// tests know:
//   train/loss 10^(-step / 100), test/loss 10 up to step 200 and then falling;
//   the heatmap "grid" row - column + step / 100, 6 rows of 8 columns, its null -1 everywhere;
//   the line "decay" 10^-x * (1 + step), on a logarithmic axis; "circle" points on a circle of radius 1 +
//   step / 400; figures of every other kind; margins of the frequencies 10, 3 and 2, of which 3 is a key
//   frequency; trig loss and excluded loss.
// "many" has twelve probes. "large" is as large as a run of modular addition with p = 113 that was probed at
// each of 401 checkpoints. "set" is a sweep, see make_sweep.h.
#include <fmt/format.h>
#include <orrery/findings.h>

#include <cmath>
#include <filesystem>

#include "engine/run/run_directory.h"
#include "make_sweep.h"

namespace {

using namespace orrery;
using namespace orrery::engine;

constexpr const char* about = R"({{"orrery": "0.1.0", "n_parameters": 1234, "config": {{"name": "{}",
  "task": {{"name": "modular_arithmetic", "p": 7}}, "model": {{"kind": "transformer"}}, "train": {{"steps": 400}}}},
  "sessions": [{{"from": 0, "to": 400, "ended": "finished"}}]}})";

RunDirectory make_run(const std::filesystem::path& folder, const std::string& name) {
  RunDirectory run = RunDirectory::create(folder / name);
  run.write_run_json(fmt::format(about, name));
  for (int64_t step = 0; step <= 400; step += 10) {
    const double test = step <= 200 ? 10 : 10 * std::pow(10.0, -(step - 200) / 50.0);
    run.metrics().append(metrics_line(step, {{"train/loss", std::pow(10.0, -step / 100.0)},
                                             {"train/accuracy", std::min(1.0, step / 100.0)},
                                             {"test/loss", test},
                                             {"test/accuracy", step <= 200 ? 0.1 : 1},
                                             {"weights/norm", 40 - step / 20.0}}));
  }
  return run;
}

Figure figure(const std::string& name, Figure::Kind kind, std::vector<Trace> traces) {
  Figure made;
  made.name = name;
  made.kind = kind;
  made.title = "The " + name;
  made.x_label = "column";
  made.y_label = "row (units)";
  made.traces = std::move(traces);
  return made;
}

// Every kind of figure beside those with known values, and the order that frequencies should not keep.
void other_kinds(Recorder& recorder) {
  const torch::Tensor three = torch::arange(3, torch::kFloat);
  Figure named =
      Figure::heatmap("named", "The named", {"to", {"a", "b", "="}}, {"from", {"head 0", "head 1"}},
                      "attention (share)", torch::arange(6, torch::kFloat).reshape({2, 3}));
  recorder.figure(named);
  Figure points = figure("points", Figure::Kind::scatter, {{"", three, three * 2, {}}});
  points.traces[0].labels = {"neuron 4", "neuron 17", "neuron 8"};
  points.traces[0].y_error = torch::tensor({{0.5F, 0.5F, 0.5F}, {1.F, 1.F, 3.F}});
  recorder.figure(points);
  recorder.figure(Figure::histogram("counts", "The counts", "norm", "neurons (count)",
                                    {{"", torch::tensor({1, 1, 2, 5}, torch::kInt64)}}));
  Figure multiples = figure("multiples", Figure::Kind::line, {});
  for (int head = 0; head < 4; ++head) {
    multiples.traces.push_back({"loss", three, three + head, {}});
    multiples.traces.back().facet = fmt::format("head {}", head);
  }
  recorder.figure(multiples);
  Figure waves = figure("waves", Figure::Kind::line, {});
  for (const int k : {10, 3, 2}) waves.traces.push_back({fmt::format("k={}", k), three, three * k, {}});
  recorder.figure(waves);
  Figure by_k =
      figure("by_k", Figure::Kind::bar, {{"", torch::arange(1, 41, torch::kInt64), torch::ones({40}), {}}});
  by_k.x_label = "frequency k";
  recorder.figure(by_k);
}

Record small_record(int64_t step) {
  const double at = static_cast<double>(step);
  Recorder recorder;
  recorder.headline("score", at / 400);
  recorder.scalar("loss/train", std::pow(10.0, -at / 200));
  recorder.scalar("loss/test", 5);
  recorder.panel("score", "Score of the network", "score (points)");
  recorder.panel("loss", "Loss of the probe", "loss (nats)");
  recorder.panel("margin", "Margin of each frequency", "margin (nats)");
  for (const int k : {10, 3, 2}) recorder.scalar(fmt::format("k={}/margin", k), k + at);
  recorder.scalar("not_described", at);
  other_kinds(recorder);
  const torch::Tensor rows = torch::arange(6, torch::kFloat), columns = torch::arange(8, torch::kFloat);
  recorder.figure(figure("grid", Figure::Kind::heatmap,
                         {{"", {}, {}, rows.unsqueeze(1) - columns.unsqueeze(0) + at / 100}}));
  Figure decay =
      figure("decay", Figure::Kind::line,
             {{"a", columns, torch::pow(10.0, -columns) * (1 + at), {}}, {"b", columns, columns + 1, {}}});
  decay.y_log = true;
  decay.x_ticks = {"zero", "one", "two", "three", "four", "five", "six", "seven"};
  recorder.figure(decay);
  const torch::Tensor angle = torch::arange(12) * (2 * M_PI / 12);
  Figure circle = figure("circle", Figure::Kind::scatter,
                         {{"", angle.cos() * (1 + at / 400), angle.sin() * (1 + at / 400), {}}});
  circle.equal_axes = true;
  recorder.figure(circle);
  recorder.figure(figure("bars", Figure::Kind::bar, {{"", columns, columns * at / 400, {}}}));
  recorder.finding(key_frequencies_finding(7, step < 200 ? std::vector<int64_t>{} : std::vector<int64_t>{3},
                                           step < 200 ? std::vector<double>{} : std::vector<double>{0.75}));
  return recorder.record();
}

void save_run_level(RunDirectory& run, RunLevelResult aside, const Record& record) {
  run.save_run_level("probe", aside, pack_result(result_line(aside, {{"probe", &record}}), record));
}

void make_small(const std::filesystem::path& folder) {
  RunDirectory run = make_run(folder, "small");
  for (int64_t step = 0; step <= 400; step += 50) {
    run.save_probe_result("probe", step, RunDirectory::checkpoint_name(step), small_record(step));
    for (const auto& [label, set] : {std::pair{"trig_loss", "loss/test"}, {"excluded_loss", "loss/train"}}) {
      Recorder loss;
      loss.headline(set, 1 + static_cast<double>(step));
      loss.panel("loss", fmt::format("Loss of {}", label), "loss (nats)");
      run.save_probe_result(label, step, RunDirectory::checkpoint_name(step), loss.record());
    }
  }
  Recorder null;
  null.headline("score", 0.01);
  null.figure(figure("grid", Figure::Kind::heatmap, {{"", {}, {}, -torch::ones({6, 8})}}));
  save_run_level(run, RunLevelResult::null, null.record());
  Recorder conclusion;
  conclusion.finding(phase_change_finding("test/loss", "circuit formation", 200, 190, 210, 0.95, 0.5));
  save_run_level(run, RunLevelResult::conclusion, conclusion.record());
}

void make_many(const std::filesystem::path& folder) {
  RunDirectory run = make_run(folder, "many");
  for (int i = 0; i < 12; ++i) {
    Recorder recorder;
    recorder.headline("score", i);
    recorder.figure(figure("bars", Figure::Kind::bar, {{"", torch::arange(3), torch::ones({3}), {}}}));
    run.save_probe_result(fmt::format("probe_{}", i), 400, RunDirectory::checkpoint_name(400),
                          recorder.record());
  }
}

void make_large(const std::filesystem::path& folder) {
  RunDirectory run = make_run(folder, "large");
  torch::manual_seed(1);
  for (int64_t step = 0; step <= 400; ++step) {
    Recorder recorder;
    for (int i = 0; i < 60; ++i)
      recorder.scalar(fmt::format("group_{}/scalar_{}", i % 8, i), step * (i + 1.0));
    const torch::Tensor k = torch::arange(56);
    for (int i = 0; i < 12; ++i)
      recorder.figure(
          figure(fmt::format("bars_{}", i), Figure::Kind::bar, {{"W_E", k, torch::randn({56}), {}}}));
    for (const auto& [name, rows] :
         {std::pair{"waves", 128}, {"output_waves", 128}, {"logits", 113}, {"energy", 57}})
      recorder.figure(
          figure(name, Figure::Kind::heatmap, {{"", {}, {}, torch::randn({rows, rows == 57 ? 57 : 113})}}));
    run.save_probe_result("probe", step, RunDirectory::checkpoint_name(step), recorder.record());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  make_small(argv[1]);
  make_many(argv[1]);
  make_large(argv[1]);
  make_sweep(argv[1]);
}
