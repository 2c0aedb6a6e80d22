#include "engine/config/parse_text.h"

#include <gtest/gtest.h>

namespace orrery::engine {
namespace {

using Parts = std::vector<std::string>;

TEST(ParseInteger, TakesDecimalDigitsAndNothingElse) {
  EXPECT_EQ(parse_integer("40000"), 40000);
  EXPECT_EQ(parse_integer("-3"), -3);
  EXPECT_EQ(parse_integer("010"), 10);
  for (const char* text : {"", " 1", "1 ", "+1", "1.0", "0x10", "99999999999999999999", "one"})
    EXPECT_FALSE(parse_integer(text)) << text;
}

TEST(SplitText, LeavesOutEmptyParts) {
  EXPECT_EQ(split_text("50 7,59", " ,"), (Parts{"50", "7", "59"}));
  EXPECT_EQ(split_text(", 50 , 7 ", " ,"), (Parts{"50", "7"}));
  EXPECT_EQ(split_text("3-9", ","), (Parts{"3-9"}));
  EXPECT_EQ(split_text("", ","), Parts{});
  EXPECT_EQ(split_text(",,", ","), Parts{});
}

}  // namespace
}  // namespace orrery::engine
