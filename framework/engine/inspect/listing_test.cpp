#include "engine/inspect/listing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "sdk/files/atomic_file.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

class Runs : public ::testing::Test {
 protected:
  void SetUp() override {
    make("b/two", 97, "finished", "2026-01-02T00:00:00Z", 0.25);
    make("a", 97, "stopped", "2026-01-03T00:00:00Z", 0.5);
    make("b/one", 113, "finished", "2026-01-01T00:00:00Z", std::nan(""));
    make("b/one/inside", 5, "finished", "2026-01-01T00:00:00Z", 0);  // belongs to one
    make(".hidden", 5, "finished", "2026-01-01T00:00:00Z", 0);
    fs::create_directories(folder / "b/empty");
  }

  void make(const std::string& name, int p, const std::string& ended, const std::string& started,
            double loss) {
    fs::create_directories(folder / name);
    const Json json = {
        {"config", {{"name", name}, {"task", {{"name", "sums"}, {"p", p}}}, {"train", {{"steps", 400}}}}},
        {"sessions", {{{"started", started}, {"from", 0}, {"to", 400}, {"ended", ended}}}}};
    write_file(folder / name / "run.json", json.dump());
    write_file(folder / name / "metrics.jsonl",
               metrics_line(0, {{"test/loss", 9}, {"test/accuracy", 0}}) + "\n" +
                   metrics_line(400, {{"test/loss", loss}, {"test/accuracy", loss}}) + "\n{\"step\": 5");
  }

  std::vector<RunSummary> all() const {
    std::vector<RunSummary> runs;
    for (const fs::path& path : find_runs(folder.path())) runs.push_back(list_run(path));
    return runs;
  }

  std::vector<std::string> names(const std::vector<RunSummary>& runs) const {
    std::vector<std::string> names;
    for (const RunSummary& run : runs) names.push_back(run.path.lexically_relative(folder.path()).string());
    return names;
  }

  TestFolder folder;
};

using Names = std::vector<std::string>;

TEST_F(Runs, have_json_in_which_nan_is_text) {
  const std::vector<RunSummary> runs = all();
  EXPECT_EQ(Json::parse(listing_json(runs[0]))["metrics"]["test/loss"], 0.5);
  const Json json = Json::parse(listing_json(runs[1]));
  EXPECT_EQ(json["metrics"]["test/loss"], "NaN");
  EXPECT_EQ(json["name"], "b/one");
  EXPECT_TRUE(json["damage"].is_null());
}

TEST_F(Runs, are_found_below_a_folder) {
  EXPECT_EQ(names(all()), (Names{"a", "b/one", "b/two"}));
  EXPECT_EQ(find_runs(folder / "b/one"), (std::vector<fs::path>{folder / "b/one"}));
  EXPECT_TRUE(find_runs(folder / "b/empty").empty());
  fs::create_directory_symlink(folder / "b/two", folder / "c");
  fs::create_directory_symlink(folder.path(), folder / "b/loop");
  EXPECT_EQ(names(all()), (Names{"a", "b/one", "b/two", "c"}));
  expect_holds(error_of([&] { find_runs(folder / "none"); }), "none: no such folder");
  fs::create_directories(folder / "sweep");
  write_file(folder / "sweep/plan.json", "{}");
  EXPECT_EQ(sweep_below(folder.path(), folder / "sweep/runs/one"), folder / "sweep");
  EXPECT_EQ(sweep_below(folder / "sweep", folder / "sweep/runs/one"), std::nullopt);
  EXPECT_EQ(sweep_below(folder.path(), folder / "b/one"), std::nullopt);
}

TEST_F(Runs, are_read_at_their_ends) {
  const RunSummary run = list_run(folder / "b/two");
  EXPECT_EQ(run.state, RunState::finished);
  EXPECT_EQ(run.step, 400);
  EXPECT_EQ(run.metric("test/loss"), 0.25);  // the line behind is still being written
  EXPECT_FALSE(run.metric("none"));
  EXPECT_EQ(list_run(folder / "a").state, RunState::interrupted);
}

TEST_F(Runs, say_what_is_damaged) {
  write_file(folder / "a/run.json", "{");
  write_file(folder / "b/one/metrics.jsonl", "nonsense\n");
  write_file(folder / "b/two/metrics.jsonl", "");
  std::vector<RunSummary> runs = all();
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].state, RunState::damaged);
  expect_holds(runs[0].damage, "a/run.json: not valid JSON");
  expect_holds(runs[1].damage, "b/one/metrics.jsonl: its last line: not valid JSON");
  EXPECT_EQ(runs[1].info->task(), "sums");
  EXPECT_EQ(runs[2].state, RunState::finished);
  EXPECT_FALSE(runs[2].last);
  fs::remove(folder / "a/run.json");
  expect_holds(list_run(folder / "a").damage, "run.json: cannot read");
  compare_configs(runs);
  EXPECT_TRUE(runs[0].differences.empty());
  ASSERT_EQ(runs[1].differences.size(), 1u);
  EXPECT_EQ(runs[1].differences[0].key, "task.p");
  EXPECT_EQ(runs[1].differences[0].value, 113);
  EXPECT_EQ(names(filtered(runs, {"p=97"})), (Names{"b/two"}));
  sort_runs(runs, "time");
}

TEST_F(Runs, are_filtered_by_their_configs) {
  EXPECT_EQ(names(filtered(all(), {"task.p=97"})), (Names{"a", "b/two"}));
  EXPECT_EQ(names(filtered(all(), {"p=97.0", "state=finished"})), (Names{"b/two"}));
  EXPECT_EQ(names(filtered(all(), {"task=sums"})), (Names{"a", "b/one", "b/two"}));
  EXPECT_TRUE(filtered(all(), {"task=none"}).empty());
  expect_holds(error_of([&] { filtered(all(), {"task.o=1"}); }), "none of these runs has a key \"task.o\"");
  expect_holds(error_of([&] { filtered(all(), {"p"}); }), "expected KEY=VALUE");
  EXPECT_TRUE(filtered({}, {"p=1"}).empty());
}

TEST_F(Runs, are_sorted) {
  const auto sorted = [&](const std::string& by) {
    std::vector<RunSummary> runs = all();
    sort_runs(runs, by);
    return names(runs);
  };
  EXPECT_EQ(sorted("name"), (Names{"a", "b/one", "b/two"}));
  EXPECT_EQ(sorted("time"), (Names{"a", "b/two", "b/one"}));
  EXPECT_EQ(sorted("test/loss"), (Names{"b/two", "a", "b/one"}));      // NaN last
  EXPECT_EQ(sorted("test/accuracy"), (Names{"a", "b/two", "b/one"}));  // the highest first
  expect_holds(error_of([&] { sorted("test/los"); }), "(did you mean \"test/loss\"?)");
}

TEST(LastLine, is_read_from_the_end) {
  const TestFolder folder;
  const auto last = [&](const std::string& text) {
    write_file(folder / "x", text);
    return read_last_line(folder / "x");
  };
  EXPECT_EQ(last(""), "");
  EXPECT_EQ(last("half"), "");
  EXPECT_EQ(last("one\n"), "one");
  EXPECT_EQ(last("one\ntwo\nhal"), "two");
  EXPECT_EQ(last("one\n\n"), "");
  const std::string line(10000, 'x');  // longer than what is read at once
  EXPECT_EQ(last("one\n" + line + "\n" + line), line);
  EXPECT_EQ(last(line + "\ntwo\n"), "two");
  expect_holds(error_of([&] { read_last_line(folder / "none"); }), "cannot read");
}

}  // namespace
}  // namespace orrery::engine
