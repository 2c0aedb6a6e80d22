#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <tests/support/induction_circuit.h>
#include <tests/support/plugin_under_test.h>

#include "repeats.h"

namespace orrery::testing {
namespace {

using induction_heads::draw_repeats;
using induction_heads::Head;
using induction_heads::Repeats;
using torch::Tensor;

Recorder measured(Observed& observed, const std::string& parameters = "{}") {
  torch::NoGradGuard no_grad;
  Recorder recorder;
  make_probe(parameters)->measure(observed.observe(), recorder);
  return recorder;
}

// A transformer with all that one can have, and the sequences the probe draws for it.
struct Random {
  Observed observed;
  Repeats repeats;
  TransformerConfig config;
};
Random random_transformer(
    bool bos, int64_t n_layers = 2,
    TransformerConfig::Normalization normalization = TransformerConfig::Normalization::LN) {
  TransformerConfig config;
  config.n_layers = n_layers;
  config.d_model = 12;
  config.n_heads = 3;
  config.d_head = 4;
  config.d_mlp = 8;
  config.biases = TransformerConfig::Biases::all;
  config.normalization_type = normalization;
  const TaskSpec spec{.d_vocab = bos ? 8 : 7, .d_vocab_out = 7, .n_ctx = 14, .read_out = {13}};
  Random random{Observed(spec, make_transformer(config, spec, make_generator(2))), {}, config};
  torch::NoGradGuard no_grad;
  auto rng = make_generator(3);
  for (NamedWeight& weight : random.observed.model->weights()) weight.value.normal_(0, 0.7, rng);
  random.repeats = draw_repeats(spec, bos ? std::optional<int64_t>(7) : std::nullopt, 5, 4, 11);
  return random;
}
const std::string small = R"({"n_sequences": 4, "length": 5, "seed": 11, "attention_threshold": 1.0)";

// Where the token at `position` stood first.
int64_t first_occurrence(const Tensor& tokens, int64_t position) {
  int64_t at = 0;
  while (tokens[at].item<int64_t>() != tokens[position].item<int64_t>()) ++at;
  return at;
}

// The scores by their definition: {prefix matching, previous token, duplicate token}.
std::vector<double> looked_up(const Tensor& pattern, const Repeats& r, int64_t head) {
  std::vector<double> sums(3, 0), counts(3, 0);
  for (int64_t row = 0; row < r.tokens.size(0); ++row)
    for (int64_t q = 1; q < r.end(); ++q) {
      const auto attention = [&](int64_t key) { return double(pattern[row][head][q][key].item<float>()); };
      sums[1] += attention(q - 1), ++counts[1];
      const int64_t first = first_occurrence(r.tokens[row], q);
      if (first == q) continue;
      sums[0] += attention(first + 1), ++counts[0];
      sums[2] += attention(first), ++counts[2];
    }
  return {sums[0] / counts[0], sums[1] / counts[1], sums[2] / counts[2]};
}

// Mean cross-entropy of the tokens that can (repeats) or cannot (first) be known, by its definition.
double plain_loss(const Tensor& logits, const Repeats& r, bool repeats) {
  double total = 0, count = 0;
  for (int64_t row = 0; row < r.tokens.size(0); ++row)
    for (int64_t p = r.start + 1; p < r.end(); ++p) {
      const bool again = first_occurrence(r.tokens[row], p) < p;
      if (again != repeats || (again && first_occurrence(r.tokens[row], p) == r.start)) continue;
      double sum = 0;
      for (int64_t c = 0; c < logits.size(2); ++c)
        sum += std::exp(double(logits[row][p - 1][c].item<float>()));
      total += std::log(sum) - double(logits[row][p - 1][r.tokens[row][p].item<int64_t>()].item<float>());
      ++count;
    }
  return total / count;
}

TEST(InductionHeads, AreFoundInTheCircuit) {
  const InductionCircuit circuit;  // stretches of all 16 tokens: 1 + 2 * 16 positions
  Observed observed(circuit.spec(), circuit.make());
  const auto recorder = measured(observed);
  // Scores of 0 beside one of 40, or of 20 (BOS) in 33 positions: less than float32 resolves. 1e-6 is some
  // roundings of a softmax.
  EXPECT_NEAR(scalar(recorder, "previous_token/0.0"), 1, 1e-6);
  EXPECT_NEAR(scalar(recorder, "duplicate_token/0.1"), 1, 1e-6);
  EXPECT_NEAR(scalar(recorder, "prefix_matching/1.0"), 1, 1e-6);
  EXPECT_NEAR(scalar(recorder, "prefix_matching/max"), 1, 1e-6);
  EXPECT_NEAR(scalar(recorder, "copying/1.0"), 1, 1e-12);
  EXPECT_NEAR(scalar(recorder, "prefix_matching/0.0"), 0, 1e-6);
  EXPECT_NEAR(scalar(recorder, "previous_token/1.0"), 1.0 / 32, 1e-6);  // BOS, where it is the token before
  EXPECT_EQ(scalar(recorder, "copying/0.0"), 0);
  EXPECT_GT(
      scalar(recorder, "k_composition/1.0"),
      scalar(recorder, "composition_baseline/mean") + 5 * scalar(recorder, "composition_baseline/deviation"));
  EXPECT_EQ(scalar(recorder, "q_composition/1.0"), 0);
  std::vector<std::string> roles;
  for (const Finding& found : recorder.record().findings)
    if (found.kind == "head_role") roles.push_back(found.name);
  EXPECT_EQ(roles, (std::vector<std::string>{"head_0_0_previous_token", "head_0_1_duplicate_token",
                                             "head_1_0_induction", "head_1_0_copying"}));
}

TEST(InductionHeads, BringTheCircuitsLossDownAndTheirLossUp) {
  const InductionCircuit circuit;
  Observed observed(circuit.spec(), circuit.make());
  const auto recorder = measured(observed);
  const double guessing = std::log(16.0), known = std::log1p(15 * std::exp(-20.0));
  // BOS gets all but 33 e^-20 of the attention where nothing is known: 20 times that, at most, in the logits;
  // and logits of 20 are float32.
  const double leak = 20 * 33 * std::exp(-20.0);
  EXPECT_NEAR(scalar(recorder, "loss/first"), guessing, leak);
  EXPECT_NEAR(scalar(recorder, "loss/repeats"), known, leak);
  EXPECT_NEAR(scalar(recorder, "in_context_learning_score"), known - guessing, 2 * leak);
  // All tokens occur in each repeat, so the mean of what head 1.0 copies prefers none of them. Each of 33 *
  // 64 terms of the mean may leak.
  EXPECT_NEAR(scalar(recorder, "loss_increase_without/head=1.0"), guessing - known, 2 * leak + 1e-5);
  // Without the previous token nothing matches, and BOS is all there is.
  EXPECT_NEAR(scalar(recorder, "loss_increase_without/head=0.0"), guessing - known, 2 * leak + 1e-5);
  EXPECT_NEAR(scalar(recorder, "prefix_matching_without_previous_token/head=1.0"), 0, 1e-6);
  EXPECT_EQ(scalar(recorder, "loss_increase_without/all_induction"),
            scalar(recorder, "loss_increase_without/head=1.0"));
  EXPECT_EQ(scalar(recorder, "loss_increase_without/all_previous_token"),
            scalar(recorder, "loss_increase_without/head=0.0"));
  EXPECT_NEAR(scalar(recorder, "loss_increase_without/head=0.1"), 0, 1e-9);
  EXPECT_FALSE(has_scalar(recorder, "loss_increase_without/head=1.1"));
  const auto ablation = finding(recorder, "ablation_head_1_0_mean_repeats").fields;
  EXPECT_EQ(std::get<std::string>(ablation.at("component")), "head 1.0");
  EXPECT_EQ(std::get<double>(ablation.at("loss_before")), scalar(recorder, "loss/repeats"));
  EXPECT_NEAR(std::get<double>(ablation.at("loss_after")), guessing, leak + 1e-5);
}

TEST(InductionHeads, OfTheCircuitWithoutBosIsOfTwoMindsOnce) {
  InductionCircuit circuit;
  circuit.bos = false;
  circuit.n_ctx = 32;
  Observed observed(circuit.spec(), circuit.make());
  const auto recorder = measured(observed);
  // At one of 16 repeated tokens, the first, half of the attention goes to position 0.
  EXPECT_NEAR(scalar(recorder, "prefix_matching/1.0"), 15.5 / 16, 1e-6);
  EXPECT_NEAR(scalar(recorder, "duplicate_token/1.0"), 0.5 / 16, 1e-6);
  EXPECT_NEAR(scalar(recorder, "previous_token/0.0"), 1, 1e-6);
}

TEST(InductionHeads, LookWhereTheirDefinitionSays) {
  for (const bool bos : {true, false}) {
    auto random = random_transformer(bos);
    const auto recorder = measured(random.observed, small + "}");
    const auto forward = run_with_cache(*random.observed.model, random.repeats.tokens);
    for (int64_t layer = 0; layer < 2; ++layer)
      for (int64_t head = 0; head < 3; ++head) {
        const std::string name = induction_heads::to_string(Head{layer, head});
        const auto expected = looked_up(
            forward.cache["blocks." + std::to_string(layer) + ".attn.hook_pattern"], random.repeats, head);
        // The same float32 numbers, summed in float64.
        EXPECT_NEAR(scalar(recorder, "prefix_matching/" + name), expected[0], 1e-12);
        EXPECT_NEAR(scalar(recorder, "previous_token/" + name), expected[1], 1e-12);
        EXPECT_NEAR(scalar(recorder, "duplicate_token/" + name), expected[2], 1e-12);
        EXPECT_EQ(tensor(recorder, "prefix_matching")[layer][head].item<double>(),
                  scalar(recorder, "prefix_matching/" + name));
      }
    EXPECT_NEAR(scalar(recorder, "loss/repeats"), plain_loss(forward.logits, random.repeats, true), 1e-12);
    EXPECT_NEAR(scalar(recorder, "loss/first"), plain_loss(forward.logits, random.repeats, false), 1e-12);
  }
}

// The same ablation in the weights: the head writes nothing, and the bias of its layer its mean.
TEST(InductionHeads, AreReplacedByTheirMean) {
  auto random = random_transformer(true);
  Model& model = *random.observed.model;
  const auto recorder = measured(random.observed, small + R"(, "ablate": "all"})");
  const double before = scalar(recorder, "loss/repeats");
  torch::NoGradGuard no_grad;
  for (int64_t layer = 0; layer < 2; ++layer)
    for (int64_t head = 0; head < 3; ++head) {
      const std::string attn = "blocks." + std::to_string(layer) + ".attn.";
      const Tensor z = run_with_cache(model, random.repeats.tokens).cache[attn + "hook_z"];
      const Tensor heads_z = z.narrow(1, 0, random.repeats.end()).select(2, head).to(torch::kFloat64);
      const Tensor mean = heads_z.flatten(0, 1).mean(0).to(torch::kFloat32);
      const Tensor W_O = model.weight(attn + "W_O"), b_O = model.weight(attn + "b_O");
      const Tensor old_W = W_O.clone(), old_b = b_O.clone();
      b_O.add_(mean.matmul(W_O[head]));
      W_O[head].zero_();
      const double after = plain_loss(model.forward(random.repeats.tokens), random.repeats, true);
      W_O.copy_(old_W), b_O.copy_(old_b);
      // Two orders of summation in float32, in logits of order 10.
      EXPECT_NEAR(
          scalar(recorder, "loss_increase_without/head=" + induction_heads::to_string(Head{layer, head})),
          after - before, 1e-5);
      EXPECT_GT(std::abs(after - before), 1e-3);
    }
}

// With these thresholds every head has every role, and all are silenced together.
TEST(InductionHeads, AreSilencedTogether) {
  auto random = random_transformer(true);
  Model& model = *random.observed.model;
  const auto recorder = measured(random.observed, R"({"n_sequences": 4, "length": 5, "seed": 11,
      "attention_threshold": 0.0, "copying_threshold": -1.0})");
  torch::NoGradGuard no_grad;
  const auto plain = run_with_cache(model, random.repeats.tokens);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const std::string attn = "blocks." + std::to_string(layer) + ".attn.";
    const Tensor z = plain.cache[attn + "hook_z"].narrow(1, 0, random.repeats.end()).to(torch::kFloat64);
    const Tensor mean = z.flatten(0, 1).mean(0).to(torch::kFloat32);
    model.weight(attn + "b_O").add_(mean.flatten().matmul(model.weight(attn + "W_O").flatten(0, 1)));
    model.weight(attn + "W_O").zero_();
  }
  const auto silent = run_with_cache(model, random.repeats.tokens);
  // Two orders of summation in float32, as above; in attention scores and in logits.
  const double rise =
      plain_loss(silent.logits, random.repeats, true) - plain_loss(plain.logits, random.repeats, true);
  EXPECT_NEAR(scalar(recorder, "loss_increase_without/all_induction"), rise, 1e-5);
  EXPECT_NEAR(scalar(recorder, "loss_increase_without/all_previous_token"), rise, 1e-5);
  for (int64_t head = 0; head < 3; ++head) {
    const std::string name = "prefix_matching_without_previous_token/head=1." + std::to_string(head);
    const double expected = looked_up(silent.cache["blocks.1.attn.hook_pattern"], random.repeats, head)[0];
    EXPECT_NEAR(scalar(recorder, name), expected, 1e-5);
    EXPECT_NE(scalar(recorder, name), scalar(recorder, "prefix_matching/1." + std::to_string(head)));
  }
}

TEST(InductionHeads, SayTheSameInPieces) {
  // 40 sequences of 257 positions and 4 heads are 10.6 million entries of a pattern: three pieces, not of the
  // same size. Here in one.
  const TaskSpec spec{.d_vocab = 129, .d_vocab_out = 128, .n_ctx = 257, .read_out = {256}};
  TransformerConfig config;
  config.d_model = 16;
  config.d_head = 4;
  config.attn_only = true;
  Observed observed(spec, make_transformer(config, spec, make_generator(4)));
  const auto recorder = measured(observed, R"({"n_sequences": 40, "seed": 9})");
  torch::NoGradGuard no_grad;
  const Tensor tokens = draw_repeats(spec, 128, 0, 40, 9).tokens;
  const auto whole = run_with_cache(*observed.model, tokens);
  const Tensor previous = whole.cache["blocks.0.attn.hook_pattern"].diagonal(-1, 2, 3).to(torch::kFloat64);
  for (int64_t head = 0; head < 4; ++head)  // softmax is float32: rows of a piece may be rounded otherwise
    EXPECT_NEAR(scalar(recorder, "previous_token/0." + std::to_string(head)),
                previous.select(1, head).mean().item<double>(), 1e-7);
  const Tensor log_p = whole.logits.to(torch::kFloat64).log_softmax(-1);
  const Tensor repeats = log_p.narrow(1, 129, 127).gather(-1, tokens.narrow(1, 130, 127).unsqueeze(-1));
  EXPECT_NEAR(scalar(recorder, "loss/repeats"), -repeats.mean().item<double>(), 1e-6);
}

TEST(InductionHeads, LeaveNoHookBehind) {
  const InductionCircuit circuit;
  Observed observed(circuit.spec(), circuit.make());
  torch::NoGradGuard no_grad;
  const auto tokens = draw_repeats(circuit.spec(), 16, 0, 2, 9).tokens;
  const Tensor logits = observed.model->forward(tokens);
  const auto first = measured(observed);
  EXPECT_TRUE(logits.equal(observed.model->forward(tokens)));
  EXPECT_EQ(first.record().scalars, measured(observed).record().scalars);
}

TEST(InductionHeads, AreNotInRandomWeights) {
  const TaskSpec spec{.d_vocab = 65, .d_vocab_out = 64, .n_ctx = 33, .read_out = {32}};
  TransformerConfig config;
  config.n_layers = 2;
  config.attn_only = true;
  Observed observed(spec, make_transformer(config, spec, make_generator(4)));
  const auto recorder = measured(observed);
  // Attention scores have standard deviation 2 / d_model, so patterns are even but for a factor within
  // exp(+-12 * 2 / 128) if no score is off by more than six of them.
  const double uneven = std::exp(24.0 / 128) - 1;
  double repeated = 0, any = 0;
  for (int64_t q = 17; q < 33; ++q) repeated += 1.0 / double(q + 1) / 16;
  for (int64_t q = 1; q < 33; ++q) any += 1.0 / double(q + 1) / 32;
  for (const std::string head : {"0.0", "0.3", "1.0", "1.3"}) {
    EXPECT_NEAR(scalar(recorder, "prefix_matching/" + head), repeated, uneven * repeated);
    EXPECT_NEAR(scalar(recorder, "duplicate_token/" + head), repeated, uneven * repeated);
    EXPECT_NEAR(scalar(recorder, "previous_token/" + head), any, uneven * any);
    // A random d_head x d_head matrix: its trace has standard deviation sqrt(d_head), and its eigenvalues add
    // up to d_head^1.5 / 3 or more (2/3 for one Gaussian matrix, 1/3 for a product of four): five of them.
    EXPECT_NEAR(scalar(recorder, "copying/" + head), 0, 15.0 / 32);
  }
  for (const auto& [name, value] : recorder.record().scalars) EXPECT_TRUE(std::isfinite(value)) << name;
  EXPECT_NEAR(scalar(recorder, "in_context_learning_score"), 0, 0.1);
  for (const Finding& found : recorder.record().findings)
    EXPECT_TRUE(found.kind != "head_role" || std::get<std::string>(found.fields.at("role")) == "copying");
}

TEST(InductionHeads, OfOneLayerDoNotCompose) {
  auto one = random_transformer(true, 1), two = random_transformer(true, 2),
       three = random_transformer(true, 3);
  EXPECT_FALSE(has_scalar(measured(one.observed), "composition_baseline/mean"));
  const auto recorder = measured(two.observed), deep = measured(three.observed);
  for (const std::string letter : {"q", "k", "v"}) {
    const Tensor all = tensor(recorder, letter + "_composition");
    ASSERT_EQ(all.sizes(), (std::vector<int64_t>{2, 3, 2, 3}));
    EXPECT_EQ(scalar(recorder, letter + "_composition/1.2"),
              all[0].select(1, 1).select(1, 2).max().item<double>());
    EXPECT_EQ(all[1].abs().max().item<double>(), 0);
    const Tensor of_three = tensor(deep, letter + "_composition");
    EXPECT_GT(of_three[0][0][2][1].item<double>(), 0);
    EXPECT_GT(of_three[1][2][2][0].item<double>(), 0);
    EXPECT_EQ(of_three[2].abs().max().item<double>(), 0);
    for (const Figure& figure : deep.record().figures) {
      if (figure.name != letter + "_composition") continue;
      const Tensor z = figure.traces[0].z;  // rows: layers 0 and 1; columns: layers 1 and 2
      ASSERT_EQ(z.sizes(), (std::vector<int64_t>{6, 6}));
      EXPECT_EQ(figure.x_ticks, (std::vector<std::string>{"1.0", "1.1", "1.2", "2.0", "2.1", "2.2"}));
      EXPECT_EQ(figure.y_ticks.front(), "0.0");
      EXPECT_EQ(z.narrow(0, 3, 3).narrow(1, 0, 3).abs().max().item<float>(), 0);
      const double chance = scalar(deep, "composition_baseline/mean");
      EXPECT_NEAR(z[1][5].item<float>(), of_three[0][1][2][2].item<double>() - chance, 1e-7);
    }
  }
}

TEST(InductionHeads, DrawsWhatItFound) {
  const InductionCircuit circuit;
  Observed observed(circuit.spec(), circuit.make());
  const auto recorder = measured(observed);
  std::map<std::string, Figure> figures;
  for (const Figure& figure : recorder.record().figures) figures[figure.name] = figure;
  for (const std::string name : {"prefix_matching", "previous_token", "duplicate_token", "copying"})
    EXPECT_EQ(figures.at(name).traces.at(0).z.sizes(), (std::vector<int64_t>{2, 2}));
  for (const std::string name : {"q_composition", "k_composition", "v_composition"})
    EXPECT_EQ(figures.at(name).traces.at(0).z.sizes(), (std::vector<int64_t>{2, 2}));
  const Tensor induction = figures.at("pattern_prefix_matching").traces.at(0).z;
  const Tensor previous = figures.at("pattern_previous_token").traces.at(0).z;
  ASSERT_EQ(induction.sizes(), (std::vector<int64_t>{33, 33}));
  EXPECT_NEAR(induction[20][5].item<float>(), 1, 1e-6);  // the token at 20 was at 4 before
  EXPECT_NEAR(previous[20][19].item<float>(), 1, 1e-6);
  EXPECT_EQ(figures.at("copying").y_ticks, (std::vector<std::string>{"layer 0", "layer 1"}));
  for (const auto& [name, figure] : figures) {
    if (figure.kind != Figure::Kind::heatmap) continue;
    EXPECT_EQ(int64_t(figure.y_ticks.size()), figure.traces.at(0).z.size(0)) << name;
    EXPECT_EQ(int64_t(figure.x_ticks.size()), figure.traces.at(0).z.size(1)) << name;
  }
  const auto& ticks = figures.at("pattern_previous_token").x_ticks;
  EXPECT_EQ(ticks[0], "16");  // BOS
  EXPECT_EQ(ticks[20], ticks[4]);
  // A token attended to is copied: the diagonal. It is looked for where it stood before: the diagonal again.
  for (const std::string name : {"ov_prefix_matching", "qk_prefix_matching"}) {
    const Tensor z = figures.at(name).traces.at(0).z;
    ASSERT_EQ(z.sizes(), (std::vector<int64_t>{16, 16}));
    const double height = name[0] == 'o' ? circuit.height : circuit.sharpness;
    EXPECT_TRUE(torch::allclose(z, height * (torch::eye(16) - 1.0 / 16), 1e-5, 1e-5)) << name;
  }
  EXPECT_EQ(figures.at("qk_prefix_matching").title,
            "QK circuit of head 1.0 by way of head 0.0, the strongest previous-token head (K-composition)");
  const auto few = measured(observed, R"({"max_drawn": 3})");
  for (const Figure& figure : few.record().figures)
    if (figure.name == "ov_prefix_matching") {
      EXPECT_EQ(figure.traces.at(0).z.sizes(), (std::vector<int64_t>{3, 3}));
    }
  const Trace loss = figures.at("loss_by_position").traces.at(0);
  EXPECT_EQ(loss.x[0].item<int64_t>(), 1);
  EXPECT_NEAR(loss.y[16].item<float>(), std::log(16.0), 1e-4);  // at 17 the repeat starts, without warning
  EXPECT_NEAR(loss.y[17].item<float>(), 0, 1e-4);
}

// A head that looks back by a fixed distance finds the token to come in stretches of that length only, as one
// does that was trained on blocks of 28: at the 42 that would fit in 85 positions it is no induction head.
TEST(InductionHeads, AreLookedForAtTheLengthOfTheTask) {
  InductionCircuit circuit;
  circuit.vocabulary = 64;
  circuit.n_ctx = 85;
  Observed observed(circuit.spec(), circuit.make());
  const int64_t block = 28;
  torch::NoGradGuard no_grad;
  Tensor W_Q = observed.model->weight("blocks.1.attn.W_Q"), W_K = observed.model->weight("blocks.1.attn.W_K");
  W_Q[0].zero_(), W_K[0].zero_();  // head 1.0: from position p to p - 27
  const double sharp = 40 * std::sqrt(double(circuit.d_head()));
  W_Q[0]
      .narrow(0, circuit.position() + block - 1, 85 - block + 1)
      .narrow(1, 0, 85 - block + 1)
      .copy_(sharp * torch::eye(85 - block + 1));
  W_K[0].narrow(0, circuit.position(), 85).narrow(1, 0, 85).copy_(torch::eye(85));
  observed.structure.repeats = RepeatStructure{.length = block, .times = 3};
  const auto recorder = measured(observed);
  EXPECT_EQ(scalar(recorder, "stretch/length"), block);
  EXPECT_NEAR(scalar(recorder, "prefix_matching/1.0"), 1, 1e-6);
  EXPECT_LT(scalar(recorder, "loss/repeats"), 0.01);
  EXPECT_TRUE(has_scalar(recorder, "loss_increase_without/head=1.0"));
  EXPECT_FALSE(std::get<bool>(finding(recorder, "stretch").fields.at("beyond_training")));

  const auto beyond = measured(observed, R"({"length": 42})");
  EXPECT_LT(scalar(beyond, "prefix_matching/1.0"), 0.1);
  EXPECT_EQ(scalar(beyond, "stretch/trained_length"), block);
  EXPECT_TRUE(std::get<bool>(finding(beyond, "stretch").fields.at("beyond_training")));

  observed.structure.repeats.reset();  // as many as fit: nothing is known
  EXPECT_EQ(scalar(measured(observed), "stretch/length"), 42);
  observed.structure.repeats = RepeatStructure{.length = 60, .times = 2};  // more than fit
  EXPECT_EQ(scalar(measured(observed), "stretch/length"), 42);
}

TEST(InductionHeads, RefuseWhatTheyCannotLookAt) {
  const TaskSpec spec{.d_vocab = 7, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  TransformerConfig small_one;
  Observed brief(spec, make_transformer(small_one, spec, make_generator(4)));
  EXPECT_THROW(measured(brief), UsageError);
  Observed mlp(spec, make_mlp({}, spec, make_generator(4)));
  EXPECT_THROW(measured(mlp), UsageError);
  EXPECT_THROW(make_probe(R"({"length": 1})"), UsageError);
  const auto needs = make_probe()->needs();
  EXPECT_EQ(needs.refusal(*brief.model, spec), "");
  small_one.attention_dir = TransformerConfig::AttentionDir::bidirectional;
  EXPECT_EQ(
      needs.refusal(*make_transformer(small_one, spec, make_generator(4)), spec),
      "it takes attention for the causal softmax of q k / sqrt(d_head), behind ln1 if there is one; this "
      "model has attention_dir = \"bidirectional\"");
  EXPECT_EQ(needs.inputs, Inputs::none);
  EXPECT_EQ(needs.activations.at(0), "blocks.*.attn.hook_pattern");
}

}  // namespace
}  // namespace orrery::testing
