// Plans: which folder a point gets, and what is said about one that cannot be.
#include "engine/sweep/sweep_plan.h"

#include <unistd.h>

#include <fstream>

#include "engine/run/json_write.h"
#include "engine/run/run_directory.h"
#include "engine/sweep/sweep_commands.h"
#include "engine/sweep/swept_config.h"
#include "engine/sweep/swept_log.h"
#include "engine/sweep/swept_state.h"
#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using testing::built_in_plugins;
using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

constexpr const char* base =
    "[task]\nname = \"modular_arithmetic\"\np = 5\n[model]\nd_model = 4\nn_heads = 1\nd_head = 4\nd_mlp = 4\n"
    "[train]\nsteps = 20\n";

class SweepPlanTest : public ::testing::Test {
 protected:
  SweepPlan plan(const std::string& text, const std::string& of = base) {
    std::ofstream(folder / "base.toml") << of;
    std::ofstream(folder / "s.toml") << "base = \"base.toml\"\n" + text;
    return plan_sweep(folder / "s.toml", parameters_from(built_in_plugins()), folder / "sweep");
  }
  static std::vector<std::string> ids(const SweepPlan& plan) {
    std::vector<std::string> ids;
    for (const SweptRun& run : plan.runs) ids.push_back(run.id);
    return ids;
  }
  const TestFolder folder;
};

TEST_F(SweepPlanTest, TheIdIsOfTheConfigAndNotOfItsPlace) {
  const auto ids_of = [&](const std::string& text, const std::string& of = base) {
    return ids(plan(text, of));
  };
  const auto two = ids_of("[grid]\ntask.p = [5, 7]\n");
  EXPECT_NE(two[0], two[1]);
  EXPECT_EQ(two[0].size(), 12u);
  EXPECT_EQ(two[0].find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(ids_of("[grid]\ntask.p = [7, 5]\n"), (std::vector<std::string>{two[1], two[0]}));
  // What does not change the run does not change its id: name, expectations, a default written out.
  EXPECT_EQ(ids_of("name = \"other\"\n[set]\ntrain.lr = 1e-3\n")[0], two[0]);
  EXPECT_EQ(ids_of("", std::string("name = \"n\"\n") + base +
                           "[verify]\ntier = \"quick\"\n[gallery]\ntitle = \"t\"\n[[expect]]\nmetric = "
                           "\"train/loss\"\nbound = \"< 1\"\nclaim = \"c\"\nsource = \"x\"\n")[0],
            two[0]);
  EXPECT_NE(ids_of("", std::string(base) + "lr = 0.5\n")[0], two[0]);
}

// A parameter that a later version of the task has, at its default, is the run that was there before.
TEST_F(SweepPlanTest, ALaterKeyAtItsDefaultChangesNoId) {
  std::ofstream(folder / "base.toml") << base;
  const auto ids_with = [&](const std::string& set, bool later) {
    std::ofstream(folder / "s.toml") << "base = \"base.toml\"\n" + set;
    const ParametersOf now = parameters_from(built_in_plugins());
    const ParametersOf then = [&](const std::string& kind, const std::string& name) {
      std::vector<Field> fields = now(kind, name);
      if (kind == "task") fields.push_back({"later", int64_t{3}, "a key of a later version", {}, {}, {}});
      return fields;
    };
    return ids(plan_sweep(folder / "s.toml", later ? then : now, folder / "sweep"));
  };
  const auto before = ids_with("seeds = 2\n", false);
  EXPECT_EQ(ids_with("seeds = 2\n", true), before);
  EXPECT_EQ(ids_with("seeds = 2\n[set]\ntask.later = 3\n", true), before);
  EXPECT_NE(ids_with("seeds = 2\n[set]\ntask.later = 4\n", true), before);
}

TEST_F(SweepPlanTest, PointsOfOneConfigAreOne) {
  const SweepPlan made = plan("[grid]\ntask.p = [5, 7]\n[[point]]\ntask.p = 5\ntrain.lr = 1e-3\n");
  EXPECT_EQ(made.n_points, 3u);
  EXPECT_EQ(made.runs.size(), 2u);
}

TEST_F(SweepPlanTest, ABadValueNamesItsPlaceAndItsPoint) {
  const std::string error = error_of([&] { plan("seeds = 2\n[grid]\ntrain.lr = [0.1]\ntask.p = [5, 0]\n"); });
  expect_holds(
      error,
      "s.toml:5:14: task.p: expected an integer 2 to 4096, got 0 (at train.lr = 0.1, task.p = 0, seed 0)");
  expect_holds(error_of([&] { plan("[grid]\ntask.modulus = [5]\n"); }),
               "s.toml:3:6: task \"modular_arithmetic\" has no key \"modulus\"");
}

// The grid is where the mistake is, not the claim that spells the key right.
TEST_F(SweepPlanTest, AKeyOfTheGridThatDoesNotExistIsSaidAtTheGrid) {
  const std::string claim =
      "[[reading]]\nname = \"a\"\nmetric = \"train/loss\"\n[[expect]]\norder = \"a\"\n"
      "along = \"train.weight_decay\"\nbound = \"> 0\"\nsource = \"x\"\n";
  expect_holds(error_of([&] { plan("[grid]\ntrain.weigth_decay = [0.1, 1]\n" + claim); }),
               "s.toml:3:7: [train] has no key \"weigth_decay\" (did you mean \"weight_decay\"?)");
  expect_holds(error_of([&] { plan("[grid]\ntask.p = [5, 7]\n" + claim); }),
               "s.toml:9:9: expect.along: the runs do not differ in train.weight_decay");
}

TEST_F(SweepPlanTest, AnExcludeAndAWhereSeeTheResolvedConfig) {
  // train.lr is written in neither file; task.p in the base alone.
  EXPECT_EQ(plan("[grid]\ntrain.batch_size = [0, 5]\n[[exclude]]\ntrain.lr = 1e-3\ntrain.batch_size = 5\n")
                .runs.size(),
            1u);
  const std::string claim =
      "[grid]\ntask.p = [5, 7]\n[[reading]]\nname = \"a\"\nmetric = \"train/loss\"\n[[expect]]\nmedian = "
      "\"a\"\nbound = \"> 0\"\nsource = \"x\"\n";
  const SweepPlan made = plan(claim + "where.model.d_mlp = 4\nwhere.task.p = [7]\n");
  EXPECT_FALSE(made.file.claims[0].where.holds(made.runs[0].values()));
  EXPECT_TRUE(made.file.claims[0].where.holds(made.runs[1].values()));
  write_plan(made);
  const SweepPlan read = read_plan(folder / "sweep");
  EXPECT_TRUE(read.file.claims[0].where.holds(read.runs[1].values()));
  EXPECT_EQ(plan(claim).runs[0].id, made.runs[0].id);
}

TEST_F(SweepPlanTest, AnExcludeOrAWhereOfNoRunIsSaid) {
  const auto refusal = [&](const std::string& text) { return error_of([&] { plan(text); }); };
  expect_holds(refusal("[grid]\ntask.p = [5, 7]\n[[exclude]]\ntask.q = 7\n"),
               "s.toml:5:6: [[exclude]]: no run has a key task.q");
  expect_holds(refusal("[grid]\ntask.p = [5, 7]\n[[exclude]]\ntrain.lr = 7\n"),
               "s.toml:4:1: this [[exclude]] is of no point of the grid");
  const std::string claim =
      "[grid]\ntask.p = [5, 7]\n[[reading]]\nname = \"a\"\nmetric = \"train/loss\"\n[[expect]]\nmedian = "
      "\"a\"\nbound = \"> 0\"\nsource = \"x\"\n";
  expect_holds(refusal(claim + "where.task.p = 9\n"), "s.toml:11:16: where: no run is of this part");
  expect_holds(refusal(claim + "where.task.p = 9\n"), "task.p is 5, 7 in the runs");
  expect_holds(refusal(claim + "where.train.lr = 9\n"), "where: no run is of this part");
  // It would narrow the claim to the other value.
  expect_holds(refusal(claim + "where.task.p = [5, 77]\n"), "s.toml:11:16: where: no run has task.p = 77");
  expect_holds(refusal(claim + "where.train.rl = 9\n"),
               "s.toml:11:13: where: no run has a key train.rl (did you mean \"train.lr\"?)");
}

constexpr const char* two_stages = R"(seeds = 2
[[stage]]
name = "full"
[[stage]]
name = "fewer"
from = "full"
[stage.grid]
train.weight_decay = [0.1, 0.5]
)";

TEST_F(SweepPlanTest, ALaterStageStartsFromTheRunOfItsSeed) {
  const SweepPlan made = plan(two_stages);
  ASSERT_EQ(made.runs.size(), 6u);
  EXPECT_FALSE(made.runs[1].start);
  for (size_t i = 2; i < 6; ++i) {
    EXPECT_EQ(made.runs[i].start->run, made.runs[(i - 2) / 2].id);
    EXPECT_EQ(made.runs[i].point.seed, made.runs[(i - 2) / 2].point.seed);
  }
  EXPECT_EQ(made.keys(), (std::vector<std::string>{"stage", "train.weight_decay", "seed"}));
  write_plan(made);
  const SweepPlan read = read_plan(folder / "sweep");
  EXPECT_EQ(ids(read), ids(made));
  EXPECT_EQ(read.runs[5].start->run, made.runs[1].id);
  EXPECT_EQ(point_text(read.runs[5].point), point_text(made.runs[5].point));
}

TEST_F(SweepPlanTest, WhereARunStartsFromIsOfItsId) {
  const std::string text = two_stages;
  const SweepPlan made = plan(text);
  EXPECT_EQ(ids(made)[0], ids(plan("seeds = 2\n"))[0]) << "a run that starts anew is that of no stage";
  const SweepPlan step = plan(text.substr(0, text.find("[stage.grid]")) + "checkpoint = \"step 20\"\n" +
                              text.substr(text.find("[stage.grid]")));
  EXPECT_EQ(ids(step)[0], ids(made)[0]);
  EXPECT_NE(ids(step)[2], ids(made)[2]);
  const SweepPlan longer = plan(text + "", std::string(base) + "eval_every = 7\n");
  EXPECT_NE(ids(longer)[2], ids(made)[2]);
}

TEST_F(SweepPlanTest, ACheckpointThatNoRunKeepsIsRefused) {
  const auto with = [&](const std::string& checkpoint, const std::string& more = "",
                        const std::string& of = "") {
    const std::string text = two_stages;
    const size_t at = text.find("[stage.grid]");
    return error_of([&] {
      plan(more + text.substr(0, at) + "checkpoint = \"" + checkpoint + "\"\n" + text.substr(at),
           std::string(base) + of);
    });
  };
  expect_holds(with("step 500"), "s.toml:8:14: checkpoint: run ");
  expect_holds(with("step 500"),
               "that stage fewer starts from keeps no checkpoint of step 500 (at stage full, seed 0)");
  expect_holds(with("step 7"), "keeps no checkpoint of step 7");
  expect_holds(with("step 10", "keep = \"last\"\n"), "keeps no checkpoint of step 10");
  expect_holds(with("step 10", "keep = \"none\"\n"), "keeps no checkpoint of step 10");
  const std::string none = "no error";
  EXPECT_EQ(with("step 7", "", "[checkpoints]\nevery = 7\n"), none);
  EXPECT_EQ(with("step 7", "", "stop_when = \"train/loss < 1\"\n"), none) << "it may end there";
  expect_holds(with("step 21", "", "stop_when = \"train/loss < 1\"\n"), "keeps no checkpoint of step 21");
}

TEST_F(SweepPlanTest, ASweepThatHasNotRunIsSaid) {
  const std::string text = "[[stage]]\nname = \"on\"\nsweep = \"nowhere\"\n";
  expect_holds(error_of([&] { plan(text); }),
               "s.toml:2:1: stage on: nowhere: no sweep: there is no plan.json");
  const SweepPlan first = plan("seeds = 2\n");
  write_plan(first);
  const std::string there = "[[stage]]\nname = \"on\"\nsweep = \"" + (folder / "sweep").string() + "\"\n";
  const SweepPlan made = plan("seeds = [1]\n" + there);
  ASSERT_EQ(made.runs.size(), 1u);
  EXPECT_EQ(made.runs[0].start->run, first.runs[1].id);
  EXPECT_EQ(status_of(made)[0].state, SweptState::missing);
  expect_holds(status_of(made)[0].waits, "is missing; orrery sweep run makes it");
  expect_holds(error_of([&] { plan("seeds = [7]\n" + there); }), "it has no run with one of these seeds");
}

TEST_F(SweepPlanTest, TheFolderKeepsACopy) {
  const SweepPlan made = plan(
      "seeds = [3]\n[grid]\ntrain.betas = [[0.9, 0.98]]\ntask.operation = [\"add\"]\n"
      "[[reading]]\nname = \"loss\"\nmetric = \"train/loss\"\n");
  write_plan(made);
  const SweepPlan read = read_plan(folder / "sweep");
  EXPECT_EQ(ids(read), ids(made));
  EXPECT_EQ(point_text(read.runs[0].point), point_text(made.runs[0].point));
  EXPECT_EQ(read.file.readings.size(), 1u);
  expect_holds(error_of([&] { read_plan(folder / "nowhere"); }), "there is no plan.json");
}

TEST_F(SweepPlanTest, AChangedByteOfTheCopyIsSaid) {
  write_plan(plan("[grid]\ntask.p = [5, 7]\n"));
  const std::filesystem::path file = folder / "sweep/plan.json";
  std::string text = read_file(file);
  const size_t at = text.find("\"task.p\": 7");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 11, "\"task.p\": 5");
  write_file(file, text);
  expect_holds(error_of([&] { read_plan(folder / "sweep"); }),
               "plan.json: damaged: its content does not match its checksum");
  try {
    read_plan(folder / "sweep");
  } catch (const Error& error) {
    expect_holds(error.hint(), "orrery sweep plan FILE --out");
  }
  // That of an earlier version has no checksum, and does not say what the configs are.
  nlohmann::ordered_json earlier = nlohmann::ordered_json::parse(text);
  for (const char* key : {"sha256", "defaults"}) earlier.erase(key);
  for (auto& run : earlier["runs"]) run.erase("config");
  write_file(file, earlier.dump(1));
  EXPECT_EQ(read_plan(folder / "sweep").runs.size(), 2u);
}

TEST_F(SweepPlanTest, ACommandIsQuotedForTheShell) {
  EXPECT_EQ(command_of("s.toml", "", 3), "orrery sweep run s.toml --index 3");
  EXPECT_EQ(command_of("my sweep's.toml", "out", 0),
            "orrery sweep run 'my sweep'\\''s.toml' --out out --index 0");
}

TEST_F(SweepPlanTest, StateComesFromTheFolders) {
  const SweepPlan made = plan("seeds = 2\n");
  const auto state = [&] { return status_of(made, made.runs[0]); };
  EXPECT_EQ(state().state, SweptState::missing);
  SweptLog(made.run_folder(made.runs[0])).failed("first\nsecond", "hint");
  EXPECT_EQ(state().state, SweptState::failed);
  EXPECT_EQ(state().error, "first");
  std::filesystem::remove_all(made.run_folder(made.runs[0]));
  {
    std::filesystem::create_directories(made.lock_folder(made.runs[0]));
    const RunLock claim(made.lock_folder(made.runs[0]));
    EXPECT_EQ(state().state, SweptState::running);
  }
  testing::CollectingReporter reporter;
  reporter.stop_at = 5;
  const auto train = [&](Start start) {
    train_run(built_in_plugins(), *made.runs[0].settings, made.run_folder(made.runs[0]), start, reporter);
  };
  train(Start::anew);
  EXPECT_EQ(state().state, SweptState::stale);
  reporter.stop_at = -1;
  train(Start::resume);
  EXPECT_EQ(state().state, SweptState::done);
  SweptLog(made.run_folder(made.runs[0])).line("going on");
  EXPECT_EQ(state().state, SweptState::stale) << "its probes may not be done";
  SweptLog(made.run_folder(made.runs[0])).done();
  EXPECT_EQ(state().state, SweptState::done);
  EXPECT_TRUE(left_over(made).empty());
  EXPECT_EQ(left_over(plan("seeds = [1]\n")), std::vector<std::string>{made.runs[0].id});
}

// Whatever differs between the run in a folder and the run of the plan, whether the plan is of the file, of
// its copy, or of a copy that an earlier version wrote.
class OtherRun : public SweepPlanTest {
 protected:
  void SetUp() override {
    made = plan("seeds = [3]\n[grid]\ntask.p = [7]\n",
                std::string(base) + "[[probe]]\nname = \"weight_structure\"\n");
    write_plan(made);
    about = {{"config", nlohmann::ordered_json::parse(to_json(*made.runs[0].settings))},
             {"sessions", nlohmann::ordered_json::array()}};
  }
  std::string other(const SweepPlan& of) {
    std::filesystem::create_directories(of.run_folder(of.runs[0]));
    write_file(of.run_folder(of.runs[0]) / "run.json", with_checksum(about).dump());
    return other_run(of, of.runs[0], about["config"]);
  }
  std::string other() {
    const std::string of_file = other(made);
    EXPECT_EQ(other(read_plan(made.folder)), of_file);
    return of_file;
  }
  SweepPlan plan_of_earlier_version() {
    SweepPlan earlier = read_plan(made.folder);
    earlier.defaults.clear();
    earlier.runs[0].config.clear();
    earlier.runs[0].id = earlier_identity_of(Json::parse(to_json(*made.runs[0].settings)), {});
    return earlier;
  }
  SweepPlan made{read_sweep_text("base = \"b.toml\"\n", "s.toml", ReadBase::no), "", {}, 0};
  nlohmann::ordered_json about;
};

TEST_F(OtherRun, TheRunOfThePlanIsNoOther) {
  EXPECT_EQ(other(), "");
  EXPECT_EQ(other(plan_of_earlier_version()), "");
  about["config"]["name"] = "renamed";
  about["config"]["verify"]["tier"] = "quick";
  about["config"]["expect"] = nlohmann::ordered_json::array({{{"metric", "x"}}});
  EXPECT_EQ(other(), "") << "they are of no run";
}

TEST_F(OtherRun, AnyKeyThatDiffersIsNamed) {
  about["config"]["train"]["steps"] = 40;
  expect_holds(other(), "run.json: train.steps is 40, and the sweep has 20 for this run");
  expect_holds(other(plan_of_earlier_version()), "its config is not the one that this folder is named for");
  about["config"]["task"]["p"] = 5;
  expect_holds(other(), "task.p is 5, and the sweep has 7 for this run (1 more key differs too)");
  expect_holds(other(plan_of_earlier_version()), "task.p is 5, and the sweep has 7 for this run");
  about["config"]["task"]["p"] = 7;
  about["config"]["train"]["steps"] = 20;
  about["config"]["probe"][0]["every"] = 3;
  expect_holds(other(), "probe.weight_structure.every is 3, and the sweep has 0 for this run");
  about["config"]["probe"].clear();
  expect_holds(other(), "probe.weight_structure.name is not there, and the sweep has \"weight_structure\"");
  about["config"]["probe"] = nlohmann::ordered_json::parse(to_json(*made.runs[0].settings))["probe"];
  about["config"]["probe"].push_back({{"name", "fourier_basis"}, {"label", "more"}});
  expect_holds(other(), "probe.more.");
}

TEST_F(OtherRun, AKeyThatCameLaterHasItsDefault) {
  about["config"]["train"].erase("flush_subnormals");
  about["config"].erase("log");
  EXPECT_EQ(other(), "");
  about["config"]["train"].erase("steps");  // the sweep has another value than the default
  expect_holds(other(), "train.steps is not there, and the sweep has 20 for this run");
}

TEST_F(OtherRun, ASessionWithAnotherValueIsAnother) {
  about["sessions"] = {
      {{"from", 0}, {"to", 10}},
      {{"from", 10}, {"to", 20}, {"overrides", {{{"key", "name"}, {"from", "a"}, {"to", "b"}}}}}};
  EXPECT_EQ(other(), "");
  about["sessions"][1]["overrides"].push_back({{"key", "train.lr"}, {"from", 1e-3}, {"to", 1e-2}});
  expect_holds(other(), "session 2 changed train.lr");
}

TEST_F(SweepPlanTest, ALaterRunMayHaveMovedWithTheOneItStartedFrom) {
  const SweepPlan made = plan(two_stages);
  const SweptRun& run = made.runs[2];
  std::filesystem::create_directories(made.run_folder(run));
  const auto other = [&](const std::string& from) {
    nlohmann::ordered_json about = {{"config", nlohmann::ordered_json::parse(to_json(*run.settings))}};
    about["config"]["init"]["from"] = from;
    write_file(made.run_folder(run) / "run.json", about.dump());
    return other_run(made, run, about["config"]);
  };
  EXPECT_EQ(other("elsewhere/runs/" + made.runs[0].id + "/checkpoints/step_00000020.safetensors"), "");
  expect_holds(other("elsewhere/runs/" + made.runs[1].id + "/checkpoints/step_00000020.safetensors"),
               "the sweep has a checkpoint of run " + made.runs[0].id + " for this run");
  expect_holds(other(""), "init.from is \"\"");
}

TEST_F(SweepPlanTest, WhatTheSystemRefusesToReadIsNoDamage) {
  const SweepPlan made = plan("");
  const std::filesystem::path run = made.run_folder(made.runs[0]);
  testing::CollectingReporter reporter;
  train_run(built_in_plugins(), *made.runs[0].settings, run, Start::anew, reporter);
  ASSERT_EQ(status_of(made, made.runs[0]).state, SweptState::done);
  std::filesystem::permissions(folder / ".", std::filesystem::perms(0755));
  std::filesystem::permissions(run / "metrics.jsonl", std::filesystem::perms::none);
  // Nothing is refused to root.
  const bool is_root = ::geteuid() == 0;
  ASSERT_EQ(is_root ? ::seteuid(65534) : 0, 0);
  const SweptStatus status = status_of(made, made.runs[0]);
  ASSERT_EQ(is_root ? ::seteuid(0) : 0, 0);
  EXPECT_EQ(status.state, SweptState::failed);
  expect_holds(status.error, "metrics.jsonl: cannot read this: Permission denied");
  std::filesystem::permissions(run / "metrics.jsonl", std::filesystem::perms(0644));
  std::ofstream(run / "metrics.jsonl") << "{";
  EXPECT_EQ(status_of(made, made.runs[0]).state, SweptState::damaged);
}

TEST(SweptState, IndicesAreGrouped) {
  EXPECT_EQ(indices_text({}), "");
  EXPECT_EQ(indices_text({3, 17, 40, 41, 42}), "3,17,40-42");
  EXPECT_EQ(indices_text({0, 1}), "0-1");
}

}  // namespace
}  // namespace orrery::engine
