// In pieces or whole: the same numbers.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/grid_pieces.h>
#include <orrery/mlp.h>
#include <tests/support/groups.h>

namespace orrery {
namespace {

using testing::GroupNetwork;
using testing::RunningGroup;
using torch::Tensor;

RunningGroup small_mlp(const GroupStructure& group) {
  return {group, [](const TaskSpec& spec) {
            return make_mlp({.embedding = MlpConfig::Embedding::untied,
                             .hidden = MlpConfig::Hidden::untied,
                             .d_embed = 6,
                             .d_mlp = 70},
                            spec, make_generator(3));
          }};
}

// What OperandGrid says of the same network, run at once.
struct Observed {
  explicit Observed(RunningGroup& network) {
    const torch::NoGradGuard no_grad;
    auto run = run_with_cache(*network.model, network.task.split.grid->tokens, {"*mlp.hook_post"});
    logits = run.logits.narrow(1, 2, 1);
    cache.put("mlp.hook_post", run.cache["mlp.hook_post"].unsqueeze(1));
  }
  Observation of(RunningGroup& network) {
    return {0,
            network.task.spec,
            network.task.structure,
            network.task.split,
            *network.task.split.grid,
            *network.model,
            logits,
            cache};
  }
  Tensor logits;
  ActivationCache cache;
};

// All pieces together, in the order of pairs.
struct Together {
  explicit Together(const GridPieces& grid) {
    std::vector<Tensor> pairs, logits, post;
    grid.each([&](const GridPiece& piece) {
      ++n_pieces;
      pairs.push_back(piece.pairs);
      logits.push_back(piece.logits);
      post.push_back(piece.cache["mlp.hook_post"]);
    });
    const auto order = torch::cat(pairs).argsort();
    of_pairs = torch::cat(pairs).index_select(0, order);
    of_logits = torch::cat(logits).index_select(0, order);
    of_post = torch::cat(post).index_select(0, order);
  }
  int64_t n_pieces = 0;
  Tensor of_pairs, of_logits, of_post;
};

TEST(GridPieces, ShowEachPairOnceHoweverManyThereAre) {
  auto network = small_mlp(testing::symmetric_group(5));  // 14,400 inputs: four pieces
  Observed observed(network);
  const auto seen = observed.of(network), unseen = network.observe();
  const OperandIndices indices(*network.task.structure.group);
  const OperandGrid grid(indices, seen);
  const GridPieces whole(indices, unseen, {"*mlp.hook_post"}), pieces(indices, unseen, {"*mlp.hook_post"}, 0),
      given(indices, seen, {"*mlp.hook_post"});
  EXPECT_EQ(Together(pieces).n_pieces, 4);
  for (const GridPieces* each : {&whole, &pieces, &given}) {
    const Together together(*each);
    EXPECT_TRUE(together.of_pairs.equal(torch::arange(14400, torch::kInt64)));
    // The fast pass and the plain one, in float32.
    EXPECT_TRUE(torch::allclose(together.of_logits, grid.logits(), 0, 1e-5));
    EXPECT_TRUE(torch::allclose(together.of_post, grid.inputs(observed.cache["mlp.hook_post"]).select(1, 0),
                                0, 1e-5));
    EXPECT_TRUE(together.of_logits.equal(Together(each == &given ? given : whole).of_logits));
  }
}

TEST(GridPieces, LossesAreThoseOfTheGrid) {
  auto network = small_mlp(testing::alternating_group(4));
  Observed observed(network);
  const auto seen = observed.of(network);
  const OperandIndices indices(*network.task.structure.group);
  const OperandGrid grid(indices, seen);
  const GridPieces pieces(indices, seen, {});
  const FiniteGroup group = testing::made(*network.task.structure.group);
  const auto products = group.products();
  const auto table = torch::randn({12, 12}, make_generator(1), torch::kFloat64);
  const auto losses = pieces.cross_entropies_less({Tensor(), table}, products,
                                                  [](const GridPiece& piece) { return piece.logits; });
  EXPECT_EQ(pieces.losses(losses[0]), grid.losses(grid.logits()));
  EXPECT_EQ(pieces.losses(losses[1]), grid.losses(grid.logits() - table.index_select(0, products)));
  const auto found = pieces.losses(pieces.cross_entropies(table, products)),
             expected = grid.losses(table.index_select(0, products));
  ASSERT_EQ(found.size(), expected.size());
  for (size_t set = 0; set < found.size(); ++set)  // a softmax of 12 rows, and one of 144
    EXPECT_NEAR(found[set].second, expected[set].second, 1e-14) << found[set].first;
}

TEST(GridPieces, RefuseATaskWithoutAGrid) {
  auto network = small_mlp(testing::symmetric_group(3));
  network.task.split.grid.reset();
  const auto unseen = network.observe();
  EXPECT_THROW(GridPieces(OperandIndices(*network.task.structure.group), unseen, {}), UsageError);
}

TEST(PairSums, InPiecesAreThoseOfAllPairs) {
  for (const auto& structure : {testing::symmetric_group(4), testing::dihedral_group(5)}) {
    const FiniteGroup group = testing::made(structure);
    const auto all = irreducible_representations(group);
    const int64_t n = group.order(), m = 70;
    auto rng = make_generator(5);
    auto values = torch::randn({n * n, m}, rng, torch::kFloat64) * 3 + 20;
    values.select(1, 7).fill_(0.1);  // constant
    PairSums sums(group);
    const auto shuffled = torch::randperm(n * n, rng, torch::kInt64);
    for (int64_t at = 0; at < n * n; at += 37) {
      const auto pairs = shuffled.narrow(0, at, std::min<int64_t>(37, n * n - at));
      sums.add(pairs, values.index_select(0, pairs));
    }
    const auto expected = pair_energies(values, group, all), found = pair_energies(sums, all);
    for (const auto& [one, other] : {std::pair{expected.left, found.left},
                                     {expected.right, found.right},
                                     {expected.product, found.product},
                                     {expected.total, found.total}})
      EXPECT_TRUE(torch::allclose(one, other, 1e-10, 1e-10));
    EXPECT_EQ(found.total[7].item<double>(), 0);
    EXPECT_TRUE(torch::allclose(sums.mean(), values.mean(0), 1e-12, 0));
  }
}

TEST(PairSums, OfLogitsGiveTheirCharacters) {
  const FiniteGroup group = testing::made(testing::alternating_group(4));
  const auto all = irreducible_representations(group);
  const int64_t n = group.order();
  const auto logits = torch::randn({n * n, n}, make_generator(2), torch::kFloat64) + 3;
  PairSums sums(group, /*operands=*/false);
  sums.add(torch::arange(n * n, torch::kInt64), logits);
  const double energy = (logits - logits.mean()).square().sum().item<double>();
  const auto expected = fit_characters(logits, group, all),
             found = fit_characters(sums.by_product(), energy, group, all);
  EXPECT_TRUE(torch::allclose(found.coefficients, expected.coefficients, 0, 1e-12));
  EXPECT_TRUE(torch::allclose(found.similarity, expected.similarity, 0, 1e-14));
  EXPECT_TRUE(characters_by_product(found.coefficients, group, all)
                  .index_select(0, group.products())
                  .equal(character_logits(found.coefficients, group, all)));
}

}  // namespace
}  // namespace orrery
