// The groups by name, and tables from files.
#include "named_groups.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/groups.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

namespace orrery::testing {
namespace {

using finite_group::Cayley;
using finite_group::named_group;
using finite_group::read_cayley;
using Names = std::vector<std::string>;

std::string refusal(const std::string& name) {
  try {
    named_group(name);
    return "";
  } catch (const UsageError& error) {
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
}

// The name of the product of two elements, by their names.
std::string product(const Cayley& group, const std::string& x, const std::string& y) {
  const auto token = [&](const std::string& name) {
    const auto found = std::find(group.names.begin(), group.names.end(), name);
    EXPECT_NE(found, group.names.end()) << name;
    return found - group.names.begin();
  };
  return group.names.at(group.table.at(token(x)).at(token(y)));
}

// How many elements have each order: a fingerprint that tells the groups below apart.
std::map<int64_t, int64_t> orders(const Cayley& cayley) {
  const FiniteGroup group(cayley.table, cayley.names);  // throws unless it is one
  std::map<int64_t, int64_t> count;
  for (int64_t x = 0; x < group.order(); ++x) {
    int64_t order = 1;
    for (int64_t power = x; power != group.identity(); power = group.product(power, x)) ++order;
    ++count[order];
  }
  return count;
}

TEST(NamedGroups, AreTheGroupsOfTheirNames) {
  using Orders = std::map<int64_t, int64_t>;
  EXPECT_EQ(orders(named_group("Z_1")), (Orders{{1, 1}}));
  EXPECT_EQ(orders(named_group("Z_6")), (Orders{{1, 1}, {2, 1}, {3, 2}, {6, 2}}));
  EXPECT_EQ(orders(named_group("D_4")), (Orders{{1, 1}, {2, 5}, {4, 2}}));
  EXPECT_EQ(orders(named_group("D_5")), (Orders{{1, 1}, {2, 5}, {5, 4}}));
  EXPECT_EQ(orders(named_group("Q_8")), (Orders{{1, 1}, {2, 1}, {4, 6}}));
  EXPECT_EQ(orders(named_group("Q_12")), (Orders{{1, 1}, {2, 1}, {3, 2}, {4, 6}, {6, 2}}));
  EXPECT_EQ(orders(named_group("S_4")), (Orders{{1, 1}, {2, 9}, {3, 8}, {4, 6}}));
  EXPECT_EQ(orders(named_group("A_5")), (Orders{{1, 1}, {2, 15}, {3, 20}, {5, 24}}));
  EXPECT_EQ(orders(named_group("Z_2 x Z_2")), (Orders{{1, 1}, {2, 3}}));
  EXPECT_EQ(orders(named_group("Z_2xZ_3")), orders(named_group("Z_6")));
  EXPECT_EQ(named_group("S_6").table.size(), 720u);
  EXPECT_EQ(named_group("Z_3 x D_4 x Z_2").table.size(), 48u);
}

TEST(NamedGroups, ElementsComeInTheDocumentedOrder) {
  EXPECT_EQ(named_group("Z_3").names, (Names{"0", "1", "2"}));
  EXPECT_EQ(named_group("D_3").names, (Names{"1", "r", "r^2", "s", "r s", "r^2 s"}));
  EXPECT_EQ(named_group("Q_8").names, (Names{"1", "i", "-1", "-i", "j", "k", "-j", "-k"}));
  EXPECT_EQ(named_group("S_3").names, (Names{"()", "(23)", "(12)", "(123)", "(132)", "(13)"}));
  EXPECT_EQ(named_group("Z_2 x Z_3").names,
            (Names{"(0, 0)", "(0, 1)", "(0, 2)", "(1, 0)", "(1, 1)", "(1, 2)"}));
  EXPECT_EQ(named_group("Z_2 x D_1 x Z_2").names,
            (Names{"(0, 1, 0)", "(0, 1, 1)", "(0, s, 0)", "(0, s, 1)", "(1, 1, 0)", "(1, 1, 1)", "(1, s, 0)",
                   "(1, s, 1)"}));
}

// Hamilton's i j = k, j k = i, k i = j; a triangle turned and then flipped; (12)(23) = (123), right factor
// first.
TEST(NamedGroups, ProductsByHand) {
  const Cayley quaternions = named_group("Q_8");
  EXPECT_EQ(product(quaternions, "i", "j"), "k");
  EXPECT_EQ(product(quaternions, "j", "k"), "i");
  EXPECT_EQ(product(quaternions, "k", "i"), "j");
  EXPECT_EQ(product(quaternions, "j", "i"), "-k");
  EXPECT_EQ(product(quaternions, "k", "k"), "-1");
  const Cayley triangle = named_group("D_3");
  EXPECT_EQ(product(triangle, "s", "r"), "r^2 s");
  EXPECT_EQ(product(triangle, "r", "s"), "r s");
  EXPECT_EQ(product(triangle, "r s", "r^2 s"), "r^2");  // r (s r^2) s = r r^-2 s s
  EXPECT_EQ(product(named_group("S_3"), "(12)", "(23)"), "(123)");
  EXPECT_EQ(product(named_group("Z_6 x D_4"), "(4, s)", "(5, r)"), "(3, r^3 s)");
}

TEST(NamedGroups, OnlyTheIntegersModuloNAreCyclicAsTheyStand) {
  EXPECT_TRUE(named_group("Z_7").cyclic);
  for (const std::string name : {"D_5", "Z_2 x Z_3", "A_3", "Q_8"})
    EXPECT_FALSE(named_group(name).cyclic) << name;
}

TEST(NamedGroups, ANameThatIsNoneIsRefusedWhereItGoesWrong) {
  EXPECT_EQ(refusal(""), "group \"\", character 1: expected Z_n, D_n, Q_n, S_n or A_n");
  EXPECT_EQ(refusal("Z_6 x "), "group \"Z_6 x \", character 7: expected Z_n, D_n, Q_n, S_n or A_n");
  EXPECT_EQ(refusal("Z6"), "group \"Z6\", character 2: expected an underscore, as in Z_6");
  EXPECT_EQ(refusal("D_0"), "group \"D_0\", character 3: expected a number from 1");
  EXPECT_EQ(refusal("D_x"), "group \"D_x\", character 3: expected a number from 1");
  EXPECT_EQ(
      refusal("Q_10"),
      "group \"Q_10\", character 3: expected a number that 4 divides, at least 8: the order of the group");
  EXPECT_EQ(refusal("Z_6 * D_4"), "group \"Z_6 * D_4\", character 5: expected an x and another factor");
  for (const std::string name : {"S_7", "Z_721", "D_361", "Z_30 x Z_30", "Z_99999999999999999999"})
    EXPECT_EQ(refusal(name),
              "group \"" + name + "\" has more than 720 elements: too large to list every pair of them");
  for (const std::string name : {"Z_720", "D_360", "A_6"}) EXPECT_EQ(refusal(name), "");
}

class CayleyFile : public ::testing::Test {
 protected:
  ~CayleyFile() override { std::filesystem::remove(path_); }
  Cayley read(const std::string& text) const {
    std::ofstream(path_) << text;
    return read_cayley(path_.string());
  }
  std::string refused(const std::string& text) const {
    try {
      read(text);
      return "";
    } catch (const UsageError& error) {
      EXPECT_FALSE(error.hint().empty());
      std::string what = error.what();
      if (what.rfind(path_.string(), 0) == 0) what.erase(0, path_.string().size());
      return what;
    }
  }
  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("orrery_cayley_" + std::to_string(std::random_device()()));
};

TEST_F(CayleyFile, IsLinesOfNumbers) {
  const Cayley group = read("# Z_3\n0 1 2\n\n1, 2, 0  # r\r\n2\t0 1");
  EXPECT_EQ(group.table, (std::vector<std::vector<int64_t>>{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}}));
  EXPECT_TRUE(group.names.empty());
  // The identity need not come first.
  EXPECT_EQ(read("1 0\n0 1\n").table[1][0], 0);
}

TEST_F(CayleyFile, WhatIsNoGroupIsRefusedWithTheAxiomAndTheElements) {
  const std::string no = ": the table is not that of a group: ";
  EXPECT_EQ(refused("0 1\n0 1\n"), no + "no element e has e x = x e = x for every x");
  EXPECT_EQ(refused("0 1 2\n1 1 2\n2 2 1\n"), no + "element 1 has no inverse");
  EXPECT_EQ(refused("0 1\n1 2\n"), no + "the product of 1 and 1 is 2, which is not one of the 2 elements");
  // A loop of five elements, every one its own inverse, that is not associative: (1 1) 2 is 2, 1 (1 2) is 4.
  EXPECT_EQ(refused("0 1 2 3 4\n1 0 3 4 2\n2 4 0 1 3\n3 2 4 0 1\n4 3 1 2 0\n"),
            no + "(1 1) 2 is 2, but 1 (1 2) is 4");
}

TEST_F(CayleyFile, WhatIsNoTableIsRefusedWithItsPlace) {
  EXPECT_EQ(refused("0 1\n1 x\n"), ":2:3: expected an element, 0 to 719");
  EXPECT_EQ(refused("0 1\n1 -1\n"), ":2:3: expected an element, 0 to 719");
  EXPECT_EQ(refused("0 1\n1\n"), ":2: 1 numbers, and 2 in the first row");
  EXPECT_EQ(refused("0 1\n1 0\n0 1\n"), ":3: a row more than there are columns, 2");
  EXPECT_EQ(refused(""), ": the table is not that of a group: it has no elements");
  EXPECT_EQ(refused("0 1\n"),
            ": the table is not that of a group: row 0 has 2 entries, and there are 1 rows");
  EXPECT_THROW(read_cayley("no/such/file"), UsageError);
}

}  // namespace
}  // namespace orrery::testing
