// One update of the networks of the configs, by the kernels and by the plain forward pass.
// tests/bench/table.py sets the same updates in eager PyTorch beside them.
#include <benchmark/benchmark.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

#include "engine/train/hardware.h"
#include "engine/train/trainer.h"
#include "loader/registry.h"

namespace {

using namespace orrery;
using namespace orrery::engine;

// Full batches, or fresh examples at each step; the sizes of configs/*.toml.
struct Work {
  const char* task;
  Values parameters;
  std::function<std::unique_ptr<Model>(const TaskSpec&)> model;
  int64_t batch_size = 0;
};

Work transformer(const char* task, Values parameters, TransformerConfig config, int64_t batch_size) {
  return {task, std::move(parameters),
          [config](const TaskSpec& spec) { return make_transformer(config, spec, make_generator(0)); },
          batch_size};
}

Work mlp(const char* task, Values parameters, MlpConfig config) {
  return {task, std::move(parameters),
          [config](const TaskSpec& spec) { return make_mlp(config, spec, make_generator(0)); }};
}

Work mainline(int64_t p, double train_fraction) {
  return transformer("modular_arithmetic", {{"p", p}, {"train_fraction", train_fraction}}, {}, 0);
}
Work induction() { return transformer("repeated_subsequence", {}, {.n_layers = 2, .attn_only = true}, 128); }
Work digit_addition() { return transformer("digit_addition", {}, {}, 64); }
Work sparse_parity() {
  return mlp(
      "sparse_parity", {{"n", int64_t{30}}, {"k", int64_t{3}}, {"n_train", int64_t{1000}}},
      {.input = MlpConfig::Input::bits, .d_mlp = 64, .bias_column = true, .init = MlpConfig::Init::haiku});
}
Work mlp_mod67() {
  return mlp("modular_arithmetic",
             {{"p", int64_t{67}}, {"pairs", std::string("a<=b")}, {"train_fraction", 0.4}},
             {.init = MlpConfig::Init::haiku});
}
Work symmetric_group() {
  return mlp("symmetric_group", {{"n", int64_t{5}}, {"train_fraction", 0.4}},
             {.embedding = MlpConfig::Embedding::untied,
              .hidden = MlpConfig::Hidden::untied,
              .d_embed = 256,
              .d_mlp = 128});
}

struct Setting {
  Setting(const Work& work, TrainSettings::Kernel kernel) {
    prepare_processor({}, 1);
    registry.load_folder(ORRERY_PLUGIN_DIR);
    task.emplace(registry.make_task(registry.find(PluginKind::task, work.task), work.parameters));
    spec = (*task)->spec();
    model = work.model(spec);
    TrainSettings settings;
    settings.kernel = kernel;
    settings.batch_size = work.batch_size;
    trainer.emplace(
        *model, spec, (*task)->split(make_generator(0)), settings, 0,
        [this](int64_t n, int64_t step, torch::Generator rng) { return (*task)->sample(n, step, rng); });
  }
  Registry registry;
  std::optional<Instance<Task>> task;
  TaskSpec spec;
  std::unique_ptr<Model> model;
  std::optional<Trainer> trainer;
};

void training_step(benchmark::State& state, const Work& work, TrainSettings::Kernel kernel) {
  Setting s(work, kernel);
  for (int i = 0; i < 5; ++i) s.trainer->step();
  for (auto _ : state) benchmark::DoNotOptimize(s.trainer->step());
}

void evaluate(benchmark::State& state, const Work& work, TrainSettings::Kernel kernel) {
  Setting s(work, kernel);
  for (auto _ : state) benchmark::DoNotOptimize(s.trainer->evaluate());
}

#define ORRERY_BENCH(what, name, work)                                                                  \
  BENCHMARK_CAPTURE(what, name, work, TrainSettings::Kernel::automatic)->Unit(benchmark::kMillisecond); \
  BENCHMARK_CAPTURE(what, name##_plain, work, TrainSettings::Kernel::plain)->Unit(benchmark::kMillisecond)

ORRERY_BENCH(training_step, mainline, mainline(113, 0.3));
ORRERY_BENCH(training_step, quickstart, mainline(59, 0.4));
ORRERY_BENCH(training_step, induction, induction());
ORRERY_BENCH(training_step, digit_addition, digit_addition());
ORRERY_BENCH(training_step, sparse_parity, sparse_parity());
ORRERY_BENCH(training_step, mlp_mod67, mlp_mod67());
ORRERY_BENCH(training_step, symmetric_group, symmetric_group());
ORRERY_BENCH(evaluate, mainline, mainline(113, 0.3));

}  // namespace
