// A probe that writes to what it is shown loses its record, and nothing else is lost.
#include "engine/experiment/pristine.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include "engine/experiment/probe_host.h"

namespace orrery::engine {
namespace {

class Meddler final : public Probe {
 public:
  using Script = std::function<void(const Observation&)>;
  explicit Meddler(Script script) : script_(std::move(script)) {}
  Needs needs() const override { return {.inputs = Inputs::train, .activations = {"hook_embed"}}; }
  void measure(const Observation& seen, Recorder& recorder) override {
    recorder.scalar("logits", seen.logits.sum().item<double>());
    recorder.scalar("embed", seen.cache["hook_embed"].sum().item<double>());
    recorder.scalar("labels", seen.inputs.labels.sum().item<double>());
    if (script_) script_(seen);
  }

 private:
  Script script_;
};

class PristineTest : public ::testing::Test {
 protected:
  // Measures with a probe that does `script`, and with one that only looks, after it.
  void measure(const Meddler::Script& script) {
    Meddler bad(script), good(nullptr);
    const ProbeInRun pb{"bad", 0, "last", &bad, bad.needs(), "meddler", "1.0.0"},
        pg{"good", 0, "last", &good, good.needs()};
    outcomes = host.measure(7, {&pb, &pg}, Reference::fitted);
    ASSERT_TRUE(outcomes.at(1).ok()) << outcomes[1].error;
  }
  void expect_refused(const std::string& what, const Meddler::Script& script) {
    SCOPED_TRACE(what);
    measure([](const Observation&) {});
    const Record untouched = outcomes.at(1).record;
    const auto weights = copies();
    measure(script);
    EXPECT_EQ(outcomes[0].error, "probe meddler 1.0.0, measure, step 7: it changed " + what);
    EXPECT_NE(outcomes[0].hint, "");
    EXPECT_EQ(outcomes[1].record.scalars, untouched.scalars);
    const auto now = copies();
    ASSERT_EQ(now.size(), weights.size());
    for (size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(now[i].equal(weights[i])) << i;
    for (const NamedWeight& weight : model->weights()) EXPECT_TRUE(weight.value.requires_grad());
  }
  std::vector<torch::Tensor> copies() const {
    std::vector<torch::Tensor> all;
    for (const NamedWeight& weight : model->weights()) all.push_back(weight.value.detach().clone());
    return all;
  }
  static Batch all_inputs() {
    const torch::Tensor n = torch::arange(25, torch::kInt64);
    return {.tokens = torch::stack({n.div(5, "floor"), n.remainder(5), torch::full_like(n, 5)}, 1),
            .labels = n.remainder(5).unsqueeze(1),
            .weights = torch::ones({25}),
            .auxiliary = {{"carry", n.remainder(2)}}};
  }

  TaskSpec spec{6, 5, 3, {2}, {}};
  Structure structure;
  Split split = Split::of_grid(all_inputs(), torch::arange(10), torch::arange(10, 25));
  std::unique_ptr<Model> model =
      make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, spec, make_generator(0));
  ProbeHost host{spec, structure, split, *model};
  std::vector<Outcome> outcomes;
};

TEST_F(PristineTest, WeightsAreRestored) {
  const std::string W_E = "the weight \"embed.W_E\"";
  expect_refused(W_E, [](const Observation& seen) { seen.model.weight("embed.W_E").detach().zero_(); });
  expect_refused(
      W_E, [](const Observation& seen) { seen.model.weight("embed.W_E").detach().data_ptr<float>()[1] = 9; });
  expect_refused(W_E,
                 [](const Observation& seen) { seen.model.weight("embed.W_E").set_data(torch::zeros({2})); });
  expect_refused("the list of the model's weights",
                 [](const Observation& seen) { seen.model.weights().pop_back(); });
  expect_refused("whether the weight \"embed.W_E\" takes gradients",
                 [](const Observation& seen) { seen.model.weight("embed.W_E").set_requires_grad(false); });
}

TEST_F(PristineTest, HooksAreRemoved) {
  expect_refused("the hooks on \"hook_embed\"", [](const Observation& seen) {
    new HookScope(seen.model, {{"hook_embed", [](const torch::Tensor& x) { return x * 2; }}});
  });
  EXPECT_EQ(model->find_hook_point("hook_embed")->n_hooks(), 0u);
}

TEST_F(PristineTest, DataAreRestored) {
  expect_refused("the data train.labels", [](const Observation& seen) { seen.inputs.labels.zero_(); });
  expect_refused("the data test.tokens", [](const Observation& seen) { seen.split.test.tokens.fill_(1); });
  expect_refused("the data grid.labels",
                 [](const Observation& seen) { seen.split.grid->labels.data_ptr<int64_t>()[0] = 3; });
  expect_refused("the data train.weights", [](const Observation& seen) { seen.inputs.weights.mul_(2); });
  expect_refused("the data test.auxiliary/carry",
                 [](const Observation& seen) { seen.split.test.auxiliary.at("carry").zero_(); });
  EXPECT_EQ(split.train.labels.sum().item<int64_t>(), 20);
}

TEST_F(PristineTest, TheNextProbeSeesANewForwardPass) {
  expect_refused("the logits", [](const Observation& seen) { seen.logits.zero_(); });
  expect_refused("the activation \"hook_embed\"",
                 [](const Observation& seen) { seen.cache["hook_embed"].mul_(2); });
}

TEST_F(PristineTest, AFailureIsReportedAsSuchAndStillUndone) {
  const auto weights = copies();
  measure([](const Observation& seen) {
    seen.model.weight("embed.W_E").detach().zero_();
    throw Error("it broke");
  });
  EXPECT_EQ(outcomes[0].error, "it broke");
  EXPECT_TRUE(copies()[0].equal(weights[0]));
}

// Weights that are put back as they were, and copies, are nobody's loss.
TEST_F(PristineTest, WhatLeavesNoChangeIsAllowed) {
  measure([](const Observation& seen) {
    seen.weight("embed.W_E").zero_();
    torch::Tensor W = seen.model.weight("embed.W_E").detach();
    const torch::Tensor before = W.clone();
    W.zero_();
    W.copy_(before);
  });
  EXPECT_TRUE(outcomes[0].ok()) << outcomes[0].error;
}

TEST_F(PristineTest, GradientsAreNobodyElses) {
  torch::Tensor W = model->weight("embed.W_E");
  W.mutable_grad() = torch::ones_like(W);
  measure([](const Observation& seen) {
    const torch::AutoGradMode on(true);
    torch::Tensor mine = seen.model.weight("embed.W_E");
    EXPECT_FALSE(mine.grad().defined());
    mine.sum().backward();
    EXPECT_TRUE(mine.grad().equal(torch::ones_like(mine)));
  });
  EXPECT_TRUE(outcomes[0].ok()) << outcomes[0].error;
  EXPECT_TRUE(W.grad().equal(torch::ones_like(W)));
}

}  // namespace
}  // namespace orrery::engine
