// orrery/splits.h. The shuffles were measured with CPython 3.11.2:
//   random.seed(seed); l = list(range(n)); random.shuffle(l)
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "sdk/files/temporary_folder.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;
using Rows = std::vector<int64_t>;

Rows rows_of(const torch::Tensor& rows) {
  return {rows.data_ptr<int64_t>(), rows.data_ptr<int64_t>() + rows.numel()};
}
Rows shuffled(int64_t n, int64_t seed) { return rows_of(cpython_shuffle(n, seed)); }

Rows sorted(Rows rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}
Rows first(int64_t n) {
  Rows rows(n);
  for (int64_t i = 0; i < n; ++i) rows[i] = i;
  return rows;
}

// What the error says, and its hint; "" where nothing is thrown.
std::string refusal(const std::function<void()>& act) {
  try {
    act();
    return "";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()), "");
    return error.what();
  }
}

TEST(CPythonShuffle, SmallListsAsMeasured) {
  constexpr int64_t largest = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(shuffled(0, 0), Rows{});
  EXPECT_EQ(shuffled(1, 0), Rows{0});
  EXPECT_EQ(shuffled(2, 0), (Rows{0, 1}));
  EXPECT_EQ(shuffled(2, 1), (Rows{1, 0}));
  EXPECT_EQ(shuffled(5, 0), (Rows{2, 1, 0, 4, 3}));
  EXPECT_EQ(shuffled(10, 0), (Rows{7, 8, 1, 5, 3, 4, 2, 0, 9, 6}));
  EXPECT_EQ(shuffled(10, 1), (Rows{6, 8, 9, 7, 5, 3, 0, 4, 1, 2}));
  EXPECT_EQ(shuffled(10, 42), (Rows{7, 3, 2, 8, 5, 6, 9, 4, 0, 1}));
  EXPECT_EQ(shuffled(10, -42), shuffled(10, 42));
  EXPECT_EQ(shuffled(10, 4294967295), (Rows{0, 7, 1, 5, 2, 6, 4, 8, 3, 9}));
  EXPECT_EQ(shuffled(10, 4294967296), (Rows{8, 9, 3, 2, 4, 7, 0, 6, 5, 1}));  // the key has two words
  EXPECT_EQ(shuffled(10, 4294967297), (Rows{9, 5, 4, 1, 2, 0, 7, 6, 8, 3}));
  EXPECT_EQ(shuffled(10, largest), (Rows{4, 1, 9, 8, 6, 0, 3, 7, 2, 5}));
  EXPECT_EQ(shuffled(10, -largest - 1), (Rows{5, 7, 9, 2, 0, 4, 1, 3, 6, 8}));
  EXPECT_EQ(shuffled(16, 7), (Rows{3, 14, 7, 9, 13, 11, 4, 5, 12, 8, 1, 0, 15, 6, 2, 10}));
  EXPECT_EQ(shuffled(17, 7), (Rows{3, 2, 13, 14, 7, 9, 15, 12, 5, 11, 8, 1, 0, 16, 6, 4, 10}));
}

// The first six, the last four, and the sum of i * l[i] modulo 1000000007.
struct LongList {
  int64_t n, seed;
  Rows head, tail;
  int64_t checksum;
};

TEST(CPythonShuffle, LongListsAsMeasured) {
  const LongList lists[] = {
      {1000, 123456789, {781, 912, 972, 23, 958, 723}, {726, 555, 452, 656}, 248298601},
      {9409, 598, {2382, 2331, 3643, 5695, 7619, 588}, {1594, 8477, 7419, 1629}, 861263631},
      {12769, 0, {2068, 1213, 6243, 2876, 7184, 1686}, {663, 6890, 12418, 6311}, 863868364},
      {12769, 1, {6612, 8645, 6803, 11389, 3304, 3872}, {1033, 12513, 9325, 2201}, 986900482},
      {12769, 1099511627779, {737, 4170, 4799, 8793, 9775, 5177}, {1550, 9002, 996, 3600}, 990875599},
      {14400, 0, {4980, 7242, 6084, 13220, 9664, 6807}, {6890, 12418, 6311, 13835}, 759292341},
  };
  for (const LongList& list : lists) {
    const Rows rows = shuffled(list.n, list.seed);
    int64_t checksum = 0;
    for (int64_t i = 0; i < list.n; ++i) checksum = (checksum + i * rows[i]) % 1000000007;
    EXPECT_EQ(Rows(rows.begin(), rows.begin() + 6), list.head) << list.n << " " << list.seed;
    EXPECT_EQ(Rows(rows.end() - 4, rows.end()), list.tail) << list.n << " " << list.seed;
    EXPECT_EQ(checksum, list.checksum) << list.n << " " << list.seed;
    EXPECT_EQ(sorted(rows), first(list.n));
  }
}

TEST(CPythonShuffle, RefusesSizesThatPythonWouldDrawOtherwise) {
  EXPECT_THROW(cpython_shuffle(-1, 0), Error);
  EXPECT_THROW(cpython_shuffle(int64_t{1} << 32, 0), Error);
}

class IndexFile : public ::testing::Test {
 protected:
  std::string holding(const std::string& text) const {
    std::ofstream(path_) << text;
    return path_.string();
  }
  std::string refused(const std::string& text, int64_t n = 10) const {
    const std::string path = holding(text);
    std::string what = refusal([&] { read_index_file(path, n); });
    if (what.rfind(path, 0) == 0) what.erase(0, path.size());
    return what;
  }

  const TemporaryFolder folder_;
  const fs::path path_ = folder_ / "rows.txt";
};

TEST_F(IndexFile, ListsRowsInTheirOrder) {
  EXPECT_EQ(rows_of(read_index_file(holding("3 1\n\n  4\t0 \r\n9"), 10)), (Rows{3, 1, 4, 0, 9}));
  EXPECT_EQ(rows_of(read_index_file(holding("7\n"), 10)), Rows{7});
  EXPECT_EQ(read_index_file(holding(" \n"), 10).numel(), 0);
  EXPECT_EQ(read_index_file(holding(""), 10).scalar_type(), torch::kInt64);
}

TEST_F(IndexFile, ErrorsNameFileAndLine) {
  EXPECT_EQ(refused("3\n1 10\n"), ":2: expected a row number from 0 to 9, got \"10\"");
  EXPECT_EQ(refused("-1"), ":1: expected a row number from 0 to 9, got \"-1\"");
  EXPECT_EQ(refused("1\n\n2,3"), ":3: expected a row number from 0 to 9, got \"2,3\"");
  EXPECT_EQ(refused("1.0"), ":1: expected a row number from 0 to 9, got \"1.0\"");
  EXPECT_EQ(refused("99999999999999999999"),
            ":1: expected a row number from 0 to 9, got \"99999999999999999999\"");
  EXPECT_EQ(refused("3\n1\n2 3\n"), ":3: row 3 is listed on line 1 already");
  EXPECT_EQ(refused("5 5"), ":1: row 5 is listed on line 1 already");
}

TEST_F(IndexFile, ErrorsNameWhatCannotBeRead) {
  for (const std::string& path : {std::string("no/such/file"), fs::temp_directory_path().string()})
    EXPECT_EQ(refusal([&] { read_index_file(path, 10); }), "cannot read the index file \"" + path + "\"");
}

SplitParams rule(const std::string& name) {
  SplitParams params;
  params.split_rule = name;
  return params;
}

TEST(SplitParams, RandomIsThePermutationOfTheDataSeed) {
  const auto [train, test] = rule("random").split_rows(100, make_generator(5));
  const auto order = torch::randperm(100, make_generator(5), torch::kInt64);
  EXPECT_TRUE(torch::equal(train, order.narrow(0, 0, 30)));
  EXPECT_TRUE(torch::equal(test, order.narrow(0, 30, 70)));
}

// Measured with PyTorch 1.13: torch.manual_seed(0); torch.randperm(20), and of seed 598 the first of 12,769.
TEST(SplitParams, RandomIsThatOfPyTorch) {
  SplitParams params = rule("random");
  params.n_train = 8;
  const auto [train, test] = params.split_rows(20, make_generator(0));
  EXPECT_EQ(rows_of(train), (Rows{4, 5, 13, 19, 7, 14, 3, 6}));
  EXPECT_EQ(rows_of(test), (Rows{9, 17, 11, 2, 16, 18, 10, 12, 15, 8, 1, 0}));
  params.n_train = 6;
  EXPECT_EQ(rows_of(params.split_rows(12769, make_generator(598)).first),
            (Rows{2404, 3488, 5321, 9739, 11270, 1804}));
}

TEST(SplitParams, CPythonShuffleDependsOnItsOwnSeedOnly) {
  SplitParams params = rule("cpython_shuffle");
  params.split_seed = 42;
  auto rng = make_generator(5);
  const auto [train, test] = params.split_rows(10, rng);
  EXPECT_EQ(rows_of(train), (Rows{7, 3, 2}));
  EXPECT_EQ(rows_of(test), (Rows{8, 5, 6, 9, 4, 0, 1}));
  EXPECT_TRUE(torch::equal(torch::rand({4}, rng), torch::rand({4}, make_generator(5))));  // nothing was drawn
}

TEST_F(IndexFile, IsWhatIsTrainedOn) {
  SplitParams params = rule("file");
  params.split_file = holding("3 1\n5\n");
  const auto [train, test] = params.split_rows(7, make_generator(5));
  EXPECT_EQ(rows_of(train), (Rows{3, 1, 5}));
  EXPECT_EQ(rows_of(test), (Rows{0, 2, 4, 6}));
  params.split_file = holding("1 0");
  EXPECT_EQ(params.split_rows(2, make_generator(5)).second.numel(), 0);
}

TEST(SplitParams, RoundsDownButNotBelowWhatWasMeant) {
  SplitParams params;
  const auto trained_on = [&](double fraction, int64_t n) {
    params.train_fraction = fraction;
    return params.split_rows(n, make_generator(1)).first.numel();
  };
  EXPECT_EQ(trained_on(0.3, 12769), 3830);
  EXPECT_EQ(trained_on(0.29, 100), 29);  // 0.29 * 100 < 29 in binary
  EXPECT_EQ(trained_on(0.299, 100), 29);
  EXPECT_EQ(trained_on(1, 7), 7);
  params.n_train = 4;
  EXPECT_EQ(trained_on(1, 7), 4);
}

TEST_F(IndexFile, AndTheOtherParametersMustAgree) {
  const auto refused_split = [](auto change) {
    SplitParams params;
    change(params);
    return refusal([&] { params.check_split(25); });
  };
  EXPECT_EQ(refused_split([](SplitParams&) {}), "");
  EXPECT_EQ(refused_split([](SplitParams& p) { p.n_train = 26; }),
            "training would have 26 of the 25 pairs that exist");
  EXPECT_EQ(refused_split([](SplitParams& p) { p.train_fraction = 0.01; }),
            "training would have 0 of the 25 pairs that exist");
  EXPECT_EQ(refused_split([](SplitParams& p) { p.split_seed = 3; }),
            "split.seed = 3 is given, but split.rule is \"random\"");
  EXPECT_EQ(refused_split([](SplitParams& p) { p.split_rule = "file"; }),
            "split.rule = \"file\" needs split.file");
  const std::string good = holding("1 2"), gone = "no/such/file";
  EXPECT_EQ(refused_split([&](SplitParams& p) { p.split_file = good; }),
            "split.file is given, but split.rule is \"random\"");
  const auto of_file = [&](const std::string& path) {
    return [path](SplitParams& p) {
      p.split_rule = "file";
      p.split_file = path;
    };
  };
  EXPECT_EQ(refused_split(of_file(good)), "");
  EXPECT_EQ(refused_split(of_file(gone)), "cannot read the index file \"no/such/file\"");
  EXPECT_EQ(refused_split([&](SplitParams& p) { of_file(good)(p), p.n_train = 2; }),
            "n_train = 2 is given, but split.file decides what is trained on");
  EXPECT_EQ(refused_split(of_file(holding("25"))),
            good + ":1: expected a row number from 0 to 24, got \"25\"");
  EXPECT_EQ(refused_split(of_file(holding(""))), good + ": lists no rows to train on");
}

struct OfATask : SplitParams {
  OfATask() { train_fraction = 0.4; }
  int64_t n = 5;
  static void fields(Fields<OfATask>& f) {
    f.add("n", &OfATask::n, "of the task");
    SplitParams::fields(f);
  }
};

TEST(SplitParams, AreFieldsOfTheTaskThatInheritsThem) {
  const auto fields = fields_of<OfATask>();
  std::vector<std::string> names;
  for (const Field& field : fields.list()) names.push_back(field.name);
  EXPECT_EQ(names, (std::vector<std::string>{"n", "train_fraction", "n_train", "split.rule", "split.seed",
                                             "split.file"}));
  EXPECT_EQ(std::get<double>(fields.list()[1].fallback), 0.4);
  const auto made = fields.make({{"split.rule", std::string("cpython_shuffle")}, {"split.seed", int64_t{7}}});
  EXPECT_EQ(made.split_rule, "cpython_shuffle");
  EXPECT_EQ(made.split_seed, 7);
  EXPECT_THROW(fields.make({{"split.rule", std::string("shuffle")}}), UsageError);
}

struct OfADrawnTask : SampledParams {
  OfADrawnTask() { n_test = 3; }
  static void fields(Fields<OfADrawnTask>& f) { SampledParams::fields(f, "coins"); }
};

// One token from 0 to 9.
class Drawn final : public Task {
 public:
  TaskSpec spec() const override { return {}; }
  Split split(torch::Generator) const override { return {}; }
  Batch sample(int64_t batch_size, int64_t step, torch::Generator rng) const override {
    EXPECT_EQ(step, final_step);  // sets are drawn as at the end of a curriculum
    return {.tokens = torch::randint(10, {batch_size, 1}, rng, torch::kInt64)};
  }
};

TEST(SampledParams, AreFieldsOfTheTaskThatInheritsThem) {
  const auto fields = fields_of<OfADrawnTask>();
  ASSERT_EQ(fields.list().size(), 2u);
  EXPECT_EQ(fields.list()[0].name, "n_train");
  EXPECT_EQ(fields.list()[0].doc, "number of training coins, drawn once; 0: fresh ones at each step");
  EXPECT_EQ(std::get<int64_t>(fields.list()[1].fallback), 3);
  EXPECT_THROW(fields.make({{"n_test", int64_t{0}}}), UsageError);
}

TEST(SampledParams, DrawTheTestSetFirst) {
  const auto drawn = [](int64_t n_train) {
    SampledParams params;
    params.n_train = n_train;
    params.n_test = 5;
    return params.sampled_split(Drawn(), make_generator(4));
  };
  const Split few = drawn(2), many = drawn(20), endless = drawn(0);
  EXPECT_EQ(few.train.size(), 2);
  EXPECT_EQ(many.train.size(), 20);
  EXPECT_EQ(endless.train.size(), 5);
  EXPECT_TRUE(few.test.tokens.equal(many.test.tokens) && few.test.tokens.equal(endless.test.tokens));
  EXPECT_FALSE(many.grid.has_value());
  EXPECT_TRUE(SampledParams().endless());
}

TEST(SampledParams, RefuseMoreThanThereAre) {
  SampledParams params;
  params.n_train = 4;
  EXPECT_NO_THROW(params.check_sampled(4, "coins"));
  try {
    params.check_sampled(3, "coins");
    FAIL() << "not refused";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "training would have 4 of the 3 coins that exist");
  }
}

}  // namespace
}  // namespace orrery
