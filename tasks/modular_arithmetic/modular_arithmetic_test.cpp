#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/plugin_under_test.h>

#include <set>

namespace orrery::testing {
namespace {

const std::vector<std::string> kOperations{"add",    "subtract",   "multiply",
                                           "divide", "x^2+y^2",    "x^2+xy+y^2",
                                           "x^3+xy", "x^3+xy^2+y", "divide_odd_subtract_even"};

std::string parameters(int64_t p, const std::string& operation, const std::string& more = "") {
  return R"({"p": )" + std::to_string(p) + R"(, "operation": ")" + operation + "\"" + more + "}";
}

Split split_of(const std::string& json, uint64_t seed = 1) {
  return make_task(json)->split(make_generator(seed));
}

std::string refusal(const std::string& json) {
  try {
    make_task(json);
    return "";
  } catch (const UsageError& error) {
    return error.what();
  }
}

// c = x op y mod p, with division by search.
int64_t by_hand(const std::string& operation, int64_t x, int64_t y, int64_t p) {
  const auto mod = [p](int64_t value) { return ((value % p) + p) % p; };
  const auto quotient = [&] {
    for (int64_t c = 0; c < p; ++c)
      if (mod(c * y) == x) return c;
    return int64_t{-1};
  };
  if (operation == "add") return mod(x + y);
  if (operation == "subtract") return mod(x - y);
  if (operation == "multiply") return mod(x * y);
  if (operation == "divide") return quotient();
  if (operation == "x^2+y^2") return mod(x * x + y * y);
  if (operation == "x^2+xy+y^2") return mod(x * x + x * y + y * y);
  if (operation == "x^3+xy") return mod(x * x * x + x * y);
  if (operation == "x^3+xy^2+y") return mod(x * x * x + x * y * y + y);
  return y % 2 ? quotient() : mod(x - y);
}

TEST(ModularArithmetic, EveryOperationAgainstItsDefinition) {
  for (const int64_t p : {2, 7, 13, 23})
    for (const std::string& operation : kOperations) {
      if (p == 2 && operation == "divide") continue;  // 2 pairs: 30 % of them is none
      const auto split = split_of(parameters(p, operation, R"(, "train_fraction": 0.5)"));
      const auto& grid = *split.grid;
      std::set<std::pair<int64_t, int64_t>> seen;
      for (int64_t row = 0; row < grid.size(); ++row) {
        const auto x = grid.tokens[row][0].item<int64_t>(), y = grid.tokens[row][1].item<int64_t>();
        EXPECT_EQ(grid.tokens[row][2].item<int64_t>(), p);
        EXPECT_EQ(grid.labels[row][0].item<int64_t>(), by_hand(operation, x, y, p))
            << operation << x << "," << y;
        seen.insert({x, y});
      }
      EXPECT_EQ(int64_t(seen.size()), operation == "divide" ? p * (p - 1) : p * p) << operation;
      EXPECT_EQ(int64_t(seen.size()), grid.size());
    }
}

TEST(ModularArithmetic, CompositeModuliWhereNothingIsInverted) {
  const auto grid = *split_of(parameters(12, "x^3+xy^2+y")).grid;
  for (int64_t row = 0; row < grid.size(); ++row)
    EXPECT_EQ(grid.labels[row][0].item<int64_t>(), by_hand("x^3+xy^2+y", grid.tokens[row][0].item<int64_t>(),
                                                           grid.tokens[row][1].item<int64_t>(), 12));
}

// Varma et al. 2023, appendix A: x op y =, with d_vocab 115. All else stays: pairs, labels, split, structure.
TEST(ModularArithmetic, TheOperationMayHaveAToken) {
  const auto task = make_task(R"({"operator_token": true})");
  const auto spec = task->spec();
  EXPECT_EQ(spec.d_vocab, 115);
  EXPECT_EQ(spec.n_ctx, 4);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{3});
  EXPECT_EQ(task->structure().cyclic->left_position, 0);
  EXPECT_EQ(task->structure().cyclic->right_position, 2);
  EXPECT_EQ(task->show(torch::tensor({50, 114, 70, 113}, torch::kInt64)), "50 + 70 =");
  for (const std::string more : {"", R"(, "pairs": "a<=b")", R"(, "random_labels": true)"}) {
    const Split with = split_of(parameters(13, "add", more + R"(, "operator_token": true)")),
                without = split_of(parameters(13, "add", more));
    for (const auto& [four, three] : {std::pair{with.train, without.train}, {with.test, without.test}}) {
      EXPECT_TRUE(torch::equal(four.labels, three.labels));
      EXPECT_TRUE(torch::equal(four.tokens.select(1, 0), three.tokens.select(1, 0)));
      EXPECT_TRUE(torch::equal(four.tokens.select(1, 1), torch::full_like(four.tokens.select(1, 1), 14)));
      EXPECT_TRUE(torch::equal(four.tokens.slice(1, 2), three.tokens.slice(1, 1)));
    }
  }
}

using Numbers = std::vector<int64_t>;

Numbers row_of(const torch::Tensor& rows, int64_t row) {
  const auto one = rows[row].contiguous();
  return {one.data_ptr<int64_t>(), one.data_ptr<int64_t>() + one.numel()};
}

// Without "=" the answer stands at the second operand. By hand: 9 - 11 = 11 mod 13.
TEST(ModularArithmetic, InputsMayEndWithTheSecondOperand) {
  for (const bool with_operator : {false, true}) {
    const std::string more =
        std::string(R"(, "equals_token": false)") + (with_operator ? R"(, "operator_token": true)" : "");
    const auto task = make_task(parameters(13, "subtract", more));
    const auto spec = task->spec();
    const int64_t right = with_operator ? 2 : 1;
    EXPECT_EQ(spec.d_vocab, with_operator ? 14 : 13);
    EXPECT_EQ(spec.d_vocab_out, 13);
    EXPECT_EQ(spec.n_ctx, right + 1);
    EXPECT_EQ(spec.read_out, Numbers{right});
    const auto split = task->split(make_generator(1)), plain = split_of(parameters(13, "subtract"));
    EXPECT_EQ(row_of(split.grid->tokens, 9 * 13 + 11),
              with_operator ? (Numbers{9, 13, 11}) : (Numbers{9, 11}));
    EXPECT_EQ(row_of(split.grid->labels, 9 * 13 + 11), Numbers{11});
    EXPECT_TRUE(torch::equal(split.grid->labels, plain.grid->labels));
    EXPECT_TRUE(torch::equal(split.train_rows, plain.train_rows));
    EXPECT_EQ(task->structure().cyclic->right_position, right);
    EXPECT_EQ(task->show(split.grid->tokens[9 * 13 + 11]), "9 - 11");
  }
}

TEST(ModularArithmetic, EveryTokenMayBeAClass) {
  const auto classes = [](const std::string& more) {
    return make_task(parameters(13, "add", R"(, "all_tokens_as_classes": true)" + more))->spec().d_vocab_out;
  };
  EXPECT_EQ(classes(""), 14);
  EXPECT_EQ(classes(R"(, "operator_token": true)"), 15);
  EXPECT_EQ(classes(R"(, "equals_token": false)"), 13);
  const auto split =
      split_of(parameters(13, "add", R"(, "all_tokens_as_classes": true, "random_labels": true)"));
  EXPECT_LT(split.grid->labels.max().item<int64_t>(), 13);
}

TEST(ModularArithmetic, SpecIsThatOfThePaper) {
  const auto spec = make_task()->spec();
  EXPECT_EQ(spec.d_vocab, 114);
  EXPECT_EQ(spec.d_vocab_out, 113);
  EXPECT_EQ(spec.n_ctx, 3);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{2});
}

TEST(ModularArithmetic, TrainsOnAsManyPairsAsAsked) {
  EXPECT_EQ(split_of("{}").train.size(), 3830);
  EXPECT_EQ(split_of("{}").test.size(), 12769 - 3830);
  EXPECT_EQ(split_of(R"({"p": 10, "train_fraction": 0.29})").train.size(), 29);
  EXPECT_EQ(split_of(R"({"p": 10, "n_train": 1})").train.size(), 1);
  EXPECT_EQ(split_of(R"({"p": 10, "n_train": 100})").test.size(), 0);
  EXPECT_EQ(split_of(R"({"p": 10, "train_fraction": 1})").train.size(), 100);
}

TEST(ModularArithmetic, TrainAndTestAreDisjointAndCoverTheGrid) {
  const auto split = split_of(parameters(23, "divide"));
  std::set<int64_t> rows;
  for (const auto& part : {split.train_rows, split.test_rows})
    for (int64_t i = 0; i < part.size(0); ++i) EXPECT_TRUE(rows.insert(part[i].item<int64_t>()).second);
  EXPECT_EQ(int64_t(rows.size()), split.grid->size());
  EXPECT_EQ(*rows.begin(), 0);
  EXPECT_EQ(*rows.rbegin(), split.grid->size() - 1);
  EXPECT_TRUE(torch::equal(split.train.tokens, split.grid->tokens.index_select(0, split.train_rows)));
  EXPECT_TRUE(torch::equal(split.test.labels, split.grid->labels.index_select(0, split.test_rows)));
}

TEST(ModularArithmetic, TheSeedDecidesTheSplitAndNothingElseDoes) {
  for (const std::string json : {"{}", R"({"random_labels": true})"}) {
    const auto one = split_of(json, 1), again = split_of(json, 1), two = split_of(json, 2);
    EXPECT_TRUE(torch::equal(one.train_rows, again.train_rows));
    EXPECT_TRUE(torch::equal(one.grid->labels, again.grid->labels));
    EXPECT_FALSE(torch::equal(one.train_rows, two.train_rows));
  }
  EXPECT_TRUE(
      torch::equal(split_of("{}", 4).train_rows, split_of(R"({"random_labels": true})", 4).train_rows));
}

// Read off a permutation of the run's data seed, and the labels after it: runs keep their data.
TEST(ModularArithmetic, RandomSplitIsTheFirstOfAPermutation) {
  auto rng = make_generator(7);
  const auto order = torch::randperm(12769, rng, torch::kInt64);
  const auto labels = torch::randint(113, {12769, 1}, rng, torch::kInt64);
  const auto split = split_of(R"({"random_labels": true})", 7);
  EXPECT_TRUE(torch::equal(split.train_rows, order.narrow(0, 0, 3830)));
  EXPECT_TRUE(torch::equal(split.test_rows, order.narrow(0, 3830, 12769 - 3830)));
  EXPECT_TRUE(torch::equal(split.grid->labels, labels));
}

using Pairs = std::vector<std::pair<int64_t, int64_t>>;

Pairs pairs_of(const Batch& batch) {
  Pairs pairs;
  for (int64_t row = 0; row < batch.size(); ++row)
    pairs.emplace_back(batch.tokens[row][0].item<int64_t>(), batch.tokens[row][1].item<int64_t>());
  return pairs;
}

// Measured with CPython 3.11.2 (p, seed; for the second, 40 % of the pairs with i <= j):
//   pairs = [(i, j, p) for i in range(p) for j in range(p)]
//   random.seed(seed); random.shuffle(pairs); train = pairs[:int(0.3*len(pairs))]
TEST(ModularArithmetic, PublishedSplit) {
  const auto small = split_of(R"({"p": 5, "split.rule": "cpython_shuffle", "split.seed": 3})");
  EXPECT_EQ(pairs_of(small.train), (Pairs{{1, 1}, {3, 1}, {4, 2}, {2, 4}, {0, 1}, {1, 0}, {4, 0}}));
  const auto half = split_of(
      R"({"p": 5, "pairs": "a<=b", "train_fraction": 0.4, "split.rule": "cpython_shuffle", "split.seed": 3})");
  EXPECT_EQ(pairs_of(half.train), (Pairs{{3, 3}, {2, 3}, {1, 2}, {2, 4}, {4, 4}, {0, 0}}));
  EXPECT_EQ(pairs_of(half.test),
            (Pairs{{0, 4}, {0, 1}, {1, 3}, {3, 4}, {1, 1}, {0, 2}, {1, 4}, {2, 2}, {0, 3}}));
  const auto mainline = split_of(R"({"split.rule": "cpython_shuffle"})");
  const Pairs train = pairs_of(mainline.train), test = pairs_of(mainline.test);
  ASSERT_EQ(train.size(), 3830u);
  EXPECT_EQ(Pairs(train.begin(), train.begin() + 3), (Pairs{{18, 34}, {10, 83}, {55, 28}}));
  EXPECT_EQ(train.back(), (std::pair<int64_t, int64_t>{65, 24}));
  EXPECT_EQ(test.front(), (std::pair<int64_t, int64_t>{50, 67}));
  EXPECT_EQ(test.back(), (std::pair<int64_t, int64_t>{55, 96}));
}

TEST(ModularArithmetic, SymmetricHalf) {
  const std::string more = R"(, "pairs": "a<=b")";
  for (const std::string operation : {"add", "multiply", "x^2+y^2", "x^2+xy+y^2"}) {
    const auto split = split_of(parameters(7, operation, more));
    EXPECT_EQ(split.train.size(), 8);  // 30 % of 28
    std::set<std::pair<int64_t, int64_t>> seen;
    for (const Batch& part : {split.train, split.test})
      for (const auto& [a, b] : pairs_of(part)) {
        EXPECT_LE(a, b);
        EXPECT_TRUE(seen.insert({a, b}).second);
      }
    EXPECT_EQ(seen.size(), 28u);
    EXPECT_EQ(split.grid->size(), 49);  // whole, as the cyclic structure has it
    EXPECT_TRUE(torch::equal(split.grid->labels, split_of(parameters(7, operation)).grid->labels));
    EXPECT_TRUE(torch::equal(split.train.tokens, split.grid->tokens.index_select(0, split.train_rows)));
  }
  EXPECT_EQ(split_of(parameters(7, "add", more + R"(, "n_train": 28)")).test.size(), 0);
  EXPECT_EQ(refusal(parameters(7, "add", more + R"(, "n_train": 29)")),
            "training would have 29 of the 28 pairs that exist");
}

TEST(ModularArithmetic, SymmetricHalfIsOfferedWhereTheOperationCommutes) {
  const int64_t p = 7;
  for (const std::string& operation : kOperations) {
    bool commutes = true;
    for (int64_t x = 1; x < p; ++x)
      for (int64_t y = 1; y < p; ++y)
        commutes = commutes && by_hand(operation, x, y, p) == by_hand(operation, y, x, p);
    EXPECT_EQ(refusal(parameters(p, operation, R"(, "pairs": "a<=b")")).empty(), commutes) << operation;
  }
  EXPECT_EQ(refusal(parameters(7, "subtract", R"(, "pairs": "a<=b")")),
            "pairs = \"a<=b\" leaves out b op a, which operation \"subtract\" does not make equal to a op b");
}

TEST(ModularArithmetic, RandomLabelsAreUniformAndKnowNothingOfTheOperation) {
  const auto random = split_of(R"({"random_labels": true})", 1),
             other = split_of(R"({"random_labels": true})", 2);
  const auto& labels = random.grid->labels;
  EXPECT_GE(labels.min().item<int64_t>(), 0);
  EXPECT_LT(labels.max().item<int64_t>(), 113);
  const auto counts = torch::bincount(labels.flatten());
  EXPECT_EQ(counts.size(0), 113);
  EXPECT_GT(counts.min().item<int64_t>(), 113 - 6 * 11);  // six standard deviations
  EXPECT_LT(counts.max().item<int64_t>(), 113 + 6 * 11);
  for (const auto& unrelated : {split_of("{}").grid->labels, other.grid->labels})
    EXPECT_LT((labels == unrelated).to(torch::kFloat64).mean().item<double>(), 0.02);  // 1/113 by chance
}

// The claim of CyclicStructure, for every input of the grid.
void expect_cyclic(int64_t p, const std::string& operation, int64_t order) {
  const auto task = make_task(parameters(p, operation, R"(, "train_fraction": 0.5)"));
  const auto structure = task->structure();
  ASSERT_TRUE(structure.cyclic) << p << operation;
  const auto& cyclic = *structure.cyclic;
  EXPECT_EQ(cyclic.order, order);
  EXPECT_EQ(cyclic.left_position, 0);
  EXPECT_EQ(cyclic.right_position, 1);
  for (const auto& map : {cyclic.left, cyclic.right, cyclic.result}) {
    ASSERT_EQ(int64_t(map.size()), p);
    std::set<int64_t> indices(map.begin(), map.end());
    indices.erase(-1);
    EXPECT_EQ(int64_t(indices.size()), order);
    EXPECT_EQ(*indices.rbegin(), order - 1);
  }
  const auto split = task->split(make_generator(1));
  const auto& grid = *split.grid;
  int64_t indexed = 0;
  for (int64_t row = 0; row < grid.size(); ++row) {
    const int64_t i = cyclic.left[grid.tokens[row][0].item<int64_t>()];
    const int64_t j = cyclic.right[grid.tokens[row][1].item<int64_t>()];
    if (i < 0 || j < 0) continue;
    EXPECT_EQ(cyclic.result[grid.labels[row][0].item<int64_t>()], (i + j) % order);
    ++indexed;
  }
  EXPECT_EQ(indexed, order * order);
}

TEST(ModularArithmetic, CyclicStructureHoldsForEveryInput) {
  for (const int64_t p : {2, 7, 12, 15, 31}) {
    expect_cyclic(p, "add", p);
    expect_cyclic(p, "subtract", p);
  }
  for (const int64_t p : {3, 5, 7, 17, 31, 41}) {
    expect_cyclic(p, "multiply", p - 1);
    expect_cyclic(p, "divide", p - 1);
  }
}

TEST(ModularArithmetic, NoCyclicStructureWhereThereIsNone) {
  for (size_t i = 4; i < kOperations.size(); ++i)
    EXPECT_FALSE(make_task(parameters(13, kOperations[i]))->structure().cyclic) << kOperations[i];
  EXPECT_FALSE(make_task(parameters(15, "multiply"))->structure().cyclic);
  EXPECT_FALSE(make_task(parameters(13, "add", R"(, "random_labels": true)"))->structure().cyclic);
}

TEST(ModularArithmetic, ShowsWhatAPersonWouldWrite) {
  const auto shown = [](const std::string& operation, int64_t x, int64_t y) {
    return make_task(parameters(113, operation))->show(torch::tensor({x, y, int64_t{113}}, torch::kInt64));
  };
  EXPECT_EQ(shown("add", 50, 70), "50 + 70 =");
  EXPECT_EQ(shown("subtract", 50, 70), "50 - 70 =");
  EXPECT_EQ(shown("multiply", 3, 4), "3 * 4 =");
  EXPECT_EQ(shown("divide", 3, 4), "3 / 4 =");
  EXPECT_EQ(shown("x^2+xy+y^2", 3, 4), "3^2 + 3*4 + 4^2 =");
  EXPECT_EQ(shown("x^3+xy^2+y", 3, 4), "3^3 + 3*4^2 + 4 =");
  EXPECT_EQ(shown("divide_odd_subtract_even", 3, 5), "3 / 5 =");
  EXPECT_EQ(shown("divide_odd_subtract_even", 3, 4), "3 - 4 =");
}

TEST(ModularArithmetic, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(parameters(115, "divide")),
            "p = 115 is not prime (5 x 23); operation \"divide\" needs a prime");
  EXPECT_NE(refusal(parameters(9, "divide_odd_subtract_even")), "");
  EXPECT_EQ(refusal(R"({"p": 5, "n_train": 26})"), "training would have 26 of the 25 pairs that exist");
  EXPECT_NE(refusal(parameters(5, "divide", R"(, "n_train": 21)")), "");
  EXPECT_NE(refusal(R"({"train_fraction": 0})"), "");
  EXPECT_EQ(refusal(R"({"split.rule": "file", "split.file": "no/such/file"})"),
            "cannot read the index file \"no/such/file\"");
  EXPECT_THROW(make_task(R"({"p": 1})"), Error);
  EXPECT_THROW(make_task(R"({"operation": "power"})"), Error);
}

}  // namespace
}  // namespace orrery::testing
