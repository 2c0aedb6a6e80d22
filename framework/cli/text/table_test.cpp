#include "cli/text/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace orrery::cli {
namespace {

TEST(Table, AlignsByCharacters) {
  Table table({{}, {Align::right}});
  table.add({"name", "loss", "source"});
  table.add({"a", "0.25", "Kovács 2023"});
  table.add({"Kovács", "4", ""});
  EXPECT_EQ(table.text(),
            "name    loss  source\n"
            "a       0.25  Kovács 2023\n"
            "Kovács     4\n");
  EXPECT_EQ(table.width(), 25u);
}

TEST(Table, RowsMayBeShorterAndOfOneCell) {
  Table table;
  table.add({"a longer cell than others"});
  table.add({"x", "y"});
  table.add({"  wide", "y", "z"});
  EXPECT_EQ(table.text(), "a longer cell than others\nx       y\n  wide  y  z\n");
  EXPECT_EQ(Table().text(), "");
}

TEST(Table, ColumnsHaveALeastWidth) {
  Table table({{Align::right, 8}});
  table.add({"step", "loss"});
  table.add({"0", "4"});
  EXPECT_EQ(table.text(), "    step  loss\n       0  4\n");
}

TEST(Table, IsCutToAWidth) {
  Table table({{Align::left, 0, 4}, {}, {Align::right, 0, 3}});
  table.add({"abcdefghij", "kept", "123456"});
  table.fit(20);
  EXPECT_EQ(table.text(), "abc...  kept  123456\n");
  table.fit(1);
  EXPECT_EQ(table.text(), "a...  kept  ...\n");
  EXPECT_EQ(table.width(), 15u);
}

TEST(Cut, CountsCharacters) {
  EXPECT_EQ(cut("Kovács", 6), "Kovács");
  EXPECT_EQ(cut("Kovács", 5), "Ko...");
  EXPECT_EQ(cut("áááá", 2), "..");
  EXPECT_EQ(width_of("Kovács"), 6u);
}

TEST(Indented, LeavesTheFirstLine) { EXPECT_EQ(indented("a\nb\n", "  "), "a\n  b\n  "); }

TEST(Table, CellsOfAColumnThatWrapsTakeSeveralLines) {
  Table table({{}, {Align::left, 0, 10, true}});
  table.add({"key", "meaning"});
  table.add({"steps", "updates to make, at least one"});
  EXPECT_EQ(table.text(18), "key    meaning\nsteps  updates to\n       make, at\n       least one\n");
  EXPECT_EQ(table.text(no_limit).size(), table.text().size());
}

TEST(Table, ColumnsThatDoNotFitStandBelow) {
  Table table(std::vector<Column>(4, {Align::right}));
  table.add({"step", "first", "second", "third"});
  table.add({"0", "1", "22", "333"});
  EXPECT_EQ(table.text(20), "step  first  second\n   0      1      22\n\nstep  third\n   0    333\n");
  for (const size_t width : {12u, 16u, 20u, 26u}) {
    std::istringstream lines(table.text(width));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(width_of(line), width) << line;
  }
}

TEST(Table, ANewlineInACellBreaksNoLine) {
  Table table;
  table.add({"a\nb", "c"});
  EXPECT_EQ(table.text(), "a b  c\n");
}

TEST(Wrapped, BreaksAtSpacesAndWithinLongWords) {
  EXPECT_EQ(wrapped("one two three", 2, 9), "one two\n  three");
  EXPECT_EQ(wrapped("  one two three", 4, 11), "  one two\n    three");
  EXPECT_EQ(wrapped("/a/path/without/spaces", 0, 10), "/a/path/\nwithout/\nspaces");
  EXPECT_EQ(wrapped("abcdefghijkl", 0, 8), "abcdefgh\nijkl");
  EXPECT_EQ(wrapped("", 2, 10), "");
  EXPECT_EQ(wrapped("as it is", 2, no_limit), "as it is");
}

}  // namespace
}  // namespace orrery::cli
