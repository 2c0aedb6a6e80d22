// Plans: which folder a point gets, and what is said about one that cannot be.
#include "engine/sweep/sweep_plan.h"

#include <fstream>

#include "engine/run/run_directory.h"
#include "engine/sweep/sweep_commands.h"
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
                           "[verify]\ntier = \"quick\"\n[[expect]]\nmetric = \"train/loss\"\nbound = \"< "
                           "1\"\nsource = \"x\"\n")[0],
            two[0]);
  EXPECT_NE(ids_of("", std::string(base) + "lr = 0.5\n")[0], two[0]);
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
               "s.toml:3:17: task \"modular_arithmetic\" has no key \"modulus\"");
}

TEST_F(SweepPlanTest, TheFolderKeepsACopy) {
  const SweepPlan made = plan(
      "seeds = [3]\n[grid]\ntrain.betas = [[0.9, 0.98]]\ntask.operation = [\"add\"]\n"
      "[[reading]]\nname = \"loss\"\nmetric = \"train/loss\"\n");
  write_plan(made);
  const SweepPlan read = read_plan(folder / "sweep");
  EXPECT_EQ(ids(read), ids(made));
  EXPECT_EQ(point_text(read.runs[0].point), point_text(made.runs[0].point));
  EXPECT_EQ(command_of(read, read.runs[0]), command_of(made, made.runs[0]));
  EXPECT_EQ(read.file.readings.size(), 1u);
  expect_holds(error_of([&] { read_plan(folder / "nowhere"); }), "there is no plan.json");
}

TEST_F(SweepPlanTest, ACommandIsQuotedForTheShell) {
  const SweepPlan made =
      plan("seeds = [3]\nseeds_of = [\"init\"]\n[set]\ntrain.stop_when = \"test/loss < 1\"\n");
  expect_holds(command_of(made, made.runs[0]),
               " --set 'train.stop_when=\"test/loss < 1\"' --set seeds.init=3 --out ");
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

TEST(SweptState, IndicesAreGrouped) {
  EXPECT_EQ(indices_text({}), "");
  EXPECT_EQ(indices_text({3, 17, 40, 41, 42}), "3,17,40-42");
  EXPECT_EQ(indices_text({0, 1}), "0-1");
}

}  // namespace
}  // namespace orrery::engine
