#include "engine/train/hardware.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <cmath>

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

// How many numbers of the gradient of the logits of `examples` are subnormal in float32.
int64_t subnormals(Model& model, const Batch& examples) {
  torch::NoGradGuard no_grad;
  const torch::Tensor logits = model.forward(examples.tokens);
  const torch::Tensor gradient =
      (logits.to(torch::kDouble).softmax(-1) / examples.size()).to(torch::kFloat).contiguous();
  const auto* values = gradient.data_ptr<float>();
  return std::count_if(values, values + gradient.numel(),
                       [](float value) { return std::fpclassify(value) == FP_SUBNORMAL; });
}

// What steps cost then is measured by orrery_bench, step_after: a test of times would fail on a busy machine.
TEST(Subnormals, AreNotComputedAfterMemorisation) {
  if (!flush_subnormals(true)) GTEST_SKIP() << "this processor cannot";
  Registry registry;
  registry.load_folder(ORRERY_PLUGIN_DIR);
  const Document config = Document::load(ORRERY_SOURCE_DIR "/configs/pearce_2023/mlp_mod67.toml");
  Experiment experiment(registry, resolve(config, parameters_from(registry)), torch::kCPU);
  TrainSettings settings = experiment.settings().train;
  Trainer trainer(experiment.model(), experiment.spec(), experiment.split(), settings, 0);
  prepare_processor(settings);
  while (trainer.steps_done() < 2500) trainer.step();
  EXPECT_LT(trainer.step(), 1e-3);  // memorised
  EXPECT_EQ(subnormals(experiment.model(), experiment.split().train), 0);
  settings.flush_subnormals = false;
  prepare_processor(settings);
  EXPECT_GT(subnormals(experiment.model(), experiment.split().train), 0);
}

}  // namespace
}  // namespace orrery::engine
