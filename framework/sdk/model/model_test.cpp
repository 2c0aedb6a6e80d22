// What a model says of its weights and hook points.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/model.h>

namespace orrery {
namespace {

class Small final : public Model {
 public:
  Small() {
    add_weight("embed.W_E", torch::zeros({2, 3}));
    add_weight("unembed.W_U", torch::ones({3, 2}));
    add_hook_point("hook_embed");
    add_hook_point("mlp.hook_post", -1);
  }
  torch::Tensor forward(const torch::Tensor&) override { return {}; }
};

TEST(Model, FindsWeightsAndHookPointsByName) {
  const Small model;
  ASSERT_NE(model.find_weight("unembed.W_U"), nullptr);
  EXPECT_EQ(model.find_weight("unembed.W_U")->name, "unembed.W_U");
  EXPECT_TRUE(model.find_weight("unembed.W_U")->value.is_same(model.weight("unembed.W_U")));
  ASSERT_NE(model.find_hook_point("mlp.hook_post"), nullptr);
  EXPECT_EQ(model.find_hook_point("mlp.hook_post"), model.hook_points().at(1).get());
}

TEST(Model, FindsNothingByHalfANameOrAGlob) {
  const Small model;
  for (const char* name : {"W_E", "embed.W", "embed.*", ""}) {
    EXPECT_EQ(model.find_weight(name), nullptr) << name;
    EXPECT_EQ(model.find_hook_point(name), nullptr) << name;
  }
  EXPECT_EQ(model.find_weight("hook_embed"), nullptr);
  EXPECT_EQ(model.find_hook_point("embed.W_E"), nullptr);
  EXPECT_THROW(model.weight("W_E"), Error);
}

TEST(Model, ListsNamesInOrder) {
  const Small model;
  EXPECT_EQ(model.weight_names(), (std::vector<std::string>{"embed.W_E", "unembed.W_U"}));
  EXPECT_EQ(model.hook_point_names(), (std::vector<std::string>{"hook_embed", "mlp.hook_post"}));
}

TEST(HookPoint, GivesActivationsAtPositionsAsProbesGetThem) {
  const auto positions = torch::tensor({3, 1}, torch::kInt64);
  const auto x = torch::arange(2 * 5 * 4, torch::kInt64).view({2, 5, 4});
  const auto residual = at_positions(HookPoint("hook_embed", 1), x, positions);
  EXPECT_TRUE(residual.equal(torch::stack({x.select(1, 3), x.select(1, 1)}, 1)));
  const auto pattern = at_positions(HookPoint("attn.hook_pattern", 2), x.unsqueeze(1), positions);
  EXPECT_TRUE(pattern.equal(residual.unsqueeze(1)));
  const auto whole = at_positions(HookPoint("mlp.hook_post", -1), x.select(1, 0), positions);
  EXPECT_TRUE(whole.equal(x.narrow(1, 0, 1)));
}

TEST(ActivationCache, ListsItsHeadsUpToTheFirstLayerWithout) {
  ActivationCache cache;
  EXPECT_TRUE(heads_in(cache).empty());
  const auto first = torch::rand({2, 3, 4, 5}), second = torch::rand({2, 1, 4, 5});
  cache.put("blocks.0.attn.hook_pattern", first);
  cache.put("blocks.1.attn.hook_pattern", second);
  cache.put("blocks.3.attn.hook_pattern", second);
  const auto heads = heads_in(cache);
  ASSERT_EQ(heads.size(), 4u);
  std::vector<std::string> names;
  for (const HeadPattern& head : heads) {
    names.push_back(head.name);
    EXPECT_TRUE(head.pattern.equal((head.layer ? second : first).select(1, head.head)));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"0.0", "0.1", "0.2", "1.0"}));
}

}  // namespace
}  // namespace orrery
