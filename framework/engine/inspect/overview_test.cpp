#include "engine/inspect/overview.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "engine/config/train_settings.h"
#include "engine/inspect/changes.h"
#include "engine/run/run_lock.h"
#include "sdk/files/tensors.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

Json run_json(const std::string& ended, Json config = Json::object()) {
  return {{"orrery", "0.1.0"},
          {"n_parameters", 12},
          {"config", std::move(config)},
          {"sessions", {{{"started", "2026-01-31T12:00:00Z"}, {"from", 0}, {"ended", ended}}}}};
}

SessionInfo session(const std::string& started, int64_t from, std::optional<int64_t> to = {},
                    std::optional<double> seconds = {}) {
  SessionInfo session;
  session.started = started;
  session.from = from;
  session.to = to;
  session.seconds = seconds;
  return session;
}

SessionInfo ended(const std::string& how) {
  SessionInfo session;
  session.ended = how;
  return session;
}

RunJson info_ended(const std::string& how) {
  RunJson info;
  info.sessions.push_back(ended(how));
  return info;
}

TEST(RunState, is_read_off_the_last_session_and_the_lock) {
  EXPECT_EQ(state_of(info_ended("finished"), false), RunState::finished);
  EXPECT_EQ(state_of(info_ended("condition"), true), RunState::finished);  // being probed
  EXPECT_EQ(state_of(info_ended("running"), true), RunState::training);
  EXPECT_EQ(state_of(info_ended("running"), false), RunState::interrupted);  // killed
  EXPECT_EQ(state_of(info_ended("stopped"), false), RunState::interrupted);
  EXPECT_EQ(state_of(info_ended("diverged"), false), RunState::diverged);
  EXPECT_EQ(state_of(info_ended("imported"), false), RunState::imported);
  RunJson twice = info_ended("stopped");
  twice.sessions.push_back(ended("finished"));
  EXPECT_EQ(state_of(twice, false), RunState::finished);
  EXPECT_EQ(state_of({}, true), RunState::training);
}

TEST(RunLock, can_be_seen_without_being_taken) {
  const TestFolder folder;
  EXPECT_FALSE(RunLock::is_held(folder.path()));
  {
    const RunLock lock(folder.path());
    EXPECT_TRUE(RunLock::is_held(folder.path()));
    expect_holds(error_of([&] { RunLock(folder.path()); }), "another process");
  }
  EXPECT_FALSE(RunLock::is_held(folder.path()));
  const RunLock again(folder.path());
}

TEST(RunJson, tells_when_a_step_was_made) {
  RunJson info;
  EXPECT_EQ(wall_time_of(info, 5), 0);
  info.sessions = {session("1970-01-01T00:01:40Z", 0, 100, 10), session("1970-01-01T01:00:00Z", 100, 300, 50),
                   session("1970-01-02T00:00:00Z", 300)};
  EXPECT_EQ(wall_time_of(info, 0), 100);
  EXPECT_EQ(wall_time_of(info, 50), 105);
  EXPECT_EQ(wall_time_of(info, 100), 110);  // the first session made it
  EXPECT_EQ(wall_time_of(info, 200), 3625);
  EXPECT_EQ(wall_time_of(info, 301), 86400);  // killed: unknown
}

// Three sessions, as they are written: keep_last was 0, then 2, then 0 again.
TEST(RunJson, tells_which_checkpoints_a_session_may_have_thinned) {
  const TestFolder folder;
  const auto changed = [](int64_t from, int64_t to) {
    return Json{{{"key", "train.steps"}, {"from", 10}, {"to", 20}},
                {{"key", "checkpoints.keep_last"}, {"from", from}, {"to", to}}};
  };
  Json about = run_json("finished", {{"checkpoints", {{"keep_last", 0}}}});
  about["sessions"] = {{{"from", 0}, {"to", 100}, {"ended", "stopped"}},
                       {{"from", 100}, {"ended", "running"}, {"overrides", changed(0, 2)}},  // killed
                       {{"from", 200}, {"to", 300}, {"ended", "finished"}, {"overrides", changed(2, 0)}}};
  write_file(folder / "run.json", about.dump());
  const RunJson info = read_run_json(folder.path());
  for (const int64_t step : {0, 100, 200}) EXPECT_TRUE(info.may_be_thinned(step)) << step;
  EXPECT_FALSE(info.may_be_thinned(210));
  about["pruned"] = {{{"steps", {210}}}};
  write_file(folder / "run.json", about.dump());
  EXPECT_TRUE(read_run_json(folder.path()).may_be_thinned(210));

  about = run_json("finished", {{"checkpoints", {{"keep_last", 0}}}});
  write_file(folder / "run.json", about.dump());
  EXPECT_FALSE(read_run_json(folder.path()).may_be_thinned(0));
}

TEST(Curves, have_a_best_where_one_value_is_better) {
  const Curve loss{"test/loss", {0, 10, 20, 30}, {3, std::nan(""), 1, 1}};
  EXPECT_EQ(best(loss)->step, 20);
  EXPECT_EQ(best(loss)->value, 1);
  EXPECT_EQ(highest(loss)->value, 3);
  const Curve accuracy{"test/accuracy", {0, 10, 20}, {0.1, 0.99, 0.5}};
  EXPECT_EQ(best(accuracy)->step, 10);
  EXPECT_EQ(first_at_least(accuracy, 0.99), 10);
  EXPECT_FALSE(first_at_least(accuracy, 1));
  EXPECT_FALSE(best({"weights/norm", {0}, {1}}));
  EXPECT_FALSE(lowest({"x", {0}, {std::nan("")}}));
}

// A run with two checkpoints, three rows and one probe.
void make_run(const fs::path& path) {
  RunDirectory run = RunDirectory::create(path);
  run.write_run_json(run_json("stopped", Json::parse(R"({"name": "small", "train": {"steps": 300},
      "probe": [{"name": "norms", "label": "second", "every": 100}, {"name": "norms", "label": "first", "every": 0}]})"))
                         .dump());
  for (const int64_t step : {0, 100, 200}) {
    run.metrics().append(metrics_line(step, {{"train/loss", 4.0 / (1.0 + step)}, {"a", 1.0}}));
    if (step == 200) continue;
    write_tensors(run.checkpoint_path(step), {{"W", torch::ones({2, 3})}}, {});
    Recorder recorder;
    recorder.headline("size", step + 0.5);
    recorder.scalar("other", 1);
    run.save_probe_result("first", step, RunDirectory::checkpoint_name(step), recorder.record(),
                          Provenance{"x", "norms", "1.2.3", {}, "", "", ""});
  }
  write_tensors(run.state_path(100), {{"m", torch::ones({2, 3})}}, {});
}

TEST(Overview, holds_what_the_files_of_a_run_say) {
  const TestFolder folder;
  make_run(folder / "run");
  const RunOverview seen = look_at(folder / "run");
  EXPECT_TRUE(seen.damage.empty());
  EXPECT_EQ(seen.state, RunState::interrupted);
  EXPECT_FALSE(seen.being_written);
  EXPECT_EQ(seen.resumable_from, 100);
  EXPECT_EQ(seen.step(), 200);
  EXPECT_EQ(seen.n_rows, 3);
  ASSERT_EQ(seen.metrics.size(), 2u);
  EXPECT_EQ(seen.metrics[0].name, "train/loss");  // as in the file, not as in the alphabet
  EXPECT_EQ(seen.checkpoints.size(), 2u);
  uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder / "run/checkpoints")) bytes += entry.file_size();
  EXPECT_EQ(seen.checkpoint_bytes, bytes);
  ASSERT_EQ(seen.probes.size(), 2u);
  EXPECT_EQ(seen.probes[0].label, "second");  // as in the config
  EXPECT_EQ(seen.probes[0].n_results, 0);
  EXPECT_EQ(seen.probes[0].n_due, 2);
  EXPECT_EQ(seen.probes[1].n_results, 2);
  EXPECT_EQ(seen.probes[1].version, "1.2.3");
  ASSERT_EQ(seen.probes[1].headlines.size(), 1u);
  EXPECT_EQ(seen.probes[1].headlines[0].values, (std::vector<double>{0.5, 100.5}));
  EXPECT_FALSE(seen.probes[1].null);
}

TEST(Overview, of_a_damaged_run_has_the_rest) {
  const TestFolder folder;
  make_run(folder / "run");
  write_file(folder / "run/run.json", "{\"config\": ");
  write_file(folder / "run/metrics.jsonl",
             metrics_line(0, {{"a", 1}}) + "\nnonsense\n" + metrics_line(200, {{"a", 2}}) + "\n");
  write_file(folder / "run/checkpoints/step_00000100.safetensors", "short");
  const std::string results = read_file(folder / "run/probes/first/results.jsonl");
  write_file(folder / "run/probes/first/results.jsonl", "{}\n" + results);
  write_file(folder / "run/probes/first/null.json", "[]");
  const RunOverview seen = look_at(folder / "run");
  EXPECT_FALSE(seen.info);
  EXPECT_EQ(seen.state, RunState::damaged);
  EXPECT_EQ(seen.n_rows, 2);
  EXPECT_EQ(seen.step(), 200);
  EXPECT_EQ(seen.checkpoints.size(), 1u);
  EXPECT_FALSE(seen.resumable_from);  // the state is there, its weights are not
  ASSERT_EQ(seen.probes.size(), 1u);
  EXPECT_EQ(seen.probes[0].n_results, 2);
  ASSERT_EQ(seen.damage.size(), 5u);
  const char* places[] = {
      "run.json: not valid JSON", "metrics.jsonl:2: not valid JSON", "step_00000100.safetensors: 5 bytes",
      "results.jsonl:1: the key \"step\" is missing", "null.json: expected a JSON object"};
  for (size_t i = 0; i < 5; ++i) expect_holds(seen.damage[i].what(), places[i]);
}

TEST(Overview, needs_something_of_a_run) {
  const TestFolder folder;
  expect_holds(error_of([&] { look_at(folder / "none"); }), "no such folder");
  expect_holds(error_of([&] { look_at(folder.path()); }), "no run: there is no run.json");
  write_file(folder / "file", "");
  expect_holds(error_of([&] { look_at(folder / "file"); }), "found a file");
}

Json config_of(const std::string& text) { return Json::parse(text); }

TEST(Changes, are_what_is_not_at_its_default) {
  const Json config =
      config_of(R"({"name": "x", "task": {"name": "sums", "p": 7, "split": {"rule": "random"}},
      "model": {"kind": "mlp", "d": 3}, "train": {"lr": 0.001, "eps": 0.5, "betas": [0.9, 0.98]}, "seeds": {"init": 1},
      "checkpoints": {"every": 100}, "probe": [], "log": {"tensorboard": true}})");
  const auto parameters_of = [](const std::string& kind, const std::string& name) -> std::vector<Field> {
    if (name != "sums") throw UsageError("there is no " + kind + " " + name);
    return {{"p", int64_t{5}, "", {}, {}, {}}, {"split.rule", std::string("random"), "", {}, {}, {}}};
  };
  EXPECT_EQ(keys_text(changed_keys(config, parameters_of)), "p=7 d=3 eps=0.5 seeds.init=1");
}

// A star behind what most have.
std::string text_of(const std::vector<Difference>& differences) {
  std::string text;
  for (const Difference& each : differences)
    text += (text.empty() ? "" : " ") + each.key + "=" + value_text(each.value) + (each.common ? "*" : "");
  return text;
}

TEST(Changes, between_runs_are_the_keys_they_disagree_on) {
  const Json a = config_of(
      R"({"name": "a", "task": {"name": "sums", "p": 7, "q": 1}, "train": {"lr": 0.1, "steps": 5}, "model": {"kind": "transformer", "d": 5}})");
  const Json b = config_of(
      R"({"name": "b", "task": {"name": "sums", "p": 9, "q": 1}, "train": {"lr": 0.1, "steps": 9}, "model": {"kind": "transformer", "d": 5}})");
  const Json c = config_of(
      R"({"name": "c", "task": {"name": "other", "p": 11}, "train": {"lr": 0.2}, "model": {"kind": "mlp", "d": 5}})");
  const auto two = differences({&a, &b});
  EXPECT_EQ(text_of(two[0]), "task.p=7");
  EXPECT_EQ(text_of(two[1]), "task.p=9");
  const auto three = differences({&a, &b, &c});
  EXPECT_EQ(text_of(three[1]), "task.p=9 model.kind=transformer* train.lr=0.1*");
  EXPECT_EQ(text_of(three[2]), "model.kind=mlp train.lr=0.2");  // no other run of this task
  EXPECT_TRUE(differences({&a})[0].empty());
}

TEST(Changes, are_written_in_short) {
  EXPECT_EQ(keys_text({{"task.p", 97}, {"train.lr", 1e-8}, {"seeds.init", 1}, {"task.operation", "add"}}),
            "p=97 lr=1e-08 seeds.init=1 operation=add");
  EXPECT_EQ(keys_text({{"model.kind", "mlp"}, {"model.d", 1}}), "model=mlp d=1");
  EXPECT_EQ(keys_text({{"task.d", 1}, {"model.d", 2}, {"init.from", ""}}),
            "task.d=1 model.d=2 init.from=\"\"");
}

}  // namespace
}  // namespace orrery::engine
