#include "engine/run/results.h"

#include <gtest/gtest.h>
#include <orrery/findings.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/run_test_folder.h"

namespace orrery::engine::results_test {
namespace {

using testing::error_of;
using testing::expect_holds;

Record sample() {
  Recorder recorder;
  recorder.headline("loss/train", 0.125);
  recorder.scalar("loss/test", std::numeric_limits<double>::quiet_NaN());
  recorder.finding(key_frequencies_finding(113, {14, 35}, {1.0, 0.5}));
  recorder.tensor("norms", torch::arange(4, torch::kLong));
  Figure figure{"norms_by_k", Figure::Kind::bar, "Norms of \"W_E\"", "frequency k", "norm", {}};
  figure.traces.push_back({"W_E", torch::arange(3), torch::tensor({0.5, 1.5, 2.5}, torch::kDouble), {}});
  figure.traces.push_back({"W_L", {}, torch::ones({3}), {}});
  recorder.figure(figure);
  Figure grid{"grid", Figure::Kind::heatmap, "", "", "", {{"", {}, {}, torch::ones({2, 3})}}};
  grid.x_log = true;
  grid.equal_axes = true;
  grid.y_ticks = {"head 0", "\"=\""};
  recorder.figure(grid);
  return recorder.record();
}

TEST(ResultLine, is_the_documented_json) {
  const Record record = sample();
  const std::string line =
      result_line(400, "checkpoints/step_00000400.safetensors", {{"trig_loss", &record}});
  EXPECT_EQ(
      line,
      R"({"step": 400, "checkpoint": "checkpoints/step_00000400.safetensors", "probes": {"trig_loss": {)"
      R"("scalars": {"loss/train": 0.125, "loss/test": "NaN"}, "headlines": ["loss/train"], )"
      R"("findings": {"key_frequencies": {"kind": "key_frequencies", "frequencies": [14, 35], "order": 113, )"
      R"("shares": [1.0, 0.5]}}, )"
      R"("figures": [{"name": "norms_by_k", "kind": "bar", "title": "Norms of \"W_E\"", "x_label": "frequency k", )"
      R"("y_label": "norm", "traces": [{"name": "W_E", "x": "figure/norms_by_k/0/x", "y": "figure/norms_by_k/0/y"}, )"
      R"({"name": "W_L", "y": "figure/norms_by_k/1/y"}]}, )"
      R"({"name": "grid", "kind": "heatmap", "title": "", "x_label": "", "y_label": "", )"
      R"("x_log": true, "equal_axes": true, "y_ticks": ["head 0", "\"=\""], )"
      R"("traces": [{"name": "", "z": "figure/grid/0/z"}]}], )"
      R"("tensors": {"norms": "tensor/norms"}}}})");
}

TEST(ResultLine, several_probes_share_a_line_in_the_order_given) {
  const Record first = sample(), second;
  const auto line = nlohmann::ordered_json::parse(result_line(7, "c", {{"z", &first}, {"a", &second}}));
  EXPECT_EQ(line["probes"].begin().key(), "z");
  EXPECT_EQ(line["probes"]["a"].dump(),
            R"({"scalars":{},"headlines":[],"findings":{},"figures":[],"tensors":{}})");
}

// Error bars, points with names, small multiples, histograms, and what scalars measure.
TEST(ResultLine, keeps_what_only_some_figures_have) {
  Recorder recorder;
  recorder.scalar("loss/train", 1);
  recorder.panel("loss", "Loss of the waves", "nats");
  Figure points{"points", Figure::Kind::scatter, "t", "x", "y", {}};
  Trace trace{"a", {}, torch::ones({2}), {}};
  trace.y_error = torch::full({2, 2}, 0.5);
  trace.labels = {"head 0", "head 1"};
  trace.facet = "layer 0";
  points.traces = {trace};
  recorder.figure(points);
  recorder.figure(Figure::histogram("norms", "t", "norm", "neurons", {{"", torch::arange(5)}}));
  const std::string line = result_line(1, "c", {{"p", &recorder.record()}});
  const auto probe = nlohmann::ordered_json::parse(line)["probes"]["p"];
  EXPECT_EQ(probe["panels"].dump(), R"([{"scalars":"loss","title":"Loss of the waves","y_label":"nats"}])");
  EXPECT_EQ(probe["figures"][0]["traces"][0].dump(),
            R"({"name":"a","y":"figure/points/0/y","y_error":"figure/points/0/y_error",)"
            R"("labels":["head 0","head 1"],"facet":"layer 0"})");
  EXPECT_EQ(probe["figures"][1]["kind"], "histogram");
  const Record read =
      parse_result(line, "p", "here", [&](int64_t) { return result_tensors(recorder.record()); }).record;
  EXPECT_TRUE(read.figures[0].traces[0].y_error.equal(trace.y_error));
  EXPECT_EQ(read.figures[1].kind, Figure::Kind::histogram);
  EXPECT_EQ(result_line(1, "c", {{"p", &read}}), line);
}

TEST(ResultTensors, hold_tensors_and_figure_data) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : result_tensors(sample())) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"tensor/norms", "figure/norms_by_k/0/x", "figure/norms_by_k/0/y",
                                             "figure/norms_by_k/1/y", "figure/grid/0/z"}));
}

// A tensor and the figure that draws it, or the positions that all figures share, are in the file once.
TEST(ResultTensors, hold_once_what_figures_repeat) {
  const auto waves = torch::tensor({{0.0, std::nan("")}, {-0.0, 2.0}}, torch::kFloat);
  const auto row = torch::arange(2);
  Recorder recorder;
  recorder.tensor("waves", waves);
  recorder.figure({"grid", Figure::Kind::heatmap, "", "", "", {{"", row, row.clone(), waves.clone()}}});
  recorder.figure({"others",
                   Figure::Kind::line,
                   "",
                   "",
                   "",
                   {{"another type", row.to(torch::kFloat), row, {}},
                    {"another shape", {}, waves.view({4}), {}},
                    {"another zero", {}, -waves[0], {}},
                    {"a row", {}, waves[0], {}}}});
  const Record& record = recorder.record();
  std::vector<std::string> names;
  for (const auto& [name, tensor] : result_tensors(record)) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"tensor/waves", "figure/grid/0/x", "figure/others/0/x",
                                             "figure/others/1/y", "figure/others/2/y", "figure/others/3/y"}));
  const std::string line = result_line(1, "c", {{"p", &record}});
  const auto figures = nlohmann::ordered_json::parse(line)["probes"]["p"]["figures"];
  EXPECT_EQ(figures[0]["traces"][0].dump(),
            R"({"name":"","x":"figure/grid/0/x","y":"figure/grid/0/x","z":"tensor/waves"})");
  EXPECT_EQ(figures[1]["traces"][0]["y"], "figure/grid/0/x");
  const Record read = parse_result(line, "p", "here", [&](int64_t) { return result_tensors(record); }).record;
  EXPECT_TRUE(read.figures[0].traces[0].z.is_same(read.tensors[0].second));
  EXPECT_TRUE(std::signbit(read.figures[1].traces[2].y[0].item<float>()));
  EXPECT_FALSE(std::signbit(read.figures[1].traces[3].y[0].item<float>()));
}

// Also where a finding or a name has the words by which figures are found.
TEST(ResultWithoutFigures, is_the_line_but_for_them) {
  Recorder recorder;
  recorder.finding({"kind", "drawn", {{"figures", std::vector<int64_t>{1, 2}}, {"tensors", int64_t{3}}}});
  recorder.tensor("t", torch::arange(2));
  recorder.figure({"f",
                   Figure::Kind::line,
                   R"(], "tensors": {)",
                   R"(, "figures": [)",
                   "",
                   {{"", {}, torch::arange(2), {}}}});
  const Record record = recorder.record(), none = Recorder().record();
  for (const Record* each : {&record, &none}) {
    const std::string line = pack_result(result_line(1, "c", {{"p", each}}), *each).line;
    auto whole = checked_result(line, "here");
    EXPECT_EQ(whole["probes"]["p"]["figures"].empty(), each == &none);
    whole["probes"]["p"]["figures"] = nlohmann::json::array();
    EXPECT_EQ(result_without_figures(line, "here"), whole);
  }
}

TEST(ParseResult, gives_back_the_record) {
  const Record record = sample();
  const std::string line = result_line(400, "c", {{"other", &record}, {"trig_loss", &record}});
  int loads = 0;
  const ProbeResult result = parse_result(line, "trig_loss", "here", [&](int64_t step) {
    EXPECT_EQ(step, 400);
    ++loads;
    return result_tensors(record);
  });
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(result.step, 400);
  EXPECT_EQ(result.checkpoint, "c");
  const Record& read = result.record;
  ASSERT_EQ(read.scalars.size(), 2u);
  EXPECT_EQ(read.scalars[0], record.scalars[0]);
  EXPECT_TRUE(std::isnan(read.scalars[1].second));
  EXPECT_EQ(read.headlines, record.headlines);
  ASSERT_EQ(read.findings.size(), 1u);
  EXPECT_EQ(read.findings[0].kind, "key_frequencies");
  EXPECT_EQ(read.findings[0].fields, record.findings[0].fields);
  ASSERT_EQ(read.tensors.size(), 1u);
  EXPECT_TRUE(read.tensors[0].second.equal(record.tensors[0].second));
  ASSERT_EQ(read.figures.size(), 2u);
  EXPECT_EQ(read.figures[0].kind, Figure::Kind::bar);
  EXPECT_EQ(read.figures[0].title, record.figures[0].title);
  EXPECT_TRUE(read.figures[0].traces[0].y.equal(record.figures[0].traces[0].y));
  EXPECT_FALSE(read.figures[0].traces[1].x.defined());
  EXPECT_TRUE(read.figures[1].traces[0].z.equal(torch::ones({2, 3})));
  EXPECT_EQ(result_line(400, "c", {{"other", &read}, {"trig_loss", &read}}), line);
}

TEST(ParseResult, leaves_out_data_without_a_loader) {
  const Record record = sample();
  const ProbeResult result = parse_result(result_line(1, "c", {{"p", &record}}), "p", "here");
  EXPECT_EQ(result.record.scalars.size(), 2u);
  EXPECT_TRUE(result.record.figures.empty());
  EXPECT_TRUE(result.record.tensors.empty());
}

TEST(ParseResult, loads_nothing_where_there_is_nothing) {
  const Record record;
  parse_result(result_line(1, "c", {{"p", &record}}), "p", "here", [](int64_t) -> NamedTensors {
    ADD_FAILURE() << "asked for tensors that are not there";
    return {};
  });
}

TEST(ParseResult, findings_of_every_type_come_back) {
  const double infinity = std::numeric_limits<double>::infinity();
  Record record;
  record.findings.push_back({"all",
                             "everything",
                             {{"flag", true},
                              {"integer", int64_t{9007199254740993}},
                              {"real", 1.0},
                              {"infinite", infinity},
                              {"text", std::string("a\tb")},
                              {"integers", std::vector<int64_t>{1, -2}},
                              {"reals", std::vector<double>{1.0, -infinity}},
                              {"infinities", std::vector<double>{infinity}},
                              {"texts", std::vector<std::string>{"NaN", "b"}},
                              {"none", std::vector<int64_t>{}}}});
  const ProbeResult result = parse_result(result_line(1, "c", {{"p", &record}}), "p", "here");
  EXPECT_EQ(result.record.findings.at(0).fields, record.findings[0].fields);
}

TEST(ResultLine, refuses_a_field_called_kind) {
  Record record;
  record.findings.push_back({"f", "k", {{"kind", int64_t{1}}}});
  expect_holds(error_of([&] { result_line(1, "c", {{"p", &record}}); }), "no field may be called \"kind\"");
}

// Whatever a damaged or hostile line holds, it is read or refused.
TEST(ParseResult, takes_or_refuses_any_line) {
  const Record record = sample();
  const std::string good = result_line(1, "c", {{"p", &record}});
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::vector<std::string> words = {"{", "}",     "[",       "]",  "null", "true",
                                          "3", "1e999", "\"NaN\"", ", ", "\"",   "-"};
  const NamedTensors tensors = result_tensors(record);
  size_t refused = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string line = good;
    for (size_t n = 1 + below(3); n > 0; --n)
      line.replace(below(line.size()), below(12), words[below(words.size())]);
    refused +=
        error_of([&] { parse_result(line, "p", "here", [&](int64_t) { return tensors; }); }) != "no error";
  }
  EXPECT_GT(refused, 1'000u);
  for (const char* flag : {"\"x_log\": 3", "\"x_log\": null"}) {
    std::string line = good;
    line.replace(line.find("\"x_log\": true"), 13, flag);
    expect_holds(
        error_of([&] { parse_result(line, "p", "here", [&](int64_t) { return result_tensors(record); }); }),
        "here: ");
  }
}

TEST(ParseResult, a_damaged_line_says_where_and_what) {
  const Record record = sample();
  const std::string good = result_line(1, "c", {{"p", &record}});
  const auto message = [&](const std::string& from, const std::string& to, const std::string& label = "p") {
    std::string line = good;
    const size_t at = line.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    line.replace(at, from.size(), to);
    return error_of([&] {
      parse_result(line, label, "results.jsonl:2", [&](int64_t) { return result_tensors(record); });
    });
  };
  expect_holds(message("{", "{"), "no error");
  expect_holds(message("{", "{", "q"), "results.jsonl:2: the key \"q\" is missing");
  expect_holds(message("}}}}", "}}}"), "results.jsonl:2: not valid JSON");
  expect_holds(message("\"scalars\": {", "\"s\": {"), "the key \"scalars\" is missing");
  expect_holds(message("\"headlines\": [\"loss/train\"]", "\"headlines\": 3"),
               "\"headlines\": expected a list, found number");
  expect_holds(message("\"tensors\": {\"norms\": \"tensor/norms\"}", "\"tensors\": []"),
               "\"tensors\": expected an object");
  expect_holds(message("0.125", "\"x\""), "\"loss/train\": expected a number");
  expect_holds(message("\"bar\"", "\"pie\""), "no figure is of kind \"pie\"");
  expect_holds(message("figure/grid/0/z", "figure/gird/0/z"),
               "the tensor \"figure/gird/0/z\" is not in the file");
  expect_holds(message("\"figures\": [{", "\"figures\": [3, {"), "expected an object with \"name\"");
  expect_holds(message("[14, 35]", "[14, {}]"),
               "\"frequencies\": expected a list of integers, of reals or of text");
}

}  // namespace
}  // namespace orrery::engine::results_test
