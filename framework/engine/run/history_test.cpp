// What a conclusion is given of a run: the tensors and findings that it names, read when they are asked for.
#include "engine/run/history.h"

#include <gtest/gtest.h>

#include <fstream>

#include "engine/run/curves.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

Record keyed(int64_t step, bool found) {
  Recorder recorder;
  recorder.scalar("x", static_cast<double>(step));
  recorder.tensor("shares/all", torch::full({3}, static_cast<double>(step), torch::kFloat64));
  recorder.tensor("bias", torch::tensor({step}, torch::kInt64));
  if (found) recorder.finding({"keys", "key_frequencies", {{"frequencies", std::vector<int64_t>{step}}}});
  return recorder.record();
}

// Probes "mine" (steps 0, 10, 20; a finding from 10 on) and "other" (step 10).
class HistoryOfRun : public ::testing::Test {
 protected:
  HistoryOfRun() : run(RunDirectory::create(folder / "run")) {
    run.write_run_json("{}");
    run.metrics().append(metrics_line(0, {{"test/loss", 4.0}}));
    for (const int64_t step : {20, 0, 10}) run.save_probe_result("mine", step, "c", keyed(step, step > 0));
    run.save_probe_result("other", 10, "c", keyed(11, true));
  }
  RunHistory all() const {
    return {all_curves(read_curves(run)),
            {{"mine", read_records(run, "mine")}, {"other", read_records(run, "other")}}};
  }
  History chosen(const Needs& needs) const { return choose_history(all(), needs, "mine"); }

  TestFolder folder;
  RunDirectory run;
};

std::vector<std::string> tensor_names(const History& history) {
  std::vector<std::string> names;
  for (const TensorSeries& series : history.tensors) names.push_back(series.name);
  return names;
}

TEST_F(HistoryOfRun, OwnRecordsGoByTheirNamesAndOthersByTheirLabels) {
  const History own = chosen({.tensors = {"*"}, .findings = {"keys"}});
  EXPECT_EQ(tensor_names(own), (std::vector<std::string>{"bias", "shares/all"}));
  EXPECT_EQ(own.tensor("shares/all").steps, (std::vector<int64_t>{0, 10, 20}));
  EXPECT_TRUE(own.tensor("shares/all").at(20).equal(torch::full({3}, 20.0, torch::kFloat64)));
  EXPECT_EQ(own.tensor("bias").at(10).item<int64_t>(), 10);
  EXPECT_EQ(own.finding("keys").steps, (std::vector<int64_t>{10, 20}));
  EXPECT_EQ(std::get<std::vector<int64_t>>(own.finding("keys").findings[1].fields.at("frequencies")),
            std::vector<int64_t>{20});

  const History others = chosen({.tensors = {"probe/o*/bias"}, .findings = {"probe/*/keys"}});
  EXPECT_EQ(tensor_names(others), std::vector<std::string>{"probe/other/bias"});
  EXPECT_EQ(others.tensors[0].at(10).item<int64_t>(), 11);
  ASSERT_EQ(others.findings.size(), 2u);
  EXPECT_EQ(others.findings[0].name, "probe/mine/keys");
  EXPECT_EQ(others.findings[1].name, "probe/other/keys");
}

TEST_F(HistoryOfRun, WhatIsNotNamedIsNotGiven) {
  const History none = chosen({.curves = {"test/*"}});
  EXPECT_EQ(none.curves.size(), 1u);
  EXPECT_TRUE(none.tensors.empty() && none.findings.empty());
  EXPECT_EQ(labels_read({.tensors = {"x"}}, "mine", {"mine", "other"}), std::vector<std::string>{"mine"});
  EXPECT_EQ(labels_read({.findings = {"probe/ot*/x"}}, "mine", {"mine", "other"}),
            std::vector<std::string>{"other"});
  EXPECT_TRUE(labels_read({.curves = {"probe/other/x"}}, "mine", {"mine", "other"}).empty());
}

TEST_F(HistoryOfRun, SaysWhatWasNotRecorded) {
  expect_holds(
      error_of([&] { chosen({.tensors = {"shares/al"}}); }),
      "probe \"mine\" concludes from the tensor \"shares/al\", but no probe of the run recorded one (did you "
      "mean \"shares/all\"?)");
  expect_holds(
      error_of([&] { chosen({.findings = {"probe/othr/keys"}}); }),
      "probe \"mine\" concludes from the findings \"probe/othr/keys\", but the run has no results of a probe "
      "\"othr\" (did you mean \"other\"?)");
  EXPECT_TRUE(chosen({.findings = {"phases"}}).findings.empty());  // nothing found is an answer
}

TEST_F(HistoryOfRun, ADamagedOrMissingFileIsNamedWhenItIsRead) {
  const History history = chosen({.tensors = {"bias"}});
  const std::filesystem::path file = run.probe_data_path("mine", 10);
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end).put('\x55');
  EXPECT_EQ(history.tensor("bias").at(0).item<int64_t>(), 0);  // the others are whole
  expect_holds(error_of([&] { history.tensor("bias").at(10); }), "mine/step_00000010.safetensors");
  std::filesystem::remove(file);
  expect_holds(error_of([&] { history.tensor("bias").at(10); }), "mine/step_00000010.safetensors");
  run.save_probe_result("mine", 10, "c", Record{});
  write_tensors(file, {{"tensor/other", torch::zeros({1})}});
  expect_holds(
      error_of([&] { history.tensor("bias").at(10); }),
      "step_00000010.safetensors: it lacks the tensor \"bias\", which the results of step 10 say it holds");
}

TEST_F(HistoryOfRun, TheHashIsOfWhatIsGiven) {
  const Needs curves{.curves = {"test/loss"}}, own{.tensors = {"bias"}, .findings = {"keys"}};
  const auto hash = [&](const Needs& needs) { return sha256_of(all(), needs, "mine"); };
  // As before there were others: stored conclusions stay valid.
  EXPECT_EQ(hash(curves), sha256_of(choose_curves(all().curves, {"test/loss"}, "mine")));
  const std::string before = hash(own), of_curves = hash(curves);
  EXPECT_EQ(hash(own), before);
  run.save_probe_result("other", 10, "c", keyed(12, false));
  EXPECT_EQ(hash(own), before);  // not asked for
  Record changed = keyed(10, true);
  changed.tensors[1].second = torch::tensor({7}, torch::kInt64);
  run.save_probe_result("mine", 10, "c", changed);
  const std::string with_other_tensor = hash(own);
  EXPECT_NE(with_other_tensor, before);
  run.save_probe_result("mine", 20, "c", keyed(20, false));
  EXPECT_NE(hash(own), with_other_tensor);
  std::filesystem::remove(run.probe_data_path("mine", 0));
  EXPECT_NE(hash({.tensors = {"bias"}}), "");
  EXPECT_EQ(hash(curves), of_curves);
}

}  // namespace
}  // namespace orrery::engine
