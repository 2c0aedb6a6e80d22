#include "engine/train/hardware.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <limits>

#include "engine/experiment/experiment.h"
#include "engine/run/kernels.h"
#include "engine/train/trainer.h"

namespace orrery::engine {
namespace {

bool every_thread_flushes() {
  std::atomic<int> flush = 0;
  at::parallel_for(0, 4, 1, [&](int64_t begin, int64_t end) {
    flush += static_cast<int>(end - begin) * kernels_in_use().flushes_subnormals;
  });
  return flush == 4;
}

// Every entry is a sum of numbers near 1e-40, by the threads of the BLAS.
bool products_flush() {
  const torch::Tensor small = torch::full({512, 512}, 1e-20f);
  return small.mm(small).count_nonzero().item<int64_t>() == 0;
}

// In a process of its own, where the BLAS begins no threads when it is loaded, as the program `orrery` has
// it: threads that exist already keep what they were begun with.
TEST(Subnormals, AreFlushedInEveryThreadThatComputes) {
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto exit_with = [](bool flush) {
    TrainSettings settings;
    settings.flush_subnormals = flush;
    settings.threads = 4;
    prepare_processor(settings);
    std::exit(2 * every_thread_flushes() + products_flush());
  };
  if (!flush_subnormals(true)) GTEST_SKIP() << "this processor cannot";
  flush_subnormals(false);
  EXPECT_EXIT(exit_with(true), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(exit_with(false), testing::ExitedWithCode(0), "");
}

double thread_milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

// Of one step, the least of ten averages over 20.
double step_cost(Trainer& trainer) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 10; ++i) {
    const double start = thread_milliseconds();
    for (int step = 0; step < 20; ++step) trainer.step();
    least = std::min(least, (thread_milliseconds() - start) / 20);
  }
  return least;
}

TEST(Subnormals, DoNotMakeStepsAfterMemorisationSlower) {
  Registry registry;
  registry.load_folder(ORRERY_PLUGIN_DIR);
  const Document config = Document::load(ORRERY_SOURCE_DIR "/configs/pearce_2023/mlp_mod67.toml");
  Experiment experiment(registry, resolve(config, parameters_from(registry)), torch::kCPU);
  Trainer trainer(experiment.model(), experiment.spec(), experiment.split(), experiment.settings().train, 0);
  prepare_processor(experiment.settings().train);
  const double before = step_cost(trainer);
  while (trainer.steps_done() < 2500) trainer.step();
  EXPECT_LT(trainer.step(), 1e-3);  // memorised
  EXPECT_LT(step_cost(trainer), 1.3 * before);
  flush_subnormals(false);
}

}  // namespace
}  // namespace orrery::engine
