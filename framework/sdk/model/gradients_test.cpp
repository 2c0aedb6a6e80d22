#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/gradients.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

namespace orrery {
namespace {

const TaskSpec spec{6, 5, 3, {1, 2}, {}};

// Smooth, so that finite differences are not taken across a kink.
std::unique_ptr<Model> small_transformer() {
  TransformerConfig config{.n_layers = 2, .d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12};
  config.act_fn = TransformerConfig::ActFn::gelu;
  return make_transformer(config, spec, make_generator(3));
}

torch::Tensor some_tokens() { return torch::randint(6, {7, 3}, make_generator(5), torch::kInt64); }

torch::Tensor objective(const torch::Tensor& logits) {
  return (logits.to(torch::kFloat64).softmax(-1).select(-1, 2) * torch::arange(1, 3)).sum();
}

double value_of(Model& model, const torch::Tensor& tokens, const std::vector<Hook>& hooks = {}) {
  torch::NoGradGuard no_grad;
  return objective(run_with_hooks(model, tokens, hooks).narrow(1, 1, 2)).item<double>();
}

// Along a random direction, by central differences of the objective in single precision.
constexpr double shift = 2e-3, tolerance = 2e-3;

TEST(Gradients, OfWeightsAreThoseOfFiniteDifferences) {
  const auto model = small_transformer();
  const torch::Tensor tokens = some_tokens();
  const Gradients found = gradients(*model, tokens, spec.read_out, objective, {.weights = {"*"}});
  EXPECT_EQ(found.of_weights.size(), model->weights().size());
  EXPECT_NEAR(found.value, value_of(*model, tokens), 1e-6);
  torch::NoGradGuard no_grad;
  for (const std::string name : {"embed.W_E", "blocks.0.attn.W_Q", "blocks.1.mlp.W_in", "unembed.W_U"}) {
    torch::Tensor weight = model->weight(name);
    const torch::Tensor direction = torch::randn(weight.sizes(), make_generator(1));
    weight.add_(direction, shift);
    const double above = value_of(*model, tokens);
    weight.add_(direction, -2 * shift);
    const double below = value_of(*model, tokens);
    weight.add_(direction, shift);
    const double expected = (above - below) / (2 * shift);
    EXPECT_NEAR((found.of_weights.at(name) * direction).sum().item<double>(), expected,
                tolerance * (1 + std::abs(expected)))
        << name;
  }
}

TEST(Gradients, OfActivationsAreThoseOfFiniteDifferences) {
  const auto model = small_transformer();
  const torch::Tensor tokens = some_tokens();
  const std::vector<std::string> points = {"hook_embed", "blocks.0.attn.hook_pattern",
                                           "blocks.1.mlp.hook_post"};
  const Gradients found = gradients(*model, tokens, spec.read_out, objective, {.activations = points});
  for (const std::string& point : points) {
    const torch::Tensor direction = torch::randn(found.activations[point].sizes(), make_generator(1));
    const auto moved = [&](double by) {
      return value_of(*model, tokens, {{point, [&](const torch::Tensor& x) { return x + by * direction; }}});
    };
    const double expected = (moved(shift) - moved(-shift)) / (2 * shift);
    EXPECT_NEAR((found.of_activations[point] * direction).sum().item<double>(), expected,
                tolerance * (1 + std::abs(expected)))
        << point;
  }
}

TEST(Gradients, AreTakenBehindTheHooksOfTheRequest) {
  const auto model = small_transformer();
  const torch::Tensor tokens = some_tokens();
  const Gradients found = gradients(
      *model, tokens, spec.read_out, objective,
      {.weights = {"embed.W_E"},
       .activations = {"blocks.0.mlp.hook_post", "blocks.0.hook_resid_post"},
       .hooks = {{"blocks.0.hook_resid_post", [](const torch::Tensor& x) { return torch::ones_like(x); }}}});
  EXPECT_TRUE(found.activations["blocks.0.hook_resid_post"].eq(1).all().item<bool>());
  EXPECT_GT(found.of_activations["blocks.0.hook_resid_post"].abs().sum().item<double>(), 0);
  EXPECT_EQ(found.of_activations["blocks.0.mlp.hook_post"].abs().sum().item<double>(), 0);
  EXPECT_EQ(found.of_weights.at("embed.W_E").abs().sum().item<double>(), 0);
}

TEST(Gradients, LeaveNothingBehind) {
  const auto model = small_transformer();
  const torch::NoGradGuard no_grad;
  const Gradients found =
      gradients(*model, some_tokens(), spec.read_out, objective, {.weights = {"*"}, .activations = {"*"}});
  EXPECT_FALSE(torch::GradMode::is_enabled());
  EXPECT_FALSE(found.logits.requires_grad());
  for (const NamedWeight& weight : model->weights()) EXPECT_FALSE(weight.value.grad().defined());
  for (const auto& point : model->hook_points()) EXPECT_EQ(point->n_hooks(), 0);
}

TEST(Gradients, ReachActivationsThatNoWeightIsBefore) {
  const TaskSpec parity{2, 1, 4, {3}, {}, Loss::logistic};
  MlpConfig config;
  config.input = MlpConfig::Input::bits;
  config.d_mlp = 6;
  const auto model = make_mlp(config, parity, make_generator(0));
  const Gradients found =
      gradients(*model, torch::randint(2, {5, 4}, make_generator(1), torch::kInt64), parity.read_out,
                [](const torch::Tensor& logits) { return logits.sum(); }, {.activations = {"hook_input"}});
  EXPECT_GT(found.of_activations["hook_input"].abs().sum().item<double>(), 0);
}

TEST(Gradients, SayWhatCannotBeDifferentiated) {
  const auto model = small_transformer();
  const auto error_of = [&](const Objective& of, const GradientRequest& request) -> std::string {
    try {
      gradients(*model, some_tokens(), spec.read_out, of, request);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of(objective, {.weights = {"embed.W_e"}}),
            "the model has no weight \"embed.W_e\" (did you mean \"embed.W_E\"?)");
  EXPECT_NE(error_of(objective, {.activations = {"hook_embd"}}).find("hook_embed"), std::string::npos);
  EXPECT_EQ(error_of([](const torch::Tensor& logits) { return logits; }, {.weights = {"*"}}),
            "the objective of gradients() gave no scalar");
  EXPECT_EQ(error_of([](const torch::Tensor& logits) { return logits.argmax(-1).sum(); }, {.weights = {"*"}}),
            "the objective of gradients() does not depend on the logits in a differentiable way");
}

}  // namespace
}  // namespace orrery
