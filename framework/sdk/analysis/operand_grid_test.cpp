// The two operands of every input, looked up in plain loops.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/groups.h>
#include <orrery/operand_grid.h>
#include <tests/support/hand_built.h>

#include <functional>
#include <map>

namespace orrery {
namespace {

using testing::addition;
using testing::CyclicTask;
using testing::multiplication;
using testing::Network;
using testing::subtraction;
using torch::Tensor;

struct Noise : Network {
  explicit Noise(CyclicTask of) : Network(std::move(of)) { testing::build_noise(*this, 5); }
};

// x, y -> x y in the group of two commuting signs: the product is the exclusive or. "=" is token 4.
CyclicTask signs() {
  CyclicTask task = addition(4);
  GroupStructure group;
  for (int64_t x = 0; x < 4; ++x) {
    group.table.push_back({});
    for (int64_t y = 0; y < 4; ++y) group.table.back().push_back(x ^ y);
  }
  task.structure = {};
  task.structure.group = group;
  Batch& grid = *task.split.grid;
  grid.labels = grid.tokens.select(1, 0).bitwise_xor(grid.tokens.select(1, 1)).unsqueeze(1);
  return task;
}

OperandIndices indices_of(const CyclicTask& task) {
  return task.structure.cyclic ? OperandIndices(*task.structure.cyclic)
                               : OperandIndices(*task.structure.group);
}

// The value with an index, by search.
int64_t value_at(const std::vector<int64_t>& map, int64_t index) {
  for (size_t value = 0; value < map.size(); ++value)
    if (map[value] == index) return static_cast<int64_t>(value);
  return -1;
}

CyclicStructure maps_of(const CyclicTask& task) {
  if (task.structure.cyclic) return *task.structure.cyclic;
  return {.order = 4, .left = {0, 1, 2, 3}, .right = {0, 1, 2, 3}, .result = {0, 1, 2, 3}};
}

// The row of the grid with these operands, by search.
int64_t row_with(const CyclicTask& task, int64_t a, int64_t b) {
  const Tensor& tokens = task.split.grid->tokens;
  for (int64_t row = 0; row < tokens.size(0); ++row)
    if (tokens[row][0].item<int64_t>() == a && tokens[row][1].item<int64_t>() == b) return row;
  return -1;
}

const std::map<std::string, std::function<CyclicTask()>> tasks{
    {"addition", [] { return addition(5); }},
    {"subtraction", [] { return subtraction(6); }},
    {"multiplication", [] { return multiplication(7, 3); }},
    {"group", signs}};

TEST(OperandGrid, LaysOutWhatALoopFinds) {
  for (const auto& [name, make] : tasks) {
    SCOPED_TRACE(name);
    Noise network(make());
    const CyclicStructure maps = maps_of(network.task);
    const int64_t n = maps.order;
    const auto observation = network.observe();
    const OperandGrid grid(indices_of(network.task), observation);
    ASSERT_EQ(grid.order(), n);
    ASSERT_EQ(grid.rows().size(0), n * n);
    const Tensor x = torch::arange(network.task.spec.d_vocab, torch::kInt64);
    const Tensor classes = torch::arange(network.task.spec.d_vocab_out, torch::kInt64);
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(grid.left(x)[i].item<int64_t>(), value_at(maps.left, i));
      EXPECT_EQ(grid.right(x)[i].item<int64_t>(), value_at(maps.right, i));
      EXPECT_EQ(grid.classes(classes)[i].item<int64_t>(), value_at(maps.result, i));
      for (int64_t j = 0; j < n; ++j) {
        const int64_t row = row_with(network.task, value_at(maps.left, i), value_at(maps.right, j));
        EXPECT_EQ(grid.rows()[i * n + j].item<int64_t>(), row);
        EXPECT_TRUE(grid.logits()[i * n + j].equal(network.logits[row][0].to(torch::kFloat64)));
        EXPECT_TRUE(grid.inputs(network.logits)[i * n + j].equal(network.logits[row]));
      }
    }
  }
}

TEST(OperandGrid, LossesAreThoseOfEachSet) {
  for (const auto& [name, make] : tasks) {
    SCOPED_TRACE(name);
    Noise network(make());
    const OperandIndices indices = indices_of(network.task);
    const auto observation = network.observe();
    const OperandGrid grid(indices, observation);
    const auto losses = grid.losses(grid.logits());
    ASSERT_EQ(losses.size(), 3u);
    const Split& split = network.task.split;
    const auto expect = [&](size_t at, const std::string& set, const Tensor& rows) {
      std::vector<int64_t> kept;
      for (int64_t r = 0; r < rows.size(0); ++r) {
        const auto row = rows[r].item<int64_t>();
        const auto tokens = split.grid->tokens[row];
        if (indices.left_index(tokens[0].item<int64_t>()) >= 0 &&
            indices.right_index(tokens[1].item<int64_t>()) >= 0)
          kept.push_back(row);
      }
      EXPECT_EQ(losses[at].first, set);
      EXPECT_NEAR(losses[at].second, testing::plain_loss(network, kept), 1e-12) << set;
    };
    expect(0, "train", split.train_rows);
    expect(1, "test", split.test_rows);
    expect(2, "all", torch::arange(split.grid->size(), torch::kInt64));
  }
}

// Weights of the grid, by pair: one for each example, or for its one label.
TEST(OperandGrid, LossesAreWeightedAsInTraining) {
  for (const bool of_labels : {false, true}) {
    Noise network(addition(5));
    Batch& all = *network.task.split.grid;
    const Tensor weights = torch::arange(1, all.size() + 1).to(torch::kFloat32);
    all.weights = of_labels ? weights.unsqueeze(1) : weights;
    const auto observation = network.observe();
    const OperandGrid grid(indices_of(network.task), observation);
    for (const auto& [set, rows] :
         {std::pair(size_t{0}, network.task.split.train_rows), {size_t{2}, torch::arange(all.size())}}) {
      double sum = 0, weight = 0;
      for (int64_t r = 0; r < rows.size(0); ++r) {
        const auto row = rows[r].item<int64_t>();
        const double w = weights[row].item<double>();
        sum += w * testing::plain_loss(network, {row});
        weight += w;
      }
      EXPECT_NEAR(grid.losses(grid.logits())[set].second, sum / weight, 1e-12);
    }
  }
}

TEST(OperandGrid, LeavesOutASetWithoutInputs) {
  Noise network(multiplication(5, 2));
  const auto with_zero = (network.task.split.grid->tokens.select(1, 0) == 0).nonzero().flatten();
  network.task.split = Split::of_grid(*network.task.split.grid, torch::arange(25), with_zero);
  const auto observation = network.observe();
  const OperandGrid grid(indices_of(network.task), observation);
  const auto losses = grid.losses(grid.logits());
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_EQ(losses[0].first, "train");
  EXPECT_EQ(losses[1].first, "all");
}

TEST(OperandIndices, GiveThePairOfEachInput) {
  for (const auto& [name, make] : tasks) {
    SCOPED_TRACE(name);
    const CyclicTask task = make();
    const CyclicStructure maps = maps_of(task);
    const OperandIndices indices = indices_of(task);
    const auto p = static_cast<int64_t>(maps.left.size());
    // Every token at both positions, and two that no operand has: "=" and one beyond the vocabulary.
    for (int64_t a = 0; a <= p + 1; ++a)
      for (int64_t b = 0; b <= p + 1; ++b) {
        const int64_t i = a < p ? maps.left[a] : -1, j = b < p ? maps.right[b] : -1;
        const auto pair = indices.pairs(torch::tensor({a, b, p}, torch::kInt64).unsqueeze(0));
        EXPECT_EQ(pair.item<int64_t>(), i < 0 || j < 0 ? -1 : i * maps.order + j) << a << " " << b;
        EXPECT_EQ(indices.left_index(a), i);
        EXPECT_EQ(indices.right_index(b), j);
      }
    EXPECT_EQ(indices.left_index(-1), -1);
    EXPECT_EQ(indices.n_classes(), static_cast<int64_t>(maps.result.size()));
    for (int64_t c = 0; c < indices.n_classes(); ++c) EXPECT_EQ(indices.result_index(c), maps.result[c]);
  }
}

TEST(OperandIndices, ReadThePositionsThatTheStructureNames) {
  CyclicStructure maps = *addition(5).structure.cyclic;
  maps.left_position = 3;
  maps.right_position = 1;
  const auto tokens = torch::tensor({9, 2, 9, 4}, torch::kInt64).unsqueeze(0);
  EXPECT_EQ(OperandIndices(maps).pairs(tokens).item<int64_t>(), 4 * 5 + 2);
  EXPECT_EQ(OperandIndices(maps).left_position(), 3);
}

TEST(OperandIndices, GiveClassesBack) {
  const OperandIndices indices(*multiplication(7, 3).structure.cyclic);
  const Tensor by_index = torch::rand({4, 6}, make_generator(1));
  const Tensor by_class = indices.to_classes(by_index);
  ASSERT_EQ(by_class.size(1), 7);
  EXPECT_TRUE(indices.classes(by_class).equal(by_index));
  EXPECT_EQ(by_class.select(1, 0).abs().max().item<double>(), 0);  // 0 has no logarithm
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(OperandIndices, RefuseMapsThatAreNotOneToOne) {
  const auto refused = [](const std::function<void(CyclicStructure&)>& spoil) {
    CyclicStructure maps = *addition(5).structure.cyclic;
    spoil(maps);
    return refusal([&] { OperandIndices indices(maps); });
  };
  EXPECT_EQ(refused([](CyclicStructure&) {}), "");
  EXPECT_EQ(refused([](CyclicStructure& maps) { maps.order = 0; }), "there is no group of order 0");
  EXPECT_EQ(refused([](CyclicStructure& maps) { maps.left[1] = 0; }),
            "the structure of order 5 gives left[1] the index 0, which is taken already");
  EXPECT_EQ(refused([](CyclicStructure& maps) { maps.right[1] = -1; }),
            "the structure of order 5 has no value in right with index 1");
  EXPECT_EQ(refused([](CyclicStructure& maps) { maps.result[1] = 9; }),
            "the structure of order 5 gives result[1] the index 9, which does not exist");
  EXPECT_EQ(refused([](CyclicStructure& maps) { maps.result[1] = -2; }),
            "the structure of order 5 gives result[1] the index -2, which does not exist");
  EXPECT_EQ(refusal([] { OperandIndices indices(GroupStructure{}); }), "there is no group of order 0");
  const OperandIndices indices(*addition(5).structure.cyclic);
  EXPECT_EQ(refusal([&] {
              indices.left(torch::zeros({4, 2}));
            }),
            "the structure gives left[4] an index, but there are 4 values to lay out");
  EXPECT_NE(refusal([&] { indices.pairs(torch::zeros({2, 1}, torch::kInt64)); }), "");
}

// What CyclicView and GroupView say of a grid that does not fit is said here, once for both.
TEST(OperandGrid, RefusesAGridThatDoesNotFit) {
  for (const auto& [name, make] : tasks) {
    SCOPED_TRACE(name);
    const auto refused = [&, &make = make](const std::function<void(Network&)>& spoil) {
      Noise network(make());
      const OperandIndices indices = indices_of(network.task);
      spoil(network);
      const auto observation = network.observe();
      return refusal([&] { OperandGrid grid(indices, observation); });
    };
    EXPECT_EQ(refused([](Network&) {}), "");
    EXPECT_EQ(refused([](Network& net) { net.task.split.grid->tokens.select(1, 0).fill_(99); }),
              "the structure says nothing of token 99 at position 0");
    EXPECT_NE(refused([](Network& net) { net.task.split.train_rows = Tensor(); }).find("whole grid"),
              std::string::npos);
    EXPECT_NE(refused([](Network& net) {
                net.logits = net.logits.repeat({1, 2, 1});
              }).find("one read-out position"),
              std::string::npos);
  }
}

TEST(OperandGrid, IsWhatTheViewsAreOver) {
  Noise network(signs());
  const auto observation = network.observe();
  const GroupView view(observation, group_of(network.task.structure));
  EXPECT_TRUE(view.rows().equal(OperandGrid(indices_of(network.task), observation).rows()));
  EXPECT_NE(refusal([&] { GroupView(observation, cyclic_group(5)); }), "");
}

}  // namespace
}  // namespace orrery
