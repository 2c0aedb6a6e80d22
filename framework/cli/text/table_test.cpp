#include "cli/text/table.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace orrery::cli
