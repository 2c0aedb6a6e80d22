// Functions on a group by representation, against sums written out and against Fourier analysis.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/groups.h>
#include <tests/support/groups.h>
#include <tests/support/hand_built.h>

#include <cmath>
#include <functional>

namespace orrery::representations_functions_test {
namespace {

using testing::alternating_group;
using testing::made;
using testing::quaternions;
using testing::symmetric_group;
using torch::Tensor;

std::string refusal(const std::function<void()>& action) {
  try {
    action();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The part of functions x [n, m] in a representation by its definition: convolution with the character.
Tensor part_in(const Representation& rho, const FiniteGroup& group, const Tensor& x) {
  auto part = torch::zeros_like(x);
  const double n = double(group.order()), scale = double(rho.degree()) / (n * double(rho.type));
  for (int64_t g = 0; g < group.order(); ++g)
    for (int64_t h = 0; h < group.order(); ++h)
      part[g] += scale * rho.character[group.product(g, group.inverse(h))] * x[h];
  return part;
}

TEST(RepresentationShares, AreThoseOfTheConvolutionWithTheCharacter) {
  for (const auto& group : {made(symmetric_group(4)), quaternions(), cyclic_group(9)}) {
    const auto all = irreducible_representations(group);
    const auto x = torch::randn({group.order(), 3}, make_generator(3), torch::kFloat64) + 2;
    const auto shares = representation_shares(x, all);
    const double total = (x - x.mean(0)).square().sum().item<double>();
    EXPECT_EQ(shares[0].item<double>(), 0);
    for (size_t i = 1; i < all.size(); ++i)
      EXPECT_NEAR(shares[i].item<double>(), part_in(all[i], group, x).square().sum().item<double>() / total,
                  1e-13);
    EXPECT_NEAR(shares.sum().item<double>(), 1, 1e-13);
    EXPECT_EQ(representation_shares(torch::full({group.order(), 2}, 0.1), all).sum().item<double>(), 0);
  }
  EXPECT_THROW(representation_shares(torch::ones({4, 2}), irreducible_representations(cyclic_group(5))),
               Error);
}

TEST(PairEnergies, TellFunctionsOfTheFactorsFromThoseOfTheProduct) {
  const auto group = made(symmetric_group(4));
  const auto all = irreducible_representations(group);
  const int64_t n = group.order();
  // One entry of three representations, at x, y and x y, and a constant; the last function has nothing else.
  auto values = torch::zeros({n * n, 2}, torch::kFloat64);
  for (int64_t x = 0; x < n; ++x)
    for (int64_t y = 0; y < n; ++y) {
      values[x * n + y][0] = 5 + 2 * all[1].matrices[x][0][2] + all[2].matrices[y][1][0] +
                             3 * all[3].matrices[group.product(x, y)][1][1];
      values[x * n + y][1] = 0.3;
    }
  for (const auto dtype : {torch::kFloat64, torch::kFloat32}) {
    const auto energies = pair_energies(values.to(dtype), group, all);
    const double exact = dtype == torch::kFloat64 ? 1e-9 : 1e-2;  // 16 epsilon of a total of 16,896
    const double per = double(n) * double(n);                     // the square of an entry is 1/d on average
    for (size_t i = 0; i < all.size(); ++i) {
      const auto r = int64_t(i);
      EXPECT_NEAR(energies.left[r][0].item<double>(), i == 1 ? 4 * per / 3 : 0, exact);
      EXPECT_NEAR(energies.right[r][0].item<double>(), i == 2 ? per / 2 : 0, exact);
      EXPECT_NEAR(energies.product[r][0].item<double>(), i == 3 ? 9 * per / 3 : 0, exact);
    }
    EXPECT_NEAR(energies.total[0].item<double>(), per * (4.0 / 3 + 0.5 + 3), exact);
    EXPECT_EQ(energies.total[1].item<double>(), 0);
    EXPECT_EQ(energies.left.select(1, 1).abs().sum().item<double>(), 0);
  }
  EXPECT_THROW(pair_energies(torch::ones({n, 2}), group, all), Error);
}

TEST(PairEnergies, OfManyFunctionsAreThoseOfEach) {
  const auto group = made(symmetric_group(3));
  const auto all = irreducible_representations(group);
  const auto values = torch::randn({36, 150}, make_generator(2), torch::kFloat64);
  const auto together = pair_energies(values, group, all);
  ASSERT_EQ(together.product.sizes().vec(), (std::vector<int64_t>{3, 150}));
  for (const int64_t column : {0, 63, 64, 149}) {
    const auto alone = pair_energies(values.narrow(1, column, 1), group, all);
    EXPECT_TRUE(torch::allclose(together.left.narrow(1, column, 1), alone.left));
    EXPECT_TRUE(torch::allclose(together.right.narrow(1, column, 1), alone.right));
    EXPECT_TRUE(torch::allclose(together.product.narrow(1, column, 1), alone.product));
    EXPECT_TRUE(torch::allclose(together.total[column], alone.total[0]));
  }
}

TEST(CharacterFit, IsTheInnerProductOverAllTriples) {
  for (const auto& group : {made(symmetric_group(3)), made(alternating_group(4)), quaternions()}) {
    const auto all = irreducible_representations(group);
    const int64_t n = group.order();
    const auto logits = torch::randn({n * n, n}, make_generator(5), torch::kFloat64) + 1;
    const auto fit = fit_characters(logits, group, all);
    const auto centred = logits - logits.mean();
    for (size_t i = 0; i < all.size(); ++i) {
      double sum = 0, norm = 0;
      for (int64_t x = 0; x < n; ++x)
        for (int64_t y = 0; y < n; ++y)
          for (int64_t z = 0; z < n; ++z) {
            const int64_t w = group.product(group.product(x, y), group.inverse(z));
            const double chi = all[i].character[w].item<double>();
            sum += chi * logits[x * n + y][z].item<double>();
            norm += chi * chi;
          }
      const auto r = int64_t(i);
      EXPECT_NEAR(fit.coefficients[r].item<double>(), sum / std::sqrt(norm), 1e-11);
      if (i > 0) {
        EXPECT_NEAR(fit.similarity[r].item<double>(),
                    sum / std::sqrt(norm * centred.square().sum().item<double>()), 1e-12);
      }
      auto unit = torch::zeros({int64_t(all.size())}, torch::kFloat64);
      unit[r] = 1;
      const auto direction = character_logits(unit, group, all);
      EXPECT_NEAR(direction.square().sum().item<double>(), 1, 1e-12);
      EXPECT_NEAR((direction * logits).sum().item<double>(), fit.coefficients[r].item<double>(), 1e-11);
    }
    EXPECT_EQ(fit.similarity[0].item<double>(), 0);
    // What is left without the part along characters has nothing along them.
    const auto rest = logits - character_logits(fit.coefficients, group, all);
    EXPECT_LT(fit_characters(rest, group, all).coefficients.abs().max().item<double>(), 1e-11);
  }
  const auto group = cyclic_group(3);
  const auto all = irreducible_representations(group);
  const auto constant = fit_characters(torch::full({9, 3}, 0.1), group, all);
  EXPECT_EQ(constant.similarity.abs().sum().item<double>(), 0);
  EXPECT_THROW(fit_characters(torch::ones({9, 2}), group, all), Error);
  EXPECT_THROW(fit_characters(torch::ones({8, 3}), group, all), Error);
  EXPECT_THROW(character_logits(torch::ones({1}), group, all), Error);
}

// Over a cyclic group everything is what orrery/fourier.h says of the frequencies.
TEST(CyclicGroups, AgreeWithFourierAnalysis) {
  for (const int64_t n : {int64_t{2}, int64_t{11}, int64_t{16}}) {
    const auto group = cyclic_group(n);
    const auto all = irreducible_representations(group);
    const auto logits = torch::randn({n * n, n}, make_generator(9), torch::kFloat64);
    const auto coefficients = cosine_coefficients(logits);
    ASSERT_EQ(coefficients.size(0), int64_t(all.size()));
    EXPECT_LT((fit_characters(logits, group, all).coefficients - coefficients).abs().max().item<double>(),
              1e-10);

    const auto x = torch::randn({n, 5}, make_generator(8), torch::kFloat64);
    auto energy = fourier_norms(x).square();
    energy[0] = 0;
    EXPECT_LT((representation_shares(x, all) - energy / energy.sum()).abs().max().item<double>(), 1e-10);

    for (int64_t k = 1; k <= n / 2; ++k)
      EXPECT_LT((project_on_product(logits, group, all[k]) - testing::project_on_sum(logits, {k}))
                    .abs()
                    .max()
                    .item<double>(),
                1e-10);
  }
}

TEST(GroupViews, AreThoseOfTheCyclicView) {
  for (const auto& task : {testing::addition(7), testing::subtraction(8), testing::multiplication(7, 3)}) {
    testing::Network network(task);
    testing::build_noise(network, 4);
    const auto observation = network.observe();
    const CyclicView cyclic(observation);
    const auto group = group_of(observation.structure);
    const GroupView view(observation, group);
    const auto tokens = task.split.grid->tokens;
    const auto numbers = torch::arange(task.spec.d_vocab, torch::kInt64);
    EXPECT_TRUE(torch::equal(view.logits(), cyclic.logits()));
    EXPECT_TRUE(torch::equal(view.inputs(tokens), cyclic.inputs(tokens)));
    EXPECT_TRUE(torch::equal(view.classes(numbers), cyclic.classes(numbers)));
    EXPECT_TRUE(torch::equal(view.left(numbers), cyclic.left(numbers)));
    EXPECT_EQ(view.losses(view.logits()), cyclic.losses(cyclic.logits()));
    for (int64_t j = 0; j < group.order(); ++j)
      EXPECT_EQ(task.structure.cyclic->right[view.right(numbers)[j].item<int64_t>()], j);
    const auto back = view.to_classes(view.classes(view.logits()));
    EXPECT_TRUE(torch::equal(view.classes(back), view.classes(view.logits())));
    if (back.size(1) > group.order()) {
      EXPECT_EQ(back.select(1, 0).abs().sum().item<double>(), 0);
    }

    const auto fit = fit_characters(view.classes(view.logits()), group, irreducible_representations(group));
    EXPECT_LT((fit.similarity.square() - cyclic.logit_shares()).abs().max().item<double>(), 1e-10);
  }
}

TEST(GroupViews, RefuseWhatDoesNotFit) {
  const auto fault = [](const std::function<void(testing::GroupNetwork&)>& spoil) {
    testing::GroupNetwork network(symmetric_group(3));
    network.logits = torch::zeros({36, 1, 6});
    const auto group = group_of(network.structure);
    spoil(network);
    return refusal([&] {
      const auto observation = network.observe();
      GroupView(observation, group);
    });
  };
  EXPECT_EQ(fault([](auto&) {}), "");
  EXPECT_TRUE(contains(fault([](auto& net) { net.split.train_rows = Tensor(); }), "whole grid"));
  EXPECT_TRUE(contains(fault([](auto& net) { net.logits = net.logits.repeat({1, 2, 1}); }), "one read-out"));
  EXPECT_TRUE(contains(fault([](auto& net) { net.logits = net.logits.narrow(0, 0, 35); }), "36 inputs"));
  EXPECT_TRUE(contains(fault([](auto& net) { net.logits = net.logits.narrow(2, 0, 5); }), "6 classes"));
  EXPECT_TRUE(contains(fault([](auto& net) { net.structure.group->right_position = 3; }), "position 3"));
  EXPECT_TRUE(contains(fault([](auto& net) { net.structure.group->right_position = 2; }), "token 6"));
  EXPECT_TRUE(contains(fault([](auto& net) { net.split.grid->tokens[3] = net.split.grid->tokens[4]; }),
                       "rows 3 and 4"));
}

}  // namespace
}  // namespace orrery::representations_functions_test
