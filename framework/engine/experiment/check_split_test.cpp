// Errors name a task's bad data and how to mend them.
#include "engine/experiment/check_split.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include <cmath>
#include <functional>

namespace orrery::engine {
namespace {

const TaskSpec spec{6, 5, 3, {2}, {}};

std::unique_ptr<Model> model() {
  return make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, spec, make_generator(0));
}

Batch batch(int64_t n, uint64_t seed) {
  torch::Generator rng = make_generator(seed);
  return {
      torch::randint(6, {n, 3}, rng, torch::kInt64), torch::randint(5, {n, 1}, rng, torch::kInt64), {}, {}};
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(CheckSample, LooksAtEveryBatch) {
  Batch good = batch(4, 1);
  check_sample(spec, 4, good);
  EXPECT_EQ(message_of([&] { check_sample(spec, 5, good); }),
            "the task's sample() gives 4 examples; it was asked for 5");
  good.labels[2] = -1;
  EXPECT_EQ(message_of([&] { check_sample(spec, 4, good); }).substr(0, 39),
            "the task's sample() gives labels from -");
}

TEST(CheckModel, TakesTheFrameworksOwn) {
  check_model(*model(), spec, batch(4, 1));
  check_model(*model(), spec, batch(1, 1));
}

TEST(CheckSplit, SaysWhatToDo) {
  const auto hint = [&](const std::function<void(Split&)>& spoil) -> std::string {
    Split split{batch(4, 1), batch(4, 2), {}, {}, {}};
    spoil(split);
    try {
      check_split(spec, split);
    } catch (const Error& error) {
      return error.hint();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(
      hint([](Split& split) { split.train.labels = split.train.labels.squeeze(1); }),
      "it is [batch, n_read], a column for each position in read_out; n_ctx and read_out are what spec() "
      "says; .unsqueeze(1) adds a dimension of 1");
  EXPECT_EQ(hint([](Split& split) { split.train.labels = split.train.labels.to(torch::kInt32); }),
            "make it so with .to(torch::kInt64)");
  EXPECT_EQ(hint([](Split& split) { split.test.tokens = split.test.tokens + 3; }),
            "d_vocab in spec() is 6; mend that, or what makes the numbers");
}

// What is said of a task with metrics, auxiliary labels and weights, spoiled.
std::string said_of(const std::function<void(TaskSpec&, Batch&)>& spoil) {
  TaskSpec s = spec;
  s.metrics = {"all_right", "digits/first"};
  s.auxiliary = {"carry", "parity"};
  Split split{batch(4, 1), batch(4, 2), {}, {}, {}};
  for (Batch* set : {&split.train, &split.test}) {
    set->auxiliary = {{"carry", torch::full({4, 1}, -7, torch::kInt64)},
                      {"parity", torch::ones({4}, torch::kInt64)}};
    set->weights = torch::ones({4});
  }
  spoil(s, split.test);
  return message_of([&] { check_split(s, split); });
}

TEST(CheckSplit, TakesMetricsAuxiliaryLabelsAndWeights) {
  EXPECT_EQ(said_of([](TaskSpec&, Batch&) {}), "nothing was thrown");
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) {
              set.auxiliary["parity"] = torch::ones({4, 3}, torch::kInt64);  // one for each token
              set.weights = torch::full({4, 1}, 0.5f);
            }),
            "nothing was thrown");
}

TEST(CheckSplit, SaysWhichNameIsWrong) {
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) { s.metrics[1] = "a//b"; }),
            "the task's spec() has metrics[1], and the name \"a//b\" has an empty part");
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) { s.metrics[1] = "all_right"; }),
            "the task's spec() has \"all_right\" twice in metrics");
  for (const char* taken : {"loss", "loss/first", "accuracy"})
    EXPECT_EQ(said_of([&](TaskSpec& s, Batch&) { s.metrics[0] = taken; }).substr(0, 34),
              "the task's spec() has the metric \"")
        << taken;
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) { s.auxiliary[0] = ""; }),
            "the task's spec() has auxiliary[0], and the name is empty");
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) { s.auxiliary.pop_back(); }),
            "the task's split() gives train.auxiliary[\"parity\"], which its spec() does not name");
}

TEST(CheckSplit, SaysWhichAuxiliaryLabelOrWeightIsWrong) {
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) { set.auxiliary.erase("carry"); }),
            "the task's split() leaves test.auxiliary[\"carry\"] undefined");
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) {
              set.auxiliary["carry"] = torch::ones({4, 1});
            }),
            "the task's split() gives test.auxiliary[\"carry\"] of shape [4, 1] and dtype Float; expected "
            "[4, 1] and "
            "Long");
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) {
              set.auxiliary["carry"] = torch::ones({4, 2}, torch::kInt64);
            }),
            "the task's split() gives test.auxiliary[\"carry\"] of shape [4, 2] and dtype Long; expected [4, "
            "1] and "
            "Long");
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) { set.auxiliary["parity"] = torch::ones({3}, torch::kInt64); }),
            "the task's split() gives test.auxiliary[\"parity\"] of shape [3] and dtype Long; expected [4] "
            "and Long");
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) { set.weights = torch::ones({4}, torch::kFloat64); }),
            "the task's split() gives test.weights of shape [4] and dtype Double; expected [4] and Float");
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) { set.weights[2] = 0; }),
            "the task's split() gives test.weights with 0 at place 2; expected finite weights above 0");
  EXPECT_EQ(said_of([](TaskSpec&, Batch& set) { set.weights[1] = NAN; }),
            "the task's split() gives test.weights with nan at place 1; expected finite weights above 0");
}

TEST(CheckSplit, SaysWhichLossIsWrong) {
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) { s.loss = Loss::logistic; }),
            "the task's spec() has logistic loss and d_vocab_out 5; expected 1");
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) { s.label_smoothing = 1; }),
            "the task's spec() has label_smoothing 1; expected 0 or more, and less than 1");
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) {
              s.label_smoothing = 0.1;
              s.loss = Loss::mse_one_hot;
            }),
            "the task's spec() has label_smoothing 0.1 and the loss mse_one_hot, which has none");
  EXPECT_EQ(said_of([](TaskSpec& s, Batch&) {
              s.loss = Loss::logistic;
              s.d_vocab_out = 1;
            }).substr(0, 42),
            "the task's split() gives train.labels from");
}

TEST(CheckSplit, WantsPaddingToBeAToken) {
  for (const int64_t pad_token : {-1, 0, 5})
    EXPECT_EQ(said_of([&](TaskSpec& s, Batch&) { s.pad_token = pad_token; }), "nothing was thrown");
  for (const int64_t pad_token : {-2, 6})
    EXPECT_EQ(said_of([&](TaskSpec& s, Batch&) { s.pad_token = pad_token; }),
              "the task's spec() has pad_token " + std::to_string(pad_token) +
                  "; expected a token, 0 to 5, or -1 for none");
}

TEST(CheckMetrics, WantsANumberForEachName) {
  TaskSpec s = spec;
  s.metrics = {"a", "b"};
  check_metrics(s, {1, NAN});
  EXPECT_EQ(message_of([&] { check_metrics(s, {1}); }),
            "the task's metrics() gives 1 numbers; spec() names 2: a, b");
}

TEST(CheckSplit, SaysWhichTensorIsWrong) {
  const Split good{batch(4, 1), batch(4, 2), {}, {}, {}};
  check_split(spec, good);
  const auto said = [&](const std::function<void(TaskSpec&, Split&)>& spoil) {
    TaskSpec s = spec;
    Split split = good;
    spoil(s, split);
    return message_of([&] { check_split(s, split); });
  };
  EXPECT_EQ(said([](TaskSpec&, Split& split) { split.train.labels = split.train.labels.squeeze(1); }),
            "the task's split() gives train.labels of shape [4] and dtype Long; expected [4, 1] and Long");
  EXPECT_EQ(said([](TaskSpec&, Split& split) { split.test.tokens = split.test.tokens + 3; }).substr(0, 41),
            "the task's split() gives test.tokens from");
  EXPECT_EQ(said([](TaskSpec& s, Split&) { s.read_out = {3}; }),
            "the task's spec() has read_out [3]; expected ascending positions in 0..2");
  EXPECT_EQ(said([](TaskSpec& s, Split&) {
              s.read_out = {1, 1};
            }).substr(0, 38),
            "the task's spec() has read_out [1, 1];");
  EXPECT_EQ(said([](TaskSpec& s, Split&) { s.groups = {"a"}; }),
            "the task's split() leaves train.groups undefined");
  EXPECT_EQ(said([](TaskSpec&, Split& split) { split.train.labels = torch::Tensor(); }),
            "the task's split() leaves train.labels undefined");
}

}  // namespace
}  // namespace orrery::engine
