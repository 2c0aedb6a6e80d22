#include "repeats.h"

#include <gtest/gtest.h>
#include <orrery/error.h>

namespace induction_heads {
namespace {

using orrery::TaskSpec;
using orrery::UsageError;

TEST(Repeats, AreTheSameDifferentTokensTwiceOver) {
  const TaskSpec spec{.d_vocab = 12, .d_vocab_out = 10, .n_ctx = 16, .read_out = {15}};
  for (const std::optional<int64_t> bos : {std::optional<int64_t>(), std::optional<int64_t>(11), {4}}) {
    const Repeats r = draw_repeats(spec, bos, 0, 40, 1);
    EXPECT_EQ(r.length, bos ? 7 : 8);
    EXPECT_EQ(r.start, bos ? 1 : 0);
    ASSERT_EQ(r.tokens.sizes(), (std::vector<int64_t>{40, 16}));
    std::vector<int64_t> seen(12, 0);
    for (int64_t row = 0; row < 40; ++row) {
      if (bos) {
        EXPECT_EQ(r.tokens[row][0].item<int64_t>(), *bos);
      }
      std::vector<int64_t> times(12, 0);
      for (int64_t p = r.start; p < r.end(); ++p) ++times[r.tokens[row][p].item<int64_t>()];
      for (int64_t token = 0; token < 12; ++token) {
        EXPECT_TRUE(times[token] == 0 || times[token] == 2);
        if (token >= 10 || token == bos) {
          EXPECT_EQ(times[token], 0);
        }
        seen[token] += times[token];
      }
      for (int64_t p = r.start; p < r.start + r.length; ++p)
        EXPECT_EQ(r.tokens[row][p].item<int64_t>(), r.tokens[row][p + r.length].item<int64_t>());
    }
    for (int64_t token = 0; token < 10; ++token)
      if (token != bos) {
        EXPECT_GT(seen[token], 0);
      }
    EXPECT_TRUE(r.tokens.equal(draw_repeats(spec, bos, 0, 40, 1).tokens));
    EXPECT_FALSE(r.tokens.equal(draw_repeats(spec, bos, 0, 40, 2).tokens));
  }
}

TEST(Repeats, AreNoLongerThanDifferentTokensAllow) {
  const TaskSpec spec{.d_vocab = 5, .d_vocab_out = 5, .n_ctx = 16, .read_out = {15}};
  EXPECT_EQ(draw_repeats(spec, {}, 0, 1, 1).length, 5);
  EXPECT_EQ(draw_repeats(spec, 2, 0, 1, 1).length, 4);
  EXPECT_EQ(draw_repeats(spec, {}, 3, 1, 1).length, 3);
  EXPECT_THROW(draw_repeats(spec, {}, 6, 1, 1), UsageError);
}

TEST(Repeats, KnowTheStretchOfTheTask) {
  const auto tokens = torch::tensor({{9, 1, 2, 3, 1, 2, 3, 1}, {9, 4, 5, 4, 4, 5, 4, 4}});
  const orrery::Structure declared{.repeats = orrery::RepeatStructure{.length = 5, .times = 3}};
  EXPECT_EQ(trained_stretch(declared, tokens, 9).length, 5);
  EXPECT_EQ(trained_stretch(declared, {}, {}).known_from, "the task");
  const Trained seen = trained_stretch({}, tokens, 9);
  EXPECT_EQ(seen.length, 3);
  EXPECT_EQ(seen.known_from, "the training inputs");
  EXPECT_EQ(trained_stretch({}, tokens, {}).length, 0);  // with BOS in it there is no period
  EXPECT_EQ(trained_stretch({}, torch::tensor({{1, 1, 1, 1}}), {}).length, 0);
  EXPECT_EQ(trained_stretch({}, torch::tensor({{1, 2, 1, 2}, {1, 2, 3, 4}}), {}).length, 0);
  EXPECT_EQ(trained_stretch({}, {}, {}).length, 0);
}

TEST(Repeats, KnowBosByItsPlace) {
  EXPECT_EQ(find_bos(torch::tensor({{5, 1, 2}, {5, 2, 2}})), 5);
  EXPECT_EQ(find_bos(torch::tensor({{5, 1, 2}, {5, 2, 5}})), std::nullopt);
  EXPECT_EQ(find_bos(torch::tensor({{5, 1, 2}, {4, 2, 3}})), std::nullopt);
  EXPECT_EQ(find_bos(torch::tensor({{1, 5, 2}, {4, 5, 3}})), std::nullopt);
  EXPECT_EQ(find_bos({}), std::nullopt);
}

}  // namespace
}  // namespace induction_heads
