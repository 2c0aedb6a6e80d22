// Array jobs: which task this is, which runs it does, and the scripts that Slurm gets.
#include "engine/sweep/array_task.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/sweep/slurm.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

int64_t task_in(const std::map<std::string, std::string>& variables) {
  return array_task([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(ArrayTask, ComesFromWhateverRunsIt) {
  EXPECT_EQ(task_in({{"SLURM_ARRAY_TASK_ID", "7"}}), 7);
  EXPECT_EQ(task_in({{"HQ_TASK_ID", "3"}, {"HQ_ENTRY", "x"}}), 3);
  EXPECT_EQ(task_in({{"SGE_TASK_ID", "undefined"}, {"PBS_ARRAY_INDEX", "2"}}), 2);
  EXPECT_NE(testing::error_of([] { task_in({}); }).find("no array job set the number"), std::string::npos);
  EXPECT_NE(testing::error_of([] {
              task_in({{"HQ_ENTRY", "a line"}});
            }).find("HQ_ENTRY is \"a line\", not the number of a task"),
            std::string::npos);
}

TEST(ArrayTask, DoesSeveralRunsInARow) {
  EXPECT_EQ(share_of(0, 1, 0, 10), (std::set<size_t>{0}));
  EXPECT_EQ(share_of(2, 3, 1, 10), (std::set<size_t>{7, 8, 9}));
  EXPECT_EQ(share_of(3, 3, 0, 10), (std::set<size_t>{9}));
  EXPECT_TRUE(share_of(4, 3, 0, 10).empty());
  EXPECT_EQ(share_of(1, 2, -2, 10), (std::set<size_t>{0, 1})) << "Grid Engine counts from 1";
}

TEST(SlurmScripts, EachStageIsAnArray) {
  SweepPlan plan{read_sweep_text("base = \"b.toml\"\n", "s.toml", ReadBase::no), "s", {}, 0};
  for (const char* stage : {"first", "first", "first", "second"}) {
    plan.runs.push_back({"id", {}, nullptr});
    plan.runs.back().point.stage = stage;
  }
  const auto scripts = slurm_scripts(plan, "/opt/orrery", "s.toml", "", "/home/me/my sweeps", "/logs",
                                     {.pack = 2, .throttle = 5, .time = "1:00", .more = {"--mem=4G"}});
  ASSERT_EQ(scripts.size(), 2u);
  const std::string& text = scripts[0].text;
  for (const char* part :
       {"#SBATCH --array=0-1%5\n", "#SBATCH --output=/logs/%A_%a.log\n", "#SBATCH --signal=B:USR1@120\n",
        "#SBATCH --requeue\n", "#SBATCH --time=1:00\n", "#SBATCH --mem=4G\n", "cd '/home/me/my sweeps'",
        "/opt/orrery sweep run s.toml --task --pack 2 --offset 0 --requeue-code 75 &",
        "scontrol requeue \"${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}\""})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
  EXPECT_EQ(scripts[1].name, "s-second");
  EXPECT_NE(scripts[1].text.find("--array=0-0%5"), std::string::npos);
  EXPECT_NE(scripts[1].text.find("--offset 3 "), std::string::npos);
}

// sbatch would split the one, and take the rest of the other for a command.
TEST(SlurmScripts, RefusePathsThatWouldBreakTheirLines) {
  SweepPlan plan{read_sweep_text("base = \"b.toml\"\n", "s.toml", ReadBase::no), "s", {}, 0};
  plan.runs.push_back({"id", {}, nullptr});
  const auto refused = [&](const std::string& file, const char* logs, SlurmOptions options = {}) {
    return testing::error_of([&] { slurm_scripts(plan, "/opt/orrery", file, "", "/home", logs, options); });
  };
  for (const char* logs : {"/my logs", "/it's", "/100%", "/a\nb"})
    EXPECT_NE(refused("s.toml", logs).find("cannot stand in an #SBATCH line"), std::string::npos) << logs;
  EXPECT_NE(refused("a\nrm -rf x/s.toml", "/logs").find("the sweep's file"), std::string::npos);
  EXPECT_NE(refused("s.toml", "/logs", {.more = {"--mem=4G\nreboot"}}).find("--sbatch"), std::string::npos);
  EXPECT_EQ(slurm_scripts(plan, "/opt/orrery", "my sweeps/100%.toml", "", "/home", "/logs", {}).size(), 1u)
      << "a file is quoted in the command";
}

}  // namespace
}  // namespace orrery::engine
