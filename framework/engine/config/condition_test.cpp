// Conditions on metrics.
#include "engine/config/condition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

bool holds(const std::string& text, double value) { return Condition::parse(text).holds({{"m", value}}); }

TEST(ConditionTest, ComparesExactly) {
  const double above = std::nextafter(0.999, 1), below = std::nextafter(0.999, 0);
  EXPECT_TRUE(holds("m >= 0.999", 0.999));
  EXPECT_FALSE(holds("m >= 0.999", below));
  EXPECT_FALSE(holds("m > 0.999", 0.999));
  EXPECT_TRUE(holds("m > 0.999", above));
  EXPECT_TRUE(holds("m <= 0.999", 0.999));
  EXPECT_FALSE(holds("m <= 0.999", above));
  EXPECT_FALSE(holds("m < 0.999", 0.999));
  EXPECT_TRUE(holds("m < 0.999", below));
  EXPECT_TRUE(holds("m<-1e-3", -1));
}

TEST(ConditionTest, AllComparisonsHaveToHold) {
  const Condition condition =
      Condition::parse(" test/accuracy>=0.9 and test/loss < 1e-2\tand test/loss > 0 ");
  EXPECT_EQ(condition.metrics(), (std::vector<std::string>{"test/accuracy", "test/loss"}));
  EXPECT_TRUE(condition.holds({{"test/accuracy", 0.9}, {"test/loss", 0.005}}));
  EXPECT_FALSE(condition.holds({{"test/accuracy", 0.9}, {"test/loss", 0.05}}));
  EXPECT_FALSE(condition.holds({{"test/accuracy", 0.8}, {"test/loss", 0.005}}));
  EXPECT_FALSE(condition.holds({{"test/accuracy", 0.9}, {"test/loss", 0.0}}));
}

TEST(ConditionTest, WhatIsNotThereOrNotANumberDoesNotHold) {
  EXPECT_FALSE(Condition::parse("m >= 0").holds({{"n", 1.0}}));
  EXPECT_FALSE(holds("m >= 0", std::nan("")));
  EXPECT_FALSE(holds("m < 0", std::nan("")));
  EXPECT_TRUE(holds("m > 0", std::numeric_limits<double>::infinity()));
}

TEST(ConditionTest, EmptyTextNeverHolds) {
  for (const char* text : {"", " \t\n"}) {
    EXPECT_TRUE(Condition::parse(text).empty());
    EXPECT_FALSE(holds(text, 1));
  }
  EXPECT_FALSE(Condition::parse("m > 0").empty());
}

TEST(ConditionTest, ShowsWhereItGoesWrong) {
  const auto parsing = [](const std::string& text) { return complaint([&] { Condition::parse(text); }); };
  const std::string hint = " | a condition reads METRIC >= NUMBER; `and` joins several";
  EXPECT_EQ(parsing("m => 1"), "expected one of >= <= > < at character 3 of \"m => 1\", got \"=>\"" + hint);
  EXPECT_EQ(parsing("m == 1"), "expected one of >= <= > < at character 3 of \"m == 1\", got \"==\"" + hint);
  EXPECT_EQ(parsing("m"), "expected one of >= <= > < at character 2 of \"m\", got the end" + hint);
  EXPECT_EQ(parsing("m 1"), "expected one of >= <= > < at character 3 of \"m 1\", got \"1\"" + hint);
  EXPECT_EQ(parsing("m > "), "expected a number at character 5 of \"m > \", got the end" + hint);
  for (const std::string number : {"x", "0.9x", "inf", "nan", "1e999", "0,9"})
    EXPECT_EQ(parsing("m > " + number),
              "expected a number at character 5 of \"m > " + number + "\", got \"" + number + "\"" + hint);
  EXPECT_EQ(parsing("> 1"), "expected the name of a metric at character 1 of \"> 1\", got \">\"" + hint);
  EXPECT_EQ(parsing("m > 1 or n > 2"),
            "expected \"and\" or the end at character 7 of \"m > 1 or n > 2\", got \"or\"" + hint);
  EXPECT_EQ(parsing("m > 1 and"),
            "expected the name of a metric at character 10 of \"m > 1 and\", got the end" + hint);
  EXPECT_EQ(parsing("m > 1 and and > 2"),
            "expected the name of a metric at character 11 of \"m > 1 and and > 2\", got \"and\"" + hint);
}

}  // namespace
}  // namespace orrery::config_test
