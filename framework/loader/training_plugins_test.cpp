// Losses, updates and models of plugins: what is asked for as another kind, and what each call is held to.
#include "loader/instance.h"

#include <cmath>

#include "tests/support/loader_fixtures.h"

namespace orrery::test {
namespace {

const Plugin& training_plugin(const std::string& name) {
  static auto* registry = [] {
    auto* all = new Registry;
    for (const char* file : {"lying_loss", "lying_update", "lying_model"}) all->load_file(bad_plugin(file));
    return all;
  }();
  return *registry->find(name).front();
}

const TaskSpec shapes{.d_vocab = 5, .d_vocab_out = 3, .n_ctx = 2, .read_out = {1}};

Batch labelled() {
  return {.tokens = torch::tensor({{0, 1}, {4, 2}}, torch::kInt64),
          .labels = torch::tensor({{0}, {2}}, torch::kInt64)};
}

torch::Tensor logits_of_zero() {
  return torch::zeros({2, 1, 3}, torch::dtype(torch::kFloat64).requires_grad(true)) * 1;
}

Instance<LossFunction> loss_with(const std::string& fault) {
  return make_loss(training_plugin("lying_loss"), {{"fault", fault}});
}

TEST(TrainingKinds, AreMadeAndUsed) {
  EXPECT_EQ(training_plugin("lying_loss").kind, PluginKind::loss);
  EXPECT_EQ(training_plugin("lying_update").kind, PluginKind::update);
  EXPECT_EQ(training_plugin("lying_model").kind, PluginKind::model);
  const auto loss = loss_with("");
  const Batch batch = labelled();
  EXPECT_NEAR(loss->reduce(loss->each(logits_of_zero(), batch), batch).item<double>(), std::log(3.0), 1e-12);
  const auto update = make_update(training_plugin("lying_update"), {{"stage", std::string("weights")}});
  EXPECT_EQ(update->stage(), Update::Stage::weights);
  const auto model = make_model_maker(training_plugin("lying_model"), {})->make(shapes, make_generator(0));
  EXPECT_EQ(model->forward(batch.tokens).sizes(), (std::vector<int64_t>{2, 2, 3}));
  EXPECT_EQ(model->hook_point_names(), std::vector<std::string>{"hook_mean"});
}

TEST(TrainingKinds, AreNamedWhereAnotherIsAskedFor) {
  EXPECT_CONTAINS(refusal([] { make_update(training_plugin("lying_loss"), {}); }),
                  "\"lying_loss\" is a loss, not an update");
  EXPECT_CONTAINS(refusal([] { make_loss(training_plugin("lying_update"), {}); }),
                  "\"lying_update\" is an update, not a loss");
  EXPECT_CONTAINS(refusal([] { make_model_maker(training_plugin("lying_loss"), {}); }),
                  "\"lying_loss\" is a loss, not a model");
  EXPECT_CONTAINS(refusal([] { make_task(training_plugin("lying_model"), {}); }),
                  "\"lying_model\" is a model, not a task");
  Registry registry;
  registry.load_file(bad_plugin("lying_update"));
  EXPECT_CONTAINS(refusal([&] { registry.find(PluginKind::loss, "lying_update"); }),
                  "no loss \"lying_update\"; there is an update of that name");
}

TEST(TrainingKinds, NameThemselvesInWhatTheyThrow) {
  const auto create = [](auto* make, const std::string& name) {
    return refusal([&] { make(training_plugin(name), {{"fault", std::string("create")}}); });
  };
  EXPECT_CONTAINS(create(make_loss, "lying_loss"), "loss lying_loss 1.0.0, create: asked to fail");
  EXPECT_CONTAINS(create(make_update, "lying_update"), "update lying_update 1.0.0, create: asked to fail");
  const auto maker =
      make_model_maker(training_plugin("lying_model"), {{"fault", std::string("refuses_all")}});
  EXPECT_CONTAINS(refusal([&] { maker->make(shapes, make_generator(0)); }),
                  "model lying_model 1.0.0, make: it is tired");
  EXPECT_CONTAINS(refusal([] { loss_with("throws")->each(logits_of_zero(), labelled()); }),
                  "loss lying_loss 1.0.0, each: the table is worn out");
}

TEST(TrainingKinds, AreHeldToWhatALossGives) {
  const Batch batch = labelled();
  const auto each_refused = [&](const char* fault) {
    return refusal([&] { loss_with(fault)->each(logits_of_zero(), batch); });
  };
  EXPECT_CONTAINS(each_refused("sums"),
                  "it gives a tensor [] of dtype Double; expected one loss for each label, [2, 1] of dtype");
  EXPECT_CONTAINS(each_refused("another_dtype"), "it gives a tensor [2, 1] of dtype Half");
  EXPECT_CONTAINS(each_refused("detached"), "it gives losses that do not depend on the logits");
  const auto reduce_refused = [&](const char* fault) {
    return refusal([&] {
      const auto loss = loss_with(fault);
      loss->reduce(loss->each(logits_of_zero(), batch), batch);
    });
  };
  EXPECT_CONTAINS(reduce_refused("gives_a_vector"), "it gives a tensor [1] of dtype Double; expected one");
  EXPECT_CONTAINS(reduce_refused("reduces_to_a_number"), "a number that does not depend on the logits");
  // Where there is no gradient to be taken, a loss need not have one.
  const torch::NoGradGuard no_grad;
  EXPECT_NO_THROW(loss_with("detached")->each(logits_of_zero(), batch));
}

// The training goes on with the tensors that a loss is shown: labels, mask, weights, ...
TEST(TrainingKinds, MayNotWriteIntoWhatALossIsShown) {
  const auto whole = [] {
    Batch batch = labelled();
    batch.scored = torch::ones({2, 1}, torch::kBool);
    batch.groups = torch::ones({2, 1}, torch::kInt64);
    batch.repeat_of = torch::ones({2, 2}, torch::kInt64);
    batch.weights = torch::ones({2});
    batch.auxiliary["carry"] = torch::ones({2}, torch::kInt64);
    return batch;
  };
  const auto refused = [&](const std::string& fault) {
    return refusal([&] {
      const auto loss = loss_with(fault);
      const Batch batch = whole();
      loss->reduce(loss->each(logits_of_zero(), batch), batch);
    });
  };
  EXPECT_CONTAINS(refused("writes_into_logits"), "each: it wrote into logits, which it was given to read");
  ASSERT_EQ(whole().tensors().size(), 7u);
  for (const auto& [name, tensor] : whole().tensors()) {
    EXPECT_CONTAINS(refused("writes_into_" + name), "each: it wrote into batch." + name + ", which");
    EXPECT_CONTAINS(refused("reduces_into_" + name), "reduce: it wrote into batch." + name + ", which");
  }
}

}  // namespace
}  // namespace orrery::test
