// Writing and reading a checkpoint, and a probe's projections, at the size of the mainline network (p = 113).
#include <benchmark/benchmark.h>
#include <orrery/fourier.h>
#include <orrery/transformer.h>

#include <filesystem>

#include "engine/experiment/probe_host.h"
#include "engine/train/hardware.h"
#include "engine/train/trainer.h"
#include "loader/registry.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace {

namespace fs = std::filesystem;
using namespace orrery;
using namespace orrery::engine;

struct Mainline {
  Mainline() { use_threads(1); }
  Registry registry = [] {
    Registry loaded;
    loaded.load_folder(ORRERY_PLUGIN_DIR);
    return loaded;
  }();
  Instance<Task> task = registry.make_task(registry.find(PluginKind::task, "modular_arithmetic"), {});
  TaskSpec spec = task->spec();
  Structure structure = task->structure();
  Split split = task->split(make_generator(0));
  std::unique_ptr<Model> model = make_transformer({}, spec, make_generator(0));
};

void checkpoint_write(benchmark::State& state) {
  const Mainline mainline;
  const fs::path path = fs::temp_directory_path() / "orrery_bench.safetensors";
  for (auto _ : state) write_tensors(path, weights_of(*mainline.model));
  fs::remove(path);
}
BENCHMARK(checkpoint_write)->Unit(benchmark::kMillisecond)->UseRealTime();

void checkpoint_read(benchmark::State& state) {
  const Mainline mainline;
  const fs::path path = fs::temp_directory_path() / "orrery_bench.safetensors";
  write_tensors(path, weights_of(*mainline.model));
  for (auto _ : state) load_weights(*mainline.model, read_tensors(path).tensors);
  fs::remove(path);
}
BENCHMARK(checkpoint_read)->Unit(benchmark::kMillisecond);

// The forward pass over all pairs and the three probes together, or each with a forward pass of its own.
void probe_pass(benchmark::State& state, const std::vector<std::string>& names) {
  Mainline mainline;
  const ProbeHost host(mainline.spec, mainline.structure, mainline.split, *mainline.model);
  std::vector<Instance<Probe>> probes;
  std::vector<ProbeInRun> in_run;
  for (const std::string& name : names) {
    Values values;
    if (name != "fourier_basis")
      values = {{"rule", std::string("given")}, {"frequencies", std::vector<int64_t>{14, 35, 41, 42, 52}}};
    probes.push_back(mainline.registry.make_probe(mainline.registry.find(PluginKind::probe, name), values));
    in_run.push_back({name, 0, "self", probes.back().get(), probes.back()->needs()});
  }
  std::vector<const ProbeInRun*> shown;
  for (const ProbeInRun& probe : in_run) shown.push_back(&probe);
  for (auto _ : state) benchmark::DoNotOptimize(host.measure(0, shown, Reference::fitted));
}
BENCHMARK_CAPTURE(probe_pass, all, {"fourier_basis", "trig_loss", "excluded_loss"})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(probe_pass, fourier_basis, {"fourier_basis"})->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(probe_pass, trig_loss, {"trig_loss"})->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(probe_pass, excluded_loss, {"excluded_loss"})->Unit(benchmark::kMillisecond);

class AsksForNothing final : public Probe {
 public:
  Needs needs() const override { return {.inputs = Inputs::none}; }
  void measure(const Observation&, Recorder&) override {}
};

// What a call costs the host for a probe that asks for nothing; `on_demand`: with what probes may ask for
// (losses, corrupted inputs, copies) there to be asked, as in a run.
void probe_call(benchmark::State& state, bool on_demand) {
  Mainline mainline;
  ProbeServices services;
  if (on_demand)
    services.on_demand = {
        .losses = [&](const torch::Tensor& logits, const Batch&) { return logits; },
        .corrupted = [&](const Batch& clean, const torch::Generator&) { return clean; },
        .copy_of_model = [&] { return make_transformer({}, mainline.spec, make_generator(0)); },
        .random_model =
            [&](int64_t draw) { return make_transformer({}, mainline.spec, make_generator(draw)); }};
  const ProbeHost host(mainline.spec, mainline.structure, mainline.split, *mainline.model,
                       ProbeHost::Writes::refused, services);
  AsksForNothing probe;
  const ProbeInRun in_run{"nothing", 0, "self", &probe, probe.needs()};
  for (auto _ : state) benchmark::DoNotOptimize(host.measure(0, {&in_run}, Reference::fitted));
}
BENCHMARK_CAPTURE(probe_call, alone, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(probe_call, with_services, true)->Unit(benchmark::kMicrosecond);

void plugin_load(benchmark::State& state) {
  for (auto _ : state) {
    Registry registry;
    registry.load_folder(ORRERY_PLUGIN_DIR);
    benchmark::DoNotOptimize(registry.plugins().size());
  }
}
// Libraries are never unloaded: from the second time on this is reading, checking and describing them.
BENCHMARK(plugin_load)->Unit(benchmark::kMillisecond);

}  // namespace
