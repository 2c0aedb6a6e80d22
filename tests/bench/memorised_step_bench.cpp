// One update of the networks of three configs at the start and after they have memorised their data, with
// subnormal numbers flushed to zero, as Orrery does, and kept.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>
#include <string>

#include "engine/experiment/experiment.h"
#include "engine/train/hardware.h"
#include "engine/train/trainer.h"

namespace {

using namespace orrery::engine;

const orrery::Registry& built_in() {
  static const auto registry = [] {
    auto made = std::make_unique<orrery::Registry>();
    made->load_folder(ORRERY_PLUGIN_DIR);
    return made;
  }();
  return *registry;
}

struct Training {
  explicit Training(const std::string& config)
      : experiment(built_in(), resolve(Document::load(config), parameters_from(built_in())), torch::kCPU),
        trainer(experiment.model(), experiment.spec(), experiment.split(), experiment.settings().train, 0) {
    prepare_processor(experiment.settings().train);
  }
  Experiment experiment;
  Trainer trainer;
};

// Trained once for all benchmarks of a config, which run in the order of their steps.
Training& trained(const std::string& config, int64_t steps) {
  static std::map<std::string, std::unique_ptr<Training>> all;
  std::unique_ptr<Training>& training = all[config];
  if (!training) training = std::make_unique<Training>(ORRERY_SOURCE_DIR "/configs/" + config + ".toml");
  flush_subnormals(true);
  while (training->trainer.steps_done() < steps) training->trainer.step();
  return *training;
}

void step_after(benchmark::State& state, const std::string& config, bool flush) {
  Training& training = trained(config, state.range(0));
  flush_subnormals(flush);
  for (auto _ : state) benchmark::DoNotOptimize(training.trainer.step());
}

#define ORRERY_BENCH(name, config, memorised)                     \
  BENCHMARK_CAPTURE(step_after, name, config, true)               \
      ->ArgName("steps")                                          \
      ->Arg(20)                                                   \
      ->Arg(memorised)                                            \
      ->Iterations(100)                                           \
      ->Unit(benchmark::kMillisecond);                            \
  BENCHMARK_CAPTURE(step_after, name##_subnormals, config, false) \
      ->ArgName("steps")                                          \
      ->Arg(memorised)                                            \
      ->Iterations(100)                                           \
      ->Unit(benchmark::kMillisecond)

ORRERY_BENCH(mlp_mod67, "pearce_2023/mlp_mod67", 2500);
ORRERY_BENCH(quickstart, "quickstart", 1500);
ORRERY_BENCH(modular_addition, "nanda_lieberum_2022/modular_addition", 1500);

}  // namespace
