#include "cli/text/help_format.h"

#include <gtest/gtest.h>

namespace orrery::cli {
namespace {

TEST(HelpFormat, LongDescriptionsGoOnUnderTheirColumn) {
  const std::string words = "one two three four five six seven eight nine ten eleven twelve thirteen";
  EXPECT_EQ(broken_help("  --step TEXT     " + words + "\n", 18),
            "  --step TEXT     one two three four five six seven eight nine ten eleven twelve\n"
            "                  thirteen\n");
  EXPECT_EQ(broken_help(std::string(18, ' ') + words + "\n", 18),
            "                  one two three four five six seven eight nine ten eleven twelve\n"
            "                  thirteen\n");
}

TEST(HelpFormat, ProseIsBrokenAtTheMargin) {
  const std::string prose = std::string(60, 'a') + " " + std::string(30, 'b') + "\n";
  EXPECT_EQ(broken_help(prose, 18), std::string(60, 'a') + "\n" + std::string(30, 'b') + "\n");
}

TEST(HelpFormat, AParagraphIsBrokenAsOne) {
  const std::string text = std::string(81, 'a') + " b\nc d\nExamples:\ne f\n";
  EXPECT_EQ(broken_help(text, 18), std::string(80, 'a') + "\na b c d\nExamples:\ne f\n");
  EXPECT_EQ(broken_help("a b\nc d\n", 18), "a b\nc d\n");
}

TEST(HelpFormat, CommandsToBeCopiedStayWhole) {
  const std::string command = "  orrery train configs/quickstart.toml " + std::string(60, 'x') + "\n";
  EXPECT_EQ(broken_help(command, 18), command);
}

}  // namespace
}  // namespace orrery::cli
