#include <gtest/gtest.h>
#include <tests/support/sequence_task.h>

#include <algorithm>
#include <map>
#include <set>

namespace orrery::testing {
namespace {

using Row = std::vector<int64_t>;

Row row_of(const torch::Tensor& x, int64_t row) {
  const auto part = x[row].contiguous();
  return {part.data_ptr<int64_t>(), part.data_ptr<int64_t>() + part.numel()};
}

int64_t subtask_of(const Batch& batch, int64_t row) {
  return batch.auxiliary.at("subtask")[row].item<int64_t>();
}

// The subsets that show() puts into brackets, found subtask by subtask.
std::vector<std::set<int64_t>> subsets(const std::string& json, int64_t n_tasks, int64_t n) {
  const auto task = make_task(json);
  std::vector<std::set<int64_t>> found;
  for (int64_t subtask = 0; subtask < n_tasks; ++subtask) {
    const auto tokens = torch::zeros({n_tasks + n}, torch::kInt64);
    tokens[subtask] = 1;
    const std::string text = task->show(tokens);
    std::set<int64_t> subset;
    int64_t bit = 0;
    for (size_t at = text.find(": ") + 2; at < text.size(); ++at) {
      if (text[at] == '[') subset.insert(bit);
      if (text[at] == '0') ++bit;
    }
    EXPECT_EQ(bit, n) << text;
    found.push_back(subset);
  }
  return found;
}

TEST(MultitaskSparseParity, SpecIsThatOfTheBits) {
  const auto spec = make_task(R"({"n_tasks": 3, "n": 5, "k": 2})")->spec();
  EXPECT_EQ(spec.d_vocab, 2);
  EXPECT_EQ(spec.d_vocab_out, 2);
  EXPECT_EQ(spec.n_ctx, 8);
  EXPECT_EQ(spec.read_out, Row{7});
  EXPECT_EQ(spec.groups, (std::vector<std::string>{"task_1", "task_2", "task_3"}));
  EXPECT_TRUE(spec.endless);
  EXPECT_FALSE(make_task(R"({"n_train": 100})")->spec().endless);
  EXPECT_EQ(make_task(R"({"n_tasks": 9, "loss_groups": "octaves"})")->spec().groups,
            (std::vector<std::string>{"task_1", "tasks_2_3", "tasks_4_7", "tasks_8_9"}));
  EXPECT_EQ(make_task(R"({"n_tasks": 8, "loss_groups": "octaves"})")->spec().groups.back(), "task_8");
}

// One bit at a time: the label is the parity, added up one by one, of the bits whose subset show() marks.
TEST(MultitaskSparseParity, TheLabelIsTheParityOfTheSubsetThatIsSwitchedOn) {
  const std::tuple<int64_t, int64_t, int64_t> shapes[] = {
      {20, 30, 3}, {3, 5, 2}, {1, 1, 1}, {10, 5, 3}, {40, 70, 6}};
  for (const auto& [n_tasks, n, k] : shapes)
    for (const std::string more : {"", R"(, "n_train": 500)", R"(, "loss_groups": "octaves")"}) {
      const std::string json = "{\"n_tasks\": " + std::to_string(n_tasks) + ", \"n\": " + std::to_string(n) +
                               ", \"k\": " + std::to_string(k) + ", \"n_test_per_task\": 1, \"alpha\": 0" +
                               more + "}";
      const auto marked = subsets(json, n_tasks, n);
      const auto split = split_of(json);
      const auto drawn = sample_of(json, 300);
      for (const Batch& batch : {split.train, split.test, drawn})
        for (int64_t row = 0; row < batch.size(); ++row) {
          const Row tokens = row_of(batch.tokens, row);
          ASSERT_EQ(std::count(tokens.begin(), tokens.begin() + n_tasks, 1), 1);
          const auto subtask = std::find(tokens.begin(), tokens.end(), 1) - tokens.begin();
          ASSERT_EQ(subtask_of(batch, row), subtask + 1);
          ASSERT_EQ(static_cast<int64_t>(marked[subtask].size()), k);
          bool odd = false;
          for (const int64_t bit : marked[subtask]) odd = odd != (tokens[n_tasks + bit] == 1);
          ASSERT_EQ(batch.labels[row][0].item<int64_t>(), odd ? 1 : 0) << json;
        }
    }
}

TEST(MultitaskSparseParity, TheExampleOfTheReadme) {
  // Of the seeds of the subsets one gives S_2 = {0, 3}: a third of the ten pairs are drawn by each seed.
  for (int64_t seed = 0; seed < 200; ++seed) {
    const std::string json = R"({"n_tasks": 3, "n": 5, "k": 2, "n_test_per_task": 200, "subsets_seed": )" +
                             std::to_string(seed) + "}";
    if (subsets(json, 3, 5)[1] != std::set<int64_t>{0, 3}) continue;
    const auto tokens = torch::tensor({0, 1, 0, 1, 1, 0, 0, 1}, torch::kInt64);
    EXPECT_EQ(make_task(json)->show(tokens), "task 2: [1]10[0]1");
    const auto test = split_of(json).test;
    int64_t seen = 0;
    for (int64_t row = 0; row < test.size(); ++row)
      if (torch::equal(test.tokens[row], tokens)) {
        EXPECT_EQ(test.labels[row][0].item<int64_t>(), 1);
        ++seen;
      }
    EXPECT_GT(seen, 0);
    return;
  }
  ADD_FAILURE() << "no seed gives the subset of the README";
}

TEST(MultitaskSparseParity, SubsetsAreDifferentAndOfTheirOwnSeed) {
  const auto ten = subsets(R"({"n_tasks": 10, "n": 5, "k": 2})", 10, 5);
  EXPECT_EQ(std::set<std::set<int64_t>>(ten.begin(), ten.end()).size(), 10u);  // all that there are
  const auto one = subsets("{}", 20, 30), again = subsets(R"({"n_train": 7, "alpha": 1})", 20, 30);
  EXPECT_EQ(one, again);
  EXPECT_NE(one, subsets(R"({"subsets_seed": 1})", 20, 30));
}

// Within six standard deviations of i^-(alpha + 1) over their sum.
TEST(MultitaskSparseParity, SubtasksComeUpByTheirPower) {
  for (const double alpha : {-1.0, 0.0, 0.4, 2.0}) {
    const int64_t n_tasks = 12, size = 60000;
    const auto batch = sample_of(R"({"n_tasks": 12, "alpha": )" + std::to_string(alpha) + "}", size);
    double sum = 0;
    for (int64_t i = 1; i <= n_tasks; ++i) sum += std::pow(i, -(alpha + 1));
    const auto counts = torch::bincount(batch.auxiliary.at("subtask"), {}, n_tasks + 1);
    for (int64_t i = 1; i <= n_tasks; ++i) {
      const double p = std::pow(i, -(alpha + 1)) / sum;
      EXPECT_NEAR(counts[i].item<double>(), size * p, 6 * std::sqrt(size * p * (1 - p))) << alpha << " " << i;
    }
    for (const int64_t bit : {0, 15, 29}) expect_uniform(batch.tokens.select(1, n_tasks + bit), 2);
  }
}

TEST(MultitaskSparseParity, TheTestSetHasEachSubtaskAlikeAndWeighsItAsTraining) {
  const std::string json = R"({"n_tasks": 5, "n_test_per_task": 7})";
  const auto split = split_of(json);
  EXPECT_FALSE(torch::equal(split.train.tokens, split.test.tokens));
  double sum = 0;
  for (int64_t i = 1; i <= 5; ++i) sum += std::pow(i, -1.4);
  for (const Batch& batch : {split.train, split.test}) {
    ASSERT_EQ(batch.size(), 35);
    std::map<int64_t, int64_t> count;
    for (int64_t row = 0; row < 35; ++row) {
      const int64_t subtask = subtask_of(batch, row);
      ++count[subtask];
      EXPECT_NEAR(batch.weights[row].item<double>(), 5 * std::pow(subtask, -1.4) / sum, 1e-6);
      EXPECT_EQ(batch.groups[row][0].item<int64_t>(), subtask - 1);
    }
    for (const auto& [subtask, n] : count) EXPECT_EQ(n, 7) << subtask;
  }
  EXPECT_FALSE(sample_of(json, 10).weights.defined());
}

TEST(MultitaskSparseParity, OctavesDouble) {
  const auto batch = split_of(R"({"n_tasks": 20, "loss_groups": "octaves"})").test;
  for (int64_t row = 0; row < batch.size(); ++row) {
    int64_t octave = 0;
    for (int64_t above = 2; above <= subtask_of(batch, row); above *= 2) ++octave;
    ASSERT_EQ(batch.groups[row][0].item<int64_t>(), octave);
  }
}

TEST(MultitaskSparseParity, FiniteDataHaveNoStringOfTheTestSet) {
  const std::string json = R"({"n_tasks": 3, "n": 8, "n_train": 4000, "n_test_per_task": 100})";
  const auto split = split_of(json);
  EXPECT_EQ(split.train.size(), 4000);
  EXPECT_FALSE(split.train.weights.defined());
  std::set<Row> test;
  for (int64_t row = 0; row < split.test.size(); ++row) test.insert(row_of(split.test.tokens, row));
  for (int64_t row = 0; row < 4000; ++row) ASSERT_EQ(test.count(row_of(split.train.tokens, row)), 0u);
  const auto endless = split_of(R"({"n_tasks": 3, "n": 8, "n_test_per_task": 100})");
  EXPECT_TRUE(torch::equal(endless.test.tokens, split.test.tokens));
}

// A network that is right with certainty on subtasks 1 and 3, and says nothing of the others.
TEST(MultitaskSparseParity, MetricsCountWhatIsLearned) {
  const auto task = make_task(R"({"n_tasks": 4, "n_test_per_task": 50})");
  const auto test = task->split(make_generator(1)).test;
  const auto logits = torch::zeros({200, 1, 2});
  double right = 0, all = 0;
  for (int64_t row = 0; row < 200; ++row) {
    const int64_t label = test.labels[row][0].item<int64_t>(), subtask = subtask_of(test, row);
    const bool known = subtask == 1 || subtask == 3;
    if (known) logits[row][0][label] = 10;
    all += std::pow(subtask, -1.4);
    if (known || label == 0) right += std::pow(subtask, -1.4);  // argmax of a tie is the first
  }
  const auto metrics = task->metrics(logits, test);
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[0], 2);
  EXPECT_NEAR(metrics[1], right / all, 1e-6);
  EXPECT_EQ(task->metrics(torch::zeros({200, 1, 2}), test)[0], 0);
  // One of fifty answers is wrong by 10 nats: 0.2 on average, above 0.1 bits.
  logits[0][0] = logits[0][0].flip(0);
  EXPECT_EQ(task->metrics(logits, test)[0], 1);
}

TEST(MultitaskSparseParity, TheSeedDecidesTheData) { expect_the_seed_decides_the_data(); }

TEST(MultitaskSparseParity, EndlessBatchesDiffer) { expect_endless_batches_differ(); }

TEST(MultitaskSparseParity, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(R"({"n": 4, "k": 5})"), "k = 5 relevant bits, but there are only n = 4 task bits");
  EXPECT_EQ(refusal(R"({"n": 5, "k": 2, "n_tasks": 11})"),
            "n_tasks = 11 subtasks, but n = 5 bits have only 10 subsets of k = 2");
  EXPECT_EQ(refusal(R"({"n": 7, "n_train": 10, "n_test_per_task": 65})"),
            "n_test_per_task = 65 of the 2^7 = 128 strings of a subtask leaves too few for training");
  EXPECT_EQ(refusal(R"({"n": 7, "n_train": 10, "n_test_per_task": 64})"), "");
  EXPECT_EQ(refusal(R"({"n_tasks": 2048, "n": 512, "n_test_per_task": 1000})"),
            "the test set would have n_tasks * n_test_per_task = 2048000 strings, or 38 GB");
  for (const std::string json : {R"({"n_tasks": 0})", R"({"k": 0})", R"({"alpha": -1.5})",
                                 R"({"loss_groups": "decades"})", R"({"n_test_per_task": 0})"})
    EXPECT_THROW(make_task(json), Error) << json;
}

}  // namespace
}  // namespace orrery::testing
