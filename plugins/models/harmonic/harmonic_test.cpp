#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/testing/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

const TaskSpec shapes{.d_vocab = 5, .d_vocab_out = 3, .n_ctx = 4, .read_out = {3}};
const std::string small = R"({"d_model": 6, "n_heads": 2, "d_head": 3, "d_mlp": 8, "exponent": 2})";
const torch::Tensor tokens = torch::tensor({{1, 4, 0, 2}, {3, 3, 0, 1}}, torch::kInt64);

// Entry by entry, in double precision, from the stream that a hook sees.
TEST(Harmonic, ProbabilitiesAreInTheRatioOfPowersOfDistances) {
  const auto model = make_model(shapes, small);
  const auto [logits, cache] = run_with_cache(*model, tokens, {"blocks.0.hook_resid_post"});
  const torch::Tensor x = cache["blocks.0.hook_resid_post"].to(torch::kFloat64),
                      centers = model->weight("unembed.centers").to(torch::kFloat64);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t at = 0; at < 4; ++at) {
      std::vector<double> inverse;
      for (int64_t c = 0; c < 3; ++c) {
        double squares = 0;
        for (int64_t i = 0; i < 6; ++i)
          squares += std::pow(x[n][at][i].item<double>() - centers[c][i].item<double>(), 2);
        inverse.push_back(1 / squares);  // exponent 2
      }
      const torch::Tensor p = logits[n][at].to(torch::kFloat64).softmax(-1);
      for (int64_t c = 0; c < 3; ++c)
        EXPECT_NEAR(p[c].item<double>(), inverse[c] / (inverse[0] + inverse[1] + inverse[2]), 1e-5);
    }
}

TEST(Harmonic, DoesNotSeeTheScaleOfStreamAndCentresTogether) {
  const auto model = make_model(shapes, small);
  const torch::Tensor before = model->forward(tokens).softmax(-1);
  torch::NoGradGuard no_grad;
  model->weight("unembed.centers").mul_(3);
  const torch::Tensor after =
      run_with_hooks(*model, tokens,
                     {{"blocks.0.hook_resid_post", [](const torch::Tensor& x) { return 3 * x; }}})
          .softmax(-1);
  EXPECT_TRUE(before.allclose(after, 1e-4, 1e-6));
  EXPECT_FALSE(before.allclose(model->forward(tokens).softmax(-1), 1e-2, 1e-3));
}

TEST(Harmonic, StaysFiniteAtACentre) {
  const auto model = make_model(shapes, small);
  const auto at_centre = [&](const torch::Tensor& x) {
    return model->weight("unembed.centers")[1].expand_as(x).contiguous();
  };
  const torch::Tensor logits = run_with_hooks(*model, tokens, {{"blocks.0.hook_resid_post", at_centre}});
  EXPECT_TRUE(logits.argmax(-1).eq(1).all().item<bool>());
  EXPECT_TRUE(logits.isfinite().all().item<bool>());
  logits.sum().backward();
  EXPECT_TRUE(model->weight("unembed.centers").grad().isfinite().all().item<bool>());
}

TEST(Harmonic, RefusesOneLogit) {
  TaskSpec one = shapes;
  one.d_vocab_out = 1;
  EXPECT_THROW(make_model(one, small), UsageError);
}

}  // namespace
}  // namespace orrery::testing
