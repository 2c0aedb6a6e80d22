// One forward pass for all probes, what they are given, and how a probe that cannot be used is refused.
#include "engine/experiment/probe_host.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include "engine/run/curves.h"

namespace orrery::engine {
namespace {

class Scripted final : public Probe {
 public:
  using Script = std::function<void(const Observation&, Recorder&)>;
  Scripted(Needs needs, Script script) : needs_(std::move(needs)), script_(std::move(script)) {}
  Needs needs() const override { return needs_; }
  void fit(const Observation& seen) override { fitted_at = seen.step; }
  void measure(const Observation& seen, Recorder& recorder) override { script_(seen, recorder); }
  int64_t fitted_at = -1;

 private:
  Needs needs_;
  Script script_;
};

class ObserverTest : public ::testing::Test {
 protected:
  static Batch all_inputs() {
    const torch::Tensor n = torch::arange(25, torch::kInt64);
    return {torch::stack({n.div(5, "floor"), n.remainder(5), torch::full_like(n, 5)}, 1),
            n.remainder(5).unsqueeze(1),
            {},
            {}};
  }
  ProbeInRun in_run(Probe& probe, const std::string& reference = "last") {
    return {"scripted", 0, reference, &probe, probe.needs()};
  }
  std::string refusal(Needs needs) {
    Scripted probe(std::move(needs), nullptr);
    try {
      host.check(in_run(probe));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "not refused";
  }

  TaskSpec spec{6, 5, 3, {2}, {}};
  Structure structure;
  Split split = Split::of_grid(all_inputs(), torch::arange(10), torch::arange(10, 25));
  std::unique_ptr<Model> model =
      make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, spec, make_generator(0));
  ProbeHost host{spec, structure, split, *model};
};

TEST_F(ObserverTest, GivesThePlainForwardPassAtTheReadOut) {
  Scripted probe(
      {.inputs = Inputs::test, .activations = {"blocks.0.mlp.hook_post", "blocks.0.attn.hook_pattern"}},
      [&](const Observation& seen, Recorder&) {
        const auto [logits, cache] = run_with_cache(*model, split.test.tokens);
        EXPECT_TRUE(seen.logits.equal(logits.narrow(1, 2, 1)));
        EXPECT_TRUE(
            seen.cache["blocks.0.mlp.hook_post"].equal(cache["blocks.0.mlp.hook_post"].narrow(1, 2, 1)));
        EXPECT_TRUE(seen.cache["blocks.0.attn.hook_pattern"].equal(
            cache["blocks.0.attn.hook_pattern"].narrow(2, 2, 1)));
        EXPECT_FALSE(seen.cache.contains("hook_embed"));
        EXPECT_FALSE(seen.logits.requires_grad());
        EXPECT_EQ(seen.step, 7);
      });
  const ProbeInRun one = in_run(probe);
  const auto outcomes = host.measure(7, {&one}, Reference::fitted);
  EXPECT_TRUE(outcomes.at(0).ok()) << outcomes.at(0).error;
}

TEST_F(ObserverTest, OnePassServesAllProbesOfOneInputSet) {
  int forwards = 0;
  const HookScope count(*model, {{"hook_embed", [&](const torch::Tensor& x) { return ++forwards, x; }}});
  const auto look = [](const Observation& seen, Recorder& recorder) {
    recorder.scalar("mean", seen.logits.mean().item<double>());
  };
  Scripted a({.activations = {"*"}}, look), b({.activations = {"hook_embed"}}, look),
      c({.inputs = Inputs::train, .activations = {"hook_embed"}}, look);
  const ProbeInRun pa = in_run(a), pb = in_run(b), pc = in_run(c);
  host.measure(0, {&pa, &pb}, Reference::fitted);
  EXPECT_EQ(forwards, 1);
  host.measure(0, {&pa, &pb, &pc}, Reference::fitted);
  EXPECT_EQ(forwards, 3);
}

// Activations that the fast pass keeps come from it; a probe that asks for more gets the plain pass.
TEST_F(ObserverTest, TheReadOutPassShowsWhatThePlainOneDoes) {
  std::vector<torch::Tensor> logits, post;
  const auto keep = [&](const Observation& seen, Recorder&) {
    logits.push_back(seen.logits);
    post.push_back(seen.cache["blocks.0.mlp.hook_post"]);
    const torch::Tensor& pre = seen.cache["blocks.0.mlp.hook_pre"];
    EXPECT_TRUE(post.back().equal(pre.relu()));
  };
  Scripted little({.activations = {"*mlp.hook_*"}}, keep), everything({.activations = {"*"}}, keep);
  const ProbeInRun few = in_run(little), all = in_run(everything);
  int forwards = 0;
  const HookScope count(*model, {{"hook_embed", [&](const torch::Tensor& x) { return ++forwards, x; }}});
  host.measure(0, {&few}, Reference::fitted);
  EXPECT_EQ(forwards, 0);
  host.measure(0, {&all}, Reference::fitted);
  EXPECT_EQ(forwards, 1);
  ASSERT_EQ(logits[0].sizes(), logits[1].sizes());
  ASSERT_EQ(post[0].sizes(), post[1].sizes());
  EXPECT_TRUE(torch::allclose(logits[0], logits[1], 1e-4, 1e-5));
  EXPECT_TRUE(torch::allclose(post[0], post[1], 1e-4, 1e-5));
}

TEST_F(ObserverTest, AProbeThatFailsCostsOnlyItsOwnResult) {
  Scripted bad({}, [](const Observation&, Recorder&) { throw Error("it broke", "mend it"); });
  Scripted good({}, [](const Observation&, Recorder& recorder) { recorder.scalar("x", 1); });
  const ProbeInRun pb = in_run(bad), pg = in_run(good);
  const auto outcomes = host.measure(0, {&pb, &pg}, Reference::fitted);
  EXPECT_EQ(outcomes.at(0).error, "it broke");
  EXPECT_EQ(outcomes.at(0).hint, "mend it");
  EXPECT_TRUE(outcomes.at(1).ok());
}

TEST_F(ObserverTest, ReferencesAreFittedWhereTheyAreDue) {
  Scripted probe({.reference = true}, [](const Observation&, Recorder&) {});
  const ProbeInRun last = in_run(probe), self = in_run(probe, "self");
  host.measure(3, {&last}, Reference::fitted);
  EXPECT_EQ(probe.fitted_at, -1);
  host.measure(4, {&last}, Reference::this_checkpoint);
  EXPECT_EQ(probe.fitted_at, 4);
  host.measure(5, {&self}, Reference::fitted);
  EXPECT_EQ(probe.fitted_at, 5);
  host.fit(9, {&last});
  EXPECT_EQ(probe.fitted_at, 9);
}

TEST_F(ObserverTest, TellsWhatRunsAndWhatCameOfIt) {
  Scripted bad({}, [](const Observation&, Recorder&) { throw Error("it broke"); });
  Scripted good({.reference = true}, [](const Observation&, Recorder& recorder) { recorder.scalar("x", 1); });
  ProbeInRun pb = in_run(bad), pg = in_run(good);
  pb.label = "bad";
  pg.label = "good";
  std::vector<std::string> told;
  const ProbeListener listener{
      [&](const ProbeInRun& probe, const char* call) { told.push_back(probe.label + " " + call); },
      [&](const Outcome& outcome) { told.push_back(outcome.ok() ? "good" : outcome.error); }};
  host.fit(0, {&pg}, listener);
  host.measure(0, {&pb, &pg}, Reference::fitted, listener);
  EXPECT_EQ(told, (std::vector<std::string>{"good fit", "good", "bad measure", "it broke", "good measure",
                                            "good"}));
}

TEST_F(ObserverTest, AProbeThatFailsOnItsReferenceIsUnusable) {
  class Unfit final : public Probe {
   public:
    Needs needs() const override { return {.reference = true}; }
    void fit(const Observation&) override { throw Error("too early"); }
    void measure(const Observation&, Recorder&) override {}
  } probe;
  const ProbeInRun one = in_run(probe);
  const auto outcomes = host.fit(3, {&one});
  EXPECT_EQ(outcomes.at(0).error, "too early");
  EXPECT_TRUE(outcomes.at(0).unusable);
  Scripted fine({.reference = true}, nullptr);
  const ProbeInRun other = in_run(fine);
  EXPECT_FALSE(host.fit(3, {&other}).at(0).unusable);
}

TEST(Conclude, GivesEachProbeItsCurves) {
  class Judge final : public Probe {
   public:
    explicit Judge(std::vector<std::string> globs) : globs_(std::move(globs)) {}
    Needs needs() const override {
      Needs needs;
      needs.curves = globs_;
      return needs;
    }
    void measure(const Observation&, Recorder&) override {}
    void conclude(const History& history, Recorder& recorder) override {
      for (const Curve& curve : history.curves) recorder.scalar(curve.name, curve.values.back());
    }

   private:
    std::vector<std::string> globs_;
  };
  Judge all({"*/loss"}), none({"test/los"});
  const ProbeInRun pa{"all", 0, "last", &all, all.needs()}, pn{"none", 0, "last", &none, none.needs()};
  const std::vector<Curve> curves = {
      {"train/loss", {0, 1}, {4, 3}}, {"test/loss", {0}, {5}}, {"other", {}, {}}};
  const auto outcomes = conclude({&pa, &pn}, [&](const ProbeInRun& probe) {
    return History{.curves = choose_curves(curves, probe.needs.curves, probe.label)};
  });
  ASSERT_TRUE(outcomes.at(0).ok());
  EXPECT_EQ(outcomes[0].record.scalars,
            (std::vector<std::pair<std::string, double>>{{"train/loss", 3}, {"test/loss", 5}}));
  EXPECT_EQ(outcomes.at(1).error,
            "probe \"none\" concludes from \"test/los\", but the run has no such curve (did you mean "
            "\"test/loss\"?)");
}

TEST_F(ObserverTest, KnowsEveryCapability) {
  const auto refused = [&](Capability capability) {
    return refusal({.structure = {capability}}) != "not refused";
  };
  for (const Capability one : all_capabilities) EXPECT_TRUE(refused(one)) << to_string(one);
  structure = {CyclicStructure{}, GroupStructure{}, RelevantPositions{}, RepeatStructure{}};
  for (const Capability one : all_capabilities) EXPECT_FALSE(refused(one)) << to_string(one);
}

TEST_F(ObserverTest, BatchesKeepTheirRepeats) {
  Batch batch = split.train;
  batch.repeat_of = torch::arange(30, torch::kInt64).view({10, 3});
  EXPECT_TRUE(batch.rows(torch::tensor({4, 2}, torch::kInt64))
                  .repeat_of.equal(torch::tensor({12, 13, 14, 6, 7, 8}, torch::kInt64).view({2, 3})));
  EXPECT_TRUE(batch.to(torch::kCPU).repeat_of.defined());
}

TEST_F(ObserverTest, RefusesWhatTheRunCannotGive) {
  EXPECT_EQ(refusal({}), "not refused");
  EXPECT_EQ(
      refusal({.structure = {Capability::cyclic}}),
      "probe \"scripted\" cannot be used in this run: it needs a task with cyclic structure, and this task "
      "declares none");
  EXPECT_EQ(refusal({.activations = {"blocks.1.*"}}).substr(0, 76),
            "probe \"scripted\" cannot be used in this run: no hook point matches \"blocks.1");
  EXPECT_EQ(
      refusal({.weights = {"embed.WE"}}),
      "probe \"scripted\" cannot be used in this run: the model has no weight \"embed.WE\" (did you mean "
      "\"embed.W_E\"?)");
  EXPECT_EQ(refusal({.auxiliary = {"carry"}}),
            "probe \"scripted\" cannot be used in this run: it needs the auxiliary labels \"carry\", and "
            "this task has "
            "none of that name");
  spec.auxiliary = {"carry"};
  EXPECT_EQ(refusal({.auxiliary = {"carry"}}), "not refused");
  split.grid.reset();
  EXPECT_NE(refusal({}).find("too large to list"), std::string::npos);
}

TEST_F(ObserverTest, AProbeOfCrossEntropiesRefusesOtherLosses) {
  EXPECT_EQ(refusal({.refusal = refuse_other_losses}), "not refused");
  spec.label_smoothing = 0.1;
  EXPECT_EQ(refusal({.refusal = refuse_other_losses}),
            "probe \"scripted\" cannot be used in this run: it measures plain cross-entropies, and the task "
            "smooths its "
            "labels by 0.1");
  spec = {6, 5, 3, {2}, {}, Loss::mse_one_hot};
  EXPECT_EQ(refusal({.refusal = refuse_other_losses}),
            "probe \"scripted\" cannot be used in this run: it measures cross-entropies, and the task is "
            "trained on the "
            "loss mse_one_hot");
}

}  // namespace
}  // namespace orrery::engine
