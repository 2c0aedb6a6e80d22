#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/transformer.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <memory>

namespace orrery::testing {
namespace {

using torch::Tensor;

// All strings of six bits; 40 of them are trained.
ModelOnBatch on_strings(int64_t d_mlp, int64_t n_logits) {
  const TaskSpec spec{.d_vocab = 2, .d_vocab_out = n_logits, .n_ctx = 6, .read_out = {5}};
  const Tensor place = torch::arange(6, torch::kInt64);
  Batch all;
  all.tokens = torch::arange(64, torch::kInt64).unsqueeze(1).bitwise_right_shift(place).bitwise_and(1);
  all.labels = all.tokens.narrow(1, 0, 3).sum(1, /*keepdim=*/true).remainder(2);
  MlpConfig config{.input = MlpConfig::Input::bits, .d_mlp = d_mlp, .bias_column = true};
  ModelOnBatch network(spec, make_mlp(config, spec, make_generator(1)), all);
  const Tensor order = torch::randperm(64, make_generator(2), torch::kInt64);
  network.split.train = all.rows(order.narrow(0, 0, 40));
  network.split.test = all.rows(order.narrow(0, 40, 24));
  return network;
}

// The four neurons of the constructed parity at `places` among others, which are random and `noise` in size.
void plant_parity(ModelOnBatch& network, const std::vector<int64_t>& places, double noise) {
  const torch::NoGradGuard no_grad;
  const auto solution = make_mlp({.input = MlpConfig::Input::bits, .d_mlp = 4, .bias_column = true},
                                 network.spec, make_generator(0));
  set_constructed_parity(*solution, network.spec);
  for (NamedWeight& weight : network.model->weights()) weight.value.mul_(noise);
  for (size_t i = 0; i < places.size(); ++i) {
    network.model->weight("mlp.W_in")
        .select(1, places[i])
        .copy_(solution->weight("mlp.W_in").select(1, int64_t(i)));
    network.model->weight("mlp.W_out")[places[i]].copy_(solution->weight("mlp.W_out")[int64_t(i)]);
  }
}

Recorder measured(ModelOnBatch& network, const std::string& parameters = "{}") {
  const torch::NoGradGuard no_grad;
  Recorder recorder;
  make_probe(parameters)->measure(network.observe(), recorder);
  return recorder;
}

TEST(SparseSubnetwork, FindsTheFourNeuronsThatMatter) {
  for (const int64_t n_logits : {1, 2}) {
    auto network = on_strings(30, n_logits);
    plant_parity(network, {3, 8, 17, 29}, 0.05);
    const auto recorder = measured(network);
    EXPECT_EQ(scalar(recorder, "neurons"), 4);
    EXPECT_NEAR(scalar(recorder, "share"), 4.0 / 30, 1e-12);
    EXPECT_EQ(scalar(recorder, "accuracy/train/subnetwork"), 1);
    EXPECT_EQ(scalar(recorder, "accuracy/test/subnetwork"), 1);
    EXPECT_LT(scalar(recorder, "accuracy/test/rest"), 0.8);
    EXPECT_GT(scalar(recorder, "size/subnetwork"), 10 * scalar(recorder, "size/rest"));
    EXPECT_GT(scalar(recorder, "neurons/random_order"), 15);
    EXPECT_EQ(recorder.record().headlines, std::vector<std::string>{"neurons"});
  }
}

// Of random weights it takes most neurons; the number is what trying every size from the front gives.
TEST(SparseSubnetwork, RandomWeightsTakeMostNeurons) {
  auto network = on_strings(30, 1);
  const auto recorder = measured(network);
  EXPECT_GT(scalar(recorder, "neurons"), 12);
  const torch::NoGradGuard no_grad;
  const Tensor W_in = network.model->weight("mlp.W_in").to(torch::kFloat64),
               W_out = network.model->weight("mlp.W_out").to(torch::kFloat64);
  const Tensor order = std::get<1>((W_in.square().sum(0).sqrt() * W_out.squeeze(1).abs()).sort(0, true));
  const Tensor x = torch::cat({network.split.train.tokens, torch::ones({40, 1}, torch::kInt64)}, 1);
  const Tensor post = x.to(torch::kFloat64).matmul(W_in).relu(), full = post.matmul(W_out) > 0;
  const auto agreement = [&](int64_t m) {
    const Tensor kept = order.narrow(0, 0, m);
    const Tensor logits = post.index_select(1, kept).matmul(W_out.index_select(0, kept));
    return ((logits > 0) == full).to(torch::kFloat64).mean().item<double>();
  };
  const auto found = int64_t(scalar(recorder, "neurons"));
  EXPECT_GE(agreement(found), 0.99);
  EXPECT_LT(agreement(found - 1), 0.99);
  // A lower demand takes no more.
  EXPECT_LE(scalar(measured(network, R"({"agreement": 0.8})"), "neurons"), double(found));
}

// As Merrill et al. measure it (figure 3): the subnetwork speaks for the network, as many others do not.
TEST(SparseSubnetwork, IsFaithfulWhereAsManyOthersAreNot) {
  auto network = on_strings(30, 1);
  plant_parity(network, {3, 8, 17, 29}, 0.05);
  const auto recorder = measured(network);
  for (const std::string set : {"train", "test"}) {
    EXPECT_EQ(scalar(recorder, "faithfulness/" + set + "/subnetwork"), 1) << set;
    EXPECT_LT(scalar(recorder, "faithfulness/" + set + "/rest"), 0.8) << set;
    EXPECT_LT(scalar(recorder, "faithfulness/" + set + "/control"), 0.8) << set;
    EXPECT_LT(scalar(recorder, "accuracy/" + set + "/control"), 0.8) << set;
  }
  EXPECT_LT(scalar(recorder, "size/control"), 0.5 * scalar(recorder, "size/subnetwork"));
  EXPECT_EQ(std::get<0>(tensor(recorder, "neurons").sort()).to(torch::kInt64).sum().item<int64_t>(),
            3 + 8 + 17 + 29);
  EXPECT_FALSE(has_scalar(measured(network, R"({"controls": 0})"), "size/control"));
}

// Where it takes all neurons, a random set of as many is the network.
TEST(SparseSubnetwork, AControlOfAllNeuronsIsTheNetwork) {
  auto network = on_strings(4, 1);
  plant_parity(network, {0, 1, 2, 3}, 1);
  const auto recorder = measured(network);
  EXPECT_EQ(scalar(recorder, "neurons"), 4);
  EXPECT_EQ(scalar(recorder, "faithfulness/test/control"), 1);
  EXPECT_EQ(scalar(recorder, "accuracy/test/control"), 1);
  EXPECT_TRUE(std::isnan(scalar(recorder, "size/rest")));
}

// A neuron of large input and small output weights is large by its input alone.
TEST(SparseSubnetwork, TheSizeMayBeThatOfTheInput) {
  auto network = on_strings(30, 1);
  plant_parity(network, {3, 8, 17, 29}, 0.05);
  const torch::NoGradGuard no_grad;
  network.model->weight("mlp.W_in").select(1, 5).mul_(1e4);
  network.model->weight("mlp.W_out")[5] /= 1e6;
  EXPECT_EQ(scalar(measured(network), "neurons"), 4);
  const auto by_input = measured(network, R"({"size": "input"})");
  EXPECT_EQ(scalar(by_input, "neurons"), 5);
  EXPECT_EQ(tensor(by_input, "neurons")[0].item<int64_t>(), 5);
  const Tensor norms = network.model->weight("mlp.W_in").to(torch::kFloat64).square().sum(0).sqrt();
  EXPECT_NEAR(scalar(by_input, "size/subnetwork"),
              norms.index_select(0, tensor(by_input, "neurons")).mean().item<double>(), 1e-9);
}

// The four neurons of the final network, followed back to where they are four of many.
TEST(SparseSubnetwork, FollowsTheNeuronsOfTheLastCheckpoint) {
  auto final_network = on_strings(30, 1), before = on_strings(30, 1);
  plant_parity(final_network, {3, 8, 17, 29}, 0.05);
  const torch::NoGradGuard no_grad;
  const auto probe = make_probe(R"({"follow": true})");
  EXPECT_TRUE(probe->needs().reference);
  EXPECT_FALSE(make_probe()->needs().reference);
  probe->fit(final_network.observe(100));
  Recorder at_last, at_first;
  probe->measure(final_network.observe(100), at_last);
  probe->measure(before.observe(0), at_first);
  for (const Recorder* recorder : {&at_last, &at_first}) {
    EXPECT_EQ(scalar(*recorder, "neurons"), 4);
    EXPECT_EQ(tensor(*recorder, "neurons").sum().item<int64_t>(), 3 + 8 + 17 + 29);
    EXPECT_FALSE(has_scalar(*recorder, "neurons/random_order"));
  }
  EXPECT_EQ(scalar(at_last, "faithfulness/test/subnetwork"), 1);
  EXPECT_LT(scalar(at_first, "faithfulness/test/subnetwork"), 0.9);
  EXPECT_NEAR(scalar(at_first, "size/subnetwork"), scalar(at_first, "size/rest"),
              0.5 * scalar(at_first, "size/rest"));
}

TEST(SparseSubnetwork, TheGateIsPartOfWhatANeuronReads) {
  const auto bits = on_strings(4, 2);
  ModelOnBatch network(
      bits.spec,
      make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12, .gated_mlp = true}, bits.spec,
                       make_generator(1)),
      bits.inputs);
  network.split = bits.split;
  const auto recorder = measured(network, R"({"agreement": 0.9})");
  const torch::NoGradGuard no_grad;
  const auto weight = [&](const char* name) {
    return network.model->weight(std::string("blocks.0.mlp.") + name).to(torch::kFloat64);
  };
  const Tensor in = weight("W_in").square().sum(0) + weight("W_gate").square().sum(0);
  const Tensor sizes = (in * weight("W_out").square().sum(1)).sqrt();
  const auto n = int64_t(scalar(recorder, "neurons"));
  ASSERT_LT(n, 12);
  const Tensor smallest = std::get<0>(sizes.sort()).narrow(0, 0, 12 - n);
  EXPECT_NEAR(scalar(recorder, "size/rest"), smallest.mean().item<double>(), 1e-6);
}

TEST(SparseSubnetwork, NeedsOneLayerOfNeurons) {
  const auto needs = make_probe()->needs();
  const TaskSpec spec{.d_vocab = 2, .d_vocab_out = 1, .n_ctx = 6, .read_out = {5}};
  const auto refused = [&](int64_t n_hidden) {
    const auto model = make_mlp({.input = MlpConfig::Input::bits, .d_mlp = 4, .n_hidden = n_hidden}, spec,
                                make_generator(0));
    return !needs.refusal(*model, spec).empty();
  };
  EXPECT_FALSE(refused(1));
  EXPECT_TRUE(refused(2));
}

}  // namespace
}  // namespace orrery::testing
