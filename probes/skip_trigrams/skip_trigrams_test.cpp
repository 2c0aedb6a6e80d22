#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

// START, entries and END as in max_element: 10 entries, one of `large`..`large` + n_classes - 1 among small
// ones of 0..4; START and END are the last two tokens. The label is the large one less `offset`.
struct Toy {
  static constexpr int64_t n_small = 5, n_entries = 10;

  explicit Toy(int64_t classes = 5, int64_t class_offset = 0) : n_classes(classes), offset(class_offset) {
    start = n_small + n_classes;
    end = start + 1;
    spec = {.d_vocab = end + 1,
            .d_vocab_out = n_small + n_classes - offset,
            .n_ctx = n_entries + 2,
            .read_out = {n_entries + 1}};
    auto rng = make_generator(7);
    split.train = sample(300, rng);
    split.test = sample(200, rng);
  }

  Batch sample(int64_t size, torch::Generator rng) const {
    const Tensor small = torch::randint(n_small, {size, n_entries}, rng, torch::kInt64);
    const Tensor place = torch::randint(n_entries, {size, 1}, rng, torch::kInt64);
    const Tensor large = torch::randint(n_small, n_small + n_classes, {size, 1}, rng, torch::kInt64);
    return {.tokens = torch::cat({torch::full({size, 1}, start, torch::kInt64),
                                  small.scatter(1, place, large), torch::full({size, 1}, end, torch::kInt64)},
                                 1),
            .labels = large - offset};
  }

  void build(TransformerConfig config, uint64_t seed = 3) {
    config.attn_only = true;
    model = make_transformer(config, spec, make_generator(seed));
  }
  Tensor weight(const std::string& name) const { return model->weight(name).detach(); }

  Recorder measured(const std::string& parameters = "{}", double disturbance = 0) {
    const torch::NoGradGuard no_grad;
    const Tensor read = torch::tensor(spec.read_out, torch::kInt64);
    logits = model->forward(split.test.tokens).index_select(1, read);
    logits[3][-1][1] += disturbance;
    const Observation observation{0, spec, {}, split, split.test, *model, logits, {}};
    Recorder recorder;
    make_probe(parameters)->measure(observation, recorder);
    return recorder;
  }

  int64_t n_classes, offset, start = 0, end = 0;
  TaskSpec spec;
  Split split;
  std::unique_ptr<Model> model;
  Tensor logits;
};

TransformerConfig small(int64_t n_heads = 2,
                        TransformerConfig::Biases biases = TransformerConfig::Biases::none) {
  TransformerConfig config;
  config.d_model = 12;
  config.n_heads = n_heads;
  config.d_head = 4;
  config.biases = biases;
  return config;
}

// Heads whose weights, biases too, are drawn from a normal distribution of deviation 0.6.
void build_random(Toy& toy, int64_t n_heads = 2,
                  TransformerConfig::Biases biases = TransformerConfig::Biases::none) {
  toy.build(small(n_heads, biases));
  auto rng = make_generator(11);
  const torch::NoGradGuard no_grad;
  for (const NamedWeight& named : toy.model->weights())
    Tensor(named.value).copy_(torch::randn(named.value.sizes(), rng) * 0.6);
}

// One head that does "c ... END -> c" by construction. The residual stream has a dimension for each token and
// one for each class. END attends to class tokens with score `score`; what it reads there, class i writes as
// class read_as[i], with logit `gain`.
void build_copier(Toy& toy, double score, double gain, const std::vector<int64_t>& read_as) {
  const int64_t n = toy.n_classes, d_vocab = toy.spec.d_vocab;
  TransformerConfig config;
  config.d_model = d_vocab + n;
  config.n_heads = 1;
  config.d_head = n + 1;
  toy.build(config);
  const torch::NoGradGuard no_grad;
  for (const NamedWeight& named : toy.model->weights()) Tensor(named.value).zero_();
  toy.weight("embed.W_E").narrow(1, 0, d_vocab).copy_(torch::eye(d_vocab));
  Tensor W_Q = toy.weight("blocks.0.attn.W_Q")[0], W_K = toy.weight("blocks.0.attn.W_K")[0];
  Tensor W_V = toy.weight("blocks.0.attn.W_V")[0], W_O = toy.weight("blocks.0.attn.W_O")[0];
  W_Q[toy.end][n] = 1;
  for (int64_t i = 0; i < n; ++i) {
    W_K[Toy::n_small + i][n] = score * std::sqrt(double(n + 1));
    W_V[Toy::n_small + i][i] = 1;
    W_O[i][d_vocab + read_as[i]] = 1;
    toy.weight("unembed.W_U")[d_vocab + i][Toy::n_small + i - toy.offset] = gain;
  }
}

const std::vector<int64_t> itself{0, 1, 2, 3, 4};

bool has_finding(const Recorder& recorder) { return !recorder.record().findings.empty(); }

TEST(SkipTrigrams, ReadsAHeadThatCopies) {
  for (const int64_t offset : {0, 3, -2}) {
    Toy toy(5, offset);
    build_copier(toy, 8, 6, itself);
    const auto recorder = toy.measured("{\"class_offset\": " + std::to_string(offset) + "}");
    for (const std::string name : {"head_0/classes_won", "head_0/copied", "label_in_context",
                                   "accuracy/circuits", "accuracy/skip_trigrams"})
      EXPECT_EQ(scalar(recorder, name), 1) << name;
    EXPECT_NEAR(scalar(recorder, "head_0/margin/mean"), 8, 1e-5);
    EXPECT_NEAR(scalar(recorder, "head_0/margin/min"), 8, 1e-5);
    EXPECT_NEAR(scalar(recorder, "head_0/copying_score"), 1, 1e-6);
    EXPECT_EQ(scalar(recorder, "head_0/position_range"), 0);
    // One class token among 12 tokens gets e^8 / (e^8 + 11) of the attention, and its class 6 times that.
    const double share = std::exp(8) / (std::exp(8) + 11);
    const double loss = std::log(1 + double(toy.spec.d_vocab_out - 1) * std::exp(-6 * share));
    EXPECT_NEAR(scalar(recorder, "loss/circuits"), loss, 1e-6);
    EXPECT_NEAR(scalar(recorder, "loss/skip_trigrams"), loss, 1e-6);
    for (int64_t token = 5; token < 10; ++token) {
      const std::string c = std::to_string(token - offset);
      // 8, less the mean of the 11 other tokens, 4 of which are classes.
      EXPECT_NEAR(scalar(recorder, "head_0/qk/" + c), 8 - 4 * 8.0 / 11, 1e-5);
      EXPECT_NEAR(scalar(recorder, "head_0/ov/" + c), 6, 1e-6);
    }
    const auto role = finding(recorder, "head_0_0_copying");
    EXPECT_EQ(std::get<std::string>(role.fields.at("role")), "copying");
    EXPECT_EQ(recorder.record().headlines, std::vector<std::string>{"accuracy/skip_trigrams"});
  }
}

TEST(SkipTrigrams, TellsCopyingFromWhatIsNone) {
  Toy suppresses, rotates;
  build_copier(suppresses, 8, -6, itself);
  const auto negative = suppresses.measured();
  EXPECT_NEAR(scalar(negative, "head_0/copying_score"), -1, 1e-6);
  EXPECT_EQ(scalar(negative, "head_0/copied"), 0);
  EXPECT_NEAR(scalar(negative, "head_0/ov/7"), -6, 1e-6);
  EXPECT_EQ(scalar(negative, "accuracy/circuits"), 0);
  EXPECT_FALSE(has_finding(negative));

  // Class i is read as i + 1: the eigenvalues are the fifth roots of unity without 1, whose sum is -1.
  build_copier(rotates, 8, 6, {1, 2, 3, 4, 0});
  const auto next = rotates.measured();
  EXPECT_NEAR(scalar(next, "head_0/copying_score"), -1.0 / 4, 1e-6);
  EXPECT_EQ(scalar(next, "head_0/copied"), 0);
  EXPECT_EQ(scalar(next, "head_0/classes_won"), 1);
  EXPECT_FALSE(has_finding(next));
  EXPECT_EQ(tensor(next, "ov_argmax")[0][5].item<int64_t>(), 6);
}

TEST(SkipTrigrams, AThresholdOnTheCopyingScoreMakesTheFinding) {
  Toy toy;
  build_copier(toy, 8, 6, {1, 0, 2, 3, 4});  // 5 and 6 are confused: eigenvalues 1, 1, 1, -1, less one 1
  const auto recorder = toy.measured();
  EXPECT_NEAR(scalar(recorder, "head_0/copying_score"), 2.0 / 4, 1e-6);
  EXPECT_EQ(scalar(recorder, "head_0/copied"), 3.0 / 5);
  EXPECT_FALSE(has_finding(recorder));
  EXPECT_TRUE(has_finding(toy.measured(R"({"copying_threshold": 0.4})")));
}

TEST(SkipTrigrams, SeesWhichClassesLose) {
  Toy toy;
  build_copier(toy, 8, 6, itself);
  const torch::NoGradGuard no_grad;
  // END scores 3; class 5 scores 1 and class 6 scores 2: both lose to END.
  Tensor key = toy.weight("blocks.0.attn.W_K")[0].select(1, 5);
  key[toy.end] = 3 * std::sqrt(6.0);
  key[5] = std::sqrt(6.0);
  key[6] = 2 * std::sqrt(6.0);
  const auto recorder = toy.measured();
  EXPECT_NEAR(scalar(recorder, "head_0/classes_won"), 3.0 / 5, 1e-12);
  EXPECT_NEAR(scalar(recorder, "head_0/margin/min"), 1 - 3, 1e-5);
  EXPECT_NEAR(scalar(recorder, "head_0/margin/mean"), (1 + 2 + 3 * 8) / 5.0 - 3.0 / 7, 1e-5);
}

double plain_loss(const Toy& toy, const Tensor& logits) {
  return -torch::log_softmax(logits, 1).gather(1, toy.split.test.labels).mean().item<double>();
}

// float32 rounding of scores and logits of order 1 to 10, in sums of d_model = 12 products: below 1e-4.
TEST(SkipTrigrams, TheTablesAreTheNetwork) {
  for (const auto biases : {TransformerConfig::Biases::none, TransformerConfig::Biases::all})
    for (const int64_t n_heads : {1, 3}) {
      Toy toy;
      build_random(toy, n_heads, biases);
      const auto recorder = toy.measured();
      EXPECT_LT(scalar(recorder, "logit_error"), 1e-4) << name_of(biases) << n_heads;
      const Tensor labels = toy.split.test.labels.select(1, 0);
      const Tensor logits = toy.logits.select(1, 0).to(torch::kFloat64);
      const double accuracy = logits.argmax(1).eq(labels).to(torch::kFloat64).mean().item<double>();
      EXPECT_NEAR(scalar(recorder, "accuracy/circuits"), accuracy, 1e-12);
      EXPECT_NEAR(scalar(recorder, "loss/circuits"), plain_loss(toy, logits), 1e-4);
      EXPECT_GT(std::abs(scalar(recorder, "loss/skip_trigrams") - scalar(recorder, "loss/circuits")), 0.1);
      EXPECT_NEAR(scalar(toy.measured("{}", 0.005), "logit_error"), 0.005, 1e-4);
    }
}

TEST(SkipTrigrams, SkipTrigramsAreTheNetworkWithoutSourcePositionsAndDirectPath) {
  Toy toy;
  build_random(toy, 2);
  const double loss = scalar(toy.measured(), "loss/skip_trigrams");
  const torch::NoGradGuard no_grad;
  // By hand: sources have no W_pos, not even END, which stands where the query does.
  const Tensor W_E = toy.weight("embed.W_E"), W_U = toy.weight("unembed.W_U");
  const Tensor query = W_E[toy.end] + toy.weight("pos_embed.W_pos")[-1];
  const Tensor sources = torch::embedding(W_E, toy.split.test.tokens);
  Tensor logits = torch::zeros({200, toy.spec.d_vocab_out});
  for (int64_t head = 0; head < 2; ++head) {
    const auto of = [&](const char* name) { return toy.weight(std::string("blocks.0.attn.") + name)[head]; };
    const Tensor scores = sources.matmul(of("W_K")).matmul(query.matmul(of("W_Q"))) / 2;  // sqrt(d_head)
    const Tensor z = (torch::softmax(scores, 1).unsqueeze(2) * sources.matmul(of("W_V"))).sum(1);
    logits += z.matmul(of("W_O")).matmul(W_U);
  }
  EXPECT_NEAR(loss, plain_loss(toy, logits), 1e-5);
}

// sum over e of (x A)_e (B y)_e, one product at a time.
double through(const Tensor& x, const Tensor& A, const Tensor& B, const Tensor& y) {
  double sum = 0;
  for (int64_t e = 0; e < A.size(1); ++e) {
    double into = 0, out = 0;
    for (int64_t m = 0; m < A.size(0); ++m) {
      into += x[m].item<double>() * A[m][e].item<double>();
      out += B[e][m].item<double>() * y[m].item<double>();
    }
    sum += into * out;
  }
  return sum;
}

// Recorded in float32, of order 10.
TEST(SkipTrigrams, TablesAreWhatTheirFormulasSay) {
  Toy toy;
  build_random(toy, 2);
  const auto recorder = toy.measured();
  const Tensor W_E = toy.weight("embed.W_E"), W_pos = toy.weight("pos_embed.W_pos");
  const Tensor at_end = W_E[toy.end] + W_pos[toy.spec.n_ctx - 1], W_U = toy.weight("unembed.W_U").t();
  for (const int64_t h : {0, 1}) {
    const auto of = [&](const char* name) { return toy.weight(std::string("blocks.0.attn.") + name)[h]; };
    const Tensor W_Q = of("W_Q"), W_K = of("W_K").t(), W_V = of("W_V"), W_O = of("W_O");
    const auto near = [&](const char* name, const std::vector<int64_t>& at, double expected) {
      Tensor entry = tensor(recorder, name)[h];
      for (const int64_t i : at) entry = entry[i];
      EXPECT_NEAR(entry.item<double>(), expected, 1e-5) << name << h << at;
    };
    for (const int64_t i : {0, 4, 11}) {  // a token, and a position; sqrt(d_head) is 2
      near("full_qk", {toy.end, i}, through(W_E[toy.end], W_Q, W_K, W_E[i]) / 2);
      near("full_qk", {i, 2}, through(W_E[i], W_Q, W_K, W_E[2]) / 2);
      near("qk_row", {i}, through(at_end, W_Q, W_K, W_E[i]) / 2);
      near("qk_position", {i}, through(at_end, W_Q, W_K, W_pos[i]) / 2);
      near("full_ov", {i, 3}, through(W_E[i], W_V, W_O, W_U[3]));
      near("ov_position", {i, 3}, through(W_pos[i], W_V, W_O, W_U[3]));
    }
  }
}

TEST(SkipTrigrams, DestinationsAreThoseOfTheTrainingInputs) {
  Toy toy;
  build_random(toy, 1);
  const auto row = [&](int64_t token) {
    return tensor(toy.measured("{\"destination\": " + std::to_string(token) + "}"), "qk_row");
  };
  const Tensor at_end = tensor(toy.measured(), "qk_row");
  EXPECT_TRUE(torch::allclose(at_end, row(toy.end)) && !torch::allclose(at_end, row(2)));
  toy.split.train.tokens.select(1, toy.spec.n_ctx - 1).narrow(0, 0, 75).fill_(2);  // of 300
  const Tensor mixed = tensor(toy.measured(), "qk_row");
  EXPECT_TRUE(torch::allclose(mixed, at_end * 0.75 + row(2) * 0.25, 1e-5, 1e-6));
}

TEST(SkipTrigrams, LooksAtTheLastReadOutPositionAndAtLabelsThatCount) {
  Toy toy;
  build_copier(toy, 8, 6, itself);
  toy.spec.read_out = {4, toy.spec.n_ctx - 1};
  for (Batch* batch : {&toy.split.train, &toy.split.test}) {
    batch->labels = torch::cat({torch::zeros_like(batch->labels), batch->labels}, 1);
    batch->scored = torch::ones({batch->size(), 2}, torch::kBool);
    batch->labels[0][1] = 0;  // wrong, and a new class, but it does not count
    batch->scored[0][1] = false;
  }
  const auto recorder = toy.measured();
  EXPECT_EQ(scalar(recorder, "accuracy/circuits"), 1);
  EXPECT_EQ(tensor(recorder, "classes").size(0), 5);
  toy.split.train.scored.fill_(0);
  EXPECT_THROW(toy.measured(), UsageError);
}

// Their null: turning W_V about turns the score about, so a random head copies as much as it suppresses. Of n
// classes, n < d_head, ov is much like a product of two random matrices: moduli of the eigenvalues are half
// their largest on average (Burda et al. 2010), a trace deviates by one of the largest, and the score
// by 2/n. A class token beats all 7 others with probability 1/8; for 24 classes the share that do deviates by
// 0.13, mostly as the best of the others does. Five deviations, of 40 heads or 10 networks.
TEST(SkipTrigrams, RandomHeadsDoNotCopy) {
  Toy toy(24);
  double sum = 0, won = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    auto config = small(4);
    config.d_model = 64;
    config.d_head = 32;
    toy.build(config, seed);
    const auto recorder = toy.measured();
    EXPECT_FALSE(has_finding(recorder));
    EXPECT_LT(scalar(recorder, "accuracy/skip_trigrams"), 0.25);
    for (int64_t head = 0; head < 4; ++head) {
      const std::string name = "head_" + std::to_string(head);
      sum += scalar(recorder, name + "/copying_score");
      won += scalar(recorder, name + "/classes_won");
      EXPECT_LT(scalar(recorder, name + "/margin/min"), 0);
    }
    toy.weight("blocks.0.attn.W_V").neg_();
    EXPECT_NEAR(scalar(toy.measured(), "head_0/copying_score"), -scalar(recorder, "head_0/copying_score"),
                1e-9);
  }
  EXPECT_LT(std::abs(sum / 40), 5 * 2.0 / 24 / std::sqrt(40));
  EXPECT_LT(won / 40, 1.0 / 8 + 5 * 0.13 / std::sqrt(10));
}

TEST(SkipTrigrams, FiguresAreWhatWasRecorded) {
  Toy toy;
  toy.build(small(2));
  const auto recorder = toy.measured();
  const auto& figures = recorder.record().figures;
  ASSERT_EQ(figures.size(), 6u);
  for (const Figure& figure : figures) EXPECT_FALSE(figure.x_label.empty() || figure.y_label.empty());
  EXPECT_EQ(figures[2].name, "ov_head_1");
  const Tensor ov = tensor(recorder, "full_ov")[1].narrow(0, 5, 5).narrow(1, 5, 5);
  EXPECT_TRUE(torch::allclose(figures[2].traces[0].z, ov - ov.mean(1, true), 1e-4, 1e-6));
  EXPECT_EQ(figures[2].y_ticks, (std::vector<std::string>{"5", "6", "7", "8", "9"}));
  EXPECT_EQ(figures[2].x_ticks, figures[2].y_ticks);
  EXPECT_EQ(figures[3].name, "qk_head_1");
  const Tensor qk = tensor(recorder, "full_qk")[1];  // every token occurs
  EXPECT_TRUE(torch::allclose(figures[3].traces[0].z, qk - qk.mean(1, true), 1e-4, 1e-6));
  EXPECT_EQ(figures[3].x_ticks.size(), 12u);
  EXPECT_EQ(figures[3].y_ticks.back(), "11");
  for (const size_t i : {4, 5}) {
    const Tensor scores = tensor(recorder, figures[i].name)[1];
    EXPECT_TRUE(torch::allclose(figures[i].traces[1].y, scores - scores.mean(), 1e-4, 1e-6));
  }
}

TEST(SkipTrigrams, HeatmapsEndAtTheFirstTokens) {
  Toy toy(5, 5);  // class 0 is token 5
  toy.build(small(1));
  const auto all = toy.measured(R"({"class_offset": 5})");
  const auto few = toy.measured(R"({"class_offset": 5, "max_drawn": 3})");
  for (const size_t i : {0, 1}) {
    const Figure &full = all.record().figures[i], &part = few.record().figures[i];
    EXPECT_TRUE(part.traces[0].z.equal(full.traces[0].z.narrow(0, 0, 3).narrow(1, 0, 3)));
  }
  EXPECT_EQ(few.record().figures[0].x_ticks, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(few.record().figures[0].y_ticks, (std::vector<std::string>{"5", "6", "7"}));
}

TEST(SkipTrigrams, LeavesOutWhatWouldSayNothing) {
  Toy many(33), one_vocabulary;
  many.build(small(1));
  const auto tensors_only = many.measured();
  EXPECT_EQ(tensor(tensors_only, "head_0/qk").size(0), 33);
  EXPECT_FALSE(has_scalar(tensors_only, "head_0/qk/7"));

  one_vocabulary.build(small(1));  // every token is a class, and there are no others to win against
  for (Batch* batch : {&one_vocabulary.split.train, &one_vocabulary.split.test})
    batch->tokens = torch::remainder(batch->tokens, 5) + 5;
  const auto recorder = one_vocabulary.measured();
  EXPECT_FALSE(has_scalar(recorder, "head_0/margin/mean"));
  EXPECT_TRUE(has_scalar(recorder, "head_0/qk/6"));
}

void expect_refusal(Toy& toy, const std::string& reason, const std::string& parameters = "{}") {
  try {
    toy.measured(parameters);
    ADD_FAILURE() << "not refused: " << reason;
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
    EXPECT_NE(error.hint(), "");
  }
}

TEST(SkipTrigrams, RefusesWhatIsNoSumOfTables) {
  using Normalization = TransformerConfig::Normalization;
  Toy toy;
  auto config = small();
  for (const auto& [type, reason] : std::vector<std::pair<Normalization, std::string>>{
           {Normalization::LN, "has LayerNorm"}, {Normalization::LNPre, "miss the network's logits"}}) {
    config.normalization_type = type;
    toy.build(config);
    expect_refusal(toy, reason);
  }
  toy.model = make_transformer(small(), toy.spec, make_generator(1));
  expect_refusal(toy, "has an MLP");
  config = small();
  config.n_layers = 2;
  toy.build(config);
  expect_refusal(toy, "more layers");
  config = small();
  config.attn_coeff = 0.5;
  toy.build(config);
  expect_refusal(toy, "this model has attn_coeff = 0.5");
}

TEST(SkipTrigrams, RefusesParametersThatDoNotFit) {
  Toy toy;
  toy.build(small());
  expect_refusal(toy, "destination = 12 is not a token", R"({"destination": 12})");
  expect_refusal(toy, "outside 0 to 11", R"({"class_offset": 3})");
  expect_refusal(toy, "outside 0 to 11", R"({"class_offset": -6})");
  EXPECT_NO_THROW(toy.measured(R"({"class_offset": -5})"));
  EXPECT_THROW(make_probe(R"({"destination": -2})"), Error);
  EXPECT_THROW(make_probe(R"({"copying_threshold": 1.5})"), Error);
  toy.split.train.labels.fill_(6);
  expect_refusal(toy, "only one class");
}

TEST(SkipTrigrams, LooksAtTheTestInputs) { EXPECT_EQ(make_probe()->needs().inputs, Inputs::test); }

}  // namespace
}  // namespace orrery::testing
