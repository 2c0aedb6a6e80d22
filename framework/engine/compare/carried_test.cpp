// Which variables two networks carry at the same sites.
#include "engine/compare/carried.h"

#include <gtest/gtest.h>

#include <cmath>

namespace orrery::engine {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// As a probe of interchanges records it; a NaN is a scalar that is not there.
Record tested(const std::vector<std::pair<std::string, double>>& accuracies, double carried_at = 0.9) {
  Record record;
  std::vector<std::string> names;
  for (const auto& [name, accuracy] : accuracies) {
    names.push_back(name);
    if (!std::isnan(accuracy)) record.scalars.emplace_back("accuracy/" + name, accuracy);
    record.scalars.emplace_back("random/" + name, 0.01);
    if (accuracy >= carried_at)
      record.findings.push_back({"carries/" + name, "interchange", {{"hypothesis", name}}});
  }
  record.findings.push_back({"hypotheses", "hypotheses", {{"names", names}}});
  return record;
}

CarriedInBoth of(const Record& a, const Record& b) {
  return *carried_in_both(*carried_of(a), *carried_of(b));
}
using Names = std::vector<std::string>;

TEST(Carried, IsReadFromWhatWasRecorded) {
  const CarriedScores scores = *carried_of(tested({{"left/embed", 1}, {"result/neurons", 0.25}}));
  EXPECT_TRUE(scores.at("left/embed").carried);
  EXPECT_FALSE(scores.at("result/neurons").carried);
  EXPECT_EQ(scores.at("result/neurons").accuracy, 0.25);
  EXPECT_EQ(scores.at("result/neurons").random, 0.01);
  EXPECT_TRUE(std::isnan(scores.at("result/neurons").functions));
  EXPECT_FALSE(carried_of(Record{}));
}

TEST(Carried, SaysWhatBothCarryAndWhatOne) {
  const auto both = of(tested({{"left/embed", 1}, {"result/neurons", 1}, {"result/mid", 0.5}, {"x/y", 1}}),
                       tested({{"left/embed", 1}, {"result/neurons", 0.25}, {"result/mid", 1}, {"x/z", 1}}));
  EXPECT_EQ(both.both, Names{"left/embed"});
  EXPECT_EQ(both.only_a, Names{"result/neurons"});
  EXPECT_EQ(both.only_b, Names{"result/mid"});
  EXPECT_EQ(both.untested_b, Names{"x/y"});
  EXPECT_EQ(both.untested_a, Names{"x/z"});
  ASSERT_EQ(both.rows.size(), 3u);
  EXPECT_EQ(both.rows[2].hypothesis, "result/mid");  // as recorded, not by name
  EXPECT_EQ(both.mean, (0 + 0.75 + 0.5) / 3);
  EXPECT_EQ(both.largest, 0.75);
  EXPECT_EQ(both.largest_at, "result/neurons");
}

TEST(Carried, NothingIsSaidOfWhatNoneOrOneWasTestedOn) {
  EXPECT_FALSE(carried_in_both(*carried_of(tested({{"x/y", 1}})), *carried_of(tested({{"x/z", 1}}))));
  const auto unknown = of(tested({{"x/y", nan}, {"x/z", 0.5}}), tested({{"x/y", 0.5}, {"x/z", 0.5}}));
  EXPECT_EQ(unknown.rows.size(), 2u);
  EXPECT_EQ(unknown.mean, 0);  // of the one pair of accuracies that there is
  EXPECT_EQ(unknown.largest_at, "x/z");
  EXPECT_TRUE(std::isnan(of(tested({{"x/y", nan}}), tested({{"x/y", 1}})).mean));
}

}  // namespace
}  // namespace orrery::engine
