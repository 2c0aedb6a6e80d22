#include <gtest/gtest.h>
#include <orrery/testing/model_on_batch.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <complex>
#include <memory>
#include <vector>

namespace orrery::testing {
namespace {

using torch::Tensor;

Recorder measured(ModelOnBatch& network, const std::string& parameters = "{}") {
  const torch::NoGradGuard no_grad;
  Recorder recorder;
  make_probe(parameters)->measure(network.observe(), recorder);
  return recorder;
}

// A network whose neurons have the activations `table` [n, d] on token 0..n-1, in order.
ModelOnBatch activates(const Tensor& table) {
  const int64_t n = table.size(0), d = table.size(1);
  const TaskSpec spec{.d_vocab = n, .d_vocab_out = 2, .n_ctx = 2, .read_out = {1}};
  MlpConfig config{.embedding = MlpConfig::Embedding::untied,
                   .collapse = MlpConfig::Collapse::both,
                   .d_mlp = d,
                   .act_fn = MlpConfig::ActFn::identity};
  auto model = make_mlp(config, spec, make_generator(1));
  const torch::NoGradGuard no_grad;
  model->weight("mlp.W_in_a").copy_(table);
  model->weight("mlp.W_in_b").zero_();
  Batch batch;
  batch.tokens = torch::stack({torch::arange(n, torch::kInt64), torch::zeros({n}, torch::kInt64)}, 1);
  batch.labels = torch::zeros({n, 1}, torch::kInt64);
  return {spec, std::move(model), batch};
}

Tensor orthogonal(int64_t n, uint64_t seed) {
  return std::get<0>(at::linalg_qr(torch::randn({n, n}, make_generator(seed), torch::kFloat64)));
}

// exp(-sum p log p) of given singular values.
double rank_of(const std::vector<double>& values) {
  double total = 0, entropy = 0;
  for (const double value : values) total += value;
  for (const double value : values)
    if (value > 0) entropy -= value / total * std::log(value / total);
  return std::exp(entropy);
}

TEST(Sparsity, TheEffectiveRankIsThatOfTheSingularValues) {
  const std::vector<double> values = {3, 1, 0.5, 0};
  EXPECT_NEAR(rank_of({3, 1}), 1.7548, 1e-4);  // the worked example
  // Tall, wide and square: U S V^T with U and V drawn at random.
  for (const auto& [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{20, 4}, {5, 4}, {4, 4}, {4, 9}}) {
    Tensor S = torch::zeros({rows, columns}, torch::kFloat64);
    for (int64_t i = 0; i < 4; ++i) S[i][i] = values[i];
    auto network = activates(orthogonal(rows, 1).matmul(S).matmul(orthogonal(columns, 2)));
    const auto recorder = measured(network);
    // Weights and activations are the same matrix here, in float32.
    EXPECT_NEAR(scalar(recorder, "effective_rank/mlp.W_in_a"), rank_of(values), 1e-4) << rows;
    EXPECT_NEAR(scalar(recorder, "effective_rank/mlp.hook_post"), rank_of(values), 1e-4) << rows;
    EXPECT_EQ(recorder.record().headlines, std::vector<std::string>{"effective_rank/mlp.hook_post"});
  }
}

TEST(Sparsity, TheEffectiveRankAtItsExtremes) {
  auto identity = activates(5 * torch::eye(6));
  EXPECT_NEAR(scalar(measured(identity), "effective_rank/mlp.hook_post"), 6, 1e-6);
  auto one = activates(torch::ones({6, 4}));
  EXPECT_NEAR(scalar(measured(one), "effective_rank/mlp.hook_post"), 1, 1e-5);
  auto nothing = activates(torch::zeros({6, 4}));
  EXPECT_TRUE(std::isnan(scalar(measured(nothing), "effective_rank/mlp.hook_post")));
  auto broken = activates(torch::full({6, 4}, NAN));
  EXPECT_TRUE(std::isnan(scalar(measured(broken), "effective_rank/mlp.hook_post")));
  // A mean that outweighs all else is one direction; about it the others are left.
  Tensor far = torch::zeros({6, 4});
  far[0][1] = 1, far[1][1] = -1, far[2][2] = 1, far[3][2] = -1;
  auto offset = activates(far + 1000);
  EXPECT_LT(scalar(measured(offset), "effective_rank/mlp.hook_post"), 1.1);
  EXPECT_NEAR(scalar(measured(offset, R"({"centred": true})"), "effective_rank/mlp.hook_post"), 2, 1e-3);
}

// Rows are examples and positions, features all else: two operands, two heads, heads by keys.
TEST(Sparsity, ActivationsOfSeveralDimensionsAreOneRowForAPosition) {
  const CyclicTask task = addition(5);
  const auto rank_of_rows = [](const Tensor& rows) {
    const Tensor values = at::linalg_svdvals(rows.to(torch::kFloat64)).contiguous();
    return rank_of({values.data_ptr<double>(), values.data_ptr<double>() + values.numel()});
  };
  const std::string all = R"({"activations": ["*"]})";
  ModelOnBatch attention(
      task.spec,
      make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 8}, task.spec, make_generator(1)),
      *task.split.grid);
  attention.spec.read_out = {1, 2};
  const auto heads = measured(attention, all);
  const auto seen = run_with_cache(*attention.model, attention.inputs.tokens);
  const Tensor z = seen.cache["blocks.0.attn.hook_z"].narrow(1, 1, 2),     // [batch, positions, heads, d]
      pattern = seen.cache["blocks.0.attn.hook_pattern"].narrow(2, 1, 2);  // [batch, heads, queries, keys]
  EXPECT_NEAR(scalar(heads, "effective_rank/blocks.0.attn.hook_z"), rank_of_rows(z.reshape({50, 8})), 1e-4);
  EXPECT_NEAR(scalar(heads, "effective_rank/blocks.0.attn.hook_pattern"),
              rank_of_rows(pattern.transpose(1, 2).reshape({50, 6})), 1e-4);
  EXPECT_NEAR(scalar(heads, "effective_rank/hook_embed"),
              rank_of_rows(seen.cache["hook_embed"].narrow(1, 1, 2).reshape({50, 8})), 1e-4);
  ModelOnBatch mlp(task.spec, make_mlp({.d_embed = 4, .d_mlp = 6}, task.spec, make_generator(1)),
                   *task.split.grid);
  EXPECT_NEAR(
      scalar(measured(mlp, all), "effective_rank/hook_embed"),
      rank_of_rows(run_with_cache(*mlp.model, mlp.inputs.tokens).cache["hook_embed"].reshape({25, 8})), 1e-4);
}

TEST(Sparsity, HeadsAreMatricesOfTheirOwn) {
  const CyclicTask task = addition(5);
  ModelOnBatch network(
      task.spec,
      make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 8}, task.spec, make_generator(1)),
      *task.split.grid);
  const torch::NoGradGuard no_grad;
  Tensor W_Q = torch::zeros({2, 8, 4});
  W_Q.select(0, 0).copy_(torch::eye(8).narrow(1, 0, 4));
  W_Q[1][0][0] = 7;
  network.model->weight("blocks.0.attn.W_Q").copy_(W_Q);
  EXPECT_NEAR(scalar(measured(network), "effective_rank/blocks.0.attn.W_Q"), 2.5, 1e-6);  // of 4 and 1
}

// The shares of the energy of x at the frequencies 1..(n - 1)/2 for odd n, by the sums of the discrete
// Fourier transform, and the sum of their squares.
double participation_of(const std::vector<double>& x) {
  const auto n = static_cast<int64_t>(x.size());
  double total = 0, squares = 0;
  for (int64_t k = 1; k <= (n - 1) / 2; ++k) {
    std::complex<double> sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i] * std::polar(1.0, -angle(k, i, n));
    total += std::norm(sum), squares += std::norm(sum) * std::norm(sum);
  }
  return squares / (total * total);
}

ModelOnBatch on_grid(CyclicTask task, std::unique_ptr<Model> model) {
  ModelOnBatch network(task.spec, std::move(model), task.split.train);
  network.structure = task.structure;
  network.split = task.split;
  return network;
}

MlpConfig quadratic(int64_t d_mlp) {
  return {.embedding = MlpConfig::Embedding::untied,
          .collapse = MlpConfig::Collapse::both,
          .d_mlp = d_mlp,
          .act_fn = MlpConfig::ActFn::square};
}

// Equations 3 and 4 of Doshi et al. on the weights of each neuron.
TEST(Sparsity, TheParticipationRatioIsThatOfTheWeights) {
  const int64_t p = 11, m = 6;
  const CyclicTask task = addition(p);
  auto network = on_grid(task, make_mlp(quadratic(m), task.spec, make_generator(4)));
  const auto recorder = measured(network);
  const auto at = [&](const char* name, int64_t i, int64_t j) {
    return double(network.model->weight(name)[i][j].item<float>());
  };
  double left = 0, right = 0, output = 0, by_size = 0, sizes = 0;
  for (int64_t i = 0; i < m; ++i) {
    std::vector<double> u, v, w;
    for (int64_t x = 0; x < p; ++x)
      u.push_back(at("mlp.W_in_a", x, i)), v.push_back(at("mlp.W_in_b", x, i)),
          w.push_back(at("mlp.W_out", i, x));
    const double of_u = participation_of(u), of_v = participation_of(v), of_w = participation_of(w);
    EXPECT_NEAR(tensor(recorder, "ipr")[i].item<double>(), (of_u + of_v + of_w) / 3, 1e-6);
    left += of_u / double(m), right += of_v / double(m), output += of_w / double(m);
    const auto energy = [](const std::vector<double>& x) {
      double sum = 0, squares = 0;
      for (const double value : x) sum += value, squares += value * value;
      return squares - sum * sum / double(x.size());
    };
    const double size = std::sqrt((energy(u) + energy(v)) / 2 * energy(w));
    by_size += size * (of_u + of_v + of_w) / 3, sizes += size;
  }
  EXPECT_NEAR(scalar(recorder, "ipr/left"), left, 1e-6);
  EXPECT_NEAR(scalar(recorder, "ipr/right"), right, 1e-6);
  EXPECT_NEAR(scalar(recorder, "ipr/output"), output, 1e-6);
  EXPECT_NEAR(scalar(recorder, "ipr"), (left + right + output) / 3, 1e-6);
  EXPECT_NEAR(scalar(recorder, "ipr/by_size"), by_size / sizes, 1e-6);
  EXPECT_EQ(scalar(recorder, "unused_neurons"), 0);
  EXPECT_EQ(recorder.record().headlines, (std::vector<std::string>{"ipr", "effective_rank/mlp.hook_post"}));
}

TEST(Sparsity, OneWaveTwoWavesAndNoise) {
  const int64_t p = 101;
  const CyclicTask task = addition(p);
  auto constructed = on_grid(task, make_mlp(quadratic(10), task.spec, make_generator(1)));
  const torch::NoGradGuard no_grad;
  set_constructed_solution(*constructed.model, task.spec, {3, 8});
  EXPECT_NEAR(scalar(measured(constructed), "ipr"), 1, 1e-5);

  // A constant changes nothing; a second wave of the same height halves it; one of twice the height: shares
  // 1/5 and 4/5.
  const auto wave = [&](int64_t k, double height) {
    const Tensor x = torch::arange(p + 1, torch::kFloat64);
    return (height * (2 * M_PI * double(k) / double(p) * x).cos()).unsqueeze(1);
  };
  const auto left_of = [&](const Tensor& function) {
    constructed.model->weight("mlp.W_in_a").copy_(function.expand({p + 1, 10}));
    return scalar(measured(constructed), "ipr/left");
  };
  EXPECT_NEAR(left_of(wave(3, 1) + 5), 1, 1e-5);
  EXPECT_NEAR(left_of(wave(3, 1) + wave(7, 1)), 0.5, 1e-5);
  EXPECT_NEAR(left_of(wave(3, 1) + wave(7, 2)), (1.0 + 16) / 25, 1e-5);

  // The energy of noise at a frequency is a sum of two squares: the mean of its square is twice the square
  // of its mean, so 2/50 less a little. The mean over 400 neurons is within 2 % of it.
  auto noise = on_grid(task, make_mlp(quadratic(400), task.spec, make_generator(5)));
  EXPECT_NEAR(scalar(measured(noise), "ipr"), 2.0 / 51, 0.02 * 2.0 / 51);
}

// A tied mlp reads what its embedding and W_in make together; so does one of subtraction, by index.
TEST(Sparsity, IsOfTheFunctionsAndNotOfTheWiring) {
  for (const MlpConfig& config : every_mlp_of_operands(4, 5)) {
    if (config.embedding == MlpConfig::Embedding::circular) continue;  // has only the frequency 1
    MlpConfig square = config;
    square.act_fn = MlpConfig::ActFn::square;
    const CyclicTask task = addition(13);
    auto network = on_grid(task, make_mlp(square, task.spec, make_generator(1)));
    const torch::NoGradGuard no_grad;
    set_constructed_solution(*network.model, task.spec, {5});
    EXPECT_NEAR(scalar(measured(network), "ipr"), 1, 1e-4) << wiring(config);
  }
  for (const CyclicTask& task : {subtraction(13), multiplication(13, 2)}) {
    auto network = on_grid(task, make_mlp(quadratic(5), task.spec, make_generator(1)));
    const int64_t n = task.structure.cyclic->order;
    const torch::NoGradGuard no_grad;
    for (NamedWeight& weight : network.model->weights()) {
      const bool out = weight.name == "mlp.W_out";
      const auto& index = out                           ? task.structure.cyclic->result
                          : weight.name == "mlp.W_in_a" ? task.structure.cyclic->left
                                                        : task.structure.cyclic->right;
      weight.value.fill_(9);  // of what has no index
      for (int64_t x = 0; x < 13; ++x)
        if (index[x] >= 0) weight.value.select(out ? 1 : 0, x).fill_(std::cos(angle(2, index[x], n)));
    }
    EXPECT_NEAR(scalar(measured(network), "ipr"), 1, 1e-5) << n;
  }
}

TEST(Sparsity, NeuronsThatDoNothingAreLeftOut) {
  const CyclicTask task = addition(7);
  auto network = on_grid(task, make_mlp(quadratic(6), task.spec, make_generator(1)));
  const double before = scalar(measured(network), "ipr");
  const torch::NoGradGuard no_grad;
  auto wider = on_grid(task, make_mlp(quadratic(8), task.spec, make_generator(2)));
  for (NamedWeight& weight : wider.model->weights()) {
    const bool out = weight.name == "mlp.W_out";
    weight.value.zero_();
    weight.value.narrow(out ? 0 : 1, 0, 6).copy_(network.model->weight(weight.name));
  }
  const auto recorder = measured(wider);
  EXPECT_NEAR(scalar(recorder, "ipr"), before, 1e-9);
  EXPECT_EQ(scalar(recorder, "unused_neurons"), 2);
  // A constant is no wave, whatever rounding makes of it.
  for (NamedWeight& weight : wider.model->weights())
    weight.value.narrow(weight.name == "mlp.W_out" ? 0 : 1, 6, 2).fill_(0.3);
  const auto constant = measured(wider);
  EXPECT_NEAR(scalar(constant, "ipr"), before, 1e-9);
  EXPECT_EQ(scalar(constant, "unused_neurons"), 2);
  EXPECT_TRUE(tensor(constant, "ipr").narrow(0, 6, 2).isnan().all().item<bool>());
  for (NamedWeight& weight : wider.model->weights()) weight.value.zero_();
  EXPECT_TRUE(std::isnan(scalar(measured(wider), "ipr")));
  EXPECT_EQ(scalar(measured(wider), "unused_neurons"), 8);
}

// A transformer's neurons read both operands through attention. No waves without a cyclic task or its grid.
TEST(Sparsity, NeedsACyclicTaskForWavesOnly) {
  const CyclicTask task = addition(7);
  const auto transformer = [&](int64_t n_layers) {
    return on_grid(
        task, make_transformer({.n_layers = n_layers, .d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 8},
                               task.spec, make_generator(1)));
  };
  auto one = transformer(1), two = transformer(2), plain = transformer(1);
  EXPECT_TRUE(has_scalar(measured(one), "ipr"));
  EXPECT_FALSE(has_scalar(measured(two), "ipr"));
  EXPECT_TRUE(has_scalar(measured(two), "effective_rank/blocks.1.mlp.hook_post"));
  plain.structure = {};
  EXPECT_FALSE(has_scalar(measured(plain), "ipr"));
  plain.structure = task.structure;
  plain.split.grid.reset();
  EXPECT_FALSE(has_scalar(measured(plain), "ipr"));
}

// Weights as stored: a neuron that reads 2 of 6 bits equally, and one that reads a single one.
TEST(Sparsity, OfTheWeightsOfANeuron) {
  const TaskSpec spec{.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 6, .read_out = {5}};
  Batch batch;
  batch.tokens = torch::randint(2, {9, 6}, make_generator(1), torch::kInt64);
  batch.labels = torch::zeros({9, 1}, torch::kInt64);
  ModelOnBatch network(spec, make_mlp({.input = MlpConfig::Input::bits, .d_mlp = 3}, spec, make_generator(1)),
                       batch);
  const torch::NoGradGuard no_grad;
  Tensor W_in = torch::zeros({6, 3});
  W_in[1][0] = 2, W_in[4][0] = -2, W_in[3][1] = 5;
  network.model->weight("mlp.W_in").copy_(W_in);
  network.model->weight("mlp.W_out").copy_(torch::tensor({{1.0f, 1.0f}, {0.0f, 3.0f}, {1.0f, -1.0f}}));
  const auto recorder = measured(network);
  EXPECT_NEAR(scalar(recorder, "weight_ipr/mlp.W_in"), 0.75, 1e-12);  // the third reads nothing
  EXPECT_NEAR(scalar(recorder, "weight_ipr/mlp.W_out"), 2.0 / 3, 1e-12);
}

}  // namespace
}  // namespace orrery::testing
