// device_times --device=cuda|cpu [--steps=N] [WORK...]: wall-clock milliseconds of a training step, and of
// three probes of a checkpoint, at the sizes of eager_reference.py and eager_probes.py. One line for each
// work: its name, a tab, the median over five rounds.
#include <fmt/format.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>

#include "engine/experiment/probe_host.h"
#include "engine/train/hardware.h"
#include "engine/train/trainer.h"
#include "loader/registry.h"

namespace {

using namespace orrery;
using namespace orrery::engine;

constexpr int rounds = 5;

double median_ms(const std::function<void()>& round, int64_t per_round) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    round();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count() /
        static_cast<double>(per_round));
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

struct Work {
  const char* name;
  const char* task;
  Values parameters;
  std::function<std::unique_ptr<Model>(const TaskSpec&)> model;
  int64_t batch_size;
};

std::vector<Work> works() {
  const auto transformer = [](TransformerConfig config) {
    return [config](const TaskSpec& spec) { return make_transformer(config, spec, make_generator(0)); };
  };
  const MlpConfig parity{
      .input = MlpConfig::Input::bits, .d_mlp = 64, .bias_column = true, .init = MlpConfig::Init::haiku};
  return {
      {"mainline", "modular_arithmetic", {{"p", int64_t{113}}, {"train_fraction", 0.3}}, transformer({}), 0},
      {"induction", "repeated_subsequence", {}, transformer({.n_layers = 2, .attn_only = true}), 128},
      {"sparse_parity",
       "sparse_parity",
       {{"n", int64_t{30}}, {"k", int64_t{3}}, {"n_train", int64_t{1000}}},
       [parity](const TaskSpec& spec) { return make_mlp(parity, spec, make_generator(0)); },
       0}};
}

double step_ms(const Registry& registry, const Work& work, torch::Device device, int64_t steps,
               TrainSettings::Kernel kernel) {
  const auto task = registry.make_task(registry.find(PluginKind::task, work.task), work.parameters);
  const TaskSpec spec = task->spec();
  const auto model = work.model(spec);
  model->to(device);
  TrainSettings settings;
  settings.kernel = kernel;
  settings.batch_size = work.batch_size;
  Trainer trainer(*model, spec, task->split(make_generator(0)), settings, 0,
                  [&](int64_t n, int64_t step, torch::Generator rng) { return task->sample(n, step, rng); });
  // Reading a weight waits for the device to finish the last step.
  const auto run = [&](int64_t n) {
    for (int64_t i = 0; i < n; ++i) trainer.step();
    model->weights().front().value.flatten()[0].item<float>();
  };
  run(std::min<int64_t>(steps, 20));
  return median_ms([&] { run(steps); }, steps);
}

// The probes show their numbers on the CPU, so each measurement ends with the device at rest.
double probes_ms(const Registry& registry, torch::Device device, int64_t times) {
  const auto task = registry.make_task(registry.find(PluginKind::task, "modular_arithmetic"), {});
  const TaskSpec spec = task->spec();
  const Structure structure = task->structure();
  const Split split = task->split(make_generator(0));
  const auto model = make_transformer({}, spec, make_generator(0));
  model->to(device);
  const ProbeHost host(spec, structure, split, *model);
  std::vector<Instance<Probe>> instances;
  std::vector<ProbeInRun> probes;
  for (const std::string name : {"fourier_basis", "trig_loss", "excluded_loss"}) {
    Values values;
    if (name != "fourier_basis")
      values = {{"rule", std::string("given")}, {"frequencies", std::vector<int64_t>{14, 35, 41, 42, 52}}};
    instances.push_back(registry.make_probe(registry.find(PluginKind::probe, name), values));
    probes.push_back({name, 0, "self", instances.back().get(), instances.back()->needs()});
  }
  std::vector<const ProbeInRun*> asked;
  for (const ProbeInRun& probe : probes) asked.push_back(&probe);
  host.measure(0, asked, Reference::fitted);
  return median_ms(
      [&] {
        for (int64_t i = 0; i < times; ++i) host.measure(0, asked, Reference::fitted);
      },
      times);
}

int run(int argc, char** argv) {
  std::string device_name = "cuda";
  int64_t steps = 200;
  std::vector<std::string> chosen;
  for (int i = 1; i < argc; ++i) {
    if (!std::strncmp(argv[i], "--device=", 9))
      device_name = argv[i] + 9;
    else if (!std::strncmp(argv[i], "--steps=", 8))
      steps = std::max<int64_t>(1, std::atoll(argv[i] + 8));
    else
      chosen.emplace_back(argv[i]);
  }
  use_threads(1);
  Registry registry;
  registry.load_folder(ORRERY_PLUGIN_DIR);
  const torch::Device device = choose_device(device_name);  // after plugins were tried in a fork
  const auto wanted = [&](const std::string& name) {
    return chosen.empty() || std::find(chosen.begin(), chosen.end(), name) != chosen.end();
  };
  for (const Work& work : works())
    if (wanted(work.name)) {
      fmt::print("{}\t{:.4f}\n", work.name,
                 step_ms(registry, work, device, steps, TrainSettings::Kernel::automatic));
      std::fflush(stdout);
    }
  if (wanted("probes")) fmt::print("probes\t{:.4f}\n", probes_ms(registry, device, steps > 20 ? 5 : 1));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "device_times: {}\n  {}\n", error.what(), error.hint());
    return 1;
  }
}
