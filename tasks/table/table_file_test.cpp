// The formats, and what is refused of them.
#include "table_file.h"

#include <gtest/gtest.h>
#include <orrery/error.h>

#include <chrono>

#include "table_folder_test.h"

namespace orrery::testing {
namespace {

using table::Examples;
using table::Vocabulary;

class TableFile : public ::testing::Test {
 protected:
  Examples read(const std::string& name, const std::string& text, const Vocabulary& vocabulary = {}) const {
    return table::read_examples(folder_.write(name, text), vocabulary);
  }

  // What is wrong with the file, without the folder that it is in.
  std::string refused(const std::string& path, const Vocabulary& vocabulary = {}) const {
    try {
      table::read_examples(path, vocabulary);
      return "";
    } catch (const UsageError& error) {
      EXPECT_NE(error.hint(), "") << error.what();
      std::string what = error.what();
      if (const size_t at = what.find(folder_.at("")); at != std::string::npos)
        what.erase(at, folder_.at("").size());
      return what;
    }
  }
  std::string refused_text(const std::string& text, const Vocabulary& vocabulary = {}) const {
    return refused(folder_.write("t.txt", text), vocabulary);
  }
  std::string refused_csv(const std::string& text) const { return refused(folder_.write("t.csv", text)); }

  static void expect_same(const Examples& examples, const std::vector<std::vector<int64_t>>& tokens,
                          const std::vector<std::vector<int64_t>>& labels) {
    EXPECT_TRUE(torch::equal(examples.tokens, numbers(tokens))) << examples.tokens;
    EXPECT_TRUE(torch::equal(examples.labels, numbers(labels))) << examples.labels;
  }

  const Folder folder_;
};

TEST_F(TableFile, TextIsTokensABarAndLabels) {
  expect_same(read("t.txt", "5 7 12 | 0\n3 9 12 | 4\n"), {{5, 7, 12}, {3, 9, 12}}, {{0}, {4}});
  // Commas, tabs, comments, empty lines, the line ends of Windows, the mark of UTF-8, no end of the last
  // line.
  expect_same(read("t", "\xef\xbb\xbf# tokens | labels\r\n\r\n1,2, 3|-1,0\r\n  \t\n4\t5 6 |7 -1 # the last"),
              {{1, 2, 3}, {4, 5, 6}}, {{-1, 0}, {7, -1}});
}

TEST_F(TableFile, ErrorsOfTextNameLineAndColumn) {
  EXPECT_EQ(refused_text("1 2 | 0\n\n1 x | 0\n"), "t.txt:3:3: expected a token from 0 to 1048575, got \"x\"");
  EXPECT_EQ(refused_text("1 -1 | 0"), "t.txt:1:3: expected a token from 0 to 1048575, got \"-1\"");
  EXPECT_EQ(refused_text("1 2.0 | 0"), "t.txt:1:3: expected a token from 0 to 1048575, got \"2.0\"");
  EXPECT_EQ(refused_text("1 99999999999999999999 | 0"),
            "t.txt:1:3: expected a token from 0 to 1048575, got \"99999999999999999999\"");
  EXPECT_EQ(refused_text("1 2 | -2"),
            "t.txt:1:7: expected a label from 0 to 1048575, or -1 for one that is not scored, got \"-2\"");
  EXPECT_EQ(refused_text("1 2 0\n"), "t.txt:1:6: expected a bar \"|\" after the tokens, and then the labels");
  EXPECT_EQ(refused_text("1 | 2 | 0"), "t.txt:1:7: a second bar; the first is in column 3");
  EXPECT_EQ(refused_text("| 0"), "t.txt:1:1: expected tokens before the bar");
  EXPECT_EQ(refused_text("1 2 |"), "t.txt:1:6: expected labels after the bar");
  EXPECT_EQ(refused_text("# two\n1 2 | 0\n1 2 3 | 0\n"), "t.txt:3:7: 3 tokens, and 2 on line 2");
  EXPECT_EQ(refused_text("1 2 | 0 1\n1 2 | 0\n"), "t.txt:2:8: 1 label, and 2 on line 1");
  EXPECT_EQ(refused_text(std::string("PK\x03\x04", 4)),
            "t.txt:1:1: expected a token from 0 to 1048575, got \"PK??\"");
  EXPECT_EQ(refused_text("# nothing\n"), "t.txt: no examples");
}

TEST_F(TableFile, TheVocabularyBoundsWhatIsThere) {
  EXPECT_EQ(refused_text("1 2 | 0\n1 7 | 0\n", {7, 0}), "t.txt:2:3: expected a token from 0 to 6, got \"7\"");
  EXPECT_EQ(refused_text("1 2 | 3\n", {7, 3}),
            "t.txt:1:7: expected a label from 0 to 2, or -1 for one that is not scored, got \"3\"");
  EXPECT_EQ(refused_text("1 6 | 2\n", {7, 3}), "");
}

TEST_F(TableFile, ACsvNamesItsColumns) {
  expect_same(read("t.csv", "token_0,token_1,label_0\n5,7,0\n3,9,-1\n"), {{5, 7}, {3, 9}}, {{0}, {-1}});
  // In any order, with the unnamed index of pandas, whatever that holds.
  expect_same(read("t.csv", ",label_1,token_1,token_0,label_0\nrow 0, 3 ,2,1,4\r\nrow 1,7,6,5,8\r\n"),
              {{1, 2}, {5, 6}}, {{4, 3}, {8, 7}});
}

// As R and pandas with quoting write them.
TEST_F(TableFile, CellsOfACsvMayBeInQuotes) {
  expect_same(read("t.csv",
                   "\"\",\"token_0\",\"token_1\",\"label_0\"\n\"a, #1\",\"5\", \"7\" ,0\n"
                   "\"say \"\"b\"\", c\",3,\"9\",\"-1\"\n"),
              {{5, 7}, {3, 9}}, {{0}, {-1}});
  EXPECT_EQ(refused_csv("token_0,label_0\n\"x\",1\n"),
            "t.csv:2:1: expected a token from 0 to 1048575, got \"x\"");
  EXPECT_EQ(refused_csv("token_0,label_0\n\"5,1\n"),
            "t.csv:2:1: expected a token from 0 to 1048575, got \"\"5\"");
  EXPECT_EQ(refused_csv("token_0,label_0\n\"5\"6,1\n"),
            "t.csv:2:1: expected a token from 0 to 1048575, got \"\"5\"6\"");
}

TEST_F(TableFile, ExamplesThatContradictEachOtherAreRefused) {
  EXPECT_EQ(refused_text("# a\n5 7 | 0\n3 9 | 4\n\n5 7 | 1\n"),
            "t.txt: line 2 and line 5 have the same tokens, 5 7, and different labels, 0 and 1");
  EXPECT_EQ(refused_csv("token_0,label_0\n5,0\n3,1\n5,2\n"),
            "t.csv: line 2 and line 4 have the same tokens, 5, and different labels, 0 and 2");
  EXPECT_EQ(refused(folder_.write_tensors("t.safetensors", {{"tokens", numbers({{1}, {2}, {1}})},
                                                            {"labels", numbers({{0}, {0}, {3}})}})),
            "t.safetensors: row 0 and row 2 have the same tokens, 1, and different labels, 0 and 3");
  // The same again is none, nor is a label that is not scored; but what two others say counts against a
  // third.
  EXPECT_EQ(refused_text("5 7 | 0\n5 7 | 0\n"), "");
  EXPECT_EQ(refused_text("5 7 | 0 -1\n5 7 | -1 3\n5 7 | 0 3\n"), "");
  EXPECT_EQ(refused_text("5 7 | 0 -1\n5 7 | -1 3\n5 7 | 0 4\n"),
            "t.txt: line 2 and line 3 have the same tokens, 5 7, and different labels, -1 3 and 0 4");
  const std::string drawn = folder_.write("d.txt", "5 7 | 0\n5 7 | 1\n");
  EXPECT_EQ(table::read_examples(drawn, {}, table::Contradictions::keep).tokens.size(0), 2);
}

TEST_F(TableFile, ErrorsOfACsvNameLineAndColumn) {
  EXPECT_EQ(refused_csv("token_0,lable_0\n1,2\n"),
            "t.csv:1:9: expected the name of a column, token_0, token_1, ... or label_0, label_1, ..., got "
            "\"lable_0\"");
  EXPECT_EQ(refused_csv("5,7,0\n"),
            "t.csv:1:1: expected the name of a column, token_0, token_1, ... or label_0, label_1, ..., got "
            "\"5\"");
  EXPECT_EQ(refused_csv("token_0,token_2,label_0\n"), "t.csv:1:1: there is no column token_1");
  EXPECT_EQ(refused_csv("token_0,token_1\n"), "t.csv:1:1: there is no column label_0");
  EXPECT_EQ(refused_csv("token_0,label_0,token_0\n"), "t.csv:1:17: the column token_0 occurs twice");
  EXPECT_EQ(refused_csv("token_0,label_0\n1,2\n1, b\n"),
            "t.csv:3:4: expected a label from 0 to 1048575, or -1 for one that is not scored, got \"b\"");
  EXPECT_EQ(refused_csv("token_0,label_0\n1\n"), "t.csv:2:2: 1 cell, and the header has 2 columns");
  EXPECT_EQ(refused_csv("token_0,label_0\n1,\n"),
            "t.csv:2:3: expected a label from 0 to 1048575, or -1 for one that is not scored, got \"\"");
  EXPECT_EQ(refused_csv("token_0,label_0\n"), "t.csv: no examples");
}

TEST_F(TableFile, SafetensorsHoldTokensAndLabels) {
  const auto tokens = numbers({{1, 2}, {3, 4}, {5, 6}});
  const auto read_tensors = [&](const torch::Tensor& labels) {
    return table::read_examples(
        folder_.write_tensors("t.safetensors", {{"tokens", tokens}, {"labels", labels}}), {});
  };
  expect_same(read_tensors(torch::tensor({7, -1, 9}, torch::kInt64)), {{1, 2}, {3, 4}, {5, 6}},
              {{7}, {-1}, {9}});
  expect_same(read_tensors(numbers({{1, 0}, {2, 0}, {-1, 3}})), {{1, 2}, {3, 4}, {5, 6}},
              {{1, 0}, {2, 0}, {-1, 3}});
}

TEST_F(TableFile, ErrorsOfSafetensorsNameTheEntry) {
  const auto refused_tensors = [&](const torch::Tensor& tokens, const torch::Tensor& labels,
                                   const std::string& dtype = "I64", const std::string& name = "labels") {
    return refused(folder_.write_tensors("t.safetensors", {{"tokens", tokens}, {name, labels}}, dtype),
                   {7, 3});
  };
  const auto tokens = numbers({{1, 2}, {3, 4}}), labels = numbers({{0}, {2}});
  EXPECT_EQ(refused_tensors(tokens, labels), "");
  EXPECT_EQ(refused_tensors(numbers({{1, 2}, {3, 7}}), labels),
            "t.safetensors: tokens[1, 1] is 7, expected 0 to 6");
  EXPECT_EQ(refused_tensors(tokens, numbers({{0}, {-2}})),
            "t.safetensors: labels[1, 0] is -2, expected 0 to 2, or -1 for one that is not scored");
  EXPECT_EQ(refused_tensors(tokens, numbers({{0}})), "t.safetensors: 2 rows of tokens, and 1 of labels");
  EXPECT_EQ(refused_tensors(torch::tensor({1, 2}, torch::kInt64), labels), "t.safetensors: tokens is [2]");
  EXPECT_EQ(refused_tensors(tokens, labels, "F64"),
            "t.safetensors: tokens holds Double, where whole numbers were expected");
  EXPECT_NE(refused_tensors(tokens, labels, "I64", "label").find("has no tensor \"labels\" (did you mean"),
            std::string::npos);
  EXPECT_NE(refused(folder_.write("t.safetensors", "no such thing")), "");
}

TEST_F(TableFile, WhatCannotBeReadIsNamed) {
  EXPECT_EQ(refused("no/such/file"), "cannot read the table \"no/such/file\"");
  EXPECT_EQ(refused("/dev/zero"), "/dev/zero: a folder, device or pipe, where a table was expected");
}

// It takes a tenth of a second, writing them included; the bound leaves room for a busy machine.
TEST_F(TableFile, AHundredThousandLinesAreReadAtOnce) {
  std::string text;
  for (int64_t row = 0; row < 100000; ++row) {
    for (int64_t i = 0; i < 20; ++i) text += std::to_string((row + i) % 97) + " ";
    text += "| " + std::to_string(row % 97 % 10) + "\n";
  }
  const std::string path = folder_.write("t.txt", text);
  const auto start = std::chrono::steady_clock::now();
  const Examples examples = table::read_examples(path, {});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(examples.tokens.sizes(), (std::vector<int64_t>{100000, 20}));
  EXPECT_EQ(examples.tokens[99999][19].item<int64_t>(), (99999 + 19) % 97);
  EXPECT_EQ(examples.labels[99999][0].item<int64_t>(), 9);
  EXPECT_LT(took.count(), 5);
}

}  // namespace
}  // namespace orrery::testing
