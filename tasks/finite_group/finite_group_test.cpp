#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/groups.h>
#include <tests/support/plugin_under_test.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace orrery::testing {
namespace {

std::string group(const std::string& name, const std::string& more = "") {
  return R"({"group": ")" + name + "\"" + more + "}";
}
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

std::vector<int64_t> row_of(const torch::Tensor& rows, int64_t row) {
  const auto one = rows[row].contiguous();
  return {one.data_ptr<int64_t>(), one.data_ptr<int64_t>() + one.numel()};
}

TEST(FiniteGroup, SpecIsTheOrderAndTheEquals) {
  const auto spec = make_task()->spec();  // D_59
  EXPECT_EQ(spec.d_vocab, 119);
  EXPECT_EQ(spec.d_vocab_out, 118);
  EXPECT_EQ(spec.n_ctx, 3);
  EXPECT_EQ(spec.read_out, std::vector<int64_t>{2});
  const auto without = make_task(group("Z_6 x D_4", R"(, "equals_token": false)"))->spec();
  EXPECT_EQ(without.d_vocab, 48);
  EXPECT_EQ(without.d_vocab_out, 48);
  EXPECT_EQ(without.n_ctx, 2);
  EXPECT_EQ(without.read_out, std::vector<int64_t>{1});
}

// s r = r^2 s in the symmetries of a triangle, and r s is r s.
TEST(FiniteGroup, TheLabelIsTheProduct) {
  const auto grid = *split_of(group("D_3")).grid;
  EXPECT_EQ(row_of(grid.tokens, 3 * 6 + 1), (std::vector<int64_t>{3, 1, 6}));
  EXPECT_EQ(row_of(grid.labels, 3 * 6 + 1), std::vector<int64_t>{5});
  EXPECT_EQ(row_of(grid.tokens, 1 * 6 + 3), (std::vector<int64_t>{1, 3, 6}));
  EXPECT_EQ(row_of(grid.labels, 1 * 6 + 3), std::vector<int64_t>{4});
  const auto short_grid = *split_of(group("D_3", R"(, "equals_token": false)")).grid;
  EXPECT_EQ(row_of(short_grid.tokens, 3 * 6 + 1), (std::vector<int64_t>{3, 1}));
  EXPECT_TRUE(torch::equal(short_grid.labels, grid.labels));
}

TEST(FiniteGroup, DeclaresTheGroupOfItsLabels) {
  for (const std::string name : {"Z_7", "D_5", "Q_12", "S_4", "A_4", "Z_2 x S_3", "Q_8 x Z_3"}) {
    const auto task = make_task(group(name));
    const auto structure = task->structure();
    ASSERT_TRUE(structure.group) << name;
    EXPECT_TRUE(structure.group->label_is_product);
    const FiniteGroup declared = orrery::group_of(structure);
    const int64_t n = declared.order();
    const auto split = task->split(make_generator(1));
    ASSERT_EQ(split.grid->size(), n * n);
    for (int64_t row = 0; row < n * n; ++row) {
      const auto tokens = row_of(split.grid->tokens, row);
      EXPECT_EQ(row, tokens[0] * n + tokens[1]);
      EXPECT_EQ(split.grid->labels[row][0].item<int64_t>(), declared.product(tokens[0], tokens[1])) << name;
    }
    EXPECT_EQ(structure.cyclic.has_value(), name == "Z_7");
  }
}

// The names tell the representations: those of S_4 by its partitions, those of a product by their degree.
TEST(FiniteGroup, ProbesKnowTheGroup) {
  EXPECT_EQ(orrery::name_of(orrery::group_of(make_task(group("S_4"))->structure())), "S_4");
  EXPECT_EQ(orrery::name_of(orrery::group_of(make_task(group("A_5"))->structure())), "A_5");
  EXPECT_EQ(orrery::name_of(orrery::group_of(make_task(group("Z_2 x D_2"))->structure())),
            "group of order 8");
  const auto representations =
      irreducible_representations(orrery::group_of(make_task(group("Q_8"))->structure()));
  ASSERT_EQ(representations.size(), 5u);  // four of degree 1 and the quaternions themselves
  EXPECT_EQ(representations.back().degree(), 4);
  EXPECT_EQ(representations.back().type, 4);
}

TEST(FiniteGroup, ATableMayComeFromAFile) {
  const auto path =
      std::filesystem::temp_directory_path() / ("orrery_group_" + std::to_string(std::random_device()()));
  std::ofstream(path) << "0 1 2\n1 2 0\n2 0 1\n";
  const std::string file = R"("file": ")" + path.string() + "\"";
  const auto task = make_task("{" + file + "}");
  EXPECT_EQ(task->spec().d_vocab, 4);
  EXPECT_EQ(row_of(task->split(make_generator(1)).grid->labels, 2 * 3 + 2), std::vector<int64_t>{1});
  EXPECT_EQ(task->show(torch::tensor({2, 1, 3}, torch::kInt64)), "2 * 1 =");
  EXPECT_EQ(refusal(R"({"group": "Z_3", )" + file + "}"),
            "both group = \"Z_3\" and file = \"" + path.string() + "\" are given");
  std::ofstream(path) << "0 1\n0 1\n";
  EXPECT_NE(refusal("{" + file + "}").find("not that of a group"), std::string::npos);
  std::filesystem::remove(path);
}

TEST(FiniteGroup, SplitsAsOtherTasksDo) {
  const auto split = split_of(group("D_3", R"(, "n_train": 10)"), 4);
  const auto order = torch::randperm(36, make_generator(4), torch::kInt64);
  EXPECT_TRUE(torch::equal(split.train_rows, order.narrow(0, 0, 10)));
  EXPECT_TRUE(torch::equal(split.test_rows, order.narrow(0, 10, 26)));
}

TEST(FiniteGroup, ShowsWhatAPersonWouldWrite) {
  EXPECT_EQ(make_task(group("D_3"))->show(torch::tensor({3, 1, 6}, torch::kInt64)), "s * r =");
  EXPECT_EQ(
      make_task(group("Z_2 x S_3", R"(, "equals_token": false)"))->show(torch::tensor({7, 3}, torch::kInt64)),
      "(1, (23)) * (0, (123))");
}

TEST(FiniteGroup, RefusesWhatCannotBe) {
  EXPECT_EQ(refusal(group("M_11")), "group \"M_11\", character 1: expected Z_n, D_n, Q_n, S_n or A_n");
  EXPECT_EQ(refusal(group("D_3", R"(, "n_train": 37)")), "training would have 37 of the 36 pairs that exist");
  EXPECT_NE(refusal(R"({"file": "no/such/file"})"), "");
}

}  // namespace
}  // namespace orrery::testing
