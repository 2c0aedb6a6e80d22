// Whole runs on the device against the CPU: losses step by step, probes, and a run that was stopped and
// resumed.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "engine/probing/probe_runner.h"
#include "engine/run/json_read.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"
#include "engine/train/hardware.h"
#include "engine/train/trainer.h"
#include "tests/device/device_tests.h"
#include "tests/support/small_run.h"

namespace orrery::device_test {
namespace {

using namespace engine;
using testing::built_in_plugins;
using testing::bytes_of;
using testing::CollectingReporter;
using testing::TestFolder;

struct Run {
  std::string name, config;
};

const std::string transformer = "[model]\nd_model = 16\nn_heads = 2\nd_head = 8\nd_mlp = 24\n";
const std::string attn_only = "[model]\nd_model = 16\nn_heads = 2\nd_head = 8\nattn_only = true\n";
const std::string sums = "[task]\nname = \"modular_arithmetic\"\np = 11\n";
const std::string sequences =
    "[task]\nname = \"repeated_subsequence\"\nvocabulary = 12\nlength = 20\nsubsequence = 5\ntimes = 2\n";

// Each is 20 steps; together they train every kind of batch, loss, optimiser, mask and model.
std::vector<Run> runs() {
  return {
      {"full_batch", sums + transformer + "[train]\nlr = 1e-2\n"},
      {"plain", sums + transformer + "[train]\nlr = 1e-2\nkernel = \"plain\"\n"},
      {"batches_adam_l1", sums + transformer + "[train]\nbatch_size = 16\noptimizer = \"adam\"\nl1 = 1e-4\n"},
      {"sgd_float32",
       sums + transformer +
           "[train]\noptimizer = \"sgd\"\nmomentum = 0.9\nweight_decay = 1e-3\nloss_dtype = \"float32\"\n"},
      {"dropout", sums + transformer + "[train]\ndropout = 0.2\n"},
      {"layer_norm",
       sums + transformer + "normalization_type = \"LN\"\nbiases = \"all\"\nact_fn = \"gelu\"\n"},
      {"induction", sequences + attn_only + "n_layers = 2\n[train]\nbatch_size = 16\n"},
      {"digits",
       "[task]\nname = \"digit_addition\"\nn_digits = 2\n" + transformer + "[train]\nbatch_size = 16\n"},
      {"max_element",
       "[task]\nname = \"max_element\"\nn_entries = 8\n" + attn_only + "[train]\nbatch_size = 16\n"},
      {"mlp",
       "[task]\nname = \"modular_arithmetic\"\np = 11\npairs = \"a<=b\"\n[model]\nkind = \"mlp\"\n"
       "d_embed = 24\nd_mlp = 12\n"},
      {"group",
       "[task]\nname = \"symmetric_group\"\nn = 3\n[model]\nkind = \"mlp\"\nembedding = \"untied\"\n"
       "hidden = \"untied\"\nd_embed = 8\nd_mlp = 12\n"},
      {"parity",
       "[task]\nname = \"sparse_parity\"\nn = 10\nk = 2\nn_train = 300\nn_test = 100\n"
       "[model]\nkind = \"mlp\"\ninput = \"bits\"\nbias_column = true\nd_mlp = 16\n"},
      {"parity_hinge",
       "[task]\nname = \"sparse_parity\"\nn = 10\nk = 2\nn_train = 300\nn_test = 100\nread_out = "
       "\"single_logit\"\n"
       "[model]\nkind = \"mlp\"\ninput = \"bits\"\nd_mlp = 16\n[train]\nbatch_size = 50\n"},
      {"own_model",
       "[task]\nname = \"circuit_competition\"\nn_classes = 7\n[model]\nkind = \"task\"\n"
       "[train]\noptimizer = \"sgd\"\nlr = 0.1\n"},
  };
}

Settings settings_of(const std::string& config, const std::string& more = "") {
  const std::string steps = "train.steps=20", every = "train.eval_every=5", kept = "checkpoints.every=10";
  return resolve(
      Document::from_toml("name = \"device\"\n" + config + more, "device.toml", {steps, every, kept}),
      parameters_from(built_in_plugins()));
}

class Training : public ::testing::TestWithParam<Run> {};

// The losses of 20 steps, the metrics after them and the weights.
struct Trajectory {
  std::vector<double> losses;
  Metrics metrics;
  NamedTensors weights;
};

Trajectory train(const Settings& settings, torch::Device device) {
  Experiment experiment(built_in_plugins(), settings, device);
  Trainer trainer(
      experiment.model(), experiment.spec(), experiment.split(), settings.train, settings.seeds.batches,
      [&](int64_t n, int64_t step, torch::Generator rng) { return experiment.sample(n, step, rng); },
      [&](const torch::Tensor& logits, const Batch& examples) {
        return experiment.task_metrics(logits, examples);
      });
  Trajectory made;
  for (int step = 0; step < 20; ++step) made.losses.push_back(trainer.step());
  made.metrics = trainer.evaluate();
  for (const NamedWeight& weight : experiment.model().weights()) {
    EXPECT_EQ(weight.value.device().type(), device.type()) << weight.name;
    made.weights.emplace_back(weight.name, weight.value.detach().to(torch::kCPU).clone());
  }
  return made;
}

TEST_P(Training, GoesAsOnTheCpu) {
  const Settings settings = settings_of(GetParam().config);
  const Trajectory cpu = train(settings, torch::kCPU), here = train(settings, device_under_test());
  for (size_t step = 0; step < cpu.losses.size(); ++step)
    EXPECT_NEAR(here.losses[step], cpu.losses[step], 1e-4 * (1 + std::abs(cpu.losses[step]))) << step;
  ASSERT_EQ(here.metrics.size(), cpu.metrics.size());
  for (size_t i = 0; i < cpu.metrics.size(); ++i) {
    EXPECT_EQ(here.metrics[i].first, cpu.metrics[i].first);
    const double expected = cpu.metrics[i].second;
    if (std::isnan(expected)) continue;
    EXPECT_NEAR(here.metrics[i].second, expected, 2e-3 * (1 + std::abs(expected))) << cpu.metrics[i].first;
  }
}

// No config can name the stand-in for a GPU, so a run of it cannot be opened as it is.
void name_a_known_device(const std::filesystem::path& run) {
  Json about = parse_object(bytes_of(run / "run.json"), "run.json");
  about.erase("sha256");
  about["config"]["train"]["device"] = "auto";
  std::ofstream(run / "run.json") << about.dump();
}

// The state holds moments, batches, random numbers: whatever is missing shows in the bytes of the last
// checkpoint.
TEST_P(Training, StoppedAndResumedEndsInTheSameBytes) {
  const TestFolder folder;
  Settings settings = settings_of(GetParam().config);
  settings.train.device = device_name();
  CollectingReporter whole, stopped, rest;
  train_run(built_in_plugins(), settings, folder / "whole", Start::anew, whole);
  stopped.stop_at = 13;
  const TrainedRun first = train_run(built_in_plugins(), settings, folder / "parts", Start::anew, stopped);
  EXPECT_EQ(first.ending, Ending::stopped);
  name_a_known_device(folder / "parts");
  train_run(built_in_plugins(), settings, folder / "parts", Start::resume, rest);
  for (const char* file :
       {"metrics.jsonl", "checkpoints/step_00000010.safetensors", "checkpoints/step_00000020.safetensors"})
    EXPECT_EQ(bytes_of(folder / "whole" / file), bytes_of(folder / "parts" / file)) << file;
  EXPECT_EQ(read_run_json(folder / "whole").sessions.at(0).device, device_name());
}

void PrintTo(const Run& of, std::ostream* out) { *out << of.name; }
std::string name_of(const ::testing::TestParamInfo<Run>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(, Training, ::testing::ValuesIn(runs()), name_of);

std::string probe(const std::string& name, const std::string& more = "") {
  return "[[probe]]\nname = \"" + name + "\"\n" + more;
}

std::vector<Run> probed() {
  const std::string cyclic = probe("fourier_basis") + probe("trig_loss") + probe("excluded_loss") +
                             probe("circuit_efficiency") + probe("neuron_waves") + probe("clock_pizza") +
                             probe("weight_structure") + probe("group_representations") +
                             probe("phase_changes") +
                             probe("subspace_loss", "preset = \"chughtai_excluded\"\n");
  return {{"transformer", sums + transformer + cyclic + probe("attention_patterns")},
          {"mlp",
           "[task]\nname = \"modular_arithmetic\"\np = 11\n[model]\nkind = \"mlp\"\nd_embed = 24\n"
           "d_mlp = 12\n" +
               cyclic},
          {"circular",
           "[task]\nname = \"modular_arithmetic\"\np = 11\n[model]\nkind = \"mlp\"\n"
           "embedding = \"circular\"\nd_embed = 2\nd_mlp = 12\n" +
               probe("clock_pizza") + probe("fourier_basis", "rule = \"embedding\"\n")},
          {"group",
           "[task]\nname = \"symmetric_group\"\nn = 3\n[model]\nkind = \"mlp\"\nembedding = \"untied\"\n"
           "hidden = \"untied\"\nd_embed = 8\nd_mlp = 12\n" +
               probe("group_representations")},
          {"induction", sequences + attn_only + "n_layers = 2\n[train]\nbatch_size = 16\n" +
                            probe("induction_heads", "ablate = \"all\"\nn_sequences = 8\n") +
                            probe("attention_patterns", "inputs = \"test\"\n")},
          {"max_element", "[task]\nname = \"max_element\"\nn_entries = 8\n" + attn_only +
                              "[train]\nbatch_size = 16\n" + probe("skip_trigrams")},
          {"digits", "[task]\nname = \"digit_addition\"\nn_digits = 2\n" + transformer +
                         "[train]\nbatch_size = 16\n" + probe("digit_waves")},
          {"parity",
           "[task]\nname = \"sparse_parity\"\nn = 10\nk = 2\nn_train = 300\nn_test = 100\n"
           "[model]\nkind = \"mlp\"\ninput = \"bits\"\nbias_column = true\nd_mlp = 16\n" +
               probe("weight_structure")}};
}

class Probes : public ::testing::TestWithParam<Run> {
 protected:
  // Opened on the CPU, as `orrery probe` does.
  Settings on_cpu(Settings settings) const {
    settings.train.device = "cpu";
    return settings;
  }
};

void expect_same_numbers(const Record& here, const Record& cpu, const std::string& where) {
  ASSERT_EQ(here.scalars.size(), cpu.scalars.size()) << where;
  for (size_t i = 0; i < cpu.scalars.size(); ++i) {
    const auto& [name, expected] = cpu.scalars[i];
    EXPECT_EQ(here.scalars[i].first, name) << where;
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(here.scalars[i].second)) << where << ", " << name;
    else
      EXPECT_NEAR(here.scalars[i].second, expected, 1e-3 * (1 + std::abs(expected))) << where << ", " << name;
  }
  EXPECT_EQ(here.headlines, cpu.headlines) << where;
  ASSERT_EQ(here.tensors.size(), cpu.tensors.size()) << where;
  for (size_t i = 0; i < cpu.tensors.size(); ++i)
    EXPECT_EQ(here.tensors[i].second.sizes(), cpu.tensors[i].second.sizes()) << cpu.tensors[i].first;
}

// What probes said in a run on the device, at its checkpoints, of random weights and in the end, beside what
// they say of the same checkpoints on the CPU.
TEST_P(Probes, SayWhatTheySayOnTheCpu) {
  const TestFolder folder;
  Settings settings = settings_of(GetParam().config);
  settings.train.device = device_name();
  CollectingReporter reporter, again;
  const TrainedRun trained = train_run(built_in_plugins(), settings, folder / "run", Start::anew, reporter);
  EXPECT_TRUE(trained.probed);
  EXPECT_EQ(reporter.warnings, std::vector<std::string>());

  std::filesystem::copy(folder / "run", folder / "cpu", std::filesystem::copy_options::recursive);
  RunDirectory run = RunDirectory::open(folder / "run", RunDirectory::Access::read),
               cpu = RunDirectory::open(folder / "cpu");
  Experiment experiment(built_in_plugins(), on_cpu(settings), torch::kCPU);
  experiment.add_probes(settings.probes);
  EXPECT_EQ(ProbeRunner(experiment, cpu, again, {.reuse = Reuse::none, .workers = 0}).run(cpu.checkpoints()),
            Probed::well);
  for (const ProbeInRun& asked : experiment.probes()) {
    const auto here = run.read_probe_results(asked.label), expected = cpu.read_probe_results(asked.label);
    ASSERT_EQ(here.size(), expected.size()) << asked.label;
    EXPECT_EQ(here.size(), 3u) << asked.label;
    for (size_t i = 0; i < here.size(); ++i)
      expect_same_numbers(here[i].record, expected[i].record,
                          asked.label + ", step " + std::to_string(expected[i].step));
    for (const auto which : {RunLevelResult::null, RunLevelResult::conclusion}) {
      const auto mine = run.read_run_level(asked.label, which),
                 theirs = cpu.read_run_level(asked.label, which);
      ASSERT_EQ(mine.has_value(), theirs.has_value()) << asked.label;
      if (mine) expect_same_numbers(mine->record, theirs->record, asked.label + ", null or conclusion");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, Probes, ::testing::ValuesIn(probed()), name_of);

}  // namespace
}  // namespace orrery::device_test
