// Every fast pass on the device against the plain one there, and that against the CPU: logits, activations,
// gradients.
#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <functional>

#include "tests/device/device_tests.h"

namespace orrery::device_test {
namespace {

struct Case {
  std::string name;
  TaskSpec spec;
  std::function<std::unique_ptr<Model>(const TaskSpec&)> make;
  int64_t batch = 200;
  bool masked = false;
};

using Layers = TransformerConfig;

Case transformer(const std::string& name, TaskSpec spec, Layers config) {
  config.d_model = 32, config.d_head = 8, config.d_mlp = 48;
  return {name, std::move(spec),
          [config](const TaskSpec& s) { return make_transformer(config, s, make_generator(1)); }};
}

Case mlp(const std::string& name, TaskSpec spec, MlpConfig config) {
  config.d_mlp = 20;
  if (config.embedding != MlpConfig::Embedding::circular) config.d_embed = 16;
  return {name, std::move(spec),
          [config](const TaskSpec& s) { return make_mlp(config, s, make_generator(1)); }};
}

std::vector<Case> transformers() {
  const TaskSpec pairs{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  const TaskSpec few{.d_vocab = 6, .d_vocab_out = 5, .n_ctx = 9, .read_out = {1, 3, 8}};
  const TaskSpec many{.d_vocab = 5000, .d_vocab_out = 11, .n_ctx = 12, .read_out = {5, 6, 7}};
  std::vector<int64_t> all_but_last(19);
  for (int64_t i = 0; i < 19; ++i) all_but_last[i] = i;
  const TaskSpec next{.d_vocab = 30, .d_vocab_out = 29, .n_ctx = 20, .read_out = all_but_last};
  using Normalization = Layers::Normalization;
  std::vector<Case> all = {
      transformer("one_layer", pairs, {}),
      transformer("one_layer_all_biases", pairs, {.biases = Layers::Biases::all}),
      transformer("one_layer_ln_gelu", pairs,
                  {.act_fn = Layers::ActFn::gelu, .normalization_type = Normalization::LN}),
      transformer("one_layer_attn_only", pairs, {.attn_only = true}),
      transformer("one_layer_several_positions", few, {.normalization_type = Normalization::LNPre}),
      transformer("one_layer_distinct_tokens", many, {}),
      transformer("two_layers", few, {.n_layers = 2, .biases = Layers::Biases::all}),
      transformer("two_layers_distinct_tokens", many, {.n_layers = 2}),
      transformer("induction", next, {.n_layers = 2, .attn_only = true}),
      transformer("three_layers_attn_only_ln", next,
                  {.n_layers = 3, .attn_only = true, .normalization_type = Normalization::LN})};
  Case masked = transformer("induction_masked", next, {.n_layers = 2, .attn_only = true});
  masked.masked = true;
  all.push_back(std::move(masked));
  return all;
}

std::vector<Case> mlps() {
  const TaskSpec pairs{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  const TaskSpec bits{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 10, .read_out = {9}};
  const TaskSpec hinge{.d_vocab = 2, .d_vocab_out = 1, .n_ctx = 10, .read_out = {9}, .loss = Loss::hinge};
  using C = MlpConfig;
  return {
      mlp("tied", pairs, {}),
      mlp("tied_biases", pairs, {.bias = true}),
      mlp("untied", pairs, {.embedding = C::Embedding::untied, .hidden = C::Hidden::untied, .bias = true}),
      mlp("circular", pairs, {.embedding = C::Embedding::circular, .d_embed = 2}),
      mlp("collapsed_square", pairs,
          {.embedding = C::Embedding::untied, .collapse = C::Collapse::both, .act_fn = C::ActFn::square}),
      mlp("two_hidden", pairs, {.embedding = C::Embedding::input_tied, .n_hidden = 2, .bias = true}),
      mlp("one_hot_sum", pairs, {.input = C::Input::one_hot_sum, .bias = true}),
      mlp("bits", bits, {.input = C::Input::bits, .bias_column = true}),
      mlp("signs_hinge", hinge, {.input = C::Input::bits, .bias = true, .bit_values = C::BitValues::signs})};
}

struct Result {
  torch::Tensor logits;
  std::vector<std::pair<std::string, torch::Tensor>> gradients;
};

class Passes : public ::testing::TestWithParam<Case> {
 protected:
  Passes() {
    const TaskSpec& spec = GetParam().spec;
    torch::Generator rng = make_generator(2);
    tokens = torch::randint(spec.d_vocab, {GetParam().batch, spec.n_ctx}, rng, torch::kInt64);
    const auto n_read = static_cast<int64_t>(spec.read_out.size());
    weights = torch::randn({GetParam().batch, n_read, spec.d_vocab_out}, rng);
    if (!GetParam().masked) return;
    mask = torch::rand({GetParam().batch, n_read}, rng) < 0.3;
    weights = weights * mask.unsqueeze(2);
  }

  std::unique_ptr<Model> model_on(torch::Device device) const {
    auto model = GetParam().make(GetParam().spec);
    model->to(device);
    return model;
  }
  ReadOutRequest request_on(torch::Device device) const {
    return {tokens.to(device), GetParam().spec.read_out, mask.defined() ? mask.to(device) : mask};
  }

  // Logits and gradients of a weighted sum of those that count.
  Result run(Model& model, ReadOutPass& pass) const {
    for (NamedWeight& weight : model.weights()) weight.value.mutable_grad() = torch::Tensor();
    const torch::Tensor logits = pass.logits();
    const torch::Tensor counted = mask.defined() ? logits * mask.unsqueeze(2).to(logits.device()) : logits;
    (counted * weights.to(logits.device())).sum().backward();
    Result result{counted.detach().to(torch::kCPU), {}};
    for (const NamedWeight& weight : model.weights())
      if (weight.value.grad().defined())
        result.gradients.emplace_back(weight.name, weight.value.grad().to(torch::kCPU));
    return result;
  }

  // By the largest of all gradients: some, such as those of b_K, are 0 up to rounding.
  static void expect_alike(const Result& x, const Result& y, const std::string& what) {
    expect_close(x.logits, y.logits, 1e-5 * largest(y.logits), what + ", logits");
    double size = 0;
    for (const auto& [name, gradient] : y.gradients) size = std::max(size, largest(gradient));
    ASSERT_EQ(x.gradients.size(), y.gradients.size()) << what;
    for (size_t i = 0; i < x.gradients.size(); ++i)
      expect_close(x.gradients[i].second, y.gradients[i].second, 1e-5 * size,
                   what + ", gradient of " + y.gradients[i].first);
  }

  torch::Tensor tokens, weights, mask;
};

TEST_P(Passes, FastIsPlainAndPlainIsTheCpus) {
  const auto here = device_under_test();
  const auto there = model_on(here), cpu = model_on(torch::kCPU);
  EXPECT_EQ(there->device().type(), here.type());
  const Result on_cpu = run(*cpu, *plain_read_out(*cpu, request_on(torch::kCPU)));
  const Result plain = run(*there, *plain_read_out(*there, request_on(here)));
  const auto pass = read_out(*there, request_on(here));
  expect_alike(plain, on_cpu, "plain here and on the CPU");
  expect_alike(run(*there, *pass), plain, "fast and plain");
  expect_alike(run(*there, *pass), plain, "fast, again, and plain");
}

TEST_P(Passes, ShowTheSameActivations) {
  const auto here = device_under_test();
  const auto model = model_on(here);
  std::vector<std::string> names = model->hook_point_names();
  std::erase_if(names, [](const std::string& name) { return name.find("attn_scores") != std::string::npos; });
  const auto keep_neurons = [](const std::string& name) {
    return name.find("mlp.hook_p") != std::string::npos;
  };
  std::vector<std::string> neurons;
  for (const std::string& name : names)
    if (keep_neurons(name) && model->fast_read_out_keeps({name})) neurons.push_back(name);
  const torch::NoGradGuard no_grad;
  const auto observe = [&](Model& of, torch::Device device, const std::vector<std::string>& points,
                           bool fast) {
    ReadOutRequest request = request_on(device);
    request.loss_mask = torch::Tensor();
    request.observed = true;
    request.hook_points = points;
    auto pass = fast ? read_out(of, request) : plain_read_out(of, request);
    auto seen = std::make_pair(pass->logits(), pass->activations());
    return seen;
  };
  const auto cpu = model_on(torch::kCPU);
  const auto expected = observe(*cpu, torch::kCPU, names, false);
  for (const bool fast : {false, true}) {
    const auto [logits, activations] = observe(*model, here, fast ? neurons : names, fast);
    expect_close(logits, expected.first, 1e-5 * largest(expected.first), "logits");
    EXPECT_EQ(activations.size(), (fast ? neurons : names).size());
    for (const auto& [name, activation] : activations) {
      EXPECT_EQ(activation.device().type(), here.type()) << name;
      expect_close(activation, expected.second.at(name), 1e-5 * largest(expected.second.at(name)), name);
    }
  }
}

void PrintTo(const Case& of, std::ostream* out) { *out << of.name; }
std::string name_of(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Transformer, Passes, ::testing::ValuesIn(transformers()), name_of);
INSTANTIATE_TEST_SUITE_P(Mlp, Passes, ::testing::ValuesIn(mlps()), name_of);

}  // namespace
}  // namespace orrery::device_test
