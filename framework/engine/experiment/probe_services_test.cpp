// What probes may ask of a run beyond one observation: its loss, corrupted inputs, copies of the network, and
// the state of the training, which is the same whether it is asked for while the run trains or afterwards.
#include <gtest/gtest.h>
#include <orrery/gradients.h>
#include <orrery/loss.h>

#include "engine/experiment/open_run.h"
#include "engine/probing/probe_runner.h"
#include "engine/run/run_directory.h"
#include "sdk/files/tensors.h"
#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using namespace testing;

class Asking final : public Probe {
 public:
  using Question = std::function<void(const Observation&)>;
  Asking(Needs needs, Question question) : needs_(std::move(needs)), question_(std::move(question)) {}
  Needs needs() const override { return needs_; }
  void measure(const Observation& seen, Recorder&) override { question_(seen); }

 private:
  Needs needs_;
  Question question_;
};

class ProbeServicesTest : public ::testing::Test {
 protected:
  void ask(const Needs& needs, const Asking::Question& question) {
    Asking probe(needs, question);
    const ProbeInRun in_run{"asking", 0, "last", &probe, needs};
    const auto outcomes = experiment.probe_host().measure(3, {&in_run}, Reference::fitted);
    EXPECT_TRUE(outcomes[0].ok()) << outcomes[0].error;
  }
  Experiment experiment{built_in_plugins(), small_settings(), torch::kCPU};
};

TEST_F(ProbeServicesTest, TheLossIsThatOfTheRun) {
  for (const std::string more :
       {"", "[train.loss]\nname = \"stablemax\"\n", "loss = \"mse_one_hot\"\n", "output_scale = 3.0\n"}) {
    const auto settings = [&] {
      const std::string text =
          "[task]\nname = \"modular_arithmetic\"\np = 7\n[model]\nd_model = 8\nn_heads = 2\nd_head = 4\n"
          "d_mlp = 16\n[train]\n" +
          more;
      return resolve(Document::from_toml(text, "small.toml"), parameters_from(built_in_plugins()));
    }();
    Experiment of(built_in_plugins(), settings, torch::kCPU);
    const auto same = of.null_model();
    const double reported = of.make_trainer(*same)->evaluate().front().second;  // train/loss
    Asking probe({.inputs = Inputs::train}, [&](const Observation& seen) {
      const torch::Tensor each = seen.losses(seen.logits.to(torch::kFloat64), seen.inputs);
      EXPECT_EQ(each.sizes(), seen.inputs.labels.sizes());
      EXPECT_NEAR(mean_over_labels(each, seen.inputs).item<double>(), reported, 1e-6) << more;
    });
    const ProbeInRun in_run{"asking", 0, "last", &probe, probe.needs()};
    const Outcome outcome = of.probe_host_of(*same).measure(0, {&in_run}, Reference::fitted)[0];
    EXPECT_TRUE(outcome.ok()) << outcome.error;
  }
}

TEST_F(ProbeServicesTest, ACopyMayBeChanged) {
  const torch::Tensor before = experiment.model().weight("embed.W_E").detach().clone();
  ask({.inputs = Inputs::train}, [&](const Observation& seen) {
    const auto copy = seen.copy_of_model();
    const auto run = [&](Model& model) { return model.forward(seen.inputs.tokens).narrow(1, 2, 1); };
    EXPECT_TRUE(run(*copy).equal(run(seen.model)));
    copy->weight("embed.W_E").zero_();
    EXPECT_FALSE(run(*copy).equal(run(seen.model)));
    EXPECT_FALSE(run(*seen.random_model(0)).equal(run(seen.model)));
    EXPECT_FALSE(run(*seen.random_model(0)).equal(run(*seen.random_model(1))));
    EXPECT_FALSE(run(*seen.random_model(0)).equal(run(*seen.random_model(2))));
    EXPECT_FALSE(run(*seen.random_model(1)).equal(run(*experiment.null_model())));
    EXPECT_TRUE(run(*seen.random_model(1)).equal(run(*seen.random_model(1))));
  });
  EXPECT_TRUE(experiment.model().weight("embed.W_E").equal(before));
}

TEST_F(ProbeServicesTest, ActivationsOfAllPositionsAreThoseOfThePlainPass) {
  ask({.inputs = Inputs::test,
       .activations = {"blocks.0.hook_resid_post", "blocks.0.attn.hook_pattern"},
       .positions = Positions::all},
      [&](const Observation& seen) {
        const auto [logits, cache] = run_with_cache(experiment.model(), seen.inputs.tokens);
        EXPECT_TRUE(seen.logits.equal(logits.narrow(1, 2, 1)));
        for (const std::string& name : seen.cache.names()) EXPECT_TRUE(seen.cache[name].equal(cache[name]));
        EXPECT_EQ(seen.cache["blocks.0.hook_resid_post"].size(1), 3);
      });
}

TEST_F(ProbeServicesTest, PartnersHaveTheAnswersOfTheTask) {
  ask({.inputs = Inputs::train}, [&](const Observation& seen) {
    const Batch partners = seen.corrupted(seen.inputs, make_generator(1));
    const torch::Tensor sums = partners.tokens.select(1, 0) + partners.tokens.select(1, 1);
    EXPECT_TRUE(partners.labels.squeeze(1).equal(sums.remainder(7)));
    EXPECT_FALSE(partners.labels.equal(seen.inputs.labels));
  });
}

// By weight, of a full batch: what autograd gives on the plain pass, and Adam's moments before any update.
TEST_F(ProbeServicesTest, TheStateOfTheTrainingIsThatOfTheNextUpdate) {
  const auto untrained = experiment.null_model();
  experiment.set_training([&] { return experiment.make_trainer(*untrained)->state(); });
  ask({.inputs = Inputs::train, .training = true}, [&](const Observation& seen) {
    const TrainingState& training = *seen.training;
    const auto objective = [&](const torch::Tensor& logits) {
      return mean_over_labels(seen.losses(logits.to(torch::kFloat64), seen.inputs), seen.inputs);
    };
    const Gradients plain =
        gradients(seen.model, seen.inputs.tokens, seen.spec.read_out, objective, {.weights = {"*"}});
    EXPECT_NEAR(training.loss, plain.value, 1e-6);
    EXPECT_TRUE(training.batch.tokens.equal(seen.inputs.tokens));
    for (const auto& [name, gradient] : plain.of_weights)
      EXPECT_TRUE(training.gradients.at(name).allclose(gradient, 1e-4, 1e-7)) << name;
    EXPECT_TRUE(training.moments.at("exp_avg/embed.W_E").eq(0).all().item<bool>());
    EXPECT_FALSE(training.moments.contains("updates"));
  });
}

// One state is shown to all probes of a checkpoint.
TEST_F(ProbeServicesTest, TheNextProbeIsShownAWholeStateOfTheTraining) {
  const auto untrained = experiment.null_model();
  experiment.set_training([&] { return experiment.make_trainer(*untrained)->state(); });
  const Needs needs{.inputs = Inputs::none, .training = true};
  TrainingState whole;
  Asking first(needs, [&](const Observation& seen) { whole = *seen.training; });
  const auto unwritten = [&](const Observation& seen) {
    EXPECT_TRUE(seen.training->batch.labels.equal(whole.batch.labels));
    for (const auto& [name, gradient] : whole.gradients)
      EXPECT_TRUE(seen.training->gradients.at(name).equal(gradient)) << name;
    for (const auto& [name, moment] : whole.moments)
      EXPECT_TRUE(seen.training->moments.at(name).equal(moment)) << name;
  };
  Asking good(needs, unwritten);
  const ProbeInRun pf{"first", 0, "last", &first, needs}, pg{"good", 0, "last", &good, needs};
  ASSERT_TRUE(experiment.probe_host().measure(3, {&pf}, Reference::fitted)[0].ok());
  const auto name = whole.gradients.begin()->first;
  const std::vector<std::pair<std::string, Asking::Question>> cases = {
      {"the gradient of \"" + name + "\"", [&](auto& seen) { seen.training->gradients.at(name).mul_(2); }},
      {"the gradient of \"" + name + "\"",
       [&](auto& seen) { torch::Tensor(seen.training->gradients.at(name)).set_data(torch::zeros({2})); }},
      {"the training's moment \"exp_avg/" + name + "\"",
       [&](auto& seen) { seen.training->moments.at("exp_avg/" + name).add_(1); }},
      {"the data train.labels", [](auto& seen) { seen.training->batch.labels.add_(1); }}};
  for (const auto& [what, question] : cases) {
    Asking bad(needs, question);
    const ProbeInRun pb{"bad", 0, "last", &bad, needs, "meddler", "1.0.0"};
    const auto outcomes = experiment.probe_host().measure(3, {&pb, &pg}, Reference::fitted);
    EXPECT_EQ(outcomes[0].error, "probe meddler 1.0.0, measure, step 3: it changed " + what);
    EXPECT_TRUE(outcomes[1].ok()) << outcomes[1].error;
  }
}

TEST_F(ProbeServicesTest, WithoutAStateTheProbeFailsAndSaysWhy) {
  Asking probe({.inputs = Inputs::none, .training = true}, [](const Observation&) {});
  const ProbeInRun in_run{"asking", 0, "last", &probe, probe.needs()};
  const Outcome outcome = experiment.probe_host().measure(3, {&in_run}, Reference::fitted)[0];
  expect_holds(outcome.error, "there is no state of the training here");
}

// A run of minibatches, with every state kept.
constexpr const char* watched = R"(
[[probe]]
name = "training_gradients"
)";

class TrainingProbes : public ::testing::Test {
 protected:
  std::filesystem::path train(const std::string& name, const std::string& more) {
    CollectingReporter reporter;
    train_run(built_in_plugins(), settings(more), folder / name, Start::anew, reporter);
    EXPECT_TRUE(reporter.warnings.empty()) << reporter.warnings.front();
    return folder / name;
  }
  static Settings settings(const std::string& more) {
    const std::string text =
        "name = \"small\"\n[task]\nname = \"modular_arithmetic\"\np = 7\n[model]\nd_model = 8\n"
        "n_heads = 2\nd_head = 4\nd_mlp = 16\n[train]\nsteps = 20\nbatch_size = 6\nlr = 1e-2\n"
        "eval_every = 5\n[checkpoints]\nevery = 5\n" +
        more;
    return resolve(Document::from_toml(text, "small.toml"), parameters_from(built_in_plugins()));
  }
  static std::string results(const std::filesystem::path& run) {
    return bytes_of(run / "probes/training_gradients/results.jsonl");
  }
  TestFolder folder;
};

TEST_F(TrainingProbes, ChangeNoBitOfTheTraining) {
  const auto with = train("with", watched), without = train("without", "");
  for (const std::string step : {"00000005", "00000020"})
    EXPECT_TRUE(
        read_tensors(with / ("checkpoints/step_" + step + ".safetensors"))
            .tensors.back()
            .second.equal(
                read_tensors(without / ("checkpoints/step_" + step + ".safetensors")).tensors.back().second));
  EXPECT_EQ(bytes_of(with / "metrics.jsonl"), bytes_of(without / "metrics.jsonl"));
}

TEST_F(TrainingProbes, GiveTheSameWhileTheRunTrainsAndAfterwards) {
  const auto run = train("kept", std::string("keep_states = true\n") + watched);
  const std::string live = results(run);
  std::filesystem::remove_all(run / "probes");
  CollectingReporter reporter;
  RunDirectory directory = RunDirectory::open(run);
  Experiment experiment(built_in_plugins(), read_settings(directory, built_in_plugins()), torch::kCPU);
  experiment.add_probes(experiment.settings().probes);
  ProbeRunner(experiment, directory, reporter, {.workers = 0}).run(directory.checkpoints());
  EXPECT_EQ(results(run), live);
  EXPECT_EQ(std::count(live.begin(), live.end(), '\n'), 5);
}

TEST_F(TrainingProbes, AreNotAskedWhereTheStateIsGone) {
  const auto run = train("thin", "");
  CollectingReporter reporter;
  RunDirectory directory = RunDirectory::open(run);
  EXPECT_EQ(directory.states(), (std::vector<int64_t>{20}));
  Experiment experiment(built_in_plugins(), settings(watched), torch::kCPU);
  experiment.add_probes(experiment.settings().probes);
  ProbeRunner(experiment, directory, reporter, {.workers = 0}).run(directory.checkpoints());
  const std::string found = results(run);
  EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 1);
  expect_holds(found, "\"step\": 20");
  expect_holds(reporter.notes.back(), "not asked at 4 of 5 checkpoints");
  EXPECT_TRUE(reporter.warnings.empty()) << reporter.warnings.front();
}

}  // namespace
}  // namespace orrery::engine
