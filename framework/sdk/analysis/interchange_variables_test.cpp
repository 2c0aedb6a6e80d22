// Ready variables on networks that are built to carry them, and on such that do not.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/groups.h>
#include <orrery/interchange_variables.h>
#include <tests/support/groups.h>
#include <tests/support/induction_circuit.h>
#include <tests/support/model_on_grid.h>

#include <map>

namespace orrery::testing::interchange_variables_test {
namespace {

using torch::Tensor;

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return std::string(error.what()) + " " + error.hint();
  }
  return "";
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::map<std::string, TestedHypothesis> by_name(const TestedSet& tested) {
  std::map<std::string, TestedHypothesis> all;
  for (const TestedHypothesis& one : tested.hypotheses) all.emplace(one.name, one);
  return all;
}

KeyFrequencyParams given(std::vector<int64_t> frequencies) {
  KeyFrequencyParams params;
  params.rule = "given";
  params.frequencies = std::move(frequencies);
  return params;
}

std::map<std::string, TestedHypothesis> tested_on(ModelOnGrid& network, const KeyFrequencyParams& params,
                                                  const TestOptions& options) {
  const auto observation = network.observe();
  const auto set = ready_variables(observation, {.keys = find_key_functions(params, observation, 0)});
  return by_name(test_variables(*network.model, network.task.spec, set, options));
}

// Ten neurons of the constructed solution, at frequencies 1 and 3.
ModelOnGrid constructed(int64_t p = 13) {
  CyclicTask task = addition(p);
  auto model = make_mlp({.embedding = MlpConfig::Embedding::input_tied,
                         .d_embed = 8,
                         .d_mlp = 10,
                         .act_fn = MlpConfig::ActFn::square,
                         .init = MlpConfig::Init::constructed,
                         .frequencies = {1, 3}},
                        task.spec, make_generator(0));
  return {std::move(task), std::move(model)};
}

TEST(ReadyVariables, TheConstructedSolutionCarriesTheOperandsAndThenTheirSum) {
  auto network = constructed();
  const auto tested = tested_on(network, given({1, 3}), {.pairs = 3000});
  for (const char* name : {"left/hook_embed", "right/hook_embed", "result/mlp.hook_post", "result/logits",
                           "result/hook_mlp_out"}) {
    ASSERT_EQ(tested.count(name), 1u) << name;
    EXPECT_EQ(tested.at(name).score.accuracy, 1) << name;
    EXPECT_EQ(tested.at(name).directions.size(0), 4) << name;
    EXPECT_FALSE(tested.at(name).wrong.has_value()) << name;  // other frequencies are not there
    EXPECT_LT(tested.at(name).random->accuracy, 0.9) << name;
    EXPECT_LT(tested.at(name).score.other_accuracy, 0.2) << name;  // by chance 1/13
  }
  // Before the square both operands stand in the same directions, so that neither can be exchanged alone.
  EXPECT_EQ(tested.at("operands/mlp.hook_pre").score.accuracy, 1);
  EXPECT_EQ(tested.at("left/mlp.hook_pre").score.other_accuracy, 1);
  EXPECT_LT(tested.at("left/mlp.hook_pre").score.accuracy, 0.2);
  // There the sum is nowhere, and behind it no operand is alone.
  EXPECT_LT(tested.at("result/mlp.hook_pre").score.accuracy, 0.2);
  EXPECT_LT(tested.at("left/mlp.hook_post").score.accuracy, 0.2);
}

TEST(ReadyVariables, ARandomNetworkCarriesNothing) {
  auto network = random_mlp({.embedding = MlpConfig::Embedding::input_tied, .d_embed = 16, .d_mlp = 24}, 13);
  for (const auto& [name, one] : tested_on(network, given({1, 3}), {.pairs = 2000}))
    EXPECT_LT(one.score.accuracy, 0.3) << name;
}

TEST(ReadyVariables, KeysAreFoundAtTheCheckpoint) {
  auto network = constructed();
  KeyFrequencyParams params;
  params.rule = "logits";
  const auto observation = network.observe();
  const KeyFunctions found = find_key_functions(params, observation, 3);
  EXPECT_EQ(found.names, (std::vector<std::string>{"k=1", "k=3"}));
  EXPECT_EQ(found.keys.size(0), 4);
  EXPECT_EQ(found.others.size(0), 4);
  EXPECT_LT(found.keys.matmul(found.others.t()).abs().max().item<double>(), 1e-12);
  params.rule = "neurons";  // no neuron has 85 % of its energy at one frequency: squares double it
  EXPECT_TRUE(says(refusal([&] { find_key_functions(params, observation, 0); }), "no key frequency"));
}

TEST(ReadyVariables, OfSubtractionAndProductsCountInTheGroup) {
  for (CyclicTask task : {subtraction(11), multiplication(11, 2)}) {
    const auto model = make_mlp({.embedding = MlpConfig::Embedding::input_tied, .d_embed = 8, .d_mlp = 6},
                                task.spec, make_generator(1));
    ModelOnGrid network(
        task, make_mlp({.embedding = MlpConfig::Embedding::input_tied, .d_embed = 8, .d_mlp = 6}, task.spec,
                       make_generator(1)));
    const auto observation = network.observe();
    const auto set = ready_variables(observation, {.keys = find_key_functions(given({1}), observation, 0)});
    const int64_t n = task.structure.cyclic->order;
    ASSERT_EQ(set.inputs.size(), n * n);  // without those that contain 0 in multiplication
    ASSERT_EQ(set.variables.size(), 4u);
    // The task's own labels say what the label of (a of one input, b of another) is.
    std::map<std::pair<int64_t, int64_t>, int64_t> table;
    const auto token = [&](int64_t row, int64_t at) { return set.inputs.tokens[row][at].item<int64_t>(); };
    for (int64_t row = 0; row < n * n; ++row)
      table[{token(row, 0), token(row, 1)}] = set.inputs.labels[row][0].item<int64_t>();
    const auto pairs = sampled_pairs(n * n, 60, make_generator(2));
    for (int64_t i = 0; i < 60; ++i) {
      const auto base = pairs.base[i].item<int64_t>(), source = pairs.source[i].item<int64_t>();
      const auto label = [&](size_t v) {
        return set.variables[v].labels(pairs.base, pairs.source)[i][0].item<int64_t>();
      };
      EXPECT_EQ(label(0), table.at({token(source, 0), token(base, 1)}));
      EXPECT_EQ(label(1), table.at({token(base, 0), token(source, 1)}));
      EXPECT_EQ(label(2), set.inputs.labels[source][0].item<int64_t>());
      EXPECT_EQ(label(3), label(2));
    }
  }
}

// x y by the matrices of the standard representation of S_3, in four of ten directions; six hold y alone.
class MatrixCarrier final : public Model {
 public:
  MatrixCarrier(const FiniteGroup& group, const Representation& rho)
      : products_(group.products()),
        n_(group.order()),
        entries_(rho.matrices.reshape({n_, 4})),
        basis_(random_directions(10, 10, make_generator(2))),
        resid_(&add_hook_point("blocks.0.hook_resid_post")) {}
  Tensor forward(const Tensor& tokens) override {
    const Tensor x = tokens.select(1, 0), y = tokens.select(1, 1);
    const Tensor product = products_.index_select(0, x * n_ + y);
    const Tensor held =
        torch::cat({entries_.index_select(0, product), torch::one_hot(y, 6).to(torch::kFloat64)}, 1);
    const Tensor there = held.matmul(basis_).unsqueeze(1).expand({-1, 3, -1}).to(torch::kFloat32);
    const Tensor read = (*resid_)(there.contiguous()).to(torch::kFloat64).matmul(basis_.t());
    return (10 * read.narrow(2, 0, 4).matmul(entries_.t())).to(torch::kFloat32);
  }

 private:
  Tensor products_;
  int64_t n_;
  Tensor entries_, basis_;
  HookPoint* resid_;
};

TEST(ReadyVariables, OfAGroupAreEntriesOfItsRepresentations) {
  const GroupStructure structure = symmetric_group(3);
  const FiniteGroup group = made(structure);
  const auto all = irreducible_representations(group);
  const auto standard =
      std::find_if(all.begin(), all.end(), [](const auto& rho) { return rho.degree() == 2; });
  RunningGroup running(structure,
                       [&](const TaskSpec&) { return std::make_unique<MatrixCarrier>(group, *standard); });
  const auto observation = running.observe();
  const KeyFunctions keys = find_key_functions({}, observation, 0);
  EXPECT_EQ(keys.names, std::vector<std::string>{standard->name});
  EXPECT_EQ(keys.keys.size(0), 4);
  EXPECT_EQ(keys.others.size(0), 1);  // the sign is all that is left
  const auto set = ready_variables(observation, {.keys = keys});
  const auto tested = by_name(test_variables(*running.model, running.task.spec, set, {.pairs = 0}));
  EXPECT_EQ(tested.at("result/blocks.0.hook_resid_post").score.accuracy, 1);
  EXPECT_EQ(tested.at("result/logits").score.accuracy, 1);
  // y stands there too, but the logits do not read it; and the entries of rho(x) are nowhere.
  EXPECT_LT(tested.at("right/blocks.0.hook_resid_post").score.accuracy, 0.4);
  EXPECT_EQ(tested.at("left/blocks.0.hook_resid_post").directions.size(0), 0);
}

// BOS, four tokens that occur twice and four others, all different.
Batch repeats(int64_t size) {
  Batch batch{torch::full({size, 13}, 16, torch::kInt64), {}};
  batch.repeat_of = torch::full({size, 13}, -1, torch::kInt64);
  auto rng = make_generator(7);
  for (int64_t row = 0; row < size; ++row) {
    const Tensor token = torch::randperm(16, rng, torch::kInt64);
    const auto first = 1 + row % 3, second = 7 + row / 3 % 3;
    std::vector<bool> taken(13, false);
    for (int64_t i = 0; i < 4; ++i) {
      batch.tokens[row][first + i] = token[i];
      batch.tokens[row][second + i] = token[i];
      batch.repeat_of[row][second + i] = first + i;
      taken[size_t(first + i)] = taken[size_t(second + i)] = true;
    }
    for (int64_t at = 1, next = 4; at < 13; ++at)
      if (!taken[size_t(at)]) batch.tokens[row][at] = token[next++];
  }
  batch.labels = batch.tokens.narrow(1, 1, 12).clone();
  return batch;
}

TEST(ReadyVariables, TheInductionHeadCarriesTheEarlierPosition) {
  const InductionCircuit circuit{.n_ctx = 13};
  Observed seen(circuit.spec(), circuit.make());
  seen.structure.repeats = RepeatStructure{4, 2};
  seen.split.test = repeats(200);
  const auto set = ready_variables(seen.observe(), {});
  const auto tested = by_name(test_variables(*seen.model, seen.spec, set, {.pairs = 500}));
  for (const char* name : {"position/blocks.1.attn.hook_pattern", "position/blocks.1.attn.hook_pattern.0",
                           "value/blocks.1.attn.hook_z", "value/blocks.1.attn.hook_z.0"}) {
    ASSERT_EQ(tested.count(name), 1u) << name;
    EXPECT_EQ(tested.at(name).score.accuracy, 1) << name;
    EXPECT_LT(tested.at(name).score.other_accuracy, 0.6) << name;  // where both labels are the same
    EXPECT_GT(tested.at(name).score.counted, 200) << name;
    EXPECT_FALSE(tested.at(name).random.has_value());
  }
  for (const char* name : {"position/blocks.1.attn.hook_pattern.1", "value/blocks.1.attn.hook_z.1",
                           "value/blocks.0.attn.hook_z.1"})
    EXPECT_EQ(tested.at(name).score.kept, 1) << name;
  // By hand: in the base of each pair the token behind the source's earlier position.
  const auto pairs = sampled_pairs(200, 50, make_generator(0));
  const Tensor labels = set.variables[0].labels(pairs.base, pairs.source);
  int64_t said = 0;
  for (int64_t i = 0; i < 50; ++i)
    for (int64_t at = 0; at < 12; ++at) {
      const auto base = pairs.base[i].item<int64_t>(), source = pairs.source[i].item<int64_t>();
      const auto stands = [&](int64_t row) {  // in the stretch that is repeated, and not at its end
        return at >= 7 + row / 3 % 3 && at < 10 + row / 3 % 3;
      };
      const int64_t expected =
          stands(base) && stands(source)
              ? set.inputs.tokens[base][at - (7 + source / 3 % 3) + 1 + source % 3 + 1].item<int64_t>()
              : -1;
      EXPECT_EQ(labels[i][at].item<int64_t>(), expected);
      said += expected >= 0;
    }
  EXPECT_GT(said, 50);
}

// Two digits and two digits, least significant first where `reversed`: a one-hot sum of each place and, along
// a direction of its own, the carry, at each output position.
class CarryCarrier final : public Model {
 public:
  explicit CarryCarrier(bool reversed)
      : reversed_(reversed),
        basis_(random_directions(24, 24, make_generator(3))),
        resid_(&add_hook_point("blocks.0.hook_resid_mid")) {}
  Tensor forward(const Tensor& tokens) override {
    Tensor held = torch::zeros({tokens.size(0), 9, 24}, torch::kFloat64);
    Tensor carry = torch::zeros({tokens.size(0)}, torch::kInt64);
    for (int64_t place = 0; place < 3; ++place) {
      const int64_t in = reversed_ ? place : 1 - place, position = 7 - place;
      const Tensor sum =
          place == 2 ? torch::zeros_like(carry) : tokens.select(1, in) + tokens.select(1, 3 + in);
      held.select(1, position).narrow(1, 0, 19).copy_(torch::one_hot(sum, 19));
      held.select(1, position).select(1, 19).copy_(carry);
      carry = (sum + carry).div(10, "floor");
    }
    const Tensor there = held.matmul(basis_).to(torch::kFloat32);
    const Tensor read = (*resid_)(there).to(torch::kFloat64).matmul(basis_.t());
    const Tensor digit =
        (read.narrow(2, 0, 19).argmax(2) + (read.select(2, 19) > 0.5).to(torch::kInt64)).remainder(10);
    return torch::one_hot(digit, 10).to(torch::kFloat32) * 5;
  }
  Tensor direction() const { return basis_.narrow(0, 19, 1); }

 private:
  bool reversed_;
  Tensor basis_;
  HookPoint* resid_;
};

Batch sums(bool reversed, int64_t size, uint64_t seed) {
  const Tensor x = torch::randint(100, {size, 2}, make_generator(seed), torch::kInt64), sum = x.sum(1);
  const auto digit = [](const Tensor& number, int64_t place) {
    return number.div(place == 0 ? 1 : place == 1 ? 10 : 100, "floor").remainder(10);
  };
  std::vector<Tensor> tokens;
  for (int64_t operand = 0; operand < 2; ++operand) {
    for (int64_t i = 0; i < 2; ++i) tokens.push_back(digit(x.select(1, operand), reversed ? i : 1 - i));
    tokens.push_back(torch::full({size}, 10 + operand, torch::kInt64));
  }
  for (int64_t place = 2; place >= 0; --place) tokens.push_back(digit(sum, place));
  Batch batch{torch::stack(tokens, 1), {}};
  batch.labels = batch.tokens.narrow(1, 6, 3).clone();
  return batch;
}

TEST(ReadyVariables, TheCarryIsOneDirection) {
  for (const bool reversed : {false, true}) {
    TaskSpec spec{12, 10, 9, {5, 6, 7}, {"digit_2", "digit_1", "digit_0"}};
    Observed seen(spec, std::make_unique<CarryCarrier>(reversed));
    seen.split.train = sums(reversed, 3000, 1);
    seen.split.test = sums(reversed, 300, 2);
    const auto set = ready_variables(seen.observe(), {.seed = 1});
    const auto tested = by_name(test_variables(*seen.model, spec, set, {.pairs = 1000}));
    ASSERT_EQ(tested.size(), 2u);
    for (const std::string place : {"1", "2"}) {
      const auto& one = tested.at("carry_" + place + "/blocks.0.hook_resid_mid");
      EXPECT_EQ(one.score.accuracy, 1);
      EXPECT_LT(principal_angles(one.directions, CarryCarrier(reversed).direction()).item<double>(), 1e-4);
      EXPECT_LT(one.random->accuracy, 0.2);
      EXPECT_GT(one.score.counted, 300);  // about half of the pairs differ in a carry
    }
    // Into the last digit nothing varies but the carry: any regression finds it, and beside it there is
    // nothing.
    const auto& last = tested.at("carry_2/blocks.0.hook_resid_mid");
    EXPECT_NEAR(last.shared, 1, 1e-6);
    EXPECT_FALSE(last.wrong.has_value());
    // Elsewhere the sum of the digits is there too, which does not set a carry.
    const auto& first = tested.at("carry_1/blocks.0.hook_resid_mid");
    EXPECT_LT(first.shared, 1 - 1e-6);
    EXPECT_TRUE(first.wrong.has_value());
    // The source's whole digit is another thing, except for the last carry, which is a digit.
    EXPECT_LT(tested.at("carry_1/blocks.0.hook_resid_mid").score.other_accuracy, 0.3);
  }
  TaskSpec spec{12, 10, 9, {5, 6, 7}, {"digit_2", "digit_1", "digit_0"}};
  Observed wrong(spec, std::make_unique<CarryCarrier>(false));
  wrong.split.train = wrong.split.test = sums(false, 50, 1);
  wrong.split.test.labels.fill_(3);
  EXPECT_TRUE(says(refusal([&] { ready_variables(wrong.observe(), {}); }), "no sums of two numbers"));
}

TEST(ReadyVariables, DirectionsAndSitesMayBeGiven) {
  auto network = constructed();
  const auto observation = network.observe();
  const auto keys = find_key_functions(given({1, 3}), observation, 0);
  const auto set = ready_variables(observation, {.keys = keys, .sites = {"mlp.hook_post", "hook_embed"}});
  EXPECT_EQ(
      hypothesis_names(set),
      (std::vector<std::string>{"left/hook_embed", "left/mlp.hook_post", "right/hook_embed",
                                "right/mlp.hook_post", "operands/mlp.hook_post", "result/mlp.hook_post"}));
  const TestOptions options{.hypotheses = {"result/mlp.*"}, .pairs = 500};
  const auto own = test_variables(*network.model, network.task.spec, set, options).hypotheses.front();
  EXPECT_EQ(own.score.accuracy, 1);
  TestOptions with = options;
  with.directions = own.directions.narrow(0, 0, 2) * 3;  // one frequency of two, not of norm 1
  const auto part = test_variables(*network.model, network.task.spec, set, with).hypotheses.front();
  EXPECT_EQ(part.directions.size(0), 2);
  EXPECT_LT(part.score.accuracy, 0.9);
  // The constructed network has nothing of other frequencies; a random one does, and they are compared first.
  with.directions = torch::eye(7);
  auto random = random_mlp({.d_embed = 8, .d_mlp = 10}, 13);
  for (ModelOnGrid* each : {&network, &random})
    EXPECT_TRUE(says(refusal([&] { test_variables(*each->model, each->task.spec, set, with); }),
                     "the directions have 7 entries, and the activation has 10 features"));
  EXPECT_TRUE(says(refusal([&] {
                     test_variables(*network.model, network.task.spec, set,
                                    {.hypotheses = {"resutl/logits"}});
                   }),
                   "no hypothesis is called \"resutl/logits\""));
  EXPECT_TRUE(says(refusal([&] { ready_variables(observation, {.keys = keys, .sites = {"nope"}}); }),
                   "no hook point matches \"nope\""));
  Observed nothing({3, 3, 2, {1}, {}},
                   make_mlp({.d_embed = 4, .d_mlp = 4}, {3, 3, 2, {1}, {}}, make_generator(0)));
  EXPECT_TRUE(says(refusal([&] { ready_variables(nothing.observe(), {}); }), "no variables are ready"));
}

}  // namespace
}  // namespace orrery::testing::interchange_variables_test
