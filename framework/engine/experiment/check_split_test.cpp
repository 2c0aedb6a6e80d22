// Errors name a task's bad data and how to mend them.
#include "engine/experiment/check_split.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

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
