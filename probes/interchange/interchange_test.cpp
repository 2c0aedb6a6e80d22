#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/interchange.h>
#include <orrery/subspace.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

using torch::Tensor;

const MlpConfig config{.embedding = MlpConfig::Embedding::input_tied,
                       .d_embed = 8,
                       .d_mlp = 10,
                       .act_fn = MlpConfig::ActFn::square,
                       .init = MlpConfig::Init::constructed,
                       .frequencies = {1, 3}};
const std::string keys = R"("rule": "given", "frequencies": [1, 3])";

ModelOnGrid constructed() {
  CyclicTask task = addition(13);
  auto model = make_mlp(config, task.spec, make_generator(0));
  return {std::move(task), std::move(model)};
}

Recorder measured(ModelOnGrid& network, const std::string& parameters) {
  const auto probe = make_probe("{" + parameters + "}");
  EXPECT_EQ(probe->needs().inputs, Inputs::none);
  Recorder recorder;
  probe->fit(network.observe());
  probe->measure(network.observe(), recorder);
  return recorder;
}

std::string refusal(const std::string& parameters) {
  try {
    make_probe("{" + parameters + "}");
    return "";
  } catch (const UsageError& error) {
    EXPECT_NE(error.hint(), "");
    return error.what();
  }
}

bool has_finding(const Recorder& recorder, const std::string& name) {
  for (const Finding& found : recorder.record().findings)
    if (found.name == name) return true;
  return false;
}

TEST(Interchange, TellsWhereEachVariableIs) {
  auto network = constructed();
  const auto recorder = measured(network, keys);
  EXPECT_EQ(scalar(recorder, "base_accuracy"), 1);
  for (const std::string name :
       {"left/hook_embed", "right/hook_embed", "result/mlp.hook_post", "result/logits"}) {
    EXPECT_EQ(scalar(recorder, "accuracy/" + name), 1) << name;
    EXPECT_EQ(scalar(recorder, "kept/" + name), 0) << name;
    EXPECT_GT(scalar(recorder, "logit_difference/" + name), 0) << name;
    EXPECT_EQ(scalar(recorder, "dimension/" + name), 4) << name;
    EXPECT_FALSE(has_scalar(recorder, "wrong/" + name)) << name;  // no other frequency is there
    EXPECT_LT(scalar(recorder, "other/" + name), 0.2) << name;
    EXPECT_LT(scalar(recorder, "random/" + name), 0.9) << name;
    const Finding found = finding(recorder, "carries/" + name);
    EXPECT_EQ(found.kind, "interchange");
    EXPECT_EQ(std::get<double>(found.fields.at("accuracy")), 1);
  }
  EXPECT_FALSE(has_finding(recorder, "carries/result/mlp.hook_pre"));
  EXPECT_FALSE(has_finding(recorder, "carries/left/mlp.hook_post"));
  EXPECT_EQ(recorder.record().headlines, std::vector<std::string>{"n_carried"});
  const auto names = std::get<std::vector<std::string>>(finding(recorder, "hypotheses").fields.at("names"));
  ASSERT_EQ(tensor(recorder, "accuracy").size(0), static_cast<int64_t>(names.size()));
  for (size_t i = 0; i < names.size(); ++i)
    EXPECT_EQ(tensor(recorder, "accuracy")[int64_t(i)].item<double>(),
              scalar(recorder, "accuracy/" + names[i]));
}

TEST(Interchange, OfRandomWeightsIsNothing) {
  auto network = random_mlp({.embedding = MlpConfig::Embedding::input_tied, .d_embed = 16, .d_mlp = 24}, 13);
  const auto recorder = measured(network, keys);
  EXPECT_EQ(scalar(recorder, "n_carried"), 0);
  for (const auto& [name, value] : recorder.record().scalars)
    if (name.rfind("accuracy/", 0) == 0) EXPECT_LT(value, 0.3) << name;
}

// A network that answers a: everything of b, and of a + b, is beside the point.
TEST(Interchange, DoesNotTakeWhatIsSeenForWhatIsUsed) {
  auto network = constructed();
  const torch::NoGradGuard no_grad;
  network.model->weight("unembed.W_U").zero_();  // it still computes a + b in its neurons
  const auto recorder = measured(network, keys + R"(, "hypotheses": ["result/mlp.hook_post"])");
  EXPECT_EQ(scalar(recorder, "dimension/result/mlp.hook_post"), 4);
  EXPECT_LT(scalar(recorder, "accuracy/result/mlp.hook_post"), 0.2);
  EXPECT_EQ(scalar(recorder, "n_carried"), 0);
}

TEST(Interchange, PairsFollowTheSeed) {
  auto network = constructed();
  const std::string few = keys + R"(, "hypotheses": ["left/mlp.hook_post"], "pairs": 200)";
  const auto of = [&](const std::string& more) {
    return scalar(measured(network, few + more), "logit_difference/left/mlp.hook_post");
  };
  EXPECT_EQ(of(""), of(""));
  EXPECT_NE(of(""), of(R"(, "seed": 1)"));
  EXPECT_NE(of(""), of(R"(, "all_pairs": true)"));
}

TEST(Interchange, SearchesASubspaceBesideTheGivenOne) {
  auto network = constructed();
  const auto recorder = measured(
      network, keys + R"(, "hypotheses": ["result/mlp.hook_post", "result/logits"], "das_dimension": 4)");
  EXPECT_GT(scalar(recorder, "das/result/mlp.hook_post"), 0.9);
  EXPECT_GE(scalar(recorder, "das_angle/result/mlp.hook_post"), 0);
  EXPECT_FALSE(has_scalar(recorder, "das/result/logits"));
}

// Of nine inputs there are 72 pairs: so many draws leave none to test on, and so few leave some.
TEST(Interchange, TestsASubspaceOnPairsThatItWasNotFoundOn) {
  CyclicTask task = addition(3);
  MlpConfig small = config;
  small.frequencies = {1};
  small.d_mlp = 5;
  auto model = make_mlp(small, task.spec, make_generator(0));
  ModelOnGrid network{std::move(task), std::move(model)};
  const auto das = [&](const std::string& pairs) {
    return scalar(measured(network, R"("rule": "given", "frequencies": [1], "das_dimension": 2,
                                       "hypotheses": ["result/mlp.hook_post"], "pairs": )" +
                                        pairs),
                  "das/result/mlp.hook_post");
  };
  EXPECT_TRUE(std::isnan(das("3000")));
  EXPECT_FALSE(std::isnan(das("30")));
}

TEST(Interchange, ConcludesFromWhichStepOnAVariableIsUsed) {
  const auto probe = make_probe(R"({"carried_at": 0.8, "progress": ["probe/trig_loss/loss/test"]})");
  EXPECT_EQ(probe->needs().curves, std::vector<std::string>{"probe/trig_loss/loss/test"});
  const std::vector<int64_t> steps{0, 10, 20, 30};
  const std::vector<std::vector<double>> accuracy{{0, 0.9, 0.5, 1}, {0.8, 0.8, 0.9, 1}, {1, 1, 1, 0.7}};
  History history;
  history.tensors.push_back(
      {"accuracy", steps, [&](int64_t step) {
         const auto at = size_t(step / 10);
         return torch::tensor({accuracy[0][at], accuracy[1][at], accuracy[2][at]}, torch::kFloat64);
       }});
  const Finding named{"hypotheses", "hypotheses", {{"names", std::vector<std::string>{"x/a", "x/b", "x/c"}}}};
  history.findings.push_back({"hypotheses", steps, {named, named, named, named}});
  // In logarithms from ln 1 to ln 1e-4: half of it is 1e-2, below which it stays from 20 on.
  history.curves.push_back({"probe/trig_loss/loss/test", steps, {1, 1e-3, 9e-3, 1e-4}});
  // A loss of 0 is as far down as the smallest above it: half of it is ln 1e-1.5, passed from 10 on.
  history.curves.push_back({"to_0", steps, {1, 1e-3, 9e-3, 0}});
  Recorder recorder;
  probe->conclude(history, recorder);
  EXPECT_EQ(scalar(recorder, "halfway/to_0"), 10);
  EXPECT_EQ(scalar(recorder, "used_from/x/a"), 30);
  EXPECT_EQ(scalar(recorder, "used_from/x/b"), 0);
  EXPECT_TRUE(std::isnan(scalar(recorder, "used_from/x/c")));
  EXPECT_EQ(scalar(recorder, "halfway/probe/trig_loss/loss/test"), 10);
  EXPECT_EQ(recorder.record().figures.front().traces.size(), 5u);
}

TEST(Interchange, RefusesWhatContradictsItself) {
  EXPECT_NE(refusal(R"("rule": "given")"), "");
  EXPECT_NE(refusal(R"("tensor": "x")"), "");
  EXPECT_NE(refusal(R"("directions": "x.safetensors")").find("sites is empty"), std::string::npos);
  EXPECT_NE(refusal(R"("directions": "no/such.safetensors", "sites": ["logits"])"), "");
  const auto needs = make_probe()->needs();
  const auto model = make_mlp({.d_embed = 4, .d_mlp = 4}, {3, 3, 2, {1}, {}}, make_generator(0));
  EXPECT_EQ(needs.refusal(*model, {3, 3, 2, {1}, {}}), "");
  EXPECT_NE(needs.refusal(*model, {3, 1, 2, {1}, {}}), "");
}

}  // namespace
}  // namespace orrery::testing
