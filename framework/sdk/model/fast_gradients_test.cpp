// The loss and its gradient as one vector, against orrery/gradients.h: the plain pass, autograd, and the loss
// of the run as an observation has it.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fast_gradients.h>
#include <orrery/gradients.h>
#include <orrery/loss.h>
#include <orrery/mlp.h>
#include <orrery/testing/model_on_batch.h>
#include <orrery/transformer.h>

#include <cmath>

namespace orrery::fast_gradients_test {
namespace {

using testing::ModelOnBatch;

TaskSpec sums(int64_t p, Loss loss = Loss::cross_entropy) {
  return {.d_vocab = p + 1, .d_vocab_out = p, .n_ctx = 3, .read_out = {2}, .loss = loss};
}
TaskSpec sequences() { return {.d_vocab = 7, .d_vocab_out = 7, .n_ctx = 6, .read_out = {1, 3, 5}}; }

Batch batch_of(const TaskSpec& spec, int64_t n, uint64_t seed = 1) {
  torch::Generator rng = make_generator(seed);
  const auto n_read = static_cast<int64_t>(spec.read_out.size());
  return {.tokens = torch::randint(spec.d_vocab_out, {n, spec.n_ctx}, rng, torch::kInt64),
          .labels = torch::randint(spec.d_vocab_out, {n, n_read}, rng, torch::kInt64)};
}

TransformerConfig small() { return {.d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 20}; }
MlpConfig mlp() { return {.embedding = MlpConfig::Embedding::untied, .d_embed = 9, .d_mlp = 17}; }

// Loss and gradient of the weights `globs` by the plain pass, in one vector.
std::pair<double, torch::Tensor> plain(const Observation& seen, Model& model, const Batch& batch,
                                       const std::vector<std::string>& globs) {
  const Gradients found =
      gradients(model, batch.tokens, seen.spec.read_out,
                [&](const torch::Tensor& logits) {
                  return mean_over_labels(seen.losses(logits.to(torch::kFloat64), batch), batch);
                },
                {.weights = globs});
  std::vector<torch::Tensor> parts;
  for (const NamedWeight& weight : model.weights())
    if (found.of_weights.count(weight.name)) parts.push_back(found.of_weights.at(weight.name).flatten());
  return {found.value, torch::cat(parts)};
}

// Float32 passes that sum in another order: a millionth of the largest entry.
void expect_plain(const Observation& seen, Model& model, const Batch& batch,
                  const std::vector<std::string>& globs = {"*"}) {
  LossGradient loss(seen, model, globs);
  loss.set_batch(batch);
  const auto [value, gradient] = plain(seen, model, batch, globs);
  ASSERT_EQ(loss.size(), gradient.numel());
  const torch::Tensor found = torch::full({loss.size()}, std::nan(""));
  EXPECT_NEAR(loss.loss_and_gradient(found), value, 1e-6 * value);
  EXPECT_NEAR(loss.loss(), value, 1e-6 * value);
  const double largest = gradient.abs().max().item<double>();
  EXPECT_GT(largest, 1e-4);
  EXPECT_LE((found - gradient).abs().max().item<double>(), 3e-6 * largest);
}

TEST(FastGradients, AreThoseOfThePlainPass) {
  const auto compare = [](const TaskSpec& spec, std::unique_ptr<Model> model, const Batch& batch) {
    ModelOnBatch on(spec, std::move(model), batch);
    expect_plain(on.observe(), *on.model, batch);
  };
  TransformerConfig attention_only = small();
  attention_only.attn_only = true;
  attention_only.n_layers = 2;
  const TaskSpec one = sums(11), many = sequences();
  compare(one, make_transformer(small(), one, make_generator(1)), batch_of(one, 200));
  compare(many, make_transformer(attention_only, many, make_generator(1)), batch_of(many, 50));
  compare(one, make_mlp(mlp(), one, make_generator(1)), batch_of(one, 200));
  Batch masked = batch_of(many, 50);
  masked.scored = torch::rand({50, 3}, make_generator(4)) < 0.6;
  compare(many, make_transformer(small(), many, make_generator(1)), masked);
  Batch weighted = batch_of(one, 200);
  weighted.weights = torch::rand({200}, make_generator(4)) + 0.1;
  compare(one, make_mlp(mlp(), one, make_generator(1)), weighted);
  const TaskSpec squares = sums(11, Loss::mse_one_hot);
  compare(squares, make_mlp(mlp(), squares, make_generator(1)), batch_of(squares, 200));
}

TEST(FastGradients, FollowTheLossOfTheRun) {
  for (const bool of_mlp : {false, true}) {
    const TaskSpec spec = sums(11);
    const Batch batch = batch_of(spec, 200);
    ModelOnBatch on(spec,
                    of_mlp ? make_mlp(mlp(), spec, make_generator(1))
                           : make_transformer(small(), spec, make_generator(1)),
                    batch);
    const Observation bare = on.observe();
    const double of_task = plain(bare, *on.model, batch, {"*"}).first;
    const OnDemand focal{.losses = [&](const torch::Tensor& logits, const Batch& inputs) {
      const torch::Tensor log_p =
          torch::log_softmax(logits, -1).gather(-1, inputs.labels.unsqueeze(-1)).squeeze(-1);
      return -(1 - log_p.exp()).square() * log_p;
    }};
    const OnDemand scaled{.losses = [&](const torch::Tensor& logits, const Batch& inputs) {
      return bare.losses(logits * 1.01, inputs);
    }};
    for (const OnDemand* other : {&focal, &scaled}) {
      const Observation seen{0,         on.spec,     on.structure, on.split, on.inputs,
                             *on.model, bare.logits, bare.cache,   other};
      EXPECT_GT(std::abs(plain(seen, *on.model, batch, {"*"}).first - of_task), 1e-4);
      expect_plain(seen, *on.model, batch);
    }
  }
}

TEST(FastGradients, OfSomeWeightsAndOfAnotherBatch) {
  const TaskSpec spec = sums(11);
  const Batch first = batch_of(spec, 100), second = batch_of(spec, 30, 2);
  for (const bool of_mlp : {false, true}) {
    ModelOnBatch on(spec,
                    of_mlp ? make_mlp(mlp(), spec, make_generator(1))
                           : make_transformer(small(), spec, make_generator(1)),
                    first);
    const Observation seen = on.observe();
    const std::vector<std::string> globs = {"*mlp.W_*", "unembed*"};
    expect_plain(seen, *on.model, first, globs);
    LossGradient loss(seen, *on.model, globs);
    for (const Batch& batch : {first, second, first}) {
      loss.set_batch(batch);
      const torch::Tensor found = torch::empty({loss.size()}, torch::kFloat64);
      EXPECT_NEAR(loss.loss_and_gradient(found), plain(seen, *on.model, batch, globs).first, 1e-6);
      EXPECT_TRUE(torch::allclose(found.to(torch::kFloat32), plain(seen, *on.model, batch, globs).second,
                                  1e-4, 1e-6));
    }
  }
}

TEST(FastGradients, TakeTheWeightsAsTheyAre) {
  const TaskSpec spec = sums(11);
  const Batch batch = batch_of(spec, 100);
  for (const bool of_mlp : {false, true}) {
    ModelOnBatch on(spec,
                    of_mlp ? make_mlp(mlp(), spec, make_generator(1))
                           : make_transformer(small(), spec, make_generator(1)),
                    batch);
    const Observation seen = on.observe();
    LossGradient loss(seen, *on.model, {"unembed.W_U", "*mlp.W_in*"});
    loss.set_batch(batch);
    const torch::Tensor w = loss.weights();
    EXPECT_EQ(loss.size(), w.numel());
    const double before = loss.loss();
    loss.set_weights(2 * w);
    EXPECT_TRUE(loss.weights().equal(2 * w));
    const double after = loss.loss();
    EXPECT_NE(before, after);
    EXPECT_NEAR(after, plain(seen, *on.model, batch, {"*"}).first, 1e-6 * after);
    // A step against the gradient lowers the loss by its square, to first order.
    const torch::Tensor gradient = torch::empty_like(w);
    loss.loss_and_gradient(gradient);
    const double squares = gradient.square().sum().item<double>();
    loss.set_weights(2 * w - 1e-3 / std::sqrt(squares) * gradient);
    EXPECT_NEAR((after - loss.loss()) / (1e-3 * std::sqrt(squares)), 1, 0.02);
  }
}

TEST(FastGradients, SayWhatIsMissing) {
  const TaskSpec spec = sums(11);
  const Batch batch = batch_of(spec, 10);
  ModelOnBatch on(spec, make_mlp(mlp(), spec, make_generator(1)), batch);
  const Observation seen = on.observe();
  EXPECT_THROW(LossGradient(seen, *on.model, {"mlp.W_inn"}), Error);
  EXPECT_THROW(LossGradient(seen, *on.model, {}), Error);
  LossGradient loss(seen, *on.model);
  EXPECT_THROW(loss.set_batch({}), Error);
}

}  // namespace
}  // namespace orrery::fast_gradients_test
