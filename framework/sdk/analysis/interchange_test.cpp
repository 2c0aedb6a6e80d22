// Interchange interventions on networks that carry a variable in known directions, and against loops in
// double precision.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/interchange.h>
#include <orrery/subspace.h>
#include <tests/support/hand_built.h>
#include <tests/support/model_on_grid.h>

#include <algorithm>
#include <cmath>

namespace orrery::testing::interchange_test {
namespace {

using torch::Tensor;

// a + b mod p in two directions of eight, a in two others, at hook_resid [batch, 3, 8]: the logits read the
// first two only, 10 cos w(a + b - c).
class Carrier final : public Model {
 public:
  explicit Carrier(int64_t p)
      : p_(p), basis_(random_directions(8, 8, make_generator(5))), resid_(&add_hook_point("hook_resid")) {}

  Tensor forward(const Tensor& tokens) override {
    const Tensor a = tokens.select(1, 0), b = tokens.select(1, 1);
    const Tensor zero = torch::zeros_like(a).to(torch::kFloat64);
    const auto w = [&](const Tensor& x) { return x.to(torch::kFloat64) * (2 * M_PI / double(p_)); };
    const Tensor coordinates =
        torch::stack({w(a + b).cos(), w(a + b).sin(), w(a).cos(), w(a).sin(), zero + 3, zero, zero, zero}, 1);
    const Tensor there = coordinates.matmul(basis_).unsqueeze(1).expand({-1, 3, -1});
    const Tensor x = (*resid_)(there.to(torch::kFloat32).contiguous()).to(torch::kFloat64);
    const Tensor turn = torch::arange(p_, torch::kFloat64) * (2 * M_PI / double(p_));
    const Tensor read = torch::stack({turn.cos(), turn.sin()}) * 10;  // [2, p]
    return x.matmul(basis_.narrow(0, 0, 2).t()).matmul(read).to(torch::kFloat32);
  }

  Tensor rows(int64_t first, int64_t n) const { return basis_.narrow(0, first, n); }

 private:
  int64_t p_;
  Tensor basis_;  // [8, 8] float64, orthonormal rows
  HookPoint* resid_;
};

struct Case {
  explicit Case(int64_t p) : p(p), task(addition(p)), model(p), inputs(*task.split.grid) {}

  int64_t p;
  CyclicTask task;
  Carrier model;
  const Batch& inputs;

  Tensor operand(int64_t which) const { return inputs.tokens.select(1, which); }
  CounterfactualLabels sum() const {
    return [this](const Tensor&, const Tensor& source) {
      return (operand(0).index_select(0, source) + operand(1).index_select(0, source))
          .remainder(p)
          .unsqueeze(1);
    };
  }
  CounterfactualLabels left() const {
    return [this](const Tensor& base, const Tensor& source) {
      return (operand(0).index_select(0, source) + operand(1).index_select(0, base))
          .remainder(p)
          .unsqueeze(1);
    };
  }
  InterchangeScore score(const Hypothesis& hypothesis) {
    return interchange(model, task.spec, inputs, {hypothesis}, all_pairs(inputs.size())).hypotheses.front();
  }
};

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return std::string(error.what()) + " " + error.hint();
  }
  return "";
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Interchange, TheDirectionsOfAVariableSetIt) {
  Case of(7);
  const auto score = of.score({"sum", {"hook_resid"}, of.model.rows(0, 2), of.sum(), {of.left()}});
  EXPECT_EQ(score.accuracy, 1);
  EXPECT_EQ(score.kept, 0);
  EXPECT_EQ(score.counted, 49 * 42);  // of the 48 sources of a base, 6 have its sum
  EXPECT_GT(score.logit_difference, 0);
  EXPECT_NEAR(score.logit_difference, -score.logit_difference_before, 1e-4);
  // a_source + b_base is a_source + b_source where both have the same b: 7 * 6 * 7 pairs, of the 7 * 6 * 49
  // with different a.
  EXPECT_NEAR(score.other_accuracy, 1.0 / 7, 1e-12);
}

TEST(Interchange, OtherDirectionsDoNot) {
  Case of(7);
  for (const Tensor& other : {of.model.rows(2, 2), of.model.rows(4, 2)}) {
    const auto score = of.score({"sum", {"hook_resid"}, other, of.sum()});
    EXPECT_EQ(score.accuracy, 0);
    EXPECT_EQ(score.kept, 1);
    EXPECT_NEAR(score.logit_difference, score.logit_difference_before, 1e-5);
  }
  EXPECT_EQ(of.score({"none", {"hook_resid"}, torch::zeros({0, 8}, torch::kFloat64), of.sum()}).kept, 1);
}

// The network reads (cos w s', sin w s) and answers the class at the nearest angle, which is counted by hand.
// From s = 0 to a negative cosine 3 and 4 are equally near: for two such pairs rounding decides.
TEST(Interchange, OneDirectionOfTwoSetsTheSumsThatTheAngleSays) {
  Case of(7);
  int64_t right = 0, undecided = 0;
  for (int64_t base = 0; base < 7; ++base)
    for (int64_t source = 0; source < 7; ++source) {
      if (base == source) continue;  // 42 pairs of sums are left
      const double x = std::cos(angle(1, source, 7)), y = std::sin(angle(1, base, 7));
      std::vector<std::pair<double, int64_t>> along;
      for (int64_t c = 0; c < 7; ++c)
        along.emplace_back(x * std::cos(angle(1, c, 7)) + y * std::sin(angle(1, c, 7)), c);
      std::sort(along.rbegin(), along.rend());
      if (along[0].first - along[1].first < 1e-9)
        undecided += along[0].second == source || along[1].second == source;
      else
        right += along[0].second == source;
    }
  const double accuracy = of.score({"sum", {"hook_resid"}, of.model.rows(0, 1), of.sum()}).accuracy;
  EXPECT_GE(accuracy, right / 42.0 - 1e-12);
  EXPECT_LE(accuracy, (right + undecided) / 42.0 + 1e-12);
}

// Of a random subspace whose least angle with the plane that is read is above 45 degrees no more than 3 of 7
// answers can be right. Let e be the point of a sum on the circle, d that of the source
// less that of the base, f the same for a, which is held elsewhere. The exchange leaves e + M d + N f in the
// plane, with M the square of the projection and N something linear, and the source's answer is above the
// base's if its product with d is above 0: d'Md + d'Nf > |d|^2 / 2, as e'd = -|d|^2 / 2. Two pairs with the
// same sums whose a are exchanged have the same d and opposite f, so that of both only one can be right as
// long as d'Md is below |d|^2 / 2; and where both a are the same, one in 7, f is 0 and neither is.
TEST(Interchange, ARandomSubspaceSetsFewSums) {
  Case of(7);
  int64_t tested = 0;
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    const Tensor random = random_directions(2, 8, make_generator(seed));
    if (principal_angles(random, of.model.rows(0, 2)).min().item<double>() <= M_PI / 4) continue;
    ++tested;
    EXPECT_LE(of.score({"sum", {"hook_resid"}, random, of.sum()}).accuracy, 3.0 / 7) << seed;
  }
  EXPECT_GT(tested, 0);
}

// With a random subspace, so that nothing is all or none.
TEST(Interchange, AgreesWithALoopInDoublePrecision) {
  Case of(5);
  const Tensor mixed = random_directions(6, 8, make_generator(11));
  const auto score = of.score({"mixed", {"hook_resid"}, mixed, of.sum()});
  const auto state = [&](int64_t row) {
    const auto a = of.operand(0)[row].item<int64_t>(), b = of.operand(1)[row].item<int64_t>();
    std::vector<double> x(8, 0);
    const double c[] = {std::cos(angle(1, a + b, 5)), std::sin(angle(1, a + b, 5)), std::cos(angle(1, a, 5)),
                        std::sin(angle(1, a, 5)), 3};
    for (int64_t i = 0; i < 5; ++i)
      for (int64_t d = 0; d < 8; ++d) x[size_t(d)] += c[i] * of.model.rows(i, 1)[0][d].item<double>();
    return x;
  };
  int64_t counted = 0, right = 0, kept = 0;
  double after = 0;
  for (int64_t base = 0; base < 25; ++base)
    for (int64_t source = 0; source < 25; ++source) {
      const auto own = (of.operand(0)[base] + of.operand(1)[base]).item<int64_t>() % 5;
      const auto wanted = (of.operand(0)[source] + of.operand(1)[source]).item<int64_t>() % 5;
      if (base == source || own == wanted) continue;
      std::vector<double> x = state(base), y = state(source), z = x;
      for (int64_t m = 0; m < 6; ++m) {
        double along = 0;
        for (int64_t d = 0; d < 8; ++d) along += (y[size_t(d)] - x[size_t(d)]) * mixed[m][d].item<double>();
        for (int64_t d = 0; d < 8; ++d) z[size_t(d)] += along * mixed[m][d].item<double>();
      }
      double u = 0, v = 0;
      for (int64_t d = 0; d < 8; ++d) {
        u += z[size_t(d)] * of.model.rows(0, 1)[0][d].item<double>();
        v += z[size_t(d)] * of.model.rows(1, 1)[0][d].item<double>();
      }
      std::vector<double> logits;
      for (int64_t c = 0; c < 5; ++c)
        logits.push_back(10 * (u * std::cos(angle(1, c, 5)) + v * std::sin(angle(1, c, 5))));
      const auto answer = std::max_element(logits.begin(), logits.end()) - logits.begin();
      ++counted;
      right += answer == wanted;
      kept += answer == own;
      after += logits[size_t(wanted)] - logits[size_t(own)];
    }
  EXPECT_EQ(score.counted, counted);
  EXPECT_NEAR(score.accuracy, double(right) / double(counted), 1e-12);
  EXPECT_NEAR(score.kept, double(kept) / double(counted), 1e-12);
  EXPECT_NEAR(score.logit_difference, after / double(counted), 1e-5);
  EXPECT_GT(score.accuracy, 0.05);
  EXPECT_LT(score.accuracy, 0.95);
}

TEST(Interchange, PiecesAndSamplesDoNotMatter) {
  Case of(7);
  const Hypothesis hypothesis{"sum", {"hook_resid"}, of.model.rows(0, 1), of.sum()};
  const auto pairs = sampled_pairs(49, 1300, make_generator(3));  // more than two pieces
  EXPECT_FALSE((pairs.base == pairs.source).any().item<bool>());
  const auto whole = interchange(of.model, of.task.spec, of.inputs, {hypothesis}, pairs);
  EXPECT_EQ(whole.base_accuracy, 1);
  double right = 0, counted = 0;
  for (int64_t start = 0; start < 1300; start += 100) {
    const auto part = interchange(of.model, of.task.spec, of.inputs, {hypothesis},
                                  {pairs.base.narrow(0, start, 100), pairs.source.narrow(0, start, 100)})
                          .hypotheses.front();
    right += part.accuracy * double(part.counted);
    counted += double(part.counted);
  }
  EXPECT_EQ(whole.hypotheses.front().counted, counted);
  EXPECT_NEAR(whole.hypotheses.front().accuracy, right / counted, 1e-12);
}

TEST(Interchange, PairsAreAllOrderedPairsOnce) {
  const auto pairs = all_pairs(4);
  ASSERT_EQ(pairs.base.size(0), 12);
  EXPECT_EQ(std::get<0>(at::_unique(pairs.base * 4 + pairs.source)).size(0), 12);
  EXPECT_FALSE((pairs.base == pairs.source).any().item<bool>());
  const auto one = sampled_pairs(9, 50, make_generator(2)), again = sampled_pairs(9, 50, make_generator(2));
  EXPECT_TRUE(torch::equal(one.base, again.base) && torch::equal(one.source, again.source));
  EXPECT_TRUE(says(refusal([] { all_pairs(1); }), "two different inputs"));
  EXPECT_TRUE(says(refusal([] { all_pairs(1 << 13); }), "draw a sample"));
}

// Labels that are masked, or that the hypothesis does not speak of, do not count.
TEST(Interchange, OnlyLabelsThatCanTellCount) {
  Case of(5);
  Batch masked = of.inputs;
  masked.scored = (masked.tokens.select(1, 0) > 0).unsqueeze(1);
  const Hypothesis hypothesis{"left", {"hook_resid"}, of.model.rows(0, 2), of.left()};
  const auto pairs = all_pairs(25);
  const auto score = interchange(of.model, of.task.spec, masked, {hypothesis}, pairs).hypotheses.front();
  EXPECT_EQ(score.counted, 20 * 20);  // 20 bases, and for each 4 other a with 5 b
  const Hypothesis silent{"silent", {"hook_resid"}, {}, [](const Tensor& base, const Tensor&) {
                            return torch::full({base.size(0), 1}, -1, torch::kInt64);
                          }};
  const auto none = interchange(of.model, of.task.spec, of.inputs, {silent}, pairs).hypotheses.front();
  EXPECT_EQ(none.counted, 0);
  EXPECT_TRUE(std::isnan(none.accuracy) && std::isnan(none.logit_difference));
}

const TaskSpec small{6, 6, 4, {1, 3}, {}};

std::unique_ptr<Model> transformer() {
  return make_transformer({.n_layers = 2, .d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, small,
                          make_generator(3));
}

// Exchanges by hand at every kind of site: the scores must be those of these logits.
void expect_as_by_hand(const InterchangeSite& site, const Tensor& directions,
                       const std::function<void(Tensor& base, const Tensor& source)>& exchange) {
  const auto model = transformer();
  auto rng = make_generator(1);
  const Batch inputs{torch::randint(6, {40, 4}, rng, torch::kInt64),
                     torch::randint(6, {40, 2}, rng, torch::kInt64)};
  const auto pairs = sampled_pairs(40, 60, make_generator(2));
  const torch::NoGradGuard no_grad;
  const auto seen = run_with_cache(*model, inputs.tokens.index_select(0, pairs.source), {site.hook}).cache;
  std::vector<Hook> hooks;
  for (const HookPoint* point : find_hook_points(*model, site.hook))
    hooks.emplace_back(point->name(), [&, name = point->name()](const Tensor& x) {
      Tensor changed = x.clone();
      exchange(changed, seen[name]);
      return changed;
    });
  const Tensor logits = run_with_hooks(*model, inputs.tokens.index_select(0, pairs.base), hooks)
                            .index_select(1, torch::tensor(small.read_out, torch::kInt64));
  const Tensor plain = model->forward(inputs.tokens.index_select(0, pairs.base))
                           .index_select(1, torch::tensor(small.read_out, torch::kInt64));
  EXPECT_GT((logits - plain).abs().max().item<double>(), 1e-4) << site.hook;
  // The label is what the exchanged network says, so that any other exchange scores less.
  const Tensor answers = logits.argmax(2);
  const Hypothesis hypothesis{"by hand", site, directions, [&](const Tensor& base, const Tensor&) {
                                EXPECT_EQ(base.size(0), 60);
                                return answers;
                              }};
  const auto score = interchange(*model, small, inputs, {hypothesis}, pairs).hypotheses.front();
  const Tensor own = inputs.labels.index_select(0, pairs.base), counts = answers != own;
  EXPECT_EQ(score.counted, counts.sum().item<int64_t>());
  EXPECT_EQ(score.accuracy, 1) << site.hook;
  const Tensor difference = (logits.gather(2, answers.unsqueeze(2)) - logits.gather(2, own.unsqueeze(2)))
                                .squeeze(2)
                                .masked_select(counts);
  EXPECT_NEAR(score.logit_difference, difference.mean().item<double>(), 1e-5) << site.hook;
}

TEST(Interchange, ReachesEverySite) {
  const auto at_read_out = [](Tensor& base, const Tensor& source) {
    for (const int64_t position : small.read_out) base.select(1, position).copy_(source.select(1, position));
  };
  expect_as_by_hand({"blocks.0.hook_resid_mid"}, {}, at_read_out);
  expect_as_by_hand({"blocks.0.hook_resid_mid", Positions::all}, {},
                    [](Tensor& base, const Tensor& source) { base.copy_(source); });
  expect_as_by_hand({.hook = "hook_embed", .position = 0}, {},
                    [](Tensor& base, const Tensor& source) { base.select(1, 0).copy_(source.select(1, 0)); });
  expect_as_by_hand({"*mlp.hook_post"}, {}, at_read_out);  // both layers in one pass
  expect_as_by_hand({.hook = "blocks.1.attn.hook_pattern", .dim = 1, .entry = 1}, {},
                    [](Tensor& base, const Tensor& source) {
                      for (const int64_t query : small.read_out)
                        base.select(1, 1).select(1, query).copy_(source.select(1, 1).select(1, query));
                    });
  const Tensor direction = random_directions(3, 4, make_generator(8));
  expect_as_by_hand({.hook = "blocks.0.attn.hook_z", .positions = Positions::all, .dim = 2, .entry = 0},
                    direction, [&](Tensor& base, const Tensor& source) {
                      const Tensor by = (source - base).select(2, 0).to(torch::kFloat64);
                      base.select(2, 0).add_(by.matmul(direction.t()).matmul(direction).to(torch::kFloat32));
                    });
}

TEST(Interchange, AtTheLogitsIsArithmetic) {
  Case of(7);
  const Tensor turn = torch::arange(7, torch::kFloat64) * (2 * M_PI / 7);
  const Tensor wave = orthonormal_rows(torch::stack({turn.cos(), turn.sin()}));
  EXPECT_EQ(of.score({"sum", {"logits"}, wave, of.sum()}).accuracy, 1);
  const Tensor other = orthonormal_rows(torch::stack({(2 * turn).cos(), (2 * turn).sin()}));
  EXPECT_EQ(of.score({"sum", {"logits"}, other, of.sum()}).kept, 1);
  EXPECT_EQ(of.score({"sum", {"logits"}, {}, of.sum()}).accuracy, 1);
}

// Against the normal equations, for functions that are neither centred nor orthogonal.
TEST(RegressionDirections, AreTheSpanOfTheCoefficients) {
  const auto model = transformer();
  const Batch inputs{torch::randint(6, {700, 4}, make_generator(4), torch::kInt64), {}};
  const Tensor functions = torch::randn({2, 700}, make_generator(6), torch::kFloat64) + 2;
  const InterchangeSite site{.hook = "blocks.0.hook_resid_post", .position = 2};
  const Tensor found = regression_directions(*model, small, inputs, {{site, functions}}).front();
  const torch::NoGradGuard no_grad;
  const Tensor x = run_with_cache(*model, inputs.tokens, {site.hook}).cache[site.hook].select(1, 2);
  const Tensor design = torch::cat({functions, torch::ones({1, 700}, torch::kFloat64)}).t();
  const Tensor coefficients =
      design.t().matmul(design).inverse().matmul(design.t()).matmul(x.to(torch::kFloat64)).narrow(0, 0, 2);
  ASSERT_EQ(found.sizes().vec(), (std::vector<int64_t>{2, 8}));
  EXPECT_LT(principal_angles(found, orthonormal_rows(coefficients)).max().item<double>(), 1e-5);
}

TEST(RegressionDirections, FindWhatTheNetworkWasBuiltWith) {
  Case of(7);
  const Tensor sum = of.operand(0) + of.operand(1);
  const auto waves = [&](const Tensor& x) { return wave_functions(7, {1}).index_select(1, x.remainder(7)); };
  const InterchangeSite site{"hook_resid"};
  const auto found = regression_directions(of.model, of.task.spec, of.inputs,
                                           {{site, waves(sum)},
                                            {site, waves(of.operand(0))},
                                            {site, waves(of.operand(1))},
                                            {{"logits"}, waves(sum)}});
  EXPECT_LT(principal_angles(found[0], of.model.rows(0, 2)).max().item<double>(), 1e-5);
  EXPECT_LT(principal_angles(found[1], of.model.rows(2, 2)).max().item<double>(), 1e-5);
  EXPECT_NEAR(principal_angles(found[0], found[1]).min().item<double>(), M_PI / 2, 1e-5);
  EXPECT_EQ(of.score({"sum", {"logits"}, found[3], of.sum()}).accuracy, 1);
  EXPECT_EQ(of.score({"right", site, found[2], of.sum()}).kept, 1);  // b is nowhere alone
  const Tensor constant = torch::ones({2, 49});
  EXPECT_EQ(regression_directions(of.model, of.task.spec, of.inputs, {{site, constant}}).front().size(0), 0);
}

TEST(PrincipalAngles, AreThoseByWhichAPlaneWasTurned) {
  const Tensor axes = torch::eye(5, torch::kFloat64);
  for (const double angle : {1e-9, 0.3, 1.2}) {
    const Tensor turned = torch::stack({axes[0] * std::cos(angle) + axes[2] * std::sin(angle),
                                        axes[1] * std::cos(angle / 2) + axes[3] * std::sin(angle / 2)});
    const Tensor found = principal_angles(axes.narrow(0, 0, 2), turned);
    EXPECT_NEAR(found[0].item<double>(), angle / 2, 1e-12);
    EXPECT_NEAR(found[1].item<double>(), angle, 1e-12);
  }
  const Tensor line = principal_angles(axes.narrow(0, 0, 3), axes.narrow(0, 4, 1));
  ASSERT_EQ(line.size(0), 1);
  EXPECT_NEAR(line[0].item<double>(), M_PI / 2, 1e-12);
}

TEST(DistributedAlignmentSearch, FindsTheDirections) {
  Case of(7);
  const Hypothesis hypothesis{"sum", {"hook_resid"}, {}, of.sum()};
  const auto found = distributed_alignment_search(of.model, of.task.spec, of.inputs, hypothesis,
                                                  sampled_pairs(49, 1000, make_generator(1)),
                                                  {.dimension = 2, .steps = 1000, .seed = 4});
  ASSERT_EQ(found.losses.size(), 1000u);
  EXPECT_LT(found.losses.back(), found.losses.front() / 4);
  // In the other two directions that vary, those of a, a tilt by t costs about 0.9 t^2 nats, and a gradient
  // that 1,000 sampled pairs leave at 0 is about 0.02: the minimum lies within some 0.02 of the true plane.
  // Towards the four directions in which nothing varies a tilt costs a tenth of that, so that only many steps
  // bring it down.
  EXPECT_LT(principal_angles(found.directions, of.model.rows(0, 2)).max().item<double>(), 0.1);
  EXPECT_GT(
      principal_angles(random_directions(2, 8, make_generator(4)), of.model.rows(0, 2)).max().item<double>(),
      0.8);
  EXPECT_EQ(of.score({"sum", {"hook_resid"}, found.directions, of.sum()}).accuracy, 1);
  // Where the variable is not, nothing is found: a alone does not reach the logits.
  const auto nothing =
      distributed_alignment_search(of.model, of.task.spec, of.inputs, {"left", {"hook_resid"}, {}, of.left()},
                                   sampled_pairs(49, 1000, make_generator(1)), {.dimension = 2});
  EXPECT_LT(of.score({"left", {"hook_resid"}, nothing.directions, of.left()}).accuracy, 0.5);
}

TEST(DistributedAlignmentSearch, LeavesWeightsAndGradientModeAlone) {
  const auto model = transformer();
  const Batch inputs{torch::randint(6, {30, 4}, make_generator(1), torch::kInt64),
                     torch::zeros({30, 2}, torch::kInt64)};
  const Hypothesis hypothesis{"any", {"blocks.0.hook_resid_mid"}, {}, [](const Tensor& base, const Tensor&) {
                                return torch::ones({base.size(0), 2}, torch::kInt64);
                              }};
  const Tensor before = model->weight("embed.W_E").detach().clone();
  const torch::NoGradGuard no_grad;
  const auto found =
      distributed_alignment_search(*model, small, inputs, hypothesis,
                                   sampled_pairs(30, 20, make_generator(1)), {.dimension = 3, .steps = 5});
  EXPECT_FALSE(at::GradMode::is_enabled());
  for (const NamedWeight& weight : model->weights())
    EXPECT_FALSE(weight.value.grad().defined()) << weight.name;
  EXPECT_TRUE(torch::equal(before, model->weight("embed.W_E").detach()));
  EXPECT_NO_THROW(OverFeatures{found.directions});
  EXPECT_FALSE(found.directions.requires_grad());
}

TEST(Interchange, SaysWhatDoesNotFit) {
  Case of(5);
  const auto refused = [&](const Hypothesis& hypothesis) { return refusal([&] { of.score(hypothesis); }); };
  const Tensor good = of.model.rows(0, 2);
  EXPECT_TRUE(says(refused({"x", {"hook_resit"}, good, of.sum()}), "did you mean \"hook_resid\""));
  EXPECT_TRUE(says(refused({"x", {"hook_resid"}, good * 2, of.sum()}), "hypothesis \"x\": "));
  EXPECT_TRUE(says(refused({"x", {"hook_resid"}, torch::eye(3, torch::kFloat64), of.sum()}),
                   "the directions have 3 entries, and the activation has 8 features"));
  EXPECT_TRUE(
      says(refused({"x", {.hook = "hook_resid", .position = 3}, good, of.sum()}), "positions are 0 to 2"));
  EXPECT_TRUE(says(refused({"x", {.hook = "hook_resid", .dim = 2, .entry = 8}, {}, of.sum()}),
                   "there is no entry 8 of dimension 2"));
  const auto model = transformer();
  const Batch inputs{torch::zeros({4, 4}, torch::kInt64), torch::zeros({4, 2}, torch::kInt64)};
  const auto label = [](const Tensor& base, const Tensor&) {
    return torch::ones({base.size(0), 2}, torch::kInt64);
  };
  EXPECT_TRUE(says(
      refusal([&] {
        interchange(*model, small, inputs,
                    {{"masked", {"blocks.0.attn.hook_attn_scores"}, torch::eye(8, torch::kFloat64), label}},
                    all_pairs(4));
      }),
      "not finite"));
  EXPECT_THROW(interchange(*model, small, inputs, {{"x", {"logits"}, {}, of.sum()}}, all_pairs(4)), Error);
  EXPECT_TRUE(says(refusal([&] {
                     interchange(*model, {6, 1, 4, {1}, {}}, inputs, {}, all_pairs(4));
                   }),
                   "one logit"));
}

}  // namespace
}  // namespace orrery::testing::interchange_test
