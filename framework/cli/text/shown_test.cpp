#include "cli/text/shown.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>

namespace orrery::cli {
namespace {

TEST(Shown, WritesOutWhatATerminalWouldObey) {
  EXPECT_EQ(shown("plain\ttext\n"), "plain\ttext\n");
  EXPECT_EQ(shown("\033]0;title\a\033[2J"), "\\x1b]0;title\\x07\\x1b[2J");
  EXPECT_EQ(shown("back\rspace\b\x7f"), "back\\x0dspace\\x08\\x7f");
  EXPECT_EQ(shown("C1 \xc2\x9b"), "C1 \\u009b");
  EXPECT_EQ(shown("raw \x9b"), "raw \\x9b");
  EXPECT_EQ(shown("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(shown("naïve █ 日本 𝔸"), "naïve █ 日本 𝔸");
  EXPECT_EQ(shown("cut \xe2\x96"), "cut \\xe2\\x96");
}

TEST(Shown, OnlyOurOwnStylesBecomeEscapeSequences) {
  EXPECT_EQ(shown(style_mark() + "31merror:" + style_mark() + "0m \033[31m"),
            "\033[31merror:\033[0m \\x1b[31m");
  EXPECT_EQ(shown("\x01"
                  "31m"),
            "\\x0131m");
}

TEST(Shown, LongTextIsShortened) {
  EXPECT_EQ(shortened("short"), "short");
  const std::string text = shortened(std::string(10'000'000, 'x'));
  EXPECT_LT(text.size(), 4100u);
  EXPECT_TRUE(text.ends_with("x... (10000000 bytes in all)")) << text.substr(3900);
  EXPECT_EQ(shortened("ééé", 3), "é... (6 bytes in all)");  // between characters
}

TEST(ShownOutput, FiltersAndKeepsFailures) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ShownOutput buffer(ends[1]);
  std::ostream stream(&buffer);
  stream << "a\033[2J" << 'b' << "é" << std::endl;
  char text[64] = {};
  EXPECT_EQ(read(ends[0], text, sizeof text), 12);
  EXPECT_STREQ(text, "a\\x1b[2Jbé\n");
  EXPECT_EQ(buffer.finish(), 0);
  close(ends[0]);
  close(ends[1]);
  stream << "lost" << std::flush;
  EXPECT_FALSE(stream.good());
  EXPECT_EQ(buffer.finish(), EBADF);
}

}  // namespace
}  // namespace orrery::cli
