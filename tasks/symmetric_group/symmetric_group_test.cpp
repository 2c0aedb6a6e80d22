#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/plugin_under_test.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <set>

namespace orrery::testing {
namespace {

std::string parameters(const std::string& group, int64_t n, const std::string& more = "") {
  return R"({"group": ")" + group + R"(", "n": )" + std::to_string(n) + more + "}";
}
std::string operation(const std::string& name) { return R"(, "operation": ")" + name + "\""; }

GroupStructure group_of(const std::string& json) { return make_task(json)->structure().group.value(); }
Split split_of(const std::string& json, uint64_t seed = 1) {
  return make_task(json)->split(make_generator(seed));
}

std::string refusal(const std::string& json) {
  try {
    make_task(json);
    return "";
  } catch (const UsageError& error) {
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
}

// Every group the task has, with one training pair where a share of the pairs would be none.
std::vector<std::string> all_groups(int64_t largest) {
  std::vector<std::string> groups{parameters("alternating", 2, R"(, "n_train": 1)")};
  for (int64_t n = 2; n <= largest; ++n) groups.push_back(parameters("symmetric", n));
  for (int64_t n = 3; n <= largest; ++n) groups.push_back(parameters("alternating", n));
  return groups;
}

// A permutation as its one-line notation, "23145": 1 goes to 2.
char image(const std::string& x, char of) { return x[of - '1']; }
std::string product(const std::string& x, const std::string& y) {  // first y, then x
  std::string line;
  for (size_t i = 0; i < x.size(); ++i) line += image(x, image(y, static_cast<char>('1' + i)));
  return line;
}
std::string inverse(const std::string& x) {
  std::string line(x.size(), ' ');
  for (size_t i = 0; i < x.size(); ++i) line[x[i] - '1'] = static_cast<char>('1' + i);
  return line;
}

// The one-line notation of what is written in cycle notation.
std::string one_line(const std::string& cycles, int64_t n) {
  std::string line = std::string("123456").substr(0, n);
  for (size_t at = 0; at < cycles.size(); ++at) {
    const size_t end = cycles.find(')', at);
    for (size_t i = at + 1; i < end; ++i)
      line[cycles[i] - '1'] = i + 1 < end ? cycles[i + 1] : cycles[at + 1];
    at = end;
  }
  return line;
}

// Even permutations are products of an even number of swaps: sort by swaps, and count.
bool is_even(std::string x) {
  bool even = true;
  for (size_t i = 0; i < x.size(); ++i)
    while (x[i] != static_cast<char>('1' + i)) {
      std::swap(x[i], x[x[i] - '1']);
      even = !even;
    }
  return even;
}

// The elements by their definition, in the documented order.
std::vector<std::string> elements(const std::string& group, int64_t n) {
  std::string line = std::string("123456").substr(0, n);
  std::vector<std::string> all;
  do {
    if (group == "symmetric" || is_even(line)) all.push_back(line);
  } while (std::next_permutation(line.begin(), line.end()));
  return all;
}
int64_t token_of(const std::vector<std::string>& elements, const std::string& x) {
  return std::find(elements.begin(), elements.end(), x) - elements.begin();
}

TEST(SymmetricGroup, TokensAreTheElementsInLexicographicOrder) {
  EXPECT_EQ(group_of(parameters("symmetric", 3)).names,
            (std::vector<std::string>{"()", "(23)", "(12)", "(123)", "(132)", "(13)"}));
  EXPECT_EQ(group_of(parameters("alternating", 3)).names, (std::vector<std::string>{"()", "(123)", "(132)"}));
  for (const std::string group : {"symmetric", "alternating"})
    for (int64_t n = 3; n <= 6; ++n) {
      const auto names = group_of(parameters(group, n)).names;
      const auto expected = elements(group, n);
      ASSERT_EQ(names.size(), expected.size());
      for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(one_line(names[i], n), expected[i]) << names[i];
    }
}

TEST(SymmetricGroup, HasAsManyElementsAsItShould) {
  const int64_t factorials[] = {1, 1, 2, 6, 24, 120, 720};
  for (int64_t n = 2; n <= 6; ++n) {
    const auto symmetric = make_task(parameters("symmetric", n))->spec();
    EXPECT_EQ(symmetric.d_vocab_out, factorials[n]);
    EXPECT_EQ(symmetric.d_vocab, factorials[n] + 1);
    const auto alternating = make_task(parameters("alternating", n, R"(, "n_train": 1)"))->spec();
    EXPECT_EQ(alternating.d_vocab_out, factorials[n] / 2);
  }
}

TEST(SymmetricGroup, SpecIsThatOfS5) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 121);
  EXPECT_EQ(spec.d_vocab_out, 120);
  EXPECT_EQ(spec.n_ctx, 3);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{2});
  EXPECT_EQ(split_of("{}").train.size(), 5760);  // 40 % of 14,400
}

// In S3, by hand: (12) * (23). 1 stays and goes to 2, 2 goes to 3 and stays, 3 goes to 2 and to 1: (123).
// In the other order it is (132).
TEST(SymmetricGroup, TheRightFactorIsAppliedFirst) {
  const auto group = group_of(parameters("symmetric", 3));
  const auto token = [&](const std::string& name) { return token_of(group.names, name); };
  EXPECT_EQ(group.table[token("(12)")][token("(23)")], token("(123)"));
  EXPECT_EQ(group.table[token("(23)")][token("(12)")], token("(132)"));
}

// A bijection in each row and column, associative, with the identity first and inverses on both sides.
TEST(SymmetricGroup, TablesAreThoseOfGroups) {
  for (const std::string& json : all_groups(5)) {
    const auto group = group_of(json);
    const auto& table = group.table;
    const auto order = static_cast<int64_t>(table.size());
    EXPECT_EQ(group.names.front(), "()");
    int64_t not_associative = 0, without_inverse = 0;
    for (int64_t x = 0; x < order; ++x) {
      EXPECT_EQ(table[0][x], x);
      EXPECT_EQ(table[x][0], x);
      EXPECT_EQ(std::set<int64_t>(table[x].begin(), table[x].end()).size(), table.size());
      EXPECT_EQ(*std::min_element(table[x].begin(), table[x].end()), 0);
      EXPECT_EQ(*std::max_element(table[x].begin(), table[x].end()), order - 1);
      bool inverted = false;
      for (int64_t y = 0; y < order; ++y) {
        inverted = inverted || (table[x][y] == 0 && table[y][x] == 0);
        for (int64_t z = 0; z < order; ++z) not_associative += table[table[x][y]][z] != table[x][table[y][z]];
      }
      without_inverse += !inverted;
    }
    EXPECT_EQ(not_associative, 0) << json;
    EXPECT_EQ(without_inverse, 0) << json;
  }
}

TEST(SymmetricGroup, TablesComposePermutations) {
  for (const std::string group : {"symmetric", "alternating"})
    for (int64_t n = 3; n <= 6; ++n) {
      const auto expected = elements(group, n);
      const auto table = group_of(parameters(group, n)).table;
      ASSERT_EQ(table.size(), expected.size());
      int64_t wrong = 0;
      for (size_t x = 0; x < table.size(); ++x) {
        ASSERT_EQ(table[x].size(), expected.size());
        for (size_t y = 0; y < table.size(); ++y)
          wrong += expected.at(table[x][y]) != product(expected[x], expected[y]);
      }
      EXPECT_EQ(wrong, 0) << group << n;
    }
}

// x = (123) and y = (12) in S3, by hand: x y is (13), for 1 goes to 2 to 3, 2 to 1 to 2, 3 to 3 to 1.
// x^-1 is (132), x y x^-1 = (13)(132) = (23), for 1 goes to 3 to 1, 2 to 1 to 3, 3 to 2 to 2.
// x y x = (13)(123) = (12), for 1 goes to 2 to 2, 2 to 3 to 1, 3 to 1 to 3.
TEST(SymmetricGroup, OperationsByHand) {
  for (const auto& [name, expected] : std::vector<std::pair<std::string, std::string>>{
           {"x*y", "(13)"}, {"x*y*x^-1", "(23)"}, {"x*y*x", "(12)"}}) {
    const std::string json = parameters("symmetric", 3, operation(name));
    const auto names = group_of(json).names;
    const auto grid = *split_of(json).grid;
    const int64_t row = 6 * token_of(names, "(123)") + token_of(names, "(12)");
    EXPECT_EQ(names[grid.labels[row][0].item<int64_t>()], expected) << name;
  }
}

TEST(SymmetricGroup, LabelsOfEveryPairAgainstTheirDefinition) {
  for (const std::string group : {"symmetric", "alternating"})
    for (const std::string name : {"x*y", "x*y*x^-1", "x*y*x"}) {
      const auto expected = elements(group, 4);
      const auto order = static_cast<int64_t>(expected.size());
      const auto grid = *split_of(parameters(group, 4, operation(name))).grid;
      ASSERT_EQ(grid.size(), order * order);
      for (int64_t row = 0; row < grid.size(); ++row) {
        const std::string x = expected[row / order], y = expected[row % order];
        const std::string xy = product(x, y);
        const std::string label = name == "x*y" ? xy : product(xy, name == "x*y*x" ? x : inverse(x));
        EXPECT_EQ(grid.tokens[row][0].item<int64_t>(), row / order);
        EXPECT_EQ(grid.tokens[row][1].item<int64_t>(), row % order);
        EXPECT_EQ(grid.tokens[row][2].item<int64_t>(), order);
        EXPECT_EQ(grid.labels[row][0].item<int64_t>(), token_of(expected, label)) << name << x << y;
      }
    }
}

TEST(SymmetricGroup, DeclaresTheGroupAndWhetherTheLabelIsItsProduct) {
  for (const std::string name : {"x*y", "x*y*x^-1", "x*y*x"}) {
    const auto structure = make_task(parameters("symmetric", 4, operation(name)))->structure();
    EXPECT_FALSE(structure.cyclic);
    EXPECT_EQ(structure.group->label_is_product, name == "x*y");
    EXPECT_EQ(structure.group->left_position, 0);
    EXPECT_EQ(structure.group->right_position, 1);
    EXPECT_EQ(structure.group->table, group_of(parameters("symmetric", 4)).table);
  }
}

TEST(SymmetricGroup, TrainAndTestAreDisjointAndCoverTheGrid) {
  for (const std::string more :
       {R"(, "n_train": 100)", R"(, "n_train": 100, "split.rule": "cpython_shuffle")"}) {
    const auto split = split_of(parameters("symmetric", 4, more));
    EXPECT_EQ(split.train.size(), 100);
    EXPECT_EQ(split.test.size(), 476);
    const auto rows = torch::cat({split.train_rows, split.test_rows});
    EXPECT_TRUE(torch::equal(std::get<0>(rows.sort()), torch::arange(576, torch::kInt64)));
    EXPECT_TRUE(torch::equal(split.train.labels, split.grid->labels.index_select(0, split.train_rows)));
    EXPECT_TRUE(torch::equal(split.test.tokens, split.grid->tokens.index_select(0, split.test_rows)));
  }
}

TEST(SymmetricGroup, TheSeedThatTheRuleNamesDecidesTheSplit) {
  EXPECT_TRUE(torch::equal(split_of("{}", 1).train_rows, split_of("{}", 1).train_rows));
  EXPECT_FALSE(torch::equal(split_of("{}", 1).train_rows, split_of("{}", 2).train_rows));
  const std::string python = R"({"split.rule": "cpython_shuffle", "split.seed": 0})";
  EXPECT_TRUE(torch::equal(split_of(python, 1).train_rows, split_of(python, 2).train_rows));
  // CPython 3.11.2: random.seed(0); l = list(range(14400)); random.shuffle(l); l[:6]
  EXPECT_TRUE(torch::equal(split_of(python).train_rows.narrow(0, 0, 6),
                           torch::tensor({4980, 7242, 6084, 13220, 9664, 6807}, torch::kInt64)));
}

TEST(SymmetricGroup, ShowsWhatAPersonWouldWrite) {
  const auto shown = [](const std::string& name, const std::string& x, const std::string& y) {
    const auto task = make_task(parameters("symmetric", 5, operation(name)));
    const auto names = task->structure().group->names;
    return task->show(torch::tensor({token_of(names, x), token_of(names, y), int64_t{120}}, torch::kInt64));
  };
  EXPECT_EQ(shown("x*y", "(12)(345)", "(15)"), "(12)(345) * (15) =");
  EXPECT_EQ(shown("x*y", "()", "(12345)"), "() * (12345) =");
  EXPECT_EQ(shown("x*y*x^-1", "(12)(345)", "(15)"), "(12)(345) * (15) * (12)(354) =");
  EXPECT_EQ(shown("x*y*x", "(12)(345)", "(15)"), "(12)(345) * (15) * (12)(345) =");
}

// A file in the folder for temporary files, for one test.
class ElementsFile {
 public:
  explicit ElementsFile(const std::string& text) { std::ofstream(path_) << text; }
  ~ElementsFile() { std::filesystem::remove(path_); }
  std::string json(const std::string& group, int64_t n, const std::string& more = "") const {
    return parameters(group, n, R"(, "elements": ")" + path_.string() + "\"" + more);
  }
  std::string refused(int64_t n) const {
    std::string what = refusal(json("symmetric", n));
    if (what.rfind(path_.string(), 0) == 0) what.erase(0, path_.string().size());
    return what;
  }

 private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("orrery_elements_" + std::to_string(std::random_device()()));
};

// By hand, the identity being token 2: token 0 is (13), token 1 (123). (13)(123): 1 to 2 and stays, 2 to 3 to
// 1, 3 to 1 to 3, which is (12), token 4. (123) (12) (132) is (23), token 5: the identity is not token 0.
TEST(SymmetricGroup, AFileMayOrderTheElements) {
  const std::string from_1 = "# S3\n321\n2 3 1\n\n1,2,3\n(3, 1, 2)\n[2 1 3]\n132\n",
                    from_0 = "(2, 1, 0)\r\n(1, 2, 0)\n(0, 1, 2)\n(2, 0, 1)\n(1, 0, 2)\n(0, 2, 1)";
  for (const std::string& text : {from_1, from_0}) {
    const ElementsFile file(text);
    const auto group = group_of(file.json("symmetric", 3));
    EXPECT_EQ(group.names, (std::vector<std::string>{"(13)", "(123)", "()", "(132)", "(12)", "(23)"}));
    EXPECT_EQ(group.table[0][1], 4);
    EXPECT_EQ(group.table[1][2], 1);
    const auto grid = *split_of(file.json("symmetric", 3)).grid;
    EXPECT_EQ(grid.labels[6 * 0 + 1][0].item<int64_t>(), 4);
    const auto conjugates = *split_of(file.json("symmetric", 3, operation("x*y*x^-1"))).grid;
    EXPECT_EQ(conjugates.labels[6 * 1 + 4][0].item<int64_t>(), 5);
  }
  EXPECT_EQ(group_of(ElementsFile("231\n123\n312\n").json("alternating", 3)).names,
            (std::vector<std::string>{"(123)", "()", "(132)"}));
}

TEST(SymmetricGroup, AFileOfElementsHasEachOnce) {
  EXPECT_EQ(ElementsFile("12\n2 x\n").refused(2), ":2:3: expected the digits of a permutation");
  EXPECT_EQ(ElementsFile("12\n22\n").refused(2), ":2: not an element of S2, which permutes 1 to 2");
  EXPECT_EQ(ElementsFile("01\n12\n").refused(2), ":2: not an element of S2, which permutes 0 to 1");
  EXPECT_EQ(ElementsFile("12\n12\n").refused(2), ":2: the permutation of line 1 again");
  EXPECT_EQ(ElementsFile("21\n").refused(2), ": 1 permutations, and S2 has 2 elements");
  EXPECT_EQ(refusal(R"({"elements": "no/such/file"})"), "cannot read the elements in \"no/such/file\"");
}

TEST(SymmetricGroup, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(parameters("symmetric", 7)),
            "S7 has 5040 elements: too large to list every pair of them");
  EXPECT_EQ(refusal(parameters("alternating", 7)),
            "A7 has 2520 elements: too large to list every pair of them");
  EXPECT_EQ(refusal(parameters("symmetric", 20)),
            "S20 has 2432902008176640000 elements: too large to list every pair of them");
  EXPECT_EQ(refusal(parameters("symmetric", 1000000)),
            "S1000000 has more than 10^18 elements: too large to list every pair of them");
  EXPECT_EQ(refusal(parameters("symmetric", 3, R"(, "n_train": 37)")),
            "training would have 37 of the 36 pairs that exist");
  EXPECT_EQ(refusal(parameters("alternating", 2)), "training would have 0 of the 1 pairs that exist");
  EXPECT_NE(refusal(R"({"split.rule": "file"})"), "");
  EXPECT_THROW(make_task(R"({"n": 1})"), Error);
  EXPECT_THROW(make_task(R"({"operation": "y*x"})"), Error);
  EXPECT_THROW(make_task(R"({"group": "dihedral"})"), Error);
}

}  // namespace
}  // namespace orrery::testing
