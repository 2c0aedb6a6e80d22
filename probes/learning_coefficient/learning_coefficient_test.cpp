#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/gradients.h>
#include <orrery/loss.h>
#include <orrery/mlp.h>
#include <orrery/sgld.h>
#include <orrery/transformer.h>
#include <tests/support/hand_built.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

// A network whose logits are its weights, whatever it reads. Under the loss of Quadratic below it is a
// regular model: L = 1/2 sum h_i (w_i - c_i)^2.
class JustWeights final : public Model {
 public:
  JustWeights(const torch::Tensor& a, const torch::Tensor& b)
      : a_(add_weight("a", a)), b_(add_weight("b", b)), hook_(add_hook_point("hook_logits")) {}
  torch::Tensor forward(const torch::Tensor& tokens) override {
    const torch::Tensor w = torch::cat({a_, b_});
    return hook_(w.expand({tokens.size(0), tokens.size(1), w.size(0)}));
  }

 private:
  torch::Tensor a_, b_;
  HookPoint& hook_;
};

const std::vector<double> curvatures = {10, 3, 1, 0.3, 2};

struct Quadratic {
  explicit Quadratic(double away = 0) : model(torch::full({2}, away), torch::full({3}, away)) {
    split.train = {torch::zeros({50, 2}, torch::kInt64), torch::zeros({50, 1}, torch::kInt64)};
    on_demand.losses = [](const torch::Tensor& logits, const Batch&) {
      return (torch::tensor(curvatures, torch::kFloat64) * logits.square()).sum(-1) / 2;
    };
    on_demand.copy_of_model = [this] {
      return std::make_unique<JustWeights>(model.weight("a").detach(), model.weight("b").detach());
    };
  }
  Observation observe() { return {0, spec, structure, split, nothing, model, logits, cache, &on_demand}; }

  TaskSpec spec{.d_vocab = 2, .d_vocab_out = 5, .n_ctx = 2, .read_out = {1}};
  Structure structure;
  Split split;
  Batch nothing;
  JustWeights model;
  torch::Tensor logits;
  ActivationCache cache;
  OnDemand on_demand;
};

const std::string sampler =
    R"("epsilon": 1e-4, "gamma": 30, "nbeta": 1000, "n_chains": 20, "n_burn_in": 200, "n_draws": 100)";
std::string with(const std::string& more) { return "{" + sampler + more + "}"; }

// Of one weight in the stationary autoregression that SGLD is: n beta h / 2 times its variance.
double stationary(double h) {
  const double a = 1000 * h + 30;
  return 1000 * h / 2 / (a * (1 - 1e-4 * a / 4));
}

Recorder measured(const Observation& seen, const std::string& json) {
  const torch::NoGradGuard no_grad;
  Recorder recorder;
  make_probe(json)->measure(seen, recorder);
  return recorder;
}

std::string verdict(const Recorder& recorder) {
  return std::get<std::string>(finding(recorder, "learning_coefficient").fields.at("verdict"));
}

TEST(LearningCoefficient, OfARegularMinimumIsHalfItsDimension) {
  Quadratic network;
  const auto all = measured(network.observe(), with(""));
  double expected = 0;
  for (const double h : curvatures) expected += stationary(h);
  EXPECT_NEAR(expected, 2.5, 0.3);  // what the step and the force back to w* leave of 5/2
  EXPECT_LT(scalar(all, "standard_error"), 0.15);
  // The slowest weight, with a = 330, forgets its start by exp(-0.0165 * 200 * 2): a thousandth is left of
  // it.
  EXPECT_NEAR(scalar(all, "llc"), expected, 4 * scalar(all, "standard_error"));
  EXPECT_EQ(scalar(all, "at_minimum"), 1);
  EXPECT_EQ(scalar(all, "descent"), 0);
  // Of curvatures 10 and 3, eight powers leave (3 / 10)^8 of the second.
  EXPECT_NEAR(scalar(all, "curvature"), 10, 1e-3);
  EXPECT_EQ(scalar(all, "gradient_norm"), 0);
  EXPECT_EQ(scalar(all, "share_negative"), 0);
  EXPECT_EQ(scalar(all, "share_below"), 0);
  EXPECT_EQ(verdict(all), "at a minimum, as far as the chains see");
  const auto fields = finding(all, "learning_coefficient").fields;
  EXPECT_EQ(std::get<int64_t>(fields.at("n_weights")), 5);
  EXPECT_EQ(std::get<int64_t>(fields.at("n_examples")), 50);
}

TEST(LearningCoefficient, RestrictedToWeightsTheOthersStay) {
  Quadratic network;
  const auto of_b = measured(network.observe(), with(R"(, "weights": ["b"])"));
  const double expected = stationary(1) + stationary(0.3) + stationary(2);
  EXPECT_NEAR(scalar(of_b, "llc"), expected, 4 * scalar(of_b, "standard_error"));
  EXPECT_EQ(std::get<int64_t>(finding(of_b, "learning_coefficient").fields.at("n_weights")), 3);
}

TEST(LearningCoefficient, NBetaIsNOverLogNByDefault) {
  Quadratic network;
  const auto fields =
      finding(measured(network.observe(), R"({"n_draws": 2})"), "learning_coefficient").fields;
  EXPECT_EQ(std::get<double>(fields.at("nbeta")), 50 / std::log(50.0));
}

TEST(LearningCoefficient, AwayFromTheMinimumItSaysSo) {
  Quadratic network(0.5);
  const auto away = measured(network.observe(), with(R"(, "gamma": 1)"));
  EXPECT_LT(scalar(away, "llc"), 0);
  EXPECT_EQ(scalar(away, "at_minimum"), 0);
  EXPECT_EQ(scalar(away, "share_below"), 1);
  EXPECT_EQ(scalar(away, "share_negative"), 1);
  EXPECT_EQ(verdict(away), "not at a minimum: most draws lie below the checkpoint");
  // Half a unit from the minimum n beta L is 1000 / 2 sum h / 4; a hundred steps of descent get down most of
  // it.
  EXPECT_NEAR(scalar(away, "descent"), 1000 * 16.3 / 8, 200);
  // A little off: the chains lie above the checkpoint, and descent tells.
  Quadratic near(0.01);
  const auto close = measured(near.observe(), with(""));
  EXPECT_GT(scalar(close, "llc"), 0);
  EXPECT_LT(scalar(close, "share_below"), 0.5);
  EXPECT_EQ(scalar(close, "at_minimum"), 0);
  EXPECT_NE(verdict(close).find("descent without noise gains"), std::string::npos);
  EXPECT_EQ(scalar(measured(near.observe(), with(R"(, "descent": false)")), "at_minimum"), 1);
}

TEST(LearningCoefficient, ChainsThatHaveNotArrivedAreSaidTo) {
  Quadratic network;
  const auto early = measured(network.observe(), with(R"(, "n_burn_in": 0, "n_draws": 20)"));
  EXPECT_GT(scalar(early, "drift"), 0.1 * scalar(early, "llc"));
  EXPECT_EQ(scalar(early, "at_minimum"), 1);
  EXPECT_EQ(verdict(early),
            "at a minimum, as far as the chains see, but they have not arrived: the estimate drifts by more "
            "than a tenth; take a longer burn-in");
}

// The loss of each example has a slope of its own, which leads nowhere in their mean. A minibatch is below
// the loss of them all half of the time, at the minimum as elsewhere.
TEST(LearningCoefficient, ALowMinibatchIsNoEvidence) {
  Quadratic network;
  network.on_demand.losses = [](const torch::Tensor& logits, const Batch& inputs) {
    const torch::Tensor side = inputs.tokens.narrow(1, 0, 1).to(torch::kFloat64) * 2 - 1;
    return logits.to(torch::kFloat64).square().sum(-1) / 2 + side;
  };
  network.split.train.tokens.narrow(0, 0, 30).fill_(0);
  network.split.train.tokens.narrow(0, 30, 20).fill_(1);
  const auto found = measured(network.observe(),
                              with(R"(, "batch_size": 1, "n_chains": 5, "n_burn_in": 199, "n_draws": 500)"));
  EXPECT_GT(scalar(found, "share_below"), 0.5);
  EXPECT_EQ(scalar(found, "at_minimum"), 1) << verdict(found);
  EXPECT_EQ(verdict(found).find("most draws"), std::string::npos);
}

// Of 50 examples two have a label that counts.
TEST(LearningCoefficient, MinibatchesAreOfExamplesThatCount) {
  Quadratic network;
  network.split.train.scored = torch::zeros({50, 1}, torch::kBool);
  network.split.train.scored.index_fill_(0, torch::tensor({7, 31}), true);
  const auto found = measured(network.observe(), with(R"(, "batch_size": 1, "n_chains": 2)"));
  EXPECT_EQ(scalar(found, "share_diverged"), 0);
  EXPECT_TRUE(torch::allclose(tensor(found, "losses"),
                              tensor(measured(network.observe(), with(R"(, "n_chains": 2)")), "losses"), 1e-4,
                              0));
  EXPECT_EQ(std::get<int64_t>(finding(found, "learning_coefficient").fields.at("n_examples")), 50);
}

// The loss is NaN once, on the way of the chain without noise, which is the first.
TEST(LearningCoefficient, ADescentThatDivergesIsNoMinimum) {
  Quadratic network;
  const auto plain = network.on_demand.losses;
  int64_t calls = 0;
  network.on_demand.losses = [&](const torch::Tensor& logits, const Batch& inputs) {
    return plain(logits, inputs) * (++calls == 100 ? std::nan("") : 1.0);
  };
  const auto found = measured(network.observe(), with(""));
  EXPECT_TRUE(std::isnan(scalar(found, "descent")));
  EXPECT_EQ(scalar(found, "share_diverged"), 0);
  EXPECT_EQ(scalar(found, "at_minimum"), 0);
  EXPECT_EQ(verdict(found),
            "not known to be at a minimum: descent without noise diverged; take a smaller epsilon");
}

TEST(LearningCoefficient, OfRandomWeightsIsNotAtAMinimum) {
  for (auto& network : {random_transformer({.d_model = 16, .n_heads = 2, .d_head = 8, .d_mlp = 32}, 13)}) {
    const auto found = measured(const_cast<ModelOnGrid&>(network).observe(),
                                R"({"epsilon": 1e-3, "gamma": 1, "n_chains": 2})");
    EXPECT_EQ(scalar(found, "at_minimum"), 0) << verdict(found);
    EXPECT_GT(scalar(found, "descent"), 1);
  }
}

// A narrow hole in a plain as high as the loss of guessing.
TEST(LearningCoefficient, ChainsThatHaveLeftTheNetworkAreSaidTo) {
  Quadratic network(2);
  network.on_demand.losses = [](const torch::Tensor& logits, const Batch&) {
    return 1 - torch::exp(-(logits - 2).square().sum(-1));
  };
  const std::string json = R"("gamma": 0.1, "nbeta": 1, "n_chains": 4, "n_burn_in": 100, "n_draws": 50})";
  const auto left = measured(network.observe(), R"({"epsilon": 0.1, )" + json);
  EXPECT_GT(scalar(left, "llc"), 0.5);
  EXPECT_EQ(scalar(left, "at_minimum"), 0);
  EXPECT_EQ(verdict(left).substr(0, 67),
            "not known to be at a minimum: the chains have left the network, and");
  const auto near = measured(network.observe(), R"({"epsilon": 1e-5, )" + json);
  EXPECT_EQ(scalar(near, "at_minimum"), 1) << verdict(near);
}

TEST(LearningCoefficient, DivergedChainsAreNamed) {
  Quadratic network;
  const auto found = measured(network.observe(), with(R"(, "epsilon": 0.1, "n_chains": 3)"));
  EXPECT_TRUE(std::isnan(scalar(found, "llc")));
  EXPECT_EQ(scalar(found, "at_minimum"), 0);
  EXPECT_EQ(scalar(found, "share_diverged"), 1);
  EXPECT_EQ(verdict(found), "every chain diverged: take a smaller epsilon");
  EXPECT_EQ(
      std::get<std::vector<int64_t>>(finding(found, "learning_coefficient").fields.at("diverged_chains")),
      (std::vector<int64_t>{0, 1, 2}));
  const torch::Tensor losses = tensor(found, "losses");
  EXPECT_TRUE(torch::isnan(losses.select(1, 99)).all().item<bool>());
}

TEST(LearningCoefficient, ACheckpointThatIsNotFiniteHasNone) {
  Quadratic network(std::nan(""));
  const auto found = measured(network.observe(), "{}");
  EXPECT_TRUE(std::isnan(scalar(found, "llc")));
  EXPECT_EQ(verdict(found), "the loss of the checkpoint is not finite");
}

// The chain by its definition, over the plain pass.
TEST(LearningCoefficient, IsWhatThePlainPassGives) {
  ModelOnGrid network = random_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, 7);
  const Observation seen = network.observe();
  const auto copy = seen.copy_of_model();
  const Batch& train = network.task.split.train;
  const auto loss = [&](const torch::Tensor& w, const torch::Tensor& gradient) {
    int64_t at = 0;
    for (NamedWeight& weight : copy->weights()) {
      const torch::NoGradGuard no_grad;
      weight.value.copy_(w.narrow(0, at, weight.value.numel()).view(weight.value.sizes()));
      at += weight.value.numel();
    }
    const Gradients found =
        gradients(*copy, train.tokens, seen.spec.read_out,
                  [&](const torch::Tensor& logits) {
                    return mean_over_labels(seen.losses(logits.to(torch::kFloat64), train), train);
                  },
                  {.weights = {"*"}});
    at = 0;
    for (const NamedWeight& weight : copy->weights()) {
      gradient.narrow(0, at, weight.value.numel()).copy_(found.of_weights.at(weight.name).flatten());
      at += weight.value.numel();
    }
    return found.value;
  };
  std::vector<torch::Tensor> parts;
  for (const NamedWeight& weight : copy->weights()) parts.push_back(weight.value.detach().flatten().clone());
  const torch::Tensor start = torch::cat(parts), ignored = torch::empty_like(start);
  const double start_loss = loss(start, ignored);
  const auto expected = sgld(start, start_loss, [&](const torch::Generator&) { return loss; },
                             {.epsilon = 1e-3,
                              .nbeta = 20,
                              .gamma = 10,
                              .n_chains = 2,
                              .n_burn_in = 3,
                              .n_draws = 10,
                              .steps_between = 2,
                              .seed = 6});
  const auto found = measured(seen, R"({"epsilon": 1e-3, "nbeta": 20, "gamma": 10, "n_chains": 2,
                                        "n_burn_in": 3, "n_draws": 10, "steps_between": 2, "seed": 6})");
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 10; ++j)
      EXPECT_NEAR(tensor(found, "losses")[i][j].item<double>(), expected.chains[i].losses[j], 2e-5);
  EXPECT_NEAR(scalar(found, "llc"), expected.estimate, 1e-3);
  EXPECT_NEAR(scalar(found, "acceptance"), expected.acceptance, 1e-3);
  EXPECT_NEAR(scalar(found, "distance"), expected.distance, 1e-4);
}

TEST(LearningCoefficient, TheSameSeedGivesTheSameBitsAndLeavesTheNetwork) {
  ModelOnGrid network = random_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, 7);
  std::vector<torch::Tensor> before;
  for (const NamedWeight& weight : network.model->weights()) before.push_back(weight.value.detach().clone());
  const auto losses = [&](const std::string& json) {
    return tensor(measured(network.observe(), json), "losses");
  };
  const std::string minibatches = R"({"n_draws": 20, "batch_size": 5, "seed": 1})";
  const torch::Tensor first = losses(minibatches);
  EXPECT_TRUE(losses(minibatches).equal(first));
  EXPECT_FALSE(losses(R"({"n_draws": 20, "batch_size": 5, "seed": 2})").equal(first));
  EXPECT_FALSE(losses(R"({"n_draws": 20, "seed": 1})").equal(first));
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(network.model->weights()[i].value.detach().equal(before[i]));
}

// Where all examples have the same loss, minibatches change nothing but how float32 gradients round: they
// have a stream of their own.
TEST(LearningCoefficient, MinibatchesDrawNothingFromTheNoise) {
  Quadratic network;
  const auto losses = [&](const std::string& more) {
    return tensor(measured(network.observe(), with(R"(, "n_chains": 2)" + more)), "losses");
  };
  EXPECT_TRUE(torch::allclose(losses(R"(, "batch_size": 7)"), losses(""), 1e-4, 0));
  EXPECT_TRUE(losses(R"(, "batch_size": 50)").equal(losses("")));
}

TEST(LearningCoefficient, TheGridHoldsTheSameEstimates) {
  Quadratic network;
  const std::string few = R"("gamma": 30, "n_chains": 2, "n_draws": 20)";
  const auto grid = measured(network.observe(),
                             "{" + few + R"(, "grid_epsilon": [1e-5, 1e-4], "grid_nbeta": [10, 100, 1000]})");
  EXPECT_EQ(tensor(grid, "grid_llc").sizes(), (torch::IntArrayRef{2, 3}));
  const auto one = measured(network.observe(), "{" + few + R"(, "epsilon": 1e-4, "nbeta": 10})");
  EXPECT_EQ(tensor(grid, "grid_llc")[1][0].item<double>(), scalar(one, "llc"));
  EXPECT_EQ(tensor(grid, "grid_acceptance")[1][0].item<double>(), scalar(one, "acceptance"));
  EXPECT_EQ(grid.record().figures.back().y_ticks.size(), 2u);
}

TEST(LearningCoefficient, RefusesWhatCannotBeSampled) {
  EXPECT_THROW(make_probe(R"({"weights": []})"), UsageError);
  EXPECT_THROW(make_probe(R"({"grid_nbeta": [10]})"), UsageError);
  EXPECT_THROW(make_probe(R"({"epsilon": 0})"), Error);
  EXPECT_THROW(make_probe(R"({"n_chains": 0})"), Error);
  EXPECT_EQ(make_probe(R"({"weights": ["a"]})")->needs().weights, std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace orrery::testing
