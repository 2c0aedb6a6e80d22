#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/read_outs.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>
#include <functional>

namespace orrery::testing {
namespace {

using torch::Tensor;

constexpr int64_t p = 7, kInputs = 600;

// A network whose streams at each position are given functions of the tokens.
class GivenStreams final : public Model {
 public:
  using Stream = std::function<Tensor(const Tensor& tokens)>;  // [batch, n_ctx, d]; "whole": [batch, d]
  explicit GivenStreams(std::vector<std::pair<std::string, Stream>> streams) : streams_(std::move(streams)) {
    for (const auto& [name, stream] : streams_)
      points_.push_back(&add_hook_point(name, name == "whole" ? -1 : 1));
  }
  Tensor forward(const Tensor& tokens) override {
    for (size_t i = 0; i < points_.size(); ++i) (*points_[i])(streams_[i].second(tokens));
    return torch::zeros({tokens.size(0), tokens.size(1), p});
  }

 private:
  std::vector<std::pair<std::string, Stream>> streams_;
  std::vector<HookPoint*> points_;
};

Tensor hot(const Tensor& x) { return torch::one_hot(x.remainder(p), p).to(torch::kFloat32); }
Tensor sum_of(const Tensor& tokens) { return (tokens.select(1, 0) + tokens.select(1, 1)).remainder(p); }
// At every position.
Tensor everywhere(const Tensor& x, const Tensor& tokens) {
  return x.unsqueeze(1).expand({-1, tokens.size(1), -1}).contiguous();
}

// [a, b, =] of random a and b, read out at b and at =; the labels are a and a + b. `noisy` is an auxiliary
// label that nothing tells; `twice` is one for each token, twice the token.
struct Toy {
  explicit Toy(std::vector<std::pair<std::string, GivenStreams::Stream>> streams)
      : model(std::move(streams)) {
    const auto rng = make_generator(5);
    const Tensor ab = torch::randint(p, {kInputs, 2}, rng, torch::kInt64);
    inputs.tokens = torch::cat({ab, torch::full({kInputs, 1}, p, torch::kInt64)}, 1);
    inputs.labels = torch::stack({ab.select(1, 0), sum_of(ab)}, 1);
    inputs.auxiliary["noisy"] = torch::randint(3, {kInputs}, rng, torch::kInt64);
    inputs.auxiliary["twice"] = 2 * inputs.tokens;
    CyclicStructure cyclic{.order = p, .left = {}, .right = {}, .result = {}};
    for (int64_t x = 0; x < p; ++x) cyclic.left.push_back(x);
    cyclic.right = cyclic.result = cyclic.left;
    structure.cyclic = cyclic;
  }

  // At each output position, unless `json` says otherwise. The cache holds what other probes ask for, too.
  Recorder measured(std::string json) {
    if (json.find("positions") == std::string::npos) json.replace(0, 1, R"({"positions": "read_out", )");
    const torch::NoGradGuard no_grad;
    const auto probe = make_probe(json);
    const Needs needs = probe->needs();
    const auto seen = run_with_cache(model, inputs.tokens);
    ActivationCache cache;
    for (const auto& point : model.hook_points())
      if (seen.cache.contains(point->name())) {
        const Tensor& all = seen.cache[point->name()];
        const bool as_it_is = needs.positions == Positions::all && point->position_dim() >= 0;
        cache.put(point->name(),
                  as_it_is ? all : at_positions(*point, all, torch::tensor(spec.read_out, torch::kInt64)));
      }
    const Observation observation{0, spec, structure, split, inputs, model, logits, cache};
    Recorder recorder;
    probe->measure(observation, recorder);
    return recorder;
  }

  GivenStreams model;
  TaskSpec spec{.d_vocab = p + 1, .d_vocab_out = p, .n_ctx = 3, .read_out = {1, 2}};
  Structure structure;
  Split split;
  Batch inputs;
  Tensor logits = torch::zeros({kInputs, 2, p});
};

Toy embedding() {
  return Toy({{"embed", [](const Tensor& tokens) { return hot(tokens); }}});
}
Toy holding_the_sum() {
  return Toy({{"sum", [](const Tensor& tokens) { return everywhere(hot(sum_of(tokens)), tokens); }},
              {"nothing", [](const Tensor& tokens) {
                 return torch::randn({tokens.size(0), tokens.size(1), 4}, make_generator(3));
               }}});
}

// Where a token stands, its embedding tells it; nowhere else.
TEST(LinearProbe, ReadsATokenWhereItStandsAndNowhereElse) {
  Toy toy = embedding();
  const auto recorder = toy.measured(R"({"hook": "embed", "variable": "token at 0", "positions": "all"})");
  EXPECT_EQ(scalar(recorder, "held_out/embed/at 0"), 1);
  for (const std::string at : {"embed/at 1", "embed/at 2"}) {
    // 150 rows of chance 1/7: five deviations are 0.14.
    EXPECT_NEAR(scalar(recorder, "held_out/" + at), 1.0 / p, 0.14) << at;
    EXPECT_NEAR(scalar(recorder, "null/" + at), 1.0 / p, 0.14) << at;
  }
  EXPECT_NEAR(scalar(recorder, "null/embed/at 0"), 1.0 / p, 0.14);
  EXPECT_EQ(scalar(recorder, "best"), 1);
  const Figure& figure = recorder.record().figures.at(0);
  EXPECT_EQ(figure.kind, Figure::Kind::heatmap);
  EXPECT_EQ(figure.x_ticks, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(figure.traces[0].z[0][0].item<double>(), 1);
}

TEST(LinearProbe, ReadsTheSumThatIsThere) {
  Toy toy = holding_the_sum();
  const auto recorder = toy.measured(R"({"hook": "*", "variable": "sum", "positions": "all"})");
  for (const std::string at : {"/at 0", "/at 1", "/at 2"}) {
    EXPECT_EQ(scalar(recorder, "held_out/sum" + at), 1);
    EXPECT_NEAR(scalar(recorder, "held_out/nothing" + at), 1.0 / p, 0.14);
  }
  const auto& fields = finding(recorder, "sum/at 1").fields;
  EXPECT_EQ(std::get<std::string>(fields.at("hook")), "sum");
  EXPECT_EQ(std::get<int64_t>(fields.at("position")), 1);
  EXPECT_EQ(std::get<int64_t>(fields.at("n_held_out")), kInputs / 4);
}

// One-hot vectors of a and of b give every wave of each, and none of the sum but by products.
TEST(LinearProbe, ReadsAWaveOfTheSumOnlyWhereItIs) {
  Toy toy({{"wave",
            [](const Tensor& tokens) {
              const Tensor angle = sum_of(tokens) * (2 * M_PI * 3 / p);
              return everywhere(torch::stack({angle.cos() + 2, angle.sin() - angle.cos()}, 1), tokens);
            }},
           {"operands", [](const Tensor& tokens) {
              return everywhere(torch::cat({hot(tokens.select(1, 0)), hot(tokens.select(1, 1))}, 1), tokens);
            }}});
  const auto of = [&](const std::string& variable) {
    return toy.measured(R"({"hook": "*", "penalties": [1e-9], "variable": ")" + variable + "\"}");
  };
  EXPECT_NEAR(scalar(of("wave 3"), "held_out/wave/at 2"), 1, 1e-6);
  EXPECT_LT(scalar(of("wave 2"), "held_out/wave/at 2"), 0.1);
  EXPECT_LT(scalar(of("wave 3"), "held_out/operands/at 2"), 0.1);
  EXPECT_LT(scalar(of("wave 3"), "null/wave/at 2"), 0.1);
  EXPECT_EQ(scalar(of("operand_b"), "held_out/operands/at 2"), 1);
  EXPECT_EQ(std::get<std::string>(finding(of("wave 3"), "wave/at 2").fields.at("score")), "R^2");
}

// A table of sums says nothing of sums that were never fitted; the wave itself does.
TEST(LinearProbe, HoldsOutTheValuesOfAVariable) {
  Toy toy = holding_the_sum();
  const std::string wave = R"({"hook": "sum", "variable": "wave 2", "penalties": [1e-9])";
  EXPECT_NEAR(scalar(toy.measured(wave + "}"), "held_out/sum/at 1"), 1, 1e-6);
  EXPECT_LT(scalar(toy.measured(wave + R"(, "hold_out": "sum"})"), "held_out/sum/at 1"), 0.1);
  const auto n = [&](const std::string& more) {
    return std::get<int64_t>(finding(toy.measured(wave + more), "sum/at 1").fields.at("n_held_out"));
  };
  int64_t of_two_sums = n(R"(, "hold_out": "sum"})");  // round(7 / 4) of the sums
  EXPECT_GT(of_two_sums, 120);
  EXPECT_LT(of_two_sums, 220);
  EXPECT_EQ(n("}"), 150);
  EXPECT_FALSE(has_scalar(toy.measured(wave + "}"), "held_out/nothing/at 1"));
  EXPECT_EQ(make_probe(wave + "}")->needs().activations, std::vector<std::string>{"sum"});
}

// The label of the last position is the sum: of a sum that is held out no label was fitted.
TEST(LinearProbe, RefusesToHoldOutTheClassesByAnotherName) {
  Toy toy = holding_the_sum();
  try {
    toy.measured(R"({"hook": "sum", "positions": "last", "hold_out": "sum"})");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()),
              "with hold_out = \"sum\" no class of \"label\" that is held out was fitted");
  }
  // An operand has every value with every sum.
  EXPECT_NO_THROW(toy.measured(R"({"hook": "sum", "positions": "last", "hold_out": "operand_a"})"));
  EXPECT_NO_THROW(toy.measured(R"({"hook": "sum", "positions": "last", "hold_out": "sum", "fit": "ridge"})"));
}

// At position 1 the label differs in one input, which is fitted: R^2 of the held-out ones is none.
TEST(LinearProbe, TheBestScoreIsOneThatThereIs) {
  Toy toy = embedding();
  const HeldOut rows = held_out_rows(kInputs, 0.25, make_generator(0), {});
  Tensor once = torch::ones({kInputs, 3}, torch::kInt64);
  once[rows.fitted[0].item<int64_t>()][1] = 5;
  once.select(1, 2).copy_(toy.inputs.tokens.select(1, 0));
  toy.inputs.auxiliary["once"] = once;
  const auto recorder = toy.measured(R"({"hook": "embed", "variable": "once", "fit": "ridge"})");
  EXPECT_TRUE(std::isnan(scalar(recorder, "held_out/embed/at 1")));
  EXPECT_EQ(scalar(recorder, "best"), scalar(recorder, "held_out/embed/at 2"));
}

// The same numbers as orrery/read_outs.h, by hand.
TEST(LinearProbe, RecordsTheScoresOfTheReadOut) {
  Toy toy = embedding();
  const auto recorder = toy.measured(R"({"hook": "embed", "variable": "label", "max_inputs": 100, "seed": 4,
                                         "keep_weights": true})");
  const Tensor drawn =
      std::get<0>(torch::randperm(kInputs, make_generator(4), torch::kInt64).narrow(0, 0, 100).sort());
  const Tensor tokens = toy.inputs.tokens.index_select(0, drawn);
  for (int64_t i = 0; i < 2; ++i) {  // the output positions, each with its own label
    const ReadOut by_hand =
        logistic_read_out(hot(tokens.select(1, i + 1)), toy.inputs.labels.index_select(0, drawn).select(1, i),
                          {.shuffles = 3, .seed = 4, .limits = {1e-4, 200}});
    const std::string at = "embed/at " + std::to_string(i + 1);
    EXPECT_EQ(scalar(recorder, "held_out/" + at), by_hand.held_out);
    EXPECT_EQ(scalar(recorder, "train/" + at), by_hand.train);
    EXPECT_EQ(scalar(recorder, "null/" + at), by_hand.null_mean);
    EXPECT_EQ(scalar(recorder, "null_sd/" + at), by_hand.null_sd);
    EXPECT_EQ(scalar(recorder, "chance/" + at), by_hand.chance);
    EXPECT_TRUE(tensor(recorder, "weights/" + at).equal(by_hand.map.weights));
  }
}

TEST(LinearProbe, LeavesOutLabelsOutsideOfTheLossMask) {
  Toy toy = embedding();
  toy.inputs.scored = torch::ones({kInputs, 2}, torch::kBool);
  toy.inputs.scored.narrow(0, 0, 200).fill_(false);
  const auto& fields = finding(toy.measured(R"({"hook": "embed"})"), "embed/at 2").fields;
  EXPECT_EQ(std::get<int64_t>(fields.at("n_held_out")) + std::get<int64_t>(fields.at("n_fitted")), 400);
}

TEST(LinearProbe, ReadsAuxiliaryLabels) {
  Toy toy = embedding();
  const auto twice = toy.measured(R"({"hook": "embed", "variable": "twice"})");
  EXPECT_EQ(scalar(twice, "held_out/embed/at 1"), 1);      // of its own position
  EXPECT_FALSE(has_scalar(twice, "held_out/embed/at 2"));  // that of "=" is always the same
  // 150 rows of chance 1/3: five deviations are 0.19.
  EXPECT_NEAR(scalar(toy.measured(R"({"hook": "embed", "variable": "noisy"})"), "held_out/embed/at 1"),
              1.0 / 3, 0.2);
  const auto number = toy.measured(R"({"hook": "embed", "variable": "twice", "fit": "ridge",
                                       "penalties": [1e-9]})");
  EXPECT_NEAR(scalar(number, "held_out/embed/at 1"), 1, 1e-6);
  EXPECT_EQ(make_probe(R"({"variable": "noisy"})")->needs().auxiliary, std::vector<std::string>{"noisy"});
}

TEST(LinearProbe, OfTheWholeInputHasOneReading) {
  Toy toy({{"whole", [](const Tensor& tokens) { return hot(sum_of(tokens)); }}});
  const auto recorder = toy.measured(R"({"hook": "whole", "variable": "sum"})");
  EXPECT_EQ(scalar(recorder, "held_out/whole"), 1);
  EXPECT_EQ(std::get<int64_t>(finding(recorder, "whole").fields.at("position")), -1);
  EXPECT_EQ(recorder.record().figures.at(0).kind, Figure::Kind::bar);
  // Of the labels it is the last one that goes with the whole input.
  EXPECT_EQ(scalar(toy.measured(R"({"hook": "whole"})"), "held_out/whole"), 1);
}

TEST(LinearProbe, ByDefaultReadsTheLastOutputPosition) {
  Toy toy = holding_the_sum();
  const auto last = toy.measured(R"({"hook": "*", "positions": "last"})"),
             each = toy.measured(R"({"hook": "*"})");
  for (const std::string hook : {"sum", "nothing"})
    EXPECT_EQ(scalar(last, "held_out/" + hook), scalar(each, "held_out/" + hook + "/at 2"));
  EXPECT_EQ(std::get<int64_t>(finding(last, "sum").fields.at("position")), 2);
  EXPECT_EQ(last.record().figures.at(0).kind, Figure::Kind::bar);
  EXPECT_EQ(make_probe()->needs().positions, Positions::read_out);
}

TEST(LinearProbe, IsTheSameBitsAgain) {
  Toy toy = holding_the_sum();
  const auto once = toy.measured(R"({"hook": "*"})"), again = toy.measured(R"({"hook": "*"})");
  EXPECT_EQ(once.record().scalars, again.record().scalars);
}

TEST(LinearProbe, AsksForWhatItsVariableNeeds) {
  using C = Capability;
  EXPECT_EQ(make_probe(R"({"variable": "sum"})")->needs().structure, std::vector<C>{C::cyclic});
  EXPECT_EQ(make_probe(R"({"variable": "wave 5"})")->needs().structure, std::vector<C>{C::cyclic});
  EXPECT_EQ(make_probe(R"({"variable": "operand_a"})")->needs().structure_any,
            (std::vector<C>{C::cyclic, C::group}));
  EXPECT_EQ(make_probe(R"({"hold_out": "sum"})")->needs().structure, std::vector<C>{C::cyclic});
  EXPECT_EQ(make_probe(R"({"hook": "x", "positions": "all"})")->needs().positions, Positions::all);
  EXPECT_EQ(make_probe(R"({"inputs": "grid"})")->needs().inputs, Inputs::grid);
  const Toy toy = embedding();
  EXPECT_EQ(make_probe(R"({"variable": "token at 3"})")->needs().refusal(toy.model, toy.spec),
            "there is no \"token at 3\": the positions are 0 to 2");
  EXPECT_EQ(make_probe(R"({"variable": "token at 2"})")->needs().refusal(toy.model, toy.spec), "");
}

TEST(LinearProbe, RefusesWhatCannotBeReadOut) {
  for (const std::string json :
       {R"({"variable": "wave x"})", R"({"variable": "wave 0"})", R"({"variable": "token at b"})",
        R"({"variable": ""})", R"({"variable": "wave 1", "fit": "logistic"})",
        R"({"variable": "sum", "hold_out": "sum"})", R"({"penalties": []})", R"({"shuffles": 1})"})
    EXPECT_THROW(make_probe(json), Error) << json;
  Toy toy = embedding();
  EXPECT_THROW(toy.measured(R"({"hook": "embed", "variable": "wave 4"})"), UsageError);
  try {
    toy.measured(R"({"hook": "embed", "variable": "token at 2"})");  // always "="
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "\"token at 2\" is the same for all inputs: there is nothing to read out");
  }
}

}  // namespace
}  // namespace orrery::testing
