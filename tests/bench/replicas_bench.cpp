// Replicas in one process: what an update of one costs when R take turns of so many steps, with seeds of
// their own for data and weights. A turn of one step is what a step of all at once would be: the weights,
// moments and data of R networks pass through the caches for each. tests/bench/growth.py replicas measures
// whole sweeps.
#include <benchmark/benchmark.h>
#include <orrery/mlp.h>

#include "engine/train/hardware.h"
#include "engine/train/trainer.h"
#include "loader/registry.h"
#include "sdk/kernels/cross_entropy.h"

namespace {

using namespace orrery;
using namespace orrery::engine;

const Registry& plugins() {
  static const Registry* const registry = [] {
    auto* made = new Registry;  // libraries are never unloaded
    made->load_folder(ORRERY_PLUGIN_DIR);
    return made;
  }();
  return *registry;
}

struct Replica {
  Replica(const char* task_name, const Values& parameters, const MlpConfig& config, uint64_t seed)
      : task(plugins().make_task(plugins().find(PluginKind::task, task_name), parameters)),
        spec(task->spec()),
        model(make_mlp(config, spec, make_generator(seed))),
        trainer(*model, spec, task->split(make_generator(seed)), TrainSettings{}, 0) {}
  Instance<Task> task;
  TaskSpec spec;
  std::unique_ptr<Model> model;
  Trainer trainer;
};

void replicas(benchmark::State& state, const char* task, const Values& parameters, const MlpConfig& config) {
  prepare_processor({}, 1);
  std::vector<std::unique_ptr<Replica>> all;
  for (int64_t seed = 0; seed < state.range(0); ++seed)
    all.push_back(std::make_unique<Replica>(task, parameters, config, seed));
  for (auto& replica : all) replica->trainer.step();
  for (auto _ : state)
    for (auto& replica : all)
      for (int64_t step = 0; step < state.range(1); ++step) replica->trainer.step();
  state.counters["per_update"] =
      benchmark::Counter(static_cast<double>(state.range(0) * state.range(1)),
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

// The same update by the same kernels, but by autograd: what a network takes that has no gradient pass.
void by_autograd(benchmark::State& state, const char* task, const Values& parameters,
                 const MlpConfig& config) {
  prepare_processor({}, 1);
  Replica replica(task, parameters, config, 0);
  const Batch batch = replica.task->split(make_generator(0)).train;
  const auto pass = read_out(*replica.model, {batch.tokens, replica.spec.read_out});
  UpdateChain chain(*replica.model, {}, {}, 0);
  int64_t step = 0;
  for (auto _ : state) {
    chain.weights().zero_gradients();
    const torch::Tensor loss = kernels::cross_entropy(pass->logits(), batch);
    benchmark::DoNotOptimize(loss.item<double>());
    loss.backward();
    chain.step(step++, 0, nullptr);
  }
}

MlpConfig bits(int64_t d_mlp) {
  return {
      .input = MlpConfig::Input::bits, .d_mlp = d_mlp, .bias_column = true, .init = MlpConfig::Init::haiku};
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"replicas", "turn"})->Unit(benchmark::kMillisecond);
  for (const int64_t n : {1, 4, 16, 64})
    for (const int64_t turn : {1, 100}) bench->Args({n, turn});
}

const Values strings = {{"n", int64_t{30}}, {"k", int64_t{3}}, {"n_train", int64_t{1000}}};
const Values pairs = {{"p", int64_t{67}}, {"pairs", std::string("a<=b")}, {"train_fraction", 0.4}};

#define ORRERY_REPLICAS(name, task, parameters, config)                                          \
  BENCHMARK_CAPTURE(by_autograd, name, task, parameters, config)->Unit(benchmark::kMillisecond); \
  BENCHMARK_CAPTURE(replicas, name, task, parameters, config)->Apply(sizes)

ORRERY_REPLICAS(parity_16, "sparse_parity", strings, bits(16));
ORRERY_REPLICAS(parity_64, "sparse_parity", strings, bits(64));
ORRERY_REPLICAS(parity_258, "sparse_parity", strings, bits(258));
ORRERY_REPLICAS(mlp_mod67, "modular_arithmetic", pairs, MlpConfig{.init = MlpConfig::Init::haiku});

}  // namespace
