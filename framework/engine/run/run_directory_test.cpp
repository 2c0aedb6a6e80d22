#include "engine/run/run_directory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <torch/types.h>
#include <unistd.h>

#include <cmath>
#include <limits>

#include "engine/run/log_claim.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine::run_directory_test {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;
using Access = RunDirectory::Access;

RunDirectory new_run(const fs::path& path) {
  RunDirectory run = RunDirectory::create(path);
  run.write_run_json(R"({"seed": 1})");
  return run;
}

Record record_of(double loss, bool with_data = true) {
  Recorder recorder;
  recorder.scalar("loss", loss);
  if (with_data) {
    recorder.tensor("norms", torch::full({3}, loss));
    recorder.figure(
        {"curve", Figure::Kind::line, "t", "x", "y", {{"a", torch::arange(2), torch::full({2}, loss), {}}}});
  }
  return recorder.record();
}

std::vector<int64_t> checkpoint_steps(const RunDirectory& run) {
  std::vector<int64_t> steps;
  for (const CheckpointFile& file : run.checkpoints()) steps.push_back(file.step);
  return steps;
}

TEST(RunDirectory, names_files_as_documented) {
  const TestFolder folder;
  const RunDirectory run = new_run(folder / "run");
  EXPECT_EQ(RunDirectory::checkpoint_name(1000), "checkpoints/step_00001000.safetensors");
  EXPECT_EQ(run.checkpoint_path(1000), folder / "run/checkpoints/step_00001000.safetensors");
  EXPECT_EQ(run.state_path(1000), folder / "run/checkpoints/step_00001000.state.safetensors");
  EXPECT_EQ(run.checkpoint_path(1234567890), folder / "run/checkpoints/step_1234567890.safetensors");
  EXPECT_EQ(run.probe_folder("trig_loss"), folder / "run/probes/trig_loss");
}

TEST(RunDirectory, create_makes_the_folders_and_overwrites_nothing) {
  const TestFolder folder;
  { const RunDirectory run = new_run(folder / "a/b/run"); }
  const std::string message = error_of([&] { RunDirectory::create(folder / "a/b/run"); });
  expect_holds(message, "a/b/run: this folder is not empty");
  expect_holds(message, "--resume");
  fs::create_directory(folder / "empty");
  RunDirectory::create(folder / "empty");
  write_file(folder / "file", "text");
  expect_holds(error_of([&] { RunDirectory::create(folder / "file"); }),
               "expected a folder for a new run, found a file");
  expect_holds(error_of([&] { RunDirectory::create(folder / "file/run"); }), "cannot make this folder");
  fs::create_directory(folder / "mine");
  write_file(folder / "mine/notes.txt", "text");
  expect_holds(error_of([&] { RunDirectory::create(folder / "mine"); }), "not empty");
  EXPECT_FALSE(fs::exists(folder / "mine/.lock")) << "a refused folder must stay as it was";
}

TEST(RunDirectory, open_says_what_is_wrong) {
  const TestFolder folder;
  expect_holds(error_of([&] { RunDirectory::open(folder / "none"); }), "none: no such folder");
  expect_holds(error_of([&] { RunDirectory::open(folder.path()); }), "there is no run.json in this folder");
  write_file(folder / "file", "text");
  expect_holds(error_of([&] { RunDirectory::open(folder / "file"); }),
               "expected the folder of a run, found a file");
  write_file(folder / "run.json", "{\"seed\": ");
  expect_holds(error_of([&] { RunDirectory::open(folder.path()); }), "run.json: not valid JSON");
  fs::remove(folder / "run.json");
  fs::create_directory(folder / "run.json");
  expect_holds(error_of([&] { RunDirectory::open(folder.path()); }), "run.json: cannot read: Is a directory");
  EXPECT_THROW(RunDirectory::open(folder / "none"), UsageError);
}

TEST(RunDirectory, run_json_comes_back_and_must_be_json) {
  const TestFolder folder;
  { RunDirectory run = new_run(folder / "run"); }
  RunDirectory run = RunDirectory::open(folder / "run");
  EXPECT_EQ(run.read_run_json(), R"({"seed": 1})");
  expect_holds(error_of([&] { run.write_run_json("seed = 1"); }), "run.json: not valid JSON");
  EXPECT_EQ(run.read_run_json(), R"({"seed": 1})");
}

TEST(RunDirectory, has_one_writer_and_many_readers) {
  const TestFolder folder;
  {
    const RunDirectory run = new_run(folder / "run");
    const std::string message = error_of([&] { RunDirectory::open(folder / "run"); });
    expect_holds(message,
                 "run: another process (process " + std::to_string(getpid()) + ") is writing to this run");
    RunDirectory reader = RunDirectory::open(folder / "run", Access::read);
    EXPECT_EQ(reader.read_run_json(), R"({"seed": 1})");
    expect_holds(error_of([&] { reader.metrics(); }), "opened for reading only");
    expect_holds(error_of([&] { reader.trim_after(0); }), "opened for reading only");
    expect_holds(error_of([&] { reader.save_probe_result("p", 0, "c", {}); }), "opened for reading only");
    expect_holds(error_of([&] { reader.write_run_json("{}"); }), "opened for reading only");
  }
  RunDirectory::open(folder / "run");
}

TEST(RunDirectory, a_killed_writer_holds_no_lock) {
  const TestFolder folder;
  { const RunDirectory run = new_run(folder / "run"); }
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const RunDirectory run = RunDirectory::open(folder / "run");
    const ssize_t told = write(ready[1], "x", 1);
    for (;;) told < 0 ? _exit(1) : static_cast<void>(pause());
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  expect_holds(error_of([&] { RunDirectory::open(folder / "run"); }),
               "another process (process " + std::to_string(child) + ")");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(error_of([&] { RunDirectory::open(folder / "run"); }), "no error");
  close(ready[0]);
  close(ready[1]);
}

TEST(RunDirectory, lists_checkpoints_and_nothing_else) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  EXPECT_TRUE(run.checkpoints().empty());
  for (const int64_t step : {1000, 0, 123456789, 200})
    write_tensors(run.checkpoint_path(step), {{"w", torch::ones({1})}});
  write_tensors(run.state_path(200), {});
  for (const char* name :
       {".step_00000300.safetensors.1-0.tmp", "step_7.safetensors", "step_00000008.safetensors.bak",
        "step_-0000001.safetensors", "notes.txt", "step_.safetensors"})
    write_file(folder / "run/checkpoints" / name, "");
  EXPECT_EQ(checkpoint_steps(run), (std::vector<int64_t>{0, 200, 1000, 123456789}));
  EXPECT_EQ(run.checkpoints()[1].path, run.checkpoint_path(200));
  EXPECT_EQ(run.states(), (std::vector<int64_t>{200}));
}

TEST(RunDirectory, keeps_one_state) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  for (const int64_t step : {0, 100, 200}) {
    write_tensors(run.checkpoint_path(step), {});
    write_tensors(run.state_path(step), {});
  }
  run.drop_states_but(200);
  EXPECT_EQ(run.states(), (std::vector<int64_t>{200}));
  EXPECT_EQ(checkpoint_steps(run), (std::vector<int64_t>{0, 100, 200}));
}

TEST(RunDirectory, opening_sweeps_what_a_killed_writer_left) {
  const TestFolder folder;
  const fs::path temporary = folder / "run/checkpoints/.step_00000300.safetensors.1-0.tmp";
  {
    RunDirectory run = new_run(folder / "run");
    run.metrics().append(metrics_line(1, {}));
  }
  write_file(temporary, "half");
  write_file(folder / "run/metrics.jsonl", metrics_line(1, {}) + "\n{\"step\": 2, \"tr");
  EXPECT_EQ(RunDirectory::open(folder / "run", Access::read).read_metrics().size(), 1u);
  EXPECT_TRUE(fs::exists(temporary)) << "a reader must not touch what a writer may be writing";
  RunDirectory run = RunDirectory::open(folder / "run");
  EXPECT_FALSE(fs::exists(temporary));
  run.metrics().append(metrics_line(2, {}));
  EXPECT_EQ(run.read_metrics().size(), 2u);
}

TEST(RunDirectory, metrics_come_back_and_bad_lines_are_placed) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  EXPECT_TRUE(run.read_metrics().empty());
  run.metrics().append(metrics_line(0, {{"train/loss", 4.75}, {"test/loss", std::nan("")}}));
  run.metrics().append(metrics_line(100, {{"train/loss", 0.5}}));
  const std::vector<MetricsRow> rows = run.read_metrics();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].step, 100);
  EXPECT_EQ(rows[0].values[0].second, 4.75);
  EXPECT_TRUE(std::isnan(rows[0].values[1].second));
  run.metrics().append("nonsense");
  expect_holds(error_of([&] { run.read_metrics(); }), "metrics.jsonl:3: not valid JSON");
}

TEST(RunDirectory, probe_results_come_back) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  EXPECT_TRUE(run.read_probe_results("trig_loss").empty());
  run.save_probe_result("trig_loss", 100, RunDirectory::checkpoint_name(100), record_of(0.25));
  run.save_probe_result("trig_loss", 0, RunDirectory::checkpoint_name(0), record_of(0.5, false));
  EXPECT_EQ(run.probe_labels(), (std::vector<std::string>{"trig_loss"}));
  EXPECT_FALSE(fs::exists(folder / "run/probes/trig_loss/step_00000000.safetensors"));
  const RunDirectory reader = RunDirectory::open(folder / "run", Access::read);
  const auto results = reader.read_probe_results("trig_loss");
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].step, 0);
  EXPECT_EQ(results[1].checkpoint, "checkpoints/step_00000100.safetensors");
  EXPECT_EQ(results[1].record.scalars[0].second, 0.25);
  EXPECT_TRUE(results[1].record.tensors.at(0).second.equal(torch::full({3}, 0.25)));
  EXPECT_TRUE(results[1].record.figures.at(0).traces.at(0).x.equal(torch::arange(2)));
  const auto light = reader.read_probe_results("trig_loss", RunDirectory::ProbeData::leave_out);
  EXPECT_EQ(light[1].record.scalars[0].second, 0.25);
  EXPECT_TRUE(light[1].record.figures.empty());
}

TEST(RunDirectory, probing_a_step_again_replaces_its_result) {
  const TestFolder folder;
  {
    RunDirectory run = new_run(folder / "run");
    run.save_probe_result("p", 0, "c", record_of(1));
    run.save_probe_result("p", 100, "c", record_of(2));
    run.save_probe_result("p", 100, "c", record_of(3));
  }
  RunDirectory run = RunDirectory::open(folder / "run");
  run.save_probe_result("p", 0, "c", record_of(4, false));
  const auto results = run.read_probe_results("p");
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].record.scalars[0].second, 4);
  EXPECT_EQ(results[1].record.scalars[0].second, 3);
  EXPECT_TRUE(results[1].record.tensors.at(0).second.equal(torch::full({3}, 3.0)));
  EXPECT_FALSE(fs::exists(folder / "run/probes/p/step_00000000.safetensors"))
      << "data of the replaced result";
}

TEST(RunDirectory, clearing_a_probe_leaves_the_others) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  run.save_probe_result("a", 0, "c", record_of(1));
  run.save_probe_result("b", 0, "c", record_of(2));
  run.clear_probe_results("a");
  run.clear_probe_results("never_run");
  EXPECT_TRUE(run.read_probe_results("a").empty());
  EXPECT_FALSE(fs::exists(folder / "run/probes/a/step_00000000.safetensors"));
  EXPECT_EQ(run.read_probe_results("b").size(), 1u);
  run.save_probe_result("a", 0, "c", record_of(3));
  EXPECT_EQ(run.read_probe_results("a").at(0).record.scalars[0].second, 3);
}

TEST(RunDirectory, labels_stay_inside_the_run) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  for (const char* label : {"", ".", "..", "../../escape", "a/b", ".hidden", "a\nb"})
    EXPECT_THROW(run.save_probe_result(label, 0, "c", record_of(1)), UsageError) << label;
  run.save_probe_result("fourier_basis-2.x", 0, "c", record_of(1));
}

TEST(RunDirectory, create_begins_again_where_a_run_was_killed_before_its_run_json) {
  const TestFolder folder;
  RunDirectory::create(folder / "run");
  write_file(folder / "run/.run.json.7-0.tmp", "{");
  RunDirectory::create(folder / "run").write_run_json("{}");
  expect_holds(error_of([&] { RunDirectory::create(folder / "run"); }), "not empty");
}

TEST(RunDirectory, refuses_links_and_pipes) {
  const TestFolder folder;
  { RunDirectory run = new_run(folder / "run"); }
  write_file(folder / "notes", "a line\nand one without an end");
  const auto refused = [&](const std::string& name, const std::string& found) {
    const std::string at = (folder / "run" / name).string() + ": " + found;
    expect_holds(error_of([&] { RunDirectory::open(folder / "run"); }), at);
    expect_holds(error_of([&] { RunDirectory::open(folder / "run", Access::read); }), at);
    expect_holds(error_of([&] { RunDirectory::inspect(folder / "run"); }), at);
    fs::remove(folder / "run" / name);
  };
  for (const char* name : {"metrics.jsonl", "probes/p", "checkpoints/step_00000000.safetensors"}) {
    fs::create_symlink(folder / "notes", folder / "run" / name);
    refused(name, "a link");
  }
  fs::remove(folder / "run/.lock");
  fs::create_symlink(folder / "notes", folder / "run/.lock");
  refused(".lock", "a link");
  ASSERT_EQ(mkfifo((folder / "run/metrics.jsonl").c_str(), 0644), 0);
  refused("metrics.jsonl", "a pipe or device");
  EXPECT_EQ(read_file(folder / "notes"), "a line\nand one without an end");
  fs::create_directory_symlink(folder / "run", folder / "latest");
  EXPECT_EQ(error_of([&] { RunDirectory::open(folder / "latest"); }), "no error");
}

TEST(RunDirectory, misses_metrics_that_a_checkpoint_claims) {
  const TestFolder folder;
  {
    RunDirectory run = new_run(folder / "run");
    EXPECT_EQ(error_of([&] { run.check_metrics(); }), "no error");
    for (const int64_t step : {0, 5, 10}) run.metrics().append(metrics_line(step, {{"loss", 0.5}}));
    write_tensors(run.state_path(10), {}, as_metadata(run.metrics().content()));
    write_tensors(run.checkpoint_path(10), {});
    run.metrics().append(metrics_line(15, {}));
    EXPECT_EQ(run.claimed_metrics()->lines, 3);
    EXPECT_EQ(error_of([&] { run.check_metrics(); }), "no error");
    EXPECT_EQ(run.read_metrics().size(), 4u);
  }
  const RunDirectory run = RunDirectory::open(folder / "run", Access::read);
  const std::string text = read_file(folder / "run/metrics.jsonl");
  write_file(folder / "run/metrics.jsonl", "");
  expect_holds(error_of([&] { run.read_metrics(); }),
               "metrics.jsonl: it has 0 lines, but when step 10 was saved it had 3");
  std::vector<std::string> heard;
  run.read_metrics([&](const Error& error) { heard.push_back(error.what()); });
  EXPECT_EQ(heard.size(), 1u);
  fs::remove(folder / "run/metrics.jsonl");
  expect_holds(error_of([&] { run.read_metrics(); }), "it has 0 lines");
  std::string changed = text;
  changed.replace(text.find("0.5"), 3, "0.7");
  write_file(folder / "run/metrics.jsonl", changed);
  expect_holds(error_of([&] { run.read_metrics(); }),
               "damaged: it is not what it was when step 10 was saved");
}

TEST(RunDirectory, misses_metrics_of_an_earlier_version) {
  const TestFolder folder;
  RunDirectory run = RunDirectory::create(folder / "run");
  run.write_run_json(
      R"({"config": {"train": {"eval_every": 5}}, "sessions": [{"from": 0, "ended": "stopped"}]})");
  write_tensors(run.state_path(12), {});
  write_tensors(run.checkpoint_path(12), {});
  expect_holds(error_of([&] { run.check_metrics(); }), "it has 0 lines and none of step 10, though step 12");
  for (const int64_t step : {0, 5, 10}) run.metrics().append(metrics_line(step, {}));
  EXPECT_EQ(error_of([&] { run.check_metrics(); }), "no error");
}

TEST(RunDirectory, trimming_drops_nothing_if_a_line_is_damaged) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  write_file(folder / "run/metrics.jsonl", metrics_line(0, {}) + "\n" + metrics_line(7, {}) + "\n");
  fs::create_directory(folder / "run/probes/p");
  write_file(folder / "run/probes/p/results.jsonl", "dear diary\nwithout an end");
  expect_holds(error_of([&] { run.trim_after(5); }), "p/results.jsonl:1: not valid JSON");
  EXPECT_EQ(run.read_metrics().size(), 2u);
  EXPECT_EQ(read_file(folder / "run/probes/p/results.jsonl"), "dear diary\nwithout an end");
}

TEST(RunDirectory, trimming_drops_all_that_came_later) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  for (const int64_t step : {0, 100, 200, 300}) {
    run.metrics().append(metrics_line(step, {{"train/loss", 1.0}}));
    write_tensors(run.checkpoint_path(step), {});
    write_tensors(run.state_path(step), {});
    run.save_probe_result("p", step, RunDirectory::checkpoint_name(step),
                          record_of(static_cast<double>(step)));
  }
  // data whose line was never written
  write_tensors(folder / "run/probes/p/step_00000400.safetensors", {});
  run.trim_after(150);
  EXPECT_EQ(checkpoint_steps(run), (std::vector<int64_t>{0, 100}));
  EXPECT_EQ(run.states(), (std::vector<int64_t>{0, 100}));
  EXPECT_EQ(run.read_metrics().size(), 2u);
  EXPECT_EQ(run.read_probe_results("p").size(), 2u);
  for (const char* name :
       {"step_00000200.safetensors", "step_00000300.safetensors", "step_00000400.safetensors"})
    EXPECT_FALSE(fs::exists(folder / "run/probes/p" / name)) << name;
  run.save_probe_result("p", 200, "c", record_of(7));
  run.metrics().append(metrics_line(200, {}));
  EXPECT_EQ(run.read_probe_results("p").at(2).record.scalars[0].second, 7);
  EXPECT_EQ(run.read_metrics().at(2).step, 200);
}

}  // namespace
}  // namespace orrery::engine::run_directory_test
