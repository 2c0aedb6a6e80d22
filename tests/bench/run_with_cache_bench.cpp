// A hundred run_with_cache calls on networks of runs, for tests/bench/run_with_cache.py, which makes the same
// calls in Python: ORRERY_BENCH_RUNS=NAME=FOLDER=SPLIT=COUNT:... names the run, and how many inputs of which
// of its data.
#include <benchmark/benchmark.h>
#include <orrery/hooks.h>

#include <cstdlib>
#include <sstream>

#include "engine/experiment/open_run.h"
#include "engine/train/hardware.h"

namespace {

using namespace orrery;
using namespace orrery::engine;

constexpr int calls = 100;

void run_with_cache_calls(benchmark::State& state, const std::string& folder, const std::string& which,
                          int64_t count, bool gradients) {
  prepare_processor({}, 1);
  keep_freed_memory();  // as in a training, and in Python
  Registry registry;
  registry.load_folder(ORRERY_PLUGIN_DIR);
  NetworkAtStep network(registry, folder);
  const torch::Tensor tokens = network.inputs(which).tokens.slice(0, 0, count);
  const at::AutoGradMode mode(gradients);
  run_with_cache(network.experiment().model(), tokens, {"*"});  // not counted, as in Python
  for (auto _ : state)
    for (int i = 0; i < calls; ++i)
      benchmark::DoNotOptimize(run_with_cache(network.experiment().model(), tokens, {"*"}));
}

const bool registered = [] {
  const char* const runs = std::getenv("ORRERY_BENCH_RUNS");
  std::istringstream entries(runs ? runs : "");
  for (std::string entry; std::getline(entries, entry, ':');) {
    std::istringstream parts(entry);
    std::string name, folder, which, count;
    for (std::string* part : {&name, &folder, &which, &count}) std::getline(parts, *part, '=');
    for (const bool gradients : {false, true})
      benchmark::RegisterBenchmark(("run_with_cache/" + name + (gradients ? "/gradients" : "")).c_str(),
                                   run_with_cache_calls, folder, which, std::stoll(count), gradients)
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
