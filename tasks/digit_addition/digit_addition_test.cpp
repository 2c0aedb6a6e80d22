#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <cmath>
#include <set>

namespace orrery::testing {
namespace {

std::string digits_json(int64_t n) { return R"({"n_digits": )" + std::to_string(n) + "}"; }

// The number written in tokens first..first + n - 1; at most 16 digits.
int64_t number(const torch::Tensor& tokens, int64_t first, int64_t n) {
  int64_t value = 0;
  for (int64_t i = first; i < first + n; ++i) {
    EXPECT_LT(tokens[i].item<int64_t>(), 10);
    value = 10 * value + tokens[i].item<int64_t>();
  }
  return value;
}

TEST(DigitAddition, SpecIsThatOfThePublishedNetwork) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 12);
  EXPECT_EQ(spec.d_vocab_out, 10);
  EXPECT_EQ(spec.n_ctx, 18);
  EXPECT_EQ(spec.read_out, (std::vector<int64_t>{11, 12, 13, 14, 15, 16}));
  EXPECT_EQ(spec.groups,
            (std::vector<std::string>{"digit_5", "digit_4", "digit_3", "digit_2", "digit_1", "digit_0"}));
  EXPECT_TRUE(spec.endless);
  EXPECT_FALSE(make_task(R"({"n_train": 750})")->spec().endless);
}

TEST(DigitAddition, ShowsWhatAPersonWouldWrite) {
  EXPECT_EQ(make_task()->show(
                torch::tensor({1, 3, 4, 5, 2, 10, 5, 8, 3, 2, 1, 11, 0, 7, 1, 7, 7, 3}, torch::kInt64)),
            "13452+58321=071773");
}

TEST(DigitAddition, EverySumAndEveryLabelIsRight) {
  for (const int64_t n : {1, 2, 5, 15}) {
    const auto task = make_task(digits_json(n));
    const auto spec = task->spec();
    const auto batch = task->sample(500, 0, make_generator(3));
    ASSERT_EQ(batch.tokens.sizes(), (std::vector<int64_t>{500, 3 * n + 3}));
    ASSERT_EQ(batch.labels.sizes(), (std::vector<int64_t>{500, n + 1}));
    ASSERT_EQ(batch.groups.sizes(), batch.labels.sizes());
    EXPECT_FALSE(batch.scored.defined());
    for (int64_t row = 0; row < batch.size(); ++row) {
      const auto tokens = batch.tokens[row];
      EXPECT_EQ(tokens[n].item<int64_t>(), 10);
      EXPECT_EQ(tokens[2 * n + 1].item<int64_t>(), 11);
      const int64_t sum = number(tokens, 0, n) + number(tokens, n + 1, n);
      EXPECT_EQ(number(tokens, 2 * n + 2, n + 1), sum) << task->show(tokens);
      for (int64_t i = 0; i <= n; ++i) {
        const auto label = batch.labels[row][i].item<int64_t>();
        EXPECT_EQ(label, tokens[spec.read_out[i] + 1].item<int64_t>());
        // The group's name says which digit of the sum the label is.
        const std::string group = spec.groups[batch.groups[row][i].item<int64_t>()];
        ASSERT_EQ(group.substr(0, 6), "digit_");
        EXPECT_EQ(label, sum / std::llround(std::pow(10, std::stoll(group.substr(6)))) % 10);
      }
    }
  }
}

// The sum of published networks: 4 digits, no carry digit, read out at positions 9 to 12.
TEST(DigitAddition, TheSumMayLackTheCarryDigit) {
  const auto task = make_task(R"({"n_digits": 4, "carry_digit": false})");
  const auto spec = task->spec();
  EXPECT_EQ(spec.d_vocab, 12);
  EXPECT_EQ(spec.d_vocab_out, 10);
  EXPECT_EQ(spec.n_ctx, 14);
  EXPECT_EQ(spec.read_out, (std::vector<int64_t>{9, 10, 11, 12}));
  EXPECT_EQ(spec.groups, (std::vector<std::string>{"digit_3", "digit_2", "digit_1", "digit_0"}));
  const auto batch = task->sample(500, 0, make_generator(3));
  int64_t beyond = 0;
  for (int64_t row = 0; row < 500; ++row) {
    const auto tokens = batch.tokens[row];
    const int64_t sum = number(tokens, 0, 4) + number(tokens, 5, 4);
    EXPECT_EQ(number(tokens, 10, 4), sum % 10000) << task->show(tokens);
    EXPECT_EQ(number(batch.labels[row], 0, 4), sum % 10000);
    beyond += sum >= 10000;
  }
  EXPECT_GT(beyond, 150);  // half of them
}

// 64 + 58 = 122, written 64+58=221 and 46+85=221.
TEST(DigitAddition, NumbersMayBeginWithTheOnes) {
  const auto normal = make_task(digits_json(2))->sample(300, 0, make_generator(7)).tokens;
  for (const std::string order : {"reversed_sum", "reversed"}) {
    const auto task = make_task(R"({"n_digits": 2, "order": ")" + order + "\"}");
    EXPECT_EQ(task->spec().groups, (std::vector<std::string>{"digit_0", "digit_1", "digit_2"}));
    EXPECT_EQ(task->spec().read_out, (std::vector<int64_t>{5, 6, 7}));
    const auto batch = task->sample(300, 0, make_generator(7));  // the same numbers
    for (int64_t row = 0; row < 300; ++row) {
      const auto written = [&](const torch::Tensor& tokens, int64_t first, int64_t n) {
        return make_task()->show(tokens[row].narrow(0, first, n));
      };
      const auto backwards = [](std::string text) { return std::string(text.rbegin(), text.rend()); };
      for (const int64_t operand : {0, 3}) {
        const std::string plain = written(normal, operand, 2);
        EXPECT_EQ(written(batch.tokens, operand, 2), order == "reversed" ? backwards(plain) : plain);
      }
      EXPECT_EQ(written(batch.tokens, 6, 3), backwards(written(normal, 6, 3)));
      EXPECT_TRUE(torch::equal(batch.labels[row], batch.tokens[row].narrow(0, 6, 3)));
    }
  }
}

// In base 2: 11 + 01 = 100; 3 + 1 = 4.
TEST(DigitAddition, DigitsMayBeOfAnotherBase) {
  const auto task = make_task(R"({"n_digits": 2, "base": 2})");
  EXPECT_EQ(task->spec().d_vocab, 4);
  EXPECT_EQ(task->spec().d_vocab_out, 2);
  const auto batch = task->sample(200, 0, make_generator(1));
  std::set<std::string> seen;
  for (int64_t row = 0; row < 200; ++row) seen.insert(task->show(batch.tokens[row]));
  EXPECT_EQ(seen.size(), 16u);
  for (const std::string sum : {"00+00=000", "11+01=100", "10+10=100", "11+11=110", "01+01=010"})
    EXPECT_TRUE(seen.contains(sum)) << sum;
  EXPECT_EQ(
      make_task(R"({"n_digits": 1, "base": 16})")->show(torch::tensor({15, 16, 10, 17, 1, 9}, torch::kInt64)),
      "f+a=19");
}

// As published sums without a carry digit are drawn: they never need it.
TEST(DigitAddition, LeadingDigitsMayBeSmall) {
  const auto batch = sample_of(R"({"n_digits": 3, "carry_digit": false, "leading_below": 5})", 20000);
  for (const int64_t leading : {0, 4}) expect_uniform(batch.tokens.select(1, leading), 5);
  for (const int64_t other : {1, 2, 5, 6}) expect_uniform(batch.tokens.select(1, other), 10);
  for (int64_t row = 0; row < 500; ++row)
    EXPECT_EQ(number(batch.tokens[row], 8, 3),
              number(batch.tokens[row], 0, 3) + number(batch.tokens[row], 4, 3));
}

// What it drew before it had other orders and bases: stored runs make their data again.
TEST(DigitAddition, ByDefaultDigitsAreDrawnAtOnce) {
  const auto digits = torch::randint(10, {50, 10}, make_generator(9), torch::kInt64);
  const auto tokens = sample_of("{}", 50, 9).tokens;
  EXPECT_TRUE(torch::equal(tokens.narrow(1, 0, 5), digits.narrow(1, 0, 5)));
  EXPECT_TRUE(torch::equal(tokens.narrow(1, 6, 5), digits.narrow(1, 5, 5)));
}

TEST(DigitAddition, CarriesRunThroughAllDigits) {
  // Of a hundred thousand sums of two digits every one of the 10,000 should be there but for a handful:
  // 10,000 e^-10 = 0.45 are missing on average.
  const auto task = make_task(digits_json(2));
  const auto batch = task->sample(100000, 0, make_generator(1));
  std::set<std::string> seen;
  for (int64_t row = 0; row < batch.size(); ++row) seen.insert(task->show(batch.tokens[row]));
  EXPECT_GE(seen.size(), 9990u);
  EXPECT_TRUE(seen.count("99+01=100"));
  EXPECT_TRUE(seen.count("99+99=198"));
  EXPECT_TRUE(seen.count("00+00=000"));
  EXPECT_TRUE(seen.count("05+04=009"));
}

TEST(DigitAddition, OperandsAreUniform) {
  const auto tokens = sample_of("{}", 20000).tokens;
  for (const int64_t position : {0, 1, 2, 3, 4, 6, 7, 8, 9, 10})
    expect_uniform(tokens.select(1, position), 10);
  expect_uniform(tokens.select(1, 0) * 10 + tokens.select(1, 6), 100);  // and independent
  expect_uniform(tokens.select(1, 3) * 10 + tokens.select(1, 4), 100);
}

TEST(DigitAddition, TrainsOnAsManySumsAsAsked) { expect_as_many_as_asked(750, 100); }

TEST(DigitAddition, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(DigitAddition, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(DigitAddition, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"n_digits": 1, "n_train": 101})"),
            "training would have 101 of the 100 sums that exist");
  EXPECT_EQ(refusal(R"({"n_digits": 1, "n_train": 100})"), "");
  EXPECT_EQ(refusal(R"({"n_digits": 15, "n_train": 1000000})"), "");
  EXPECT_EQ(refusal(R"({"n_digits": 1, "base": 3, "n_train": 10})"),
            "training would have 10 of the 9 sums that exist");
  EXPECT_EQ(refusal(R"({"n_digits": 1, "leading_below": 2, "n_train": 5})"),
            "training would have 5 of the 4 sums that exist");
  EXPECT_EQ(refusal(R"({"base": 4, "leading_below": 5})"),
            "leading_below = 5 is more than there are digits in base 4");
  EXPECT_THROW(make_task(R"({"order": "backwards"})"), Error);
  for (const std::string json : {R"({"n_digits": 0})", R"({"n_train": -1})", R"({"n_test": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

TEST(DigitAddition, CorruptsByOneDigit) {
  for (const std::string json : {R"({"n_digits": 3})", R"({"n_digits": 3, "order": "reversed"})",
                                 R"({"n_digits": 2, "order": "reversed_sum", "leading_below": 2})"}) {
    const auto task = make_task(json);
    const int64_t n_sum = static_cast<int64_t>(task->spec().read_out.size());
    const Batch clean = task->sample(200, 0, make_generator(1));
    const Batch partners = task->corrupt(clean, make_generator(2));
    const int64_t n_given = clean.tokens.size(1) - n_sum;
    EXPECT_TRUE((partners.tokens.narrow(1, 0, n_given) != clean.tokens.narrow(1, 0, n_given))
                    .sum(1)
                    .eq(1)
                    .all()
                    .item<bool>());
    EXPECT_TRUE(partners.labels.equal(partners.tokens.narrow(1, n_given, n_sum)));
    EXPECT_TRUE((partners.labels != clean.labels).any(1).all().item<bool>());
    EXPECT_TRUE(task->corrupt(clean, make_generator(2)).tokens.equal(partners.tokens));
  }
}

}  // namespace
}  // namespace orrery::testing
