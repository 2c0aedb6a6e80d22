#include "engine/training/disk_use.h"

#include <gtest/gtest.h>

#include "engine/training/thinning.h"
#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using testing::built_in_plugins;
using testing::CollectingReporter;
using testing::expect_holds;
using testing::small_settings;
using testing::TestFolder;

// What the experiment of these settings is said to write.
DiskUse said(const Settings& settings) {
  Experiment experiment(built_in_plugins(), settings, torch::kCPU);
  experiment.add_probes(settings.probes);
  const Trainer trainer(experiment.model(), experiment.spec(), experiment.split(), settings.train, 0);
  return disk_use(experiment, trainer, trainer.evaluate());
}

uint64_t bytes_in(const std::filesystem::path& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) bytes += entry.file_size();
  return bytes;
}

TEST(DiskUse, IsWhatARunWrites) {
  for (const int64_t keep_last : {0, 2}) {
    const TestFolder folder;
    CollectingReporter reporter;
    Settings settings = small_settings();
    settings.checkpoints = {.every = 2, .per_decade = 0, .keep_last = keep_last};
    train_run(built_in_plugins(), settings, folder / "run", Start::anew, reporter);
    const DiskUse use = said(settings);
    EXPECT_NEAR(static_cast<double>(use.metrics),
                static_cast<double>(bytes_in(folder / "run") - bytes_in(folder / "run/checkpoints")),
                5000);  // run.json besides
    const auto written = static_cast<double>(bytes_in(folder / "run/checkpoints"));
    EXPECT_GT(static_cast<double>(use.checkpoints), 0.9 * written) << keep_last;
    EXPECT_LT(static_cast<double>(use.checkpoints), 2 * written) << keep_last;
    EXPECT_EQ(use.probes, 0u);
  }
}

TEST(DiskUse, OfEndlessRunsIsNotCountedStepByStep) {
  Settings settings = small_settings("[[probe]]\nname = \"fourier_basis\"\n", 1'000'000'000'000);
  EXPECT_GT(said(settings).total(), 1'000'000'000'000u);
  settings.checkpoints.keep_last = 5;
  EXPECT_LT(said(settings).checkpoints, 1'000'000u);
}

TEST(DiskUse, MoreThanWhatIsFreeIsWarnedOf) {
  const TestFolder folder;
  CollectingReporter reporter;
  tell_disk_use(folder.path(), {.checkpoints = uint64_t{1} << 60, .metrics = 0, .probes = 0}, reporter);
  ASSERT_EQ(reporter.warnings.size(), 1u);
  expect_holds(reporter.warnings[0], "writes about ");
  expect_holds(reporter.warnings[0], "checkpoints.keep_last");
  EXPECT_TRUE(reporter.notes.empty());
}

}  // namespace
}  // namespace orrery::engine
