// The constructed solution of modular addition against its formula, and against what the harmonics of its
// activation function allow.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <sdk/model/catalog.h>

#include <cmath>
#include <complex>

namespace orrery {
namespace {

using Input = MlpConfig::Input;
using Embedding = MlpConfig::Embedding;
using Hidden = MlpConfig::Hidden;
using Collapse = MlpConfig::Collapse;
using ActFn = MlpConfig::ActFn;

TaskSpec modular(int64_t p) { return {.d_vocab = p + 1, .d_vocab_out = p, .n_ctx = 3, .read_out = {2}}; }

// All pairs a, b, then "=".
torch::Tensor all_pairs(int64_t p) {
  const auto numbers = torch::arange(p, torch::kInt64);
  return torch::stack({numbers.unsqueeze(1).expand({p, p}).reshape(-1), numbers.repeat({p}),
                       torch::full({p * p}, p, torch::kInt64)},
                      1);
}

torch::Tensor constructed_logits(const MlpConfig& config, int64_t p) {
  const torch::NoGradGuard no_grad;
  const auto model = make_mlp(config, modular(p), make_generator(0));
  set_constructed_solution(*model, modular(p));
  return model->forward(all_pairs(p)).select(1, 0);
}

double accuracy(const torch::Tensor& logits, int64_t p) {
  const auto tokens = all_pairs(p);
  const auto answers = (tokens.select(1, 0) + tokens.select(1, 1)).remainder(p);
  return (logits.argmax(1) == answers).to(torch::kFloat64).mean().item<double>();
}

MlpConfig circle_of(int64_t n_neurons, ActFn act_fn) {
  return {.embedding = Embedding::circular, .d_embed = 2, .d_mlp = n_neurons, .act_fn = act_fn};
}

// Each group alone is the solution of a b with its wave, and logits of groups add up.
TEST(ConstructedSolution, SeveralFrequenciesAddUpAtTheSameNorm) {
  const torch::NoGradGuard no_grad;
  const auto made = [](const std::vector<int64_t>& frequencies, int64_t d_mlp) {
    auto model =
        make_mlp({.embedding = Embedding::input_tied, .collapse = MlpConfig::Collapse::both, .d_mlp = d_mlp},
                 modular(67), make_generator(0));
    set_constructed_solution(*model, modular(67), frequencies);
    return model;
  };
  const auto logits = [](Model& model) { return model.forward(all_pairs(67)).select(1, 0); };
  const auto both = made({4, 7}, 10), four = made({4}, 5), seven = made({7}, 5), one = made({1}, 5);
  EXPECT_TRUE(torch::allclose(logits(*both), logits(*four) + logits(*seven), 1e-4, 1e-4));
  // The wave of 7 at a is the wave of 1 at 7 a.
  const auto times = (7 * all_pairs(67).narrow(1, 0, 2)).remainder(67);
  const auto pairs = torch::cat({times, all_pairs(67).narrow(1, 2, 1)}, 1);
  const auto classes = (7 * torch::arange(67)).remainder(67);
  const auto turned = one->forward(pairs).select(1, 0).index_select(1, classes);
  EXPECT_TRUE(torch::allclose(logits(*seven), turned, 1e-4, 1e-4));
  const auto sum_of_squares = [](const Model& model) {
    double sum = 0;
    for (const NamedWeight& weight : model.weights()) sum += weight.value.square().sum().item<double>();
    return sum;
  };
  EXPECT_NEAR(sum_of_squares(*made({1}, 60)), 60 * 67, 1e-2);
  EXPECT_NEAR(sum_of_squares(*made({4, 5, 7, 26}, 60)), 60 * 67, 1e-2);
  EXPECT_EQ(accuracy(logits(*made({4, 5, 7, 26}, 60)), 67), 1);
}

TEST(ConstructedSolution, RefusesFrequenciesThatDoNotFit) {
  const auto refusal = [](const MlpConfig& config, const std::vector<int64_t>& frequencies) {
    const auto model = make_mlp(config, modular(67), make_generator(0));
    try {
      set_constructed_solution(*model, modular(67), frequencies);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string("taken");
  };
  const MlpConfig wide{.d_embed = 4, .d_mlp = 10};
  EXPECT_EQ(refusal(wide, {1, 2}), "taken");
  for (const auto& wrong : std::vector<std::vector<int64_t>>{{}, {1, 1}, {0}, {34}})
    EXPECT_NE(refusal(wide, wrong).find("waves of different frequencies"), std::string::npos);
  EXPECT_NE(refusal(wide, {1, 2, 3}).find("10 neurons cannot be shared"), std::string::npos);
  EXPECT_NE(refusal({.d_embed = 3, .d_mlp = 10}, {1, 2}).find("d_embed is 3"), std::string::npos);
  EXPECT_NE(refusal(circle_of(5, ActFn::relu), {2}).find("one circle"), std::string::npos);
}

// [model] init = "constructed".
TEST(ConstructedSolution, IsAWayToBegin) {
  MlpConfig config = circle_of(5, ActFn::relu);
  config.init = MlpConfig::Init::constructed;
  const torch::NoGradGuard no_grad;
  const auto logits = [&] {
    return make_mlp(config, modular(67), make_generator(3))->forward(all_pairs(67)).select(1, 0);
  };
  const auto begun = logits();
  EXPECT_TRUE(torch::equal(begun, constructed_logits(circle_of(5, ActFn::relu), 67)));
  EXPECT_EQ(accuracy(begun, 67), 1);
  config.init_scale = 2;  // of W_in and W_out; the circle is no weight
  EXPECT_TRUE(torch::allclose(logits(), begun * 4));
  config.input = MlpConfig::Input::bits;  // without biases
  EXPECT_THROW(
      make_mlp(config, {.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 4, .read_out = {3}}, make_generator(3)),
      UsageError);
}

TEST(ConstructedSolution, IsTheFormula) {
  for (const auto act_fn : {ActFn::square, ActFn::relu}) {
    const int64_t p = 11, N = 7;
    const auto logits = constructed_logits(circle_of(N, act_fn), p);
    for (int64_t a = 0; a < p; ++a)
      for (int64_t b = 0; b < p; ++b)
        for (int64_t c = 0; c < p; ++c) {
          double expected = 0;
          for (int64_t i = 0; i < N; ++i) {
            const double theta = 2 * M_PI * double(i) / double(N), turn = 2 * M_PI / double(p);
            const double pre = std::cos(theta - turn * double(a)) + std::cos(theta - turn * double(b));
            expected += (act_fn == ActFn::square ? pre * pre : std::max(pre, 0.0)) *
                        std::cos(2 * theta - turn * double(c));
          }
          EXPECT_NEAR(logits[a * p + b][c].item<double>(), expected, 1e-5);
        }
  }
}

// (D cos x)^2 has the harmonics 0 and 2. Summed over N directions against the second harmonic, what is left
// is (N/2) D^2 / 2 cos(2 pi (a + b - c)/p) times 2 for the two signs of it, that is N D^2/4 cos(...), with D
// = 2 cos(pi (a - b)/p), unless N divides 2 or 4.
TEST(ConstructedSolution, WithSquareIsExact) {
  for (const int64_t p : {3, 5, 7, 23, 67, 113})
    for (const int64_t N : {3, 5, 6, 7, 8, 24}) {
      const auto logits = constructed_logits(circle_of(N, ActFn::square), p);
      EXPECT_EQ(accuracy(logits, p), 1) << p << " " << N;
      const auto tokens = all_pairs(p).to(torch::kFloat64);
      const auto a = tokens.select(1, 0).unsqueeze(1), b = tokens.select(1, 1).unsqueeze(1);
      const auto D = 2 * (M_PI * (a - b) / double(p)).cos();
      const auto wave = (2 * M_PI * (a + b - torch::arange(p, torch::kFloat64)) / double(p)).cos();
      EXPECT_TRUE(torch::allclose(logits.to(torch::kFloat64), double(N) / 4 * D.square() * wave, 1e-5,
                                  1e-5 * double(N)))
          << p << " " << N;
    }
}

TEST(ConstructedSolution, FourNeuronsAreTooFew) {
  // The harmonics 2 and -2 fall together: the sum lies on one axis, and tells an angle from its mirror image
  // no more.
  EXPECT_LT(accuracy(constructed_logits(circle_of(4, ActFn::square), 23), 23), 0.6);
}

// The harmonic e^(ikx) of relu(cos x).
double relu_harmonic(int64_t k) {
  if (k == 1 || k == -1) return 0.25;
  if (k % 2 != 0) return 0;
  return ((k / 2) % 2 == 0 ? -1 : 1) / (M_PI * (double(k) * double(k) - 1));
}

// The angle between where N neurons point for a + b = s and where they should, from the harmonics -2 + jN,
// |j| <= cut, and a bound on what the others could add to it.
struct Deviation {
  double angle, tail;
};
Deviation deviation_at(int64_t N, int64_t p, int64_t s) {
  constexpr int64_t cut = 4000;
  const double M = M_PI * double(s) / double(p);
  std::complex<double> sum = 0;
  for (int64_t j = -cut; j <= cut; ++j)
    sum += relu_harmonic(-2 + j * N) / relu_harmonic(2) * std::polar(1.0, -double(j) * double(N) * M);
  // |harmonic k| / harmonic 2 is 3/(k^2 - 1); the sum of 1/k^2 over the tail is below 1/(N (cut N - 2)).
  return {std::arg(sum), 2 * 3 * 1.1 / (double(N) * (double(cut * N) - 2))};
}

// A pair is right where the deviation is less than half the angle between two classes.
double predicted_accuracy(int64_t N, int64_t p) {
  int64_t right = 0;
  for (int64_t s = 0; s < p; ++s) {
    const Deviation d = deviation_at(N, p, s);
    // No pair is so near the edge that the tail decides, or float32: there pre-activations are off by 1e-7,
    // of 2 cos(pi (a - b)/p) > 0.02, which turns their sum by 1e-5 at most.
    EXPECT_GT(std::abs(std::abs(d.angle) - M_PI / double(p)), d.tail + 1e-5) << N << " " << p << " " << s;
    right += std::abs(d.angle) < M_PI / double(p);
  }
  return double(right) / double(p);
}

TEST(ConstructedSolution, WithReluIsRightWhereItsHarmonicsAllow) {
  for (const int64_t p : {5, 23, 67, 113, 131})
    for (const int64_t N : {5, 6, 7, 8, 24})
      EXPECT_NEAR(accuracy(constructed_logits(circle_of(N, ActFn::relu), p), p), predicted_accuracy(N, p),
                  1e-9)
          << "p = " << p << ", N = " << N;
}

TEST(ConstructedSolution, WithReluAnOddNumberOfNeuronsIsEnough) {
  for (const int64_t N : {5, 7, 24})  // p = 67 is that of Pearce et al. 2023
    EXPECT_EQ(accuracy(constructed_logits(circle_of(N, ActFn::relu), 67), 67), 1) << N;
  EXPECT_LT(accuracy(constructed_logits(circle_of(6, ActFn::relu), 67), 67), 0.5);
  // The largest deviations that orrery/mlp.h states.
  for (const auto& [N, most] :
       std::vector<std::pair<int64_t, double>>{{5, 0.027}, {7, 0.0092}, {6, 0.154}, {8, 0.0553}}) {
    double largest = 0;
    for (int64_t s = 0; s < 1009; ++s) largest = std::max(largest, std::abs(deviation_at(N, 1009, s).angle));
    EXPECT_LT(largest, most) << N;
    EXPECT_GT(largest, 0.97 * most) << N;
  }
}

TEST(ConstructedSolution, IsTheSameInEveryArchitecture) {
  const int64_t p = 13;
  for (const auto act_fn : {ActFn::square, ActFn::relu}) {
    const auto expected = constructed_logits(circle_of(7, act_fn), p);
    for (MlpConfig config : std::vector<MlpConfig>{
             {},
             {.bias = true},
             {.embedding = Embedding::input_tied},
             {.embedding = Embedding::untied, .hidden = Hidden::untied},
             {.hidden = Hidden::untied},
             {.embedding = Embedding::circular, .collapse = Collapse::output, .d_embed = 2},
             {.embedding = Embedding::input_tied, .collapse = Collapse::input},
             {.embedding = Embedding::input_tied, .collapse = Collapse::output},
             {.embedding = Embedding::untied, .collapse = Collapse::both},
             {.input = Input::one_hot_sum}}) {
      config.d_mlp = 7;
      config.act_fn = act_fn;
      EXPECT_TRUE(torch::allclose(constructed_logits(config, p), expected, 1e-5, 1e-5))
          << name_of(config.input) << name_of(config.embedding) << name_of(config.hidden)
          << name_of(config.collapse);
    }
  }
}

TEST(ConstructedSolution, RefusesModelsItDoesNotFit) {
  const auto refuses = [](const MlpConfig& config, const TaskSpec& spec) {
    const auto model = make_mlp(config, spec, make_generator(0));
    EXPECT_THROW(set_constructed_solution(*model, spec), UsageError);
  };
  refuses({.input = Input::bits}, {.d_vocab = 2, .d_vocab_out = 2, .n_ctx = 6, .read_out = {5}});
  refuses({.n_hidden = 2}, modular(7));
  refuses({.d_embed = 1}, modular(7));
  refuses({.embedding = Embedding::untied}, {.d_vocab = 4, .d_vocab_out = 7, .n_ctx = 2, .read_out = {1}});
  const auto transformer = make_model("transformer", {}, modular(7), make_generator(0));
  EXPECT_THROW(set_constructed_solution(*transformer, modular(7)), UsageError);
}

}  // namespace
}  // namespace orrery
