// The distance of two circuits, and what records become as features.
#include "engine/compare/signature.h"

#include <gtest/gtest.h>
#include <orrery/findings.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/compare/evidence.h"

namespace orrery::engine {
namespace {

using Shares = std::vector<double>;

const RecordSource fourier{"fourier", "fourier {}"};
const RecordSource heads{"heads", "heads {}"};

Finding keys(const std::vector<int64_t>& frequencies, const Shares& shares, int64_t order = 59) {
  return key_frequencies_finding(order, frequencies, shares);
}

// The record of a probe of waves.
Record waves(const std::vector<int64_t>& frequencies, const Shares& shares, double explained = 0.9) {
  Record record;
  record.scalars = {{"n_key_frequencies", static_cast<double>(frequencies.size())},
                    {"logit_variance_explained", explained},
                    {"loss/test", 0.01},
                    {"neurons/k=5", 3}};
  record.headlines = {"n_key_frequencies", "logit_variance_explained", "loss/test"};
  record.findings = {keys(frequencies, shares)};
  return record;
}

Signature signature(const Record& record, const RecordSource& source = fourier,
                    const Record* null = nullptr) {
  Signature made{std::log(59.0), {}, {}};
  add_evidence(record, null, source, made);
  return made;
}

const Feature* find(const Signature& in, const std::string& name) {
  const auto found = std::find_if(in.features.begin(), in.features.end(),
                                  [&](const Feature& feature) { return feature.name == name; });
  return found == in.features.end() ? nullptr : &*found;
}

const FeaturePair* find(const SignatureComparison& in, const std::string& name) {
  for (const FeaturePair& pair : in.pairs)
    if ((pair.a ? pair.a : pair.b)->name == name) return &pair;
  return nullptr;
}

TEST(TotalVariation, WorkedByHand) {
  EXPECT_NEAR(total_variation({0.5, 0.5}, {0.5, 0.5}), 0, 1e-15);
  EXPECT_NEAR(total_variation({0.5, 0.5}, {1}), 0.5, 1e-15);
  EXPECT_NEAR(total_variation({0.25, 0.25, 0.25, 0.25}, {0.5, 0.3, 0.2}), 0.3, 1e-15);
  EXPECT_NEAR(total_variation({}, {1}), 0.5, 1e-15);  // half, as the empty one is no distribution
}

TEST(SortedParts, AddUpToOneAndForgetTheOrder) {
  EXPECT_EQ(sorted_parts({0.1, 0.3, 0.1}), sorted_parts({0.3, 0.1, 0.1}));
  EXPECT_NEAR(sorted_parts({0.1, 0.3})[0], 0.75, 1e-15);
  EXPECT_TRUE(sorted_parts({}).empty());
  EXPECT_TRUE(sorted_parts({0, 0}).empty());
}

TEST(SignatureDistance, OfTheSameAlgorithmWithOtherFrequenciesIsZero) {
  const Signature a = signature(waves({5, 9, 15}, {0.2, 0.3, 0.1}));
  const Signature b = signature(waves({2, 28, 7}, {0.1, 0.2, 0.3}));
  const SignatureComparison result = compare(a, b);
  ASSERT_TRUE(result.distance);
  EXPECT_NEAR(*result.distance, 0, 1e-15);
  EXPECT_EQ(result.n_counted, 4u);  // shares, their sum, explained, loss; the count has a unit
  EXPECT_EQ(find(result, "n_key_frequencies")->why_not, "has a unit");
  EXPECT_EQ(find(result, "neurons/k=5"), nullptr);
}

TEST(SignatureDistance, IsTheMeanOverGroupsOfTheMeansInside) {
  const Signature a = signature(waves({1, 2}, {0.25, 0.25}, 0.9)), b = signature(waves({1}, {1.0}, 0.5));
  const SignatureComparison result = compare(a, b);
  // Group "key frequencies": shares 1/2, sum 1/2. Group "fourier": explained 0.4, loss 0.
  EXPECT_NEAR(*result.distance, ((0.5 + 0.5) / 2 + (0.4 + 0) / 2) / 2, 1e-12);
  EXPECT_EQ(result.n_groups, 2u);
}

TEST(SignatureDistance, IsSymmetricBoundedAndZeroToItself) {
  std::mt19937 rng(1);
  std::uniform_real_distribution<double> uniform(-3, 3);
  const auto some = [&] {
    Record record = waves({1, 2, 3}, {std::abs(uniform(rng)), std::abs(uniform(rng)), 0.1}, uniform(rng));
    for (auto& [name, value] : record.scalars)
      if (name == "loss/test") value = std::abs(uniform(rng)) * 10;
    if (uniform(rng) > 0)
      record.findings.push_back(circuit_efficiency_finding(uniform(rng), uniform(rng), 30));
    return signature(record);
  };
  for (int i = 0; i < 200; ++i) {
    const Signature a = some(), b = some();
    const auto there = compare(a, b), back = compare(b, a);
    ASSERT_EQ(there.distance.has_value(), back.distance.has_value());
    ASSERT_TRUE(there.distance) << there.why_not;
    EXPECT_NEAR(*there.distance, *back.distance, 1e-15);
    EXPECT_GE(*there.distance, 0);
    EXPECT_LE(*there.distance, 1);
    EXPECT_EQ(*compare(a, a).distance, 0);
  }
}

TEST(SignatureDistance, OfLossesIsInSharesOfGuessing) {
  Record good = waves({1}, {1}), bad = good;
  good.scalars[2].second = 1e-7;
  bad.scalars[2].second = 40;  // worse than guessing counts as guessing
  Signature a = signature(good), b = signature(bad);
  EXPECT_NEAR(*find(compare(a, b), "loss/test")->distance, 1, 1e-6);
  // Half of guessing is half of guessing, whatever the number of classes.
  bad.scalars[2].second = std::log(120.0) / 2;
  b = signature(bad);
  b.guessing = std::log(120.0);
  a.features[2].value = a.guessing / 2;
  EXPECT_NEAR(*find(compare(a, b), "loss/test")->distance, 0, 1e-12);
}

TEST(SignatureDistance, OfTooLittleIsNone) {
  Record little;
  little.scalars = {{"circularity", 0.3}, {"share", 0.5}};
  little.headlines = {"circularity", "share"};
  const Signature a = signature(little), b = signature(little);
  const auto result = compare(a, b);
  EXPECT_FALSE(result.distance);
  EXPECT_EQ(result.why_not, "2 features were measured on both, fewer than 3");
  const Signature other = signature(waves({1}, {1}), heads);
  EXPECT_EQ(compare(a, other).why_not, "no feature was measured on both");
}

TEST(SignatureDistance, DoesNotMixMeasurementsWithOtherParameters) {
  const Signature a = signature(waves({1}, {1})),
                  b = signature(waves({1}, {1}), {"fourier", "fourier {rule}"});
  const auto result = compare(a, b);
  EXPECT_FALSE(result.distance);
  EXPECT_EQ(find(result, "loss/test")->why_not, "measured with other parameters");
}

TEST(SignatureDistance, NoKeysAgainstSomeIsOne) {
  const Signature a = signature(waves({}, {})), b = signature(waves({1, 2}, {0.5, 0.5}));
  EXPECT_EQ(*find(compare(a, b), "key frequencies, by share (fourier)")->distance, 1);
  EXPECT_EQ(find(compare(a, a), "key frequencies, by share (fourier)")->why_not, "neither has any");
}

TEST(SignatureDistance, ARoleThatWasLookedForAndNotFoundIsZero) {
  Record with;
  with.findings = {head_role_finding(1, 0, "induction", 0.7), head_role_finding(1, 3, "induction", 0.9),
                   head_role_finding(0, 2, "previous token", 0.6)};
  const Record without;
  const Signature a = signature(with, heads), looked = signature(without, heads),
                  not_looked = signature(without);
  const auto result = compare(a, looked);
  ASSERT_TRUE(find(result, "induction heads, best score")->distance);
  EXPECT_NEAR(*find(result, "induction heads, best score")->distance, 0.9, 1e-15);
  EXPECT_TRUE(find(result, "induction heads, best score")->zero);
  EXPECT_EQ(find(compare(a, not_looked), "induction heads, best score")->why_not,
            "not measured on the other");
  EXPECT_EQ(find(a, "induction heads, best score")->shown, "head 1.0, 1.3");
}

TEST(Evidence, AScalarWithAUnitIsShownAndNotCounted) {
  Record record;
  record.scalars = {
      {"norm/L2", 29.6}, {"c_gen", 0.3}, {"gini/W_E", 0.7}, {"gini/blocks.0", 0.2}, {"test/loss/n_x", 1}};
  record.headlines = {"norm/L2", "c_gen", "test/loss/n_x"};
  Record null = record;
  null.scalars[1].second = 12;
  const Signature made = signature(record, fourier, &null);
  EXPECT_EQ(find(made, "norm/L2")->scale, Scale::none);
  EXPECT_EQ(find(made, "c_gen")->scale, Scale::none);  // its null is no share
  EXPECT_EQ(find(made, "test/loss/n_x")->scale, Scale::none);
  EXPECT_EQ(find(made, "gini/W_E")->scale, Scale::share);
  EXPECT_EQ(find(made, "gini/blocks.0"), nullptr);
}

TEST(Evidence, OfAblationsOfOneKindTheWorstCounts) {
  Record record;
  record.findings = {ablation_finding("head 0.1", "mean", "repeats", 0.1, 2.0),
                     ablation_finding("head 1.2", "mean", "repeats", 0.1, 0.3),
                     ablation_finding("all induction heads", "mean", "repeats", 0.1, 4.0),
                     ablation_finding("the representation standard (4,1)", "exclude", "test", 0.1, 1.0)};
  const Signature made = signature(record);
  EXPECT_EQ(find(made, "loss without one head (mean, repeats)")->value, 2.0);
  EXPECT_EQ(find(made, "loss without one head (mean, repeats)")->shown, "at most: head 0.1");
  EXPECT_EQ(find(made, "loss without all induction heads (mean, repeats)")->value, 4.0);
  EXPECT_EQ(find(made, "loss without one representation (exclude, test)")->value, 1.0);
}

TEST(Evidence, AnAblationCanBeSetBesideThatOfAnotherProbe) {
  Record one, other;
  one.findings = {ablation_finding("frequency 14", "exclude", "test", 0.1, 1.0)};
  other.findings = {ablation_finding("frequency 2", "exclude", "digits", 0.1, 2.0)};
  const Signature a = signature(one), b = signature(other, heads);
  const auto result = compare(a, b);
  const FeaturePair* pair = find(result, "loss without one frequency (exclude, test)");
  ASSERT_TRUE(pair && pair->b);
  EXPECT_EQ(pair->b->shown, "at most: frequency 2");
  EXPECT_NEAR(*pair->distance, 1 / std::log(59.0), 1e-12);
}

TEST(Evidence, OfEfficiencyAndPhases) {
  Record record;
  record.findings = {circuit_efficiency_finding(18, -2, 32),
                     phase_change_finding("test/loss", "circuit formation", 8000, 7900, 8100, 0.95, 0.2)};
  const Signature made = signature(record);
  EXPECT_NEAR(find(made, "C_gen, of the correct logit")->value, 0.9, 1e-12);
  EXPECT_NEAR(find(made, "parameter norm per logit")->value, 2, 1e-12);
  EXPECT_EQ(find(made, "parameter norm per logit")->scale, Scale::none);
  EXPECT_EQ(find(made, "test/loss: end of circuit formation")->value, 8000);
  EXPECT_EQ(find(made, "test/loss: end of circuit formation")->shown, "0.2 of the run");
}

TEST(Evidence, FrequenciesAreNamedInTheOrderOfTheirShares) {
  const Signature made = signature(waves({5, 9, 15}, {0.2, 0.3, 0.1}));
  EXPECT_EQ(find(made, "key frequencies, by share (fourier)")->shown, "9, 5, 15 of 59");
  EXPECT_NEAR(find(made, "key frequencies, together (fourier)")->value, 0.6, 1e-12);
  Record group;
  group.findings = {key_representations_finding("S_5", 120, {"sign", "(2,2,1)"}, {0.1, 0.3})};
  EXPECT_EQ(find(signature(group), "key representations, by share (fourier)")->shown, "(2,2,1), sign of S_5");
}

TEST(SignatureDistance, AFindingOfAnotherProbeWillDoWhereNoneFoundItInBoth) {
  const Signature a = signature(waves({1, 2}, {0.5, 0.5})),
                  b = signature(waves({3}, {0.8}), {"digits", "digits {}"});
  const auto result = compare(a, b);
  const FeaturePair* shares = find(result, "key frequencies, by share (fourier)");
  ASSERT_TRUE(shares && shares->a && shares->b);
  EXPECT_EQ(shares->b->name, "key frequencies, by share (digits)");
  EXPECT_NEAR(*shares->distance, 0.5, 1e-12);
  EXPECT_EQ(result.n_counted, 2u);  // their headlines are measurements of their own
  EXPECT_EQ(find(result, "loss/test")->why_not, "not measured on the other");
  // But one probe for both is better than two.
  Signature both = b;
  const Signature more = signature(waves({4}, {1}));
  both.features.insert(both.features.end(), more.features.begin(), more.features.end());
  both.questions.insert("fourier {}");
  EXPECT_EQ(find(compare(a, both), "key frequencies, by share (fourier)")->b->shown, "4 of 59");
  EXPECT_EQ(find(compare(a, both), "key frequencies, by share (digits)")->a, nullptr);
}

TEST(Overlap, CountsWhatIsCommonAndWhatChanceWouldGive) {
  const auto a = key_frequencies_of(waves({5, 9, 15, 16}, {1, 1, 1, 1})),
             b = key_frequencies_of(waves({5, 16, 2}, {1, 1, 1}));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(overlap(*a, *b).common, 2u);
  EXPECT_NEAR(overlap(*a, *b).by_chance, 4 * 3 / 29.0, 1e-12);
  EXPECT_FALSE(key_frequencies_of(Record{}));
}

}  // namespace
}  // namespace orrery::engine
