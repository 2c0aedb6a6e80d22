#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

constexpr int64_t kDigits = 2, kContext = 3 * kDigits + 3;

TaskSpec sums() {
  TaskSpec spec{.d_vocab = 12, .d_vocab_out = 10, .n_ctx = kContext};
  for (int64_t place = kDigits; place >= 0; --place) spec.read_out.push_back(3 * kDigits + 1 - place);
  return spec;
}

// W_E holds the cosines and sines of the digits; the network reads a and b of each place off it, and says the
// digit of the sum before it is written, carries left out.
class WaveModel final : public Model {
 public:
  // gains[k]: of cos w_k(a + b - c).
  explicit WaveModel(std::vector<double> gains)
      : gains_(std::move(gains)),
        embed_(add_hook_point("hook_embed")),
        post_(add_hook_point("blocks.0.mlp.hook_post")) {
    Tensor table = torch::zeros({12, 10});
    for (int64_t x = 0; x < 10; ++x)
      for (int64_t k = 1; k <= 5; ++k) {
        if (gains_[static_cast<size_t>(k)] == 0) continue;
        table[x][2 * k - 2] = std::cos(2 * M_PI * double(k * x) / 10);
        table[x][2 * k - 1] = std::sin(2 * M_PI * double(k * x) / 10);
      }
    W_E_ = add_weight("embed.W_E", table);
    add_weight("unembed.W_U", table.narrow(0, 0, 10).t().contiguous());
    add_weight("blocks.0.mlp.W_in", torch::zeros({10, 10}));
  }

  Tensor forward(const Tensor& tokens) override {
    const Tensor x = embed_(W_E_.index_select(0, tokens.flatten()).view({tokens.size(0), kContext, 10}));
    Tensor logits = torch::zeros({tokens.size(0), kContext, 10});
    Tensor neurons = torch::zeros({tokens.size(0), kContext, 20});
    for (int64_t place = 0; place < kDigits; ++place) {
      const Tensor a = x.select(1, kDigits - 1 - place), b = x.select(1, 2 * kDigits - place);
      const int64_t position = 3 * kDigits + 1 - place;
      neurons.select(1, position).narrow(1, 0, 10).copy_(a);
      neurons.select(1, position).narrow(1, 10, 10).copy_(b);
      for (int64_t k = 1; k <= 5; ++k) {
        const Tensor ca = a.select(1, 2 * k - 2), sa = a.select(1, 2 * k - 1);
        const Tensor cb = b.select(1, 2 * k - 2), sb = b.select(1, 2 * k - 1);
        for (int64_t c = 0; c < 10; ++c) {
          const double angle = 2 * M_PI * double(k * c) / 10;
          logits.select(1, position)
              .select(1, c)
              .add_(((ca * cb - sa * sb) * std::cos(angle) + (sa * cb + ca * sb) * std::sin(angle)) *
                    gains_[static_cast<size_t>(k)]);
        }
      }
    }
    post_(neurons);
    return logits;
  }

 private:
  std::vector<double> gains_;
  HookPoint &embed_, &post_;
  Tensor W_E_;
};

struct Toy {
  explicit Toy(std::vector<double> gains) : model(std::move(gains)) {
    // 12 + 34 = 046, 91 + 19 = 110 (it carries), 50 + 20 = 070
    split.test.tokens =
        torch::tensor({1, 2, 10, 3, 4, 11, 0, 4, 6, 9, 1, 10, 1, 9, 11, 1, 1, 0, 5, 0, 10, 2, 0, 11, 0, 7, 0},
                      torch::kInt64)
            .view({3, kContext});
  }
  Recorder measured(const std::string& parameters = "{}") {
    const torch::NoGradGuard no_grad;
    const Batch none;
    const Tensor nothing;
    const ActivationCache cache;
    const Observation observation{0, spec, {}, split, none, model, nothing, cache};
    Recorder recorder;
    make_probe(parameters)->measure(observation, recorder);
    return recorder;
  }
  WaveModel model;
  TaskSpec spec = sums();
  Split split;
};

TEST(DigitWaves, FindsTheWavesThatAreThere) {
  Toy toy({0, 20, 0, 40, 0, 0});
  for (const std::string parameters : {"{}", R"({"place": 1})", R"({"n_contexts": 1})"}) {
    const Recorder recorder = toy.measured(parameters);
    EXPECT_EQ(key_frequencies(recorder), (std::vector<int64_t>{1, 3}));
    EXPECT_NEAR(scalar(recorder, "neurons/k=1"), 4, 0);  // cos and sin, of a and of b
    EXPECT_NEAR(scalar(recorder, "logit_variance_explained"), 1, 1e-6);
    EXPECT_NEAR(scalar(recorder, "logits/k=3"), 0.8, 1e-6);  // 40^2 of 20^2 + 40^2
    EXPECT_NEAR(scalar(recorder, "restricted_loss"), scalar(recorder, "loss"), 1e-6);
    EXPECT_NEAR(scalar(recorder, "excluded_loss"), std::log(10), 1e-5);
    EXPECT_NEAR(scalar(recorder, "explained/W_E"), 1, 1e-6);
    EXPECT_NEAR(scalar(recorder, "W_E/k=1"), 0.5, 1e-6);
    EXPECT_LT(scalar(recorder, "loss"), 1e-3);
  }
}

TEST(DigitWaves, TakingAFrequencyOutOfTheEmbeddingIsWhatTheNetworkFeels) {
  Toy toy({0, 20, 0, 40, 0, 0}), only_three({0, 0, 0, 40, 0, 0});
  const Recorder recorder = toy.measured();
  EXPECT_NEAR(scalar(recorder, "loss_without_in_W_E/k=1"), scalar(only_three.measured(), "loss"), 1e-5);
  EXPECT_NEAR(scalar(recorder, "loss_without_in_W_E/k=2"), scalar(recorder, "loss"), 1e-6);
  EXPECT_NEAR(scalar(recorder, "loss_of_keys_in_W_E"), scalar(recorder, "loss"), 1e-6);
}

TEST(DigitWaves, ATableHoldsAllFrequenciesAlike) {
  // sum_k g_k cos w_k x with g = 2, 2, 2, 2, 1 is 10 at x = 0 and 0 elsewhere, less 1.
  Toy toy({0, 2, 2, 2, 2, 1});
  const Recorder recorder = toy.measured(R"({"min_neurons": 0.5})");
  for (int64_t k = 1; k <= 4; ++k)
    EXPECT_NEAR(scalar(recorder, "logits/k=" + std::to_string(k)), 2.0 / 9, 1e-6);
  EXPECT_NEAR(scalar(recorder, "logits/k=5"), 1.0 / 9, 1e-6);
  EXPECT_TRUE(key_frequencies(recorder).empty());
  EXPECT_EQ(scalar(recorder, "logit_variance_explained"), 0);
}

TEST(DigitWaves, RefusesOtherTasks) {
  Toy toy({0, 1, 0, 0, 0, 0});
  EXPECT_THROW(toy.measured(R"({"place": 2})"), UsageError);
  toy.spec.groups = {"digit_0", "digit_1", "digit_2"};  // the ones first
  EXPECT_THROW(toy.measured(), UsageError);
  toy.spec.groups = {};
  toy.spec.n_ctx = 4;
  EXPECT_THROW(toy.measured(), UsageError);
}

}  // namespace
}  // namespace orrery::testing
