#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/plugin_under_test.h>

#include <set>

#include "table_folder_test.h"

namespace orrery::testing {
namespace {

class TableTask : public ::testing::Test {
 protected:
  // The parameters of a table with this text, and `more` of them.
  std::string of(const std::string& text, const std::string& more = "") const {
    return R"({"file": ")" + folder_.write("table.txt", text) + "\"" + more + "}";
  }
  std::string test_file(const std::string& text) const {
    return R"(, "test_file": ")" + folder_.write("test.txt", text) + "\"";
  }
  std::string refused(const std::string& json) const {
    try {
      make_task(json)->split(make_generator(1));
      return "";
    } catch (const UsageError& error) {
      EXPECT_NE(error.hint(), "") << error.what();
      std::string what = error.what();
      for (size_t at; (at = what.find(folder_.at(""))) != std::string::npos;)
        what.erase(at, folder_.at("").size());
      return what;
    }
  }

  const Folder folder_;
};

TEST_F(TableTask, TheFileSaysTheShapes) {
  const auto one = make_task(of("5 7 12 | 0\n3 9 12 | 4\n1 1 12 | 2\n"))->spec();
  EXPECT_EQ(one.d_vocab, 13);
  EXPECT_EQ(one.d_vocab_out, 5);
  EXPECT_EQ(one.n_ctx, 3);
  EXPECT_EQ(one.read_out, std::vector<int64_t>{2});  // the last
  EXPECT_FALSE(one.endless);
  const auto two = make_task(of("5 7 12 | 0 1\n3 9 12 | 4 1\n"))->spec();
  EXPECT_EQ(two.read_out, (std::vector<int64_t>{1, 2}));  // the last two
  const auto all = make_task(of("5 7 12 | 0 1 1\n3 9 12 | 4 1 1\n"))->spec();
  EXPECT_EQ(all.read_out, (std::vector<int64_t>{0, 1, 2}));
  const auto given =
      make_task(of("5 7 | 0\n3 9 | 1\n", R"(, "d_vocab": 20, "d_vocab_out": 3, "read_out": [0])"));
  EXPECT_EQ(given->spec().d_vocab, 20);
  EXPECT_EQ(given->spec().d_vocab_out, 3);
  EXPECT_EQ(given->spec().read_out, std::vector<int64_t>{0});
  EXPECT_EQ(given->spec().pad_token, -1);
  EXPECT_EQ(make_task(of("5 7 | 0\n3 9 | 1\n", R"(, "pad_token": 9)"))->spec().pad_token, 9);
}

TEST_F(TableTask, EveryLineIsAnExample) {
  const auto split = make_task(of("0 1 | 7\n1 1 | 6\n2 1 | 5\n3 1 | 4\n4 1 | 3\n"))->split(make_generator(3));
  EXPECT_EQ(split.train.size(), 4);
  EXPECT_EQ(split.test.size(), 1);
  EXPECT_FALSE(split.grid.has_value());
  std::set<int64_t> seen;
  for (const Batch& part : {split.train, split.test}) {
    EXPECT_FALSE(part.scored.defined());
    for (int64_t row = 0; row < part.size(); ++row) {
      const auto token = part.tokens[row][0].item<int64_t>();
      EXPECT_TRUE(seen.insert(token).second);
      EXPECT_EQ(part.labels[row][0].item<int64_t>(), 7 - token);
    }
  }
  // As the first 4 of a permutation of the 5, drawn from the data seed.
  const auto order = torch::randperm(5, make_generator(3), torch::kInt64);
  EXPECT_TRUE(torch::equal(split.train.tokens.select(1, 0), order.narrow(0, 0, 4)));
}

TEST_F(TableTask, LabelsOfMinusOneAreNotScored) {
  const auto split = make_task(of("0 1 | -1 5\n1 1 | 4 -1\n2 1 | 3 2\n", R"(, "train_fraction": 1)"))
                         ->split(make_generator(1));
  EXPECT_EQ(split.test.size(), 0);
  for (int64_t row = 0; row < 3; ++row) {
    const auto token = split.train.tokens[row][0].item<int64_t>();
    EXPECT_EQ(split.train.scored[row][0].item<bool>(), token != 0);
    EXPECT_EQ(split.train.scored[row][1].item<bool>(), token != 1);
    if (token == 2) {
      EXPECT_TRUE(torch::equal(split.train.labels[row], torch::tensor({3, 2}, torch::kInt64)));
    }
  }
  EXPECT_EQ(split.train.labels.min().item<int64_t>(), 0);  // a class, though it does not count
}

TEST_F(TableTask, OfALabelForEachTokenThoseReadOutAreKept) {
  const auto split = make_task(of("5 6 7 | 1 2 3\n", R"(, "read_out": [0, 2], "train_fraction": 1)"))
                         ->split(make_generator(1));
  EXPECT_TRUE(torch::equal(split.train.labels, numbers({{1, 3}})));
}

// Within a file; a test set may ask for other labels than the training set has, which may be wrong on
// purpose.
TEST_F(TableTask, ContradictionsAreKeptOnDemand) {
  const std::string text = "0 1 | 7\n0 1 | 6\n";
  EXPECT_EQ(refused(of(text)),
            "table.txt: line 1 and line 2 have the same tokens, 0 1, and different labels, 7 and 6");
  const auto kept = make_task(of(text, R"(, "contradictions": "keep", "train_fraction": 1)"));
  EXPECT_EQ(kept->split(make_generator(1)).train.size(), 2);
  EXPECT_EQ(refused(of("0 1 | 0\n", test_file("0 1 | 1\n"))), "");
}

TEST_F(TableTask, ATestFileIsTheTestSet) {
  const auto task = make_task(of("0 1 | 0\n1 0 | 1\n", test_file("9 1 | 2\n8 1 | -1\n7 1 | 5\n")));
  EXPECT_EQ(task->spec().d_vocab, 10);  // of both
  EXPECT_EQ(task->spec().d_vocab_out, 6);
  const auto split = task->split(make_generator(1));
  EXPECT_TRUE(torch::equal(split.train.tokens, numbers({{0, 1}, {1, 0}})));  // in the file's order
  EXPECT_TRUE(torch::equal(split.test.tokens, numbers({{9, 1}, {8, 1}, {7, 1}})));
  EXPECT_TRUE(split.train.scored.all().item<bool>());
  EXPECT_TRUE(torch::equal(split.test.scored.to(torch::kInt64), numbers({{1}, {0}, {1}})));
}

TEST_F(TableTask, TheExampleIsAdditionModulo5) {
  const auto task = make_task();
  EXPECT_EQ(task->spec().d_vocab, 6);
  EXPECT_EQ(task->spec().d_vocab_out, 5);
  EXPECT_EQ(task->spec().n_ctx, 3);
  const auto split = task->split(make_generator(1));
  EXPECT_EQ(split.train.size(), 20);
  EXPECT_EQ(split.test.size(), 5);
  for (int64_t row = 0; row < 20; ++row) {
    const auto tokens = split.train.tokens[row];
    EXPECT_EQ(split.train.labels[row][0].item<int64_t>(),
              (tokens[0].item<int64_t>() + tokens[1].item<int64_t>()) % 5);
    EXPECT_EQ(tokens[2].item<int64_t>(), 5);
  }
}

TEST_F(TableTask, TheRulesOfTheSplitAreThoseOfTheOtherTasks) {
  const std::string text = "0 1 | 0\n1 1 | 0\n2 1 | 1\n3 1 | 0\n";
  const std::string rows = folder_.write("rows.txt", "3 1");
  const auto split = make_task(of(text, R"(, "split.rule": "file", "split.file": ")" + rows + "\""))
                         ->split(make_generator(1));
  EXPECT_TRUE(torch::equal(split.train.tokens, numbers({{3, 1}, {1, 1}})));
  EXPECT_TRUE(torch::equal(split.test.tokens, numbers({{0, 1}, {2, 1}})));
}

TEST_F(TableTask, RefusesWhatCannotBe) {
  EXPECT_EQ(refused(of("1 2 | 0 0 0\n")), "an example of \"table.txt\" has 3 labels, and only 2 tokens");
  EXPECT_EQ(refused(of("1 2 | 0\n", R"(, "read_out": [2])")),
            "read_out must list positions from 0 to 1, each once, in ascending order");
  EXPECT_EQ(refused(of("1 2 | 0 0\n", R"(, "read_out": [1, 0])")),
            "read_out must list positions from 0 to 1, each once, in ascending order");
  EXPECT_EQ(refused(of("1 2 3 | 0\n", R"(, "read_out": [1, 2])")),
            "read_out lists 2 positions, and an example of \"table.txt\" has 1 labels");
  EXPECT_EQ(refused(of("1 2 | -1\n1 3 | -1\n", R"(, "train_fraction": 1)")),
            "no label of the 2 training examples is scored: all are -1");
  EXPECT_EQ(refused(of("1 2 | 0\n", test_file("1 2 3 | 0\n"))),
            "test.txt: 3 tokens an example, and in table.txt 2");
  EXPECT_EQ(refused(of("1 2 | 0\n", test_file("1 2 | 0 0\n"))),
            "test.txt: 2 labels an example, and in table.txt 1");
  EXPECT_EQ(refused(of("1 2 | 0\n", test_file("1 3 | 0\n") + R"(, "n_train": 1)")),
            "test_file is given, so all of \"table.txt\" is trained on");
  EXPECT_EQ(refused(of("1 2 | 0\n1 3 | 0\n", R"(, "n_train": 3)")),
            "training would have 3 of the 2 pairs that exist");
  EXPECT_EQ(refused(R"({"d_vocab": 5})"),
            "the example has 6 tokens and 5 classes, more than d_vocab or d_vocab_out");
  EXPECT_THROW(make_task(R"({"d_vocab": -1})"), Error);
}

}  // namespace
}  // namespace orrery::testing
