// Finite groups and their irreducible representations, against their character tables.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/groups.h>
#include <tests/support/groups.h>
#include <tests/support/hand_built.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <ostream>
#include <set>

namespace orrery::representations_test {

static void PrintTo(const FiniteGroup& group, std::ostream* out) { *out << name_of(group); }

namespace {

using testing::alternating_group;
using testing::made;
using testing::quaternions;
using testing::symmetric_group;

// The pairs (a, b) of Z_k and Z_m, as a*m + b.
FiniteGroup product_of_cyclic(int64_t k, int64_t m) {
  FiniteGroup::Table table(k * m);
  for (int64_t x = 0; x < k * m; ++x)
    for (int64_t y = 0; y < k * m; ++y) table[x].push_back((x / m + y / m) % k * m + (x % m + y % m) % m);
  return FiniteGroup(table);
}

// Rotations r^a as a, reflections r^a s as k + a, with s r = r^-1 s.
FiniteGroup dihedral(int64_t k) {
  FiniteGroup::Table table(2 * k);
  for (int64_t x = 0; x < 2 * k; ++x)
    for (int64_t y = 0; y < 2 * k; ++y) {
      const int64_t turn = x < k ? x + y : x - y;
      table[x].push_back((turn % k + k) % k + ((x < k) == (y < k) ? 0 : k));
    }
  return FiniteGroup(table);
}

std::vector<std::string> names_of(const std::vector<Representation>& all) {
  std::vector<std::string> names;
  for (const auto& rho : all) names.push_back(rho.name);
  return names;
}
std::vector<int64_t> degrees_of(const std::vector<Representation>& all) {
  std::vector<int64_t> degrees;
  for (const auto& rho : all) degrees.push_back(rho.degree());
  return degrees;
}

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

TEST(FiniteGroup, IdentityInversesAndClasses) {
  const auto s3 = made(symmetric_group(3));  // (), (23), (12), (123), (132), (13)
  EXPECT_EQ(s3.identity(), 0);
  EXPECT_EQ(s3.inverse(3), 4);
  EXPECT_EQ(s3.inverse(5), 5);
  EXPECT_EQ(s3.conjugacy_classes(), (std::vector<int64_t>{0, 1, 1, 2, 2, 1}));
  EXPECT_EQ(s3.generators().size(), 2u);
  for (int64_t x = 0; x < 6; ++x)
    for (int64_t y = 0; y < 6; ++y) {
      EXPECT_EQ(s3.products()[6 * x + y].item<int64_t>(), s3.product(x, y));
      EXPECT_EQ(s3.quotients()[6 * x + y].item<int64_t>(), s3.product(x, s3.inverse(y)));
    }
}

TEST(FiniteGroup, TheIdentityMayBeAnyElement) {
  FiniteGroup::Table table(5);  // x + y + 2 modulo 5: 3 is the identity
  for (int64_t x = 0; x < 5; ++x)
    for (int64_t y = 0; y < 5; ++y) table[x].push_back((x + y + 2) % 5);
  const FiniteGroup group(table);
  EXPECT_EQ(group.identity(), 3);
  EXPECT_EQ(group.inverse(0), 1);
  EXPECT_EQ(name_of(group), "Z_5");
  EXPECT_NO_THROW(irreducible_representations(group));
}

TEST(FiniteGroup, RefusesTablesThatAreNone) {
  const auto of = [](const FiniteGroup::Table& table) { return refusal([&] { FiniteGroup{table}; }); };
  EXPECT_TRUE(contains(of({}), "no elements"));
  EXPECT_TRUE(contains(of({{0, 1}, {1}}), "row 1 has 1 entries"));
  EXPECT_TRUE(contains(of({{0, 1}, {1, 2}}), "the product of 1 and 1 is 2"));
  EXPECT_TRUE(contains(of({{1, 0}, {1, 0}}), "no element e"));
  EXPECT_TRUE(contains(of({{0, 1}, {1, 1}}), "element 1 has no inverse"));
  // A loop of five elements with inverses that is not associative (the smallest there is).
  EXPECT_TRUE(contains(
      of({{0, 1, 2, 3, 4}, {1, 0, 3, 4, 2}, {2, 4, 0, 1, 3}, {3, 2, 4, 0, 1}, {4, 3, 1, 2, 0}}), "but"));
  EXPECT_TRUE(contains(refusal([] { FiniteGroup({{0, 1}, {1, 0}}, {"e"}); }), "1 names"));
  EXPECT_THROW(cyclic_group(0), Error);
}

TEST(FiniteGroup, IsTheOneOfTheStructure) {
  Structure structure;
  EXPECT_THROW(group_of(structure), UsageError);
  structure.cyclic = *testing::addition(7).structure.cyclic;
  EXPECT_EQ(name_of(group_of(structure)), "Z_7");
  structure.group = symmetric_group(3);
  EXPECT_EQ(name_of(group_of(structure)), "S_3");
  structure.group->label_is_product = false;
  EXPECT_THROW(group_of(structure), UsageError);
}

TEST(FiniteGroup, IsCalledByItsName) {
  EXPECT_EQ(name_of(made(symmetric_group(5))), "S_5");
  EXPECT_EQ(name_of(made(alternating_group(5))), "A_5");
  EXPECT_EQ(name_of(made(alternating_group(2))), "Z_1");
  EXPECT_EQ(name_of(quaternions()), "group of order 8");
  // The same group whose names lie: they do not multiply as the table says.
  auto wrong = symmetric_group(4);
  std::swap(wrong.names[1], wrong.names[5]);
  EXPECT_EQ(name_of(made(wrong)), "group of order 24");
  for (const std::string odd : {"(1 2)(", "12", "(1a)", "(11)", "(0)", ""}) {
    auto unreadable = symmetric_group(3);
    unreadable.names[1] = odd;
    EXPECT_EQ(name_of(made(unreadable)), "group of order 6") << odd;
  }
  auto separated = symmetric_group(3);
  separated.names = {"()", "(2 3)", "(1,2)", "(1 2 3)", "(1, 3, 2)", "(1 3)"};
  EXPECT_EQ(name_of(made(separated)), "S_3");
}

// All pairs of elements and of representations, for every group here.
class EveryGroup : public ::testing::TestWithParam<FiniteGroup> {};
INSTANTIATE_TEST_SUITE_P(Groups, EveryGroup,
                         ::testing::Values(cyclic_group(1), cyclic_group(2), cyclic_group(7),
                                           cyclic_group(12), made(symmetric_group(2)),
                                           made(symmetric_group(3)), made(symmetric_group(4)),
                                           made(symmetric_group(5)), made(alternating_group(2)),
                                           made(alternating_group(3)), made(alternating_group(4)),
                                           made(alternating_group(5)), product_of_cyclic(2, 2),
                                           product_of_cyclic(4, 6), dihedral(4), dihedral(7), quaternions(),
                                           FiniteGroup(symmetric_group(4).table)));

// Rounding of a product of two d x d matrices of entries up to 1, themselves exact to n epsilon.
double rounding(const FiniteGroup& group) {
  return 1e2 * double(group.order()) * std::numeric_limits<double>::epsilon();
}

TEST_P(EveryGroup, RepresentationsMultiplyAsElementsDo) {
  const FiniteGroup& group = GetParam();
  for (const Representation& rho : irreducible_representations(group)) {
    const auto expected = rho.matrices.index_select(0, group.products());
    const int64_t n = group.order(), d = rho.degree();
    const auto products = rho.matrices.unsqueeze(1).matmul(rho.matrices.unsqueeze(0)).view({n * n, d, d});
    EXPECT_LT((products - expected).abs().max().item<double>(), rounding(group)) << rho.name;
    const auto gram = rho.matrices.matmul(rho.matrices.transpose(1, 2));
    EXPECT_LT((gram - torch::eye(d, torch::kFloat64)).abs().max().item<double>(), rounding(group));
    EXPECT_EQ(rho.matrices.scalar_type(), torch::kFloat64);
  }
}

TEST_P(EveryGroup, CharactersAreOrthogonalAndOnePerRealClass) {
  const FiniteGroup& group = GetParam();
  const auto all = irreducible_representations(group);
  const double n = double(group.order());
  int64_t functions = 0;
  for (const auto& a : all) {
    functions += a.degree() * a.degree() / a.type;
    for (const auto& b : all) {
      double sum = 0;
      for (int64_t x = 0; x < group.order(); ++x)
        sum += a.character[x].item<double>() * b.character[x].item<double>();
      EXPECT_NEAR(sum / n, a.name == b.name ? double(a.type) : 0, rounding(group)) << a.name << b.name;
    }
    for (int64_t x = 0; x < group.order(); ++x)
      EXPECT_NEAR(a.character[x].item<double>(), a.matrices[x].trace().item<double>(), rounding(group));
  }
  EXPECT_EQ(functions, group.order());
  // Irreducible representations over the reals are as many as classes of {x, x^-1} under conjugation.
  const auto& classes = group.conjugacy_classes();
  std::set<std::set<int64_t>> real;
  for (int64_t x = 0; x < group.order(); ++x) real.insert({classes[x], classes[group.inverse(x)]});
  EXPECT_EQ(all.size(), real.size());
  EXPECT_EQ(all.front().name, "trivial");
  EXPECT_LT((all.front().character - 1).abs().max().item<double>(), rounding(group));
}

TEST_P(EveryGroup, BasesSpanTheEntriesOfTheMatrices) {
  const FiniteGroup& group = GetParam();
  for (const Representation& rho : irreducible_representations(group)) {
    EXPECT_EQ(rho.basis.size(0), rho.degree() * rho.degree() / rho.type);
    const auto entries = rho.matrices.reshape({group.order(), -1}).t();
    const auto projected = entries.matmul(rho.basis.t()).matmul(rho.basis);
    EXPECT_LT((projected - entries).abs().max().item<double>(), rounding(group)) << rho.name;
  }
}

// Character tables by class, from James & Liebeck 2001, "Representations and Characters of Groups".
TEST(Representations, OfS4HaveItsCharacterTable) {
  const auto group = symmetric_group(4);
  const auto all = irreducible_representations(made(group));
  const std::vector<std::string> elements{"()", "(12)", "(12)(34)", "(123)", "(1234)"};
  const std::vector<std::pair<std::string, std::vector<double>>> table{{"trivial", {1, 1, 1, 1, 1}},
                                                                       {"standard (3,1)", {3, 1, -1, 0, -1}},
                                                                       {"(2,2)", {2, 0, 2, -1, 0}},
                                                                       {"(2,1,1)", {3, -1, -1, 0, 1}},
                                                                       {"sign", {1, -1, 1, 1, -1}}};
  ASSERT_EQ(all.size(), table.size());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].name, table[i].first);
    for (size_t c = 0; c < elements.size(); ++c) {
      const auto x = std::find(group.names.begin(), group.names.end(), elements[c]) - group.names.begin();
      EXPECT_NEAR(all[i].character[x].item<double>(), table[i].second[c], 1e-14)
          << all[i].name << elements[c];
    }
  }
}

TEST(Representations, OfS3AndS5HaveTheirNamesAndDegrees) {
  EXPECT_EQ(names_of(irreducible_representations(made(symmetric_group(3)))),
            (std::vector<std::string>{"trivial", "standard (2,1)", "sign"}));
  const auto all = irreducible_representations(made(symmetric_group(5)));
  EXPECT_EQ(names_of(all), (std::vector<std::string>{"trivial", "standard (4,1)", "(3,2)", "(3,1,1)",
                                                     "(2,2,1)", "(2,1,1,1)", "sign"}));
  EXPECT_EQ(degrees_of(all), (std::vector<int64_t>{1, 4, 5, 6, 5, 4, 1}));
  // The character of the standard representation counts what stays in place, less one; sign times it is
  // (2,1,1,1).
  const auto names = symmetric_group(5).names;
  const auto at = [&](const std::string& x) {
    return std::find(names.begin(), names.end(), x) - names.begin();
  };
  EXPECT_NEAR(all[1].character[at("(12)")].item<double>(), 2, 1e-14);
  EXPECT_NEAR(all[1].character[at("(12345)")].item<double>(), -1, 1e-14);
  EXPECT_NEAR(all[5].character[at("(12)")].item<double>(), -2, 1e-14);
  EXPECT_NEAR(all[2].character[at("(12)(345)")].item<double>(), 1, 1e-14);
}

// In Young's orthogonal form of (2,1): the swap (12) is diagonal, (23) has -1/2, 1/2 and sqrt(3)/2.
TEST(Representations, YoungsOrthogonalFormByHand) {
  const auto group = symmetric_group(3);
  const auto standard = irreducible_representations(made(group)).at(1);
  const auto at = [&](const std::string& x) {
    return standard.matrices[std::find(group.names.begin(), group.names.end(), x) - group.names.begin()];
  };
  const double h = std::sqrt(3.0) / 2;
  EXPECT_TRUE(torch::allclose(at("(12)"), torch::tensor({{1.0, 0.0}, {0.0, -1.0}}, torch::kFloat64)));
  EXPECT_TRUE(torch::allclose(at("(23)"), torch::tensor({{-0.5, h}, {h, 0.5}}, torch::kFloat64)));
}

TEST(Representations, OfAlternatingGroups) {
  const auto a4 = irreducible_representations(made(alternating_group(4)));
  EXPECT_EQ(names_of(a4), (std::vector<std::string>{"trivial", "standard (3,1)", "(2,2)"}));
  EXPECT_EQ(a4[2].type, 2);  // the two with cube roots of unity, together
  const auto group = alternating_group(5);
  const auto a5 = irreducible_representations(made(group));
  EXPECT_EQ(names_of(a5),
            (std::vector<std::string>{"trivial", "standard (4,1)", "(3,2)", "(3,1,1)_1", "(3,1,1)_2"}));
  EXPECT_EQ(degrees_of(a5), (std::vector<int64_t>{1, 4, 5, 3, 3}));
  // Rotations of the icosahedron: of the two, one has the golden ratio at (12345).
  const auto x = std::find(group.names.begin(), group.names.end(), "(12345)") - group.names.begin();
  const double one = a5[3].character[x].item<double>(), other = a5[4].character[x].item<double>();
  EXPECT_NEAR(std::max(one, other), (1 + std::sqrt(5.0)) / 2, 1e-13);
  EXPECT_NEAR(std::min(one, other), (1 - std::sqrt(5.0)) / 2, 1e-13);
}

TEST(Representations, OfCyclicGroupsAreRotations) {
  const auto all = irreducible_representations(cyclic_group(6));
  EXPECT_EQ(names_of(all), (std::vector<std::string>{"trivial", "k=1", "k=2", "k=3"}));
  EXPECT_EQ(degrees_of(all), (std::vector<int64_t>{1, 2, 2, 1}));
  for (int64_t x = 0; x < 6; ++x) {
    const double angle = 2 * M_PI * 2 * double(x) / 6;
    EXPECT_NEAR(all[2].matrices[x][1][0].item<double>(), std::sin(angle), 1e-15);
    EXPECT_NEAR(all[2].matrices[x][1][1].item<double>(), std::cos(angle), 1e-15);
    EXPECT_NEAR(all[3].matrices[x][0][0].item<double>(), x % 2 ? -1 : 1, 1e-15);
  }
}

TEST(Representations, OfOtherGroupsByDegreeAndType) {
  const auto q8 = irreducible_representations(quaternions());
  EXPECT_EQ(names_of(q8), (std::vector<std::string>{"trivial", "1d_1", "1d_2", "1d_3", "4d"}));
  EXPECT_EQ(q8.back().type, 4);
  EXPECT_EQ(names_of(irreducible_representations(dihedral(4))),
            (std::vector<std::string>{"trivial", "1d_1", "1d_2", "1d_3", "2d"}));
  // S_4 without its names: the same, as far as the order by degree tells.
  const auto nameless = irreducible_representations(FiniteGroup(symmetric_group(4).table));
  EXPECT_EQ(names_of(nameless), (std::vector<std::string>{"trivial", "1d", "2d", "3d_1", "3d_2"}));
  const auto named = irreducible_representations(made(symmetric_group(4)));
  EXPECT_LT((nameless[1].character - named[4].character).abs().max().item<double>(), 1e-12);
  EXPECT_LT((nameless[2].character - named[2].character).abs().max().item<double>(), 1e-12);
}

TEST(Representations, ACheckThatFindsWhatIsWrong) {
  const auto group = made(symmetric_group(3));
  const auto good = irreducible_representations(group);
  const auto fault = [&](const std::function<void(std::vector<Representation>&)>& spoil) {
    auto all = good;
    for (auto& rho : all) rho.matrices = rho.matrices.clone();
    spoil(all);
    return refusal([&] { check_representations(group, all); });
  };
  EXPECT_EQ(fault([](auto&) {}), "");
  EXPECT_TRUE(contains(fault([](auto& all) { all[1].matrices *= 2; }), "not orthogonal"));
  EXPECT_TRUE(contains(fault([](auto& all) { all[1].matrices[3] = all[1].matrices[4]; }), "rho(x) rho("));
  EXPECT_TRUE(contains(fault([](auto& all) { all[1].type = 2; }), "not irreducible"));
  EXPECT_TRUE(contains(fault([](auto& all) { all[2] = all[0]; }), "not orthogonal"));
  EXPECT_TRUE(contains(fault([](auto& all) { all.pop_back(); }), "span 5 functions"));
  EXPECT_TRUE(contains(fault([](auto& all) { all.clear(); }), "no representations"));
}

}  // namespace
}  // namespace orrery::representations_test
