#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <algorithm>
#include <functional>

namespace orrery::testing {
namespace {

// Numbers on a circle, whose logits are a formula of the embeddings [batch, 2] of a and b.
class OnCircle final : public Model {
 public:
  using Formula = std::function<torch::Tensor(const torch::Tensor& a, const torch::Tensor& b)>;
  OnCircle(const CyclicStructure& cyclic, int64_t k, Formula formula) : formula_(std::move(formula)) {
    const auto p = static_cast<int64_t>(cyclic.left.size());
    auto W_E = torch::zeros({2, p + 1, 2});  // of the left and the right operand
    for (int64_t x = 0; x < p; ++x)
      for (int64_t side = 0; side < 2; ++side) {
        const int64_t index = (side ? cyclic.right : cyclic.left)[x];
        if (index < 0) continue;
        W_E[side][x][0] = std::cos(angle(k, index, cyclic.order));
        W_E[side][x][1] = std::sin(angle(k, index, cyclic.order));
      }
    W_E_a_ = add_weight("embed.W_E_a", W_E[0]);
    W_E_b_ = add_weight("embed.W_E_b", W_E[1]);
    hook_embed_ = &add_hook_point("hook_embed");
  }
  torch::Tensor forward(const torch::Tensor& tokens) override {
    const auto embed = (*hook_embed_)(torch::stack(
        {torch::embedding(W_E_a_, tokens.select(1, 0)), torch::embedding(W_E_b_, tokens.select(1, 1)),
         torch::embedding(W_E_a_, tokens.select(1, 2))},
        1));
    const auto logits = formula_(embed.select(1, 0), embed.select(1, 1));
    return logits.unsqueeze(1).expand({-1, tokens.size(1), -1});
  }

 private:
  Formula formula_;
  torch::Tensor W_E_a_, W_E_b_;
  HookPoint* hook_embed_;
};

// (cos, sin) of `part` of the angle of every class: [2, classes].
torch::Tensor class_circle(const CyclicStructure& cyclic, int64_t k, double part) {
  auto circle = torch::zeros({2, int64_t(cyclic.result.size())});
  for (size_t c = 0; c < cyclic.result.size(); ++c) {
    circle[0][int64_t(c)] = std::cos(part * angle(k, cyclic.result[c], cyclic.order));
    circle[1][int64_t(c)] = std::sin(part * angle(k, cyclic.result[c], cyclic.order));
  }
  return circle;
}

// cos w(a + b - c), by the product of a and b as complex numbers.
OnCircle::Formula clock_of(const CyclicStructure& cyclic, int64_t k) {
  return [circle = class_circle(cyclic, k, 1)](const torch::Tensor& a, const torch::Tensor& b) {
    const auto ax = a.select(1, 0), ay = a.select(1, 1), bx = b.select(1, 0), by = b.select(1, 1);
    return torch::stack({ax * bx - ay * by, ax * by + ay * bx}, 1).matmul(circle);
  };
}

// |x cos(wc/2) + y sin(wc/2)| - |y cos(wc/2) - x sin(wc/2)| for (x, y) = a + b, which is
// 2 |cos(w(a - b)/2)| (|cos(w(a + b - c)/2)| - |sin(w(a + b - c)/2)|).
OnCircle::Formula pizza_of(const CyclicStructure& cyclic, int64_t k) {
  const auto along = class_circle(cyclic, k, 0.5);
  const auto across = torch::stack({-along[1], along[0]});
  return [along, across](const torch::Tensor& a, const torch::Tensor& b) {
    return (a + b).matmul(along).abs() - (a + b).matmul(across).abs();
  };
}

ModelOnGrid on_circle(const CyclicTask& task, int64_t k, OnCircle::Formula formula) {
  return {task, std::make_unique<OnCircle>(*task.structure.cyclic, k, std::move(formula))};
}

Recorder measured(ModelOnGrid& seen, const std::string& parameters = "{}") {
  const torch::NoGradGuard as_the_host_does;
  const auto observation = seen.observe();
  Recorder recorder;
  make_probe(parameters)->measure(observation, recorder);
  return recorder;
}

double right_share(const ModelOnGrid& seen) {
  return (seen.logits.select(1, 0).argmax(1) == seen.task.split.grid->labels.select(1, 0))
      .to(torch::kFloat64)
      .mean()
      .item<double>();
}

constexpr double kRounding = 1e-5;  // float32, a few operations on numbers near 1

TEST(ClockPizza, GradientsOfAClockTurnWithTheDistance) {
  for (const CyclicTask& task : {addition(11), addition(8), subtraction(11)}) {
    const auto& cyclic = *task.structure.cyclic;
    const int64_t n = cyclic.order, k = 3;
    auto seen = on_circle(task, k, clock_of(cyclic, k));
    ASSERT_EQ(right_share(seen), 1);
    const auto recorder = measured(seen);
    const auto triples = tensor(recorder, "triples"), cosines = tensor(recorder, "gradient_cosines");
    ASSERT_EQ(triples.size(0), 100);
    double mean = 0;
    for (int64_t t = 0; t < 100; ++t) {
      const double expected =
          std::cos(angle(k, triples[t][0].item<int64_t>() - triples[t][1].item<int64_t>(), n));
      EXPECT_NEAR(cosines[t].item<double>(), expected, kRounding);
      mean += expected / 100;
    }
    EXPECT_NEAR(scalar(recorder, "gradient_symmetricity"), mean, kRounding);
    EXPECT_EQ(scalar(recorder, "distance_irrelevance"), 1);  // all correct logits are 1
    EXPECT_NEAR(scalar(recorder, "circularity"), 1, kRounding);
    EXPECT_EQ(tensor(recorder, "component_frequency")[0].item<int64_t>(), k);
  }
}

TEST(ClockPizza, OverAllTriplesTheGradientsOfAClockCancel) {
  const CyclicTask task = addition(7);
  auto seen = on_circle(task, 2, clock_of(*task.structure.cyclic, 2));
  const auto recorder = measured(seen, R"({"n_triples": 1000})");
  ASSERT_EQ(tensor(recorder, "triples").size(0), 343);
  EXPECT_NEAR(scalar(recorder, "gradient_symmetricity"), 0, kRounding);
}

TEST(ClockPizza, APizzaIsSymmetricAndDependsOnTheDistanceAlone) {
  for (const CyclicTask& task : {addition(11), subtraction(11)}) {
    auto seen = on_circle(task, 3, pizza_of(*task.structure.cyclic, 3));
    ASSERT_EQ(right_share(seen), 1);
    const auto recorder = measured(seen);
    EXPECT_NEAR(scalar(recorder, "gradient_symmetricity"), 1, kRounding);
    EXPECT_NEAR(scalar(recorder, "distance_irrelevance"), 0, kRounding);
    EXPECT_NEAR(scalar(recorder, "circularity"), 1, kRounding);
    const auto correct = tensor(recorder, "correct_logits");
    for (int64_t d = 0; d < 11; ++d)
      EXPECT_NEAR(correct[d][4].item<double>(), 2 * std::abs(std::cos(angle(3, d, 11) / 2)), kRounding);
  }
}

TEST(ClockPizza, TakesTheTriplesThatItIsGiven) {
  const CyclicTask task = addition(7);
  auto seen = on_circle(task, 2, clock_of(*task.structure.cyclic, 2));
  const auto recorder = measured(seen, R"({"triples": "zhong", "n_triples": 5})");
  const auto triples = tensor(recorder, "triples");
  ASSERT_EQ(triples.size(0), 5);
  for (int64_t t = 0; t < 5; ++t)
    EXPECT_NEAR(tensor(recorder, "gradient_cosines")[t].item<double>(),
                std::cos(angle(2, triples[t][0].item<int64_t>() - triples[t][1].item<int64_t>(), 7)),
                kRounding);
}

// The correct logit of a clock with a taste for some classes varies with the sum alone.
TEST(ClockPizza, ACorrectLogitThatVariesWithTheSumIsIrrelevantToDistance) {
  const CyclicTask task = addition(11);
  const auto taste = torch::tensor({3., 1., 4., 1., 5., 9., 2., 6., 5., 3., 5.}, torch::kFloat32) * 0.01;
  auto seen =
      on_circle(task, 3, [clock = clock_of(*task.structure.cyclic, 3), taste](const auto& a, const auto& b) {
        return clock(a, b) + taste;
      });
  EXPECT_NEAR(scalar(measured(seen), "distance_irrelevance"), 1, 1e-4);  // 1e-7 of 1 against 0.02
}

double plain_deviation(const std::vector<double>& x) {
  double mean = 0, square = 0;
  for (const double value : x) mean += value / double(x.size());
  for (const double value : x) square += (value - mean) * (value - mean) / double(x.size());
  return std::sqrt(square);
}

// Definition 4.2 by loops over the rows of the grid.
double plain_irrelevance(const ModelOnGrid& seen) {
  const auto& cyclic = *seen.task.structure.cyclic;
  const auto& grid = *seen.task.split.grid;
  std::vector<std::vector<double>> by_distance(cyclic.order);
  std::vector<double> all;
  for (int64_t row = 0; row < grid.size(); ++row) {
    const int64_t i = cyclic.left[grid.tokens[row][0].item<int64_t>()];
    const int64_t j = cyclic.right[grid.tokens[row][1].item<int64_t>()];
    if (i < 0 || j < 0) continue;
    all.push_back(seen.logits[row][0][grid.labels[row][0].item<int64_t>()].item<double>());
    by_distance[(j - i + cyclic.order) % cyclic.order].push_back(all.back());
  }
  double mean = 0;
  for (const auto& at_distance : by_distance) mean += plain_deviation(at_distance) / double(cyclic.order);
  return mean / plain_deviation(all);
}

// The cosine by the rows of W_E, which are differentiated by ordinary means: a, b and "=" are three rows.
double plain_cosine(Model& model, int64_t a, int64_t b, int64_t p, int64_t c) {
  const at::AutoGradMode with_gradients(true);
  const auto W_E = model.weight("embed.W_E");
  W_E.mutable_grad() = torch::Tensor();
  model.forward(torch::tensor({a, b, p}, torch::kInt64).unsqueeze(0))[0][2][c].backward();
  const auto x = W_E.grad()[a].to(torch::kFloat64), y = W_E.grad()[b].to(torch::kFloat64);
  for (auto& weight : model.weights()) weight.value.mutable_grad() = torch::Tensor();
  return ((x * y).sum() / (x.norm() * y.norm())).item<double>();
}

void expect_agreement(ModelOnGrid& seen) {
  const auto recorder = measured(seen);
  for (const auto& [name, weight] : seen.model->weights())
    EXPECT_FALSE(weight.grad().defined()) << name << " was given a gradient";
  EXPECT_NEAR(scalar(recorder, "distance_irrelevance"), plain_irrelevance(seen), 1e-10);
  const auto& cyclic = *seen.task.structure.cyclic;
  const auto token_of = [](const std::vector<int64_t>& map, const torch::Tensor& index) {
    return int64_t(std::find(map.begin(), map.end(), index.item<int64_t>()) - map.begin());
  };
  const auto triples = tensor(recorder, "triples"), cosines = tensor(recorder, "gradient_cosines");
  for (int64_t t = 0; t < triples.size(0); ++t) {
    const int64_t a = token_of(cyclic.left, triples[t][0]), b = token_of(cyclic.right, triples[t][1]);
    if (a == b) continue;
    const double expected =
        plain_cosine(*seen.model, a, b, int64_t(cyclic.left.size()), token_of(cyclic.result, triples[t][2]));
    EXPECT_NEAR(cosines[t].item<double>(), expected, kRounding);
  }
}

TEST(ClockPizza, AgreesWithItsDefinitionsOnATransformer) {
  for (const CyclicTask& task : {addition(7), subtraction(7), multiplication(7, 3)}) {
    TransformerConfig config{.d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 20};
    auto model = make_transformer(config, task.spec, make_generator(5));
    for (auto& weight : model->weights())  // larger, so that attention is far from even
      if (weight.name.find("W_Q") != std::string::npos) weight.value.set_data(weight.value.detach() * 20);
    ModelOnGrid seen(task, std::move(model));
    EXPECT_LT(scalar(measured(seen), "gradient_symmetricity"), 0.95);
    expect_agreement(seen);
  }
}

TEST(ClockPizza, AgreesWithItsDefinitionsOnAnMlp) {
  auto seen = random_mlp({.embedding = MlpConfig::Embedding::input_tied,
                          .hidden = MlpConfig::Hidden::untied,
                          .d_embed = 6,
                          .d_mlp = 20},
                         7);
  EXPECT_LT(scalar(measured(seen), "gradient_symmetricity"), 0.9);
  expect_agreement(seen);
}

TEST(ClockPizza, AnMlpThatAddsItsOperandsIsSymmetricByItsBuild) {
  for (const auto embedding : {MlpConfig::Embedding::tied, MlpConfig::Embedding::input_tied,
                               MlpConfig::Embedding::untied, MlpConfig::Embedding::circular}) {
    auto seen = random_mlp(
        {.embedding = embedding, .d_embed = embedding == MlpConfig::Embedding::circular ? 2 : 6}, 7);
    EXPECT_NEAR(scalar(measured(seen), "gradient_symmetricity"), 1, kRounding) << name_of(embedding);
  }
}

// Before training attention is nearly even, and the correct logit varies with everything: neither is a pizza
// or a clock, which is why both numbers are looked at.
TEST(ClockPizza, RandomWeightsAreNeither) {
  auto seen = random_transformer({}, 23);
  const auto recorder = measured(seen);
  EXPECT_GT(scalar(recorder, "gradient_symmetricity"), 0.9);
  EXPECT_GT(scalar(recorder, "distance_irrelevance"), 0.8);
  EXPECT_LT(scalar(recorder, "circularity"), 0.6);
}

// A dead network: all gradients and all logits are 0.
TEST(ClockPizza, SaysSomethingFiniteOfANetworkOfZeros) {
  auto seen = random_mlp({.d_embed = 4, .d_mlp = 3}, 5);
  for (auto& weight : seen.model->weights()) weight.value.set_data(torch::zeros_like(weight.value));
  seen.logits = torch::zeros_like(seen.logits);
  const auto recorder = measured(seen);
  EXPECT_EQ(scalar(recorder, "gradient_symmetricity"), 0);
  EXPECT_EQ(scalar(recorder, "distance_irrelevance"), 1);
  EXPECT_EQ(scalar(recorder, "circularity"), 0);
}

TEST(ClockPizza, CircularityIsTheShareOfTheBestFrequencyInEachComponent) {
  const int64_t n = 16;
  auto seen = random_mlp({.embedding = MlpConfig::Embedding::input_tied, .d_embed = 4}, n);
  auto W_E = torch::zeros({n + 1, 4});
  for (int64_t x = 0; x < n; ++x) {
    W_E[x][0] = 8 * (std::cos(angle(3, x, n)) + 0.5 * std::cos(angle(5, x, n)));  // 1 / (1 + 1/4)
    W_E[x][1] = 5 + 4 * std::sin(angle(2, x, n));                                 // 1; the mean is no part
    W_E[x][2] = x % 2 ? 1 : -1;                                                   // no circle
  }
  seen.model->weights()[0].value.set_data(W_E);
  const auto recorder = measured(seen);
  const auto each = tensor(recorder, "component_circularity");
  ASSERT_EQ(each.size(0), 3);  // the fourth dimension is empty
  EXPECT_NEAR(each[0].item<double>(), 0.8, kRounding);
  EXPECT_NEAR(each[1].item<double>(), 1, kRounding);
  EXPECT_NEAR(each[2].item<double>(), 0, kRounding);
  EXPECT_NEAR(scalar(recorder, "circularity"), 0.6, kRounding);
  EXPECT_EQ(tensor(recorder, "component_frequency")[1].item<int64_t>(), 2);
}

TEST(ClockPizza, FiguresAreWhatWasRecorded) {
  const CyclicTask task = addition(11);
  auto seen = on_circle(task, 3, pizza_of(*task.structure.cyclic, 3));
  const auto recorder = measured(seen);
  const auto& figures = recorder.record().figures;
  ASSERT_EQ(figures.size(), 3u);
  for (const Figure& figure : figures) EXPECT_FALSE(figure.x_label.empty() || figure.y_label.empty());
  EXPECT_TRUE(figures[0].traces[0].y.equal(tensor(recorder, "gradient_cosines")));
  const auto correct = tensor(recorder, "correct_logits");
  EXPECT_TRUE(torch::allclose(figures[1].traces[0].z, correct - correct.mean(), 0, kRounding));
  const auto circle = figures[2].traces.at(0);
  EXPECT_EQ(circle.name, "components 1 (k=3) and 2 (k=3)");
  EXPECT_TRUE(figures[2].equal_axes);
  EXPECT_TRUE(torch::allclose((circle.x.square() + circle.y.square()), torch::ones({11}), 0, kRounding));
  EXPECT_EQ(recorder.record().headlines,
            (std::vector<std::string>{"gradient_symmetricity", "distance_irrelevance", "circularity"}));
}

TEST(ClockPizza, NeedsAnEmbeddingToDifferentiate) {
  EXPECT_EQ(make_probe()->needs().activations, std::vector<std::string>{"hook_embed"});
  auto collapsed = random_mlp(
      {.embedding = MlpConfig::Embedding::input_tied, .collapse = MlpConfig::Collapse::input, .d_embed = 4},
      5);
  EXPECT_THROW(measured(collapsed), Error);
}

}  // namespace
}  // namespace orrery::testing
