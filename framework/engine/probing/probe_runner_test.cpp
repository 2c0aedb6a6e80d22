#include "engine/probing/probe_runner.h"

#include "engine/experiment/open_run.h"
#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using testing::built_in_plugins;
using testing::bytes_of;
using testing::CollectingReporter;
using testing::small_settings;
using testing::TestFolder;

class Runner : public ::testing::Test {
 protected:
  Runner() {
    CollectingReporter reporter;
    train_run(built_in_plugins(), small_settings(), folder / "run", Start::anew, reporter);
  }

  // Probes a copy of the run and returns how it went.
  Probed probe(const std::string& copy, const ProbingOptions& options, Reporter& reporter,
               const Audience& audience = {}) {
    if (!std::filesystem::exists(folder / copy))
      std::filesystem::copy(folder / "run", folder / copy, std::filesystem::copy_options::recursive);
    RunDirectory run = RunDirectory::open(folder / copy);
    Experiment experiment(built_in_plugins(), read_settings(run, built_in_plugins()), torch::kCPU);
    experiment.add_probes(
        parse_probes({"fourier_basis", "trig_loss", "phase_changes"}, parameters_from(built_in_plugins())));
    return ProbeRunner(experiment, run, reporter, options).run(run.checkpoints(), audience);
  }

  TestFolder folder;
};

const std::vector<std::string> files = {"probes/fourier_basis/results.jsonl",
                                        "probes/fourier_basis/null.json",
                                        "probes/trig_loss/results.jsonl",
                                        "probes/trig_loss/null.json",
                                        "probes/fourier_basis/step_00000010.safetensors",
                                        "probes/phase_changes/conclusion.json"};

// One bit of a weight: the stored result is right, what could be computed now is not.
TEST_F(Runner, KeepsTheResultOfACheckpointThatIsDamaged) {
  CollectingReporter reporter;
  EXPECT_EQ(probe("run", {.workers = 0}, reporter), Probed::well);
  const std::filesystem::path checkpoint = folder / "run/checkpoints/step_00000010.safetensors",
                              results = folder / "run/probes/fourier_basis/results.jsonl";
  const std::string before = bytes_of(results);
  std::string bytes = bytes_of(checkpoint);
  bytes[bytes.size() - 1] ^= 64;
  std::ofstream(checkpoint, std::ios::binary) << bytes;
  const std::string message = testing::error_of([&] { probe("run", {.workers = 0}, reporter); });
  testing::expect_holds(message, "step_00000010.safetensors: it has changed since the stored result");
  EXPECT_EQ(bytes_of(results), before);
  // Asked to compute it again, the checkpoint itself is refused.
  EXPECT_EQ(probe("run", {.reuse = Reuse::none, .workers = 0}, reporter), Probed::with_failures);
  EXPECT_EQ(bytes_of(results), before);
}

TEST_F(Runner, StoresTheSameBytesHereAndInWorkers) {
  CollectingReporter here, workers;
  EXPECT_EQ(probe("here", {.workers = 0}, here), Probed::well);
  EXPECT_EQ(probe("workers", {.workers = 2}, workers), Probed::well);
  for (const std::string& file : files)
    EXPECT_EQ(bytes_of(folder / "here" / file), bytes_of(folder / "workers" / file)) << file;
  EXPECT_TRUE(here.warnings.empty());
  EXPECT_TRUE(workers.warnings.empty());
}

TEST_F(Runner, ComputesNothingTwice) {
  CollectingReporter first, second;
  probe("run", {.workers = 0}, first);
  EXPECT_TRUE(first.notes.empty());
  int rows = 0, run_level = 0;
  const Audience audience{[&](const CheckpointFile&, const std::vector<Outcome>& outcomes) {
                            rows += static_cast<int>(outcomes.size());
                          },
                          [&](RunLevelResult, const std::vector<Outcome>& outcomes) {
                            run_level += static_cast<int>(outcomes.size());
                          }};
  probe("run", {.workers = 0}, second, audience);
  ASSERT_EQ(second.notes.size(), 1u);
  EXPECT_NE(second.notes[0].find("9 of 9 results were there already"), std::string::npos);
  EXPECT_EQ(second.units, std::vector<std::string>{"0 checkpoints"});
  EXPECT_EQ(rows, 9);
  EXPECT_GE(run_level, 3);
}

TEST_F(Runner, LeavesARunAloneThatItShallNotStoreIn) {
  CollectingReporter reporter;
  EXPECT_EQ(probe("run", {.store = false, .workers = 0}, reporter), Probed::well);
  EXPECT_TRUE(RunDirectory::open(folder / "run", RunDirectory::Access::read).probe_labels().empty());
}

TEST_F(Runner, StopsWhereItIsAskedToAndGoesOn) {
  CollectingReporter stopped, rest;
  stopped.stop_at = 1;
  EXPECT_EQ(probe("parts", {.workers = 0}, stopped), Probed::interrupted);
  EXPECT_EQ(probe("parts", {.workers = 0}, rest), Probed::well);
  CollectingReporter whole;
  probe("whole", {.workers = 0}, whole);
  for (const std::string& file : files)
    EXPECT_EQ(bytes_of(folder / "parts" / file), bytes_of(folder / "whole" / file)) << file;
}

}  // namespace
}  // namespace orrery::engine
