// Every probe on every kind of transformer: it says why it cannot measure it, or it measures numbers.
#include <gtest/gtest.h>
#include <orrery/error.h>

#include <cmath>
#include <map>
#include <set>

#include "engine/config/document.h"
#include "engine/experiment/experiment.h"
#include "loader/registry.h"

namespace orrery::engine {
namespace {

using Names = std::set<std::string>;

struct Kind {
  const char* what;
  const char* model;  // its keys of [model], besides the sizes
  Names refused;      // the probes that refuse it
};

const std::vector<Kind> kinds = {
    {"plain", "", {}},
    {"post-norm",
     "normalization_type = 'LN'\nnormalization_place = 'post'\n",
     {"circuit_edges", "neuron_waves", "induction_heads", "skip_trigrams"}},
    {"pre-norm", "normalization_type = 'RMS'\n", {"neuron_waves", "skip_trigrams"}},
    {"norm without weights", "normalization_type = 'LNPre'\n", {"neuron_waves", "skip_trigrams"}},
    {"uniform attention", "attn_coeff = 0.3\n", {"induction_heads", "skip_trigrams"}},
    {"bidirectional", "attention_dir = 'bidirectional'\n", {"induction_heads", "skip_trigrams"}},
    {"rotary",
     "positional_embedding_type = 'rotary'\n",
     {"circuit_edges", "induction_heads", "skip_trigrams"}},
    {"gated", "gated_mlp = true\nact_fn = 'silu'\nbiases = 'none'\n", {"neuron_waves"}},
    {"tied", "unembedding = 'tied'\n", {"induction_heads", "skip_trigrams", "digit_waves"}},
};

// Probes of an mlp, which refuse every transformer.
const Names of_an_mlp = {"hidden_progress"};

// A task, and what a probe of it needs of the network.
struct Setting {
  const char* task;
  const char* model;
};
const Setting sums = {"name = 'modular_arithmetic'\np = 7\ntrain_fraction = 0.5\n", "d_mlp = 12\n"};
const Setting repeats = {
    "name = 'repeated_subsequence'\nvocabulary = 8\nlength = 12\nsubsequence = 3\ntimes = 2\nn_train = 30\n"
    "n_test = 30\n",
    "attn_only = true\n"};
const Setting digits = {"name = 'digit_addition'\nn_digits = 2\nn_train = 50\nn_test = 50\n", "d_mlp = 12\n"};

Setting setting_of(const std::string& probe) {
  if (probe == "induction_heads" || probe == "skip_trigrams") return repeats;
  return probe == "digit_waves" || probe == "carry" ? digits : sums;
}

const Registry& registry() {
  static const auto* all = [] {
    auto* made = new Registry;
    made->load_folder(ORRERY_PLUGIN_DIR);
    return made;
  }();
  return *all;
}

// The network, with gains and biases other than those of a new one.
std::unique_ptr<Experiment> network(const Kind& kind, const std::string& probe) {
  const Setting setting = setting_of(probe);
  std::string config =
      "[task]\n" + std::string(setting.task) + "[model]\nd_model = 16\nn_heads = 2\nd_head = 8\n";
  config += std::string(setting.model) + kind.model + "[[probe]]\nname = '" + probe + "'\n";
  if (probe == "weight_trajectories") config += "weight = 'embed.W_E'\n";
  if (probe == "interchange") config += "rule = 'given'\nfrequencies = [1]\n";  // random weights have none
  auto experiment = std::make_unique<Experiment>(
      registry(), resolve(Document::from_toml(config, "c.toml"), parameters_from(registry())), torch::kCPU);
  const torch::NoGradGuard no_grad;
  for (NamedWeight& weight : experiment->model().weights())
    if (weight.value.dim() == 1)
      weight.value.add_(torch::randn(weight.value.sizes(), make_generator(2)), 0.3);
  experiment->set_training([] { return NamedTensors{}; });  // that before the first update
  return experiment;
}

// Why the probe refuses the network; "" if it measures it.
std::string refusal(const Kind& kind, const std::string& probe) {
  const auto experiment = network(kind, probe);
  try {
    experiment->add_probes(experiment->settings().probes);
  } catch (const UsageError& error) {
    return error.what();
  }
  const ProbeInRun& one = experiment->probes().at(0);
  if (one.needs.reference)
    for (const Outcome& fitted : experiment->probe_host().fit(0, {&one}))
      if (!fitted.ok()) return fitted.error;
  const auto outcomes = experiment->probe_host().measure(0, {&one}, Reference::fitted);
  EXPECT_EQ(outcomes.size(), 1u) << probe;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.ok()) return outcome.error;
    EXPECT_TRUE(!outcome.record.scalars.empty() || one.concludes()) << probe << " on " << kind.what;
    for (const auto& [name, value] : outcome.record.scalars)
      EXPECT_FALSE(std::isinf(value)) << probe << " on " << kind.what << ": " << name;
  }
  return "";
}

Names all_probes() {
  Names names;
  for (const auto& plugin : registry().plugins())
    if (plugin->kind == PluginKind::probe) names.insert(plugin->name);
  return names;
}

TEST(ProbesOnNetworks, MeasureOrSayWhyNot) {
  ASSERT_GE(all_probes().size(), 19u);
  for (const Kind& kind : kinds) {
    Names refused;
    std::string said;
    for (const std::string& probe : all_probes()) {
      // Without an MLP there is no gate.
      if (setting_of(probe).task == repeats.task && kind.what == std::string("gated")) continue;
      if (const std::string why = refusal(kind, probe); !why.empty()) {
        refused.insert(probe);
        said += why + "\n";
      }
    }
    Names expected = kind.refused;
    expected.insert(of_an_mlp.begin(), of_an_mlp.end());
    EXPECT_EQ(refused, expected) << kind.what << "\n" << said;
  }
}

}  // namespace
}  // namespace orrery::engine
