// A circuit as a list of named features, and the distance between two such lists. Free of LibTorch.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace orrery::engine {

/// How the values of a feature are compared.
enum class Scale {
  share,  ///< a share, a cosine, a score: |x - y|, at most 1
  loss,   ///< nats, as a share of those of guessing, at most 1: guessing worse than at random is no knowledge
  shares,  ///< parts of a whole, sorted: half the sum of |x_i - y_i|, which is the total variation distance
  none     ///< a count, a norm, a logit, a step: is shown, but has a unit, so that it has no part in the
           ///< distance
};

struct Feature {
  std::string name;      ///< "logit_variance_explained", "key frequencies, by share"
  std::string group;     ///< what it is averaged with: the label of its probe, or the kind of a finding
  std::string question;  ///< plugin, parameters and reference it is recorded by: others are not comparable
  Scale scale = Scale::none;
  double value = 0;
  std::vector<double> parts = {};  ///< Scale::shares only: descending, summing to 1; none: there is nothing
  std::string shown = {};          ///< what `value` does not say: "21, 8, 1 of 113"; "head 1.0, head 1.2"
  /// Where the other run has it and this one answered the same question without it, it is 0 here.
  bool zero_if_absent = false;
  /// Of a finding of a kind that several probes report: `name` without the probe.
  std::string stem = {};
};

/// What is known of one network.
struct Signature {
  double guessing = 1;  ///< the loss, in nats, of guessing: ln(number of classes)
  std::vector<Feature> features;
  std::set<std::string> questions;  ///< that were answered, with a feature or without
};

/// A feature of two networks. It has two values, or one and the other side says why not.
struct FeaturePair {
  const Feature *a = nullptr, *b = nullptr;  ///< null: this side has none
  std::optional<double> distance;            ///< in [0, 1]; only where it counts
  bool zero = false;                         ///< the side that has none is taken as 0
  std::string why_not;                       ///< why it does not count; empty where it does
};

/// The distance counts features of different groups alike: it is the mean over the groups of the mean over
/// the features in a group that both networks have on a scale without a unit. It is symmetric, from 0 to 1,
/// and 0 between equal signatures; other runs have no influence on it. Two networks of the same algorithm and
/// other key frequencies are near: which frequencies they are is in no feature, as units of the group
/// permute them. It is no metric: with features missing here and there the triangle inequality may fail.
struct SignatureComparison {
  std::vector<FeaturePair> pairs;  ///< first those both have, in the order of the first, then the others
  std::optional<double> distance;  ///< nothing where the two are not comparable
  size_t n_counted = 0, n_groups = 0;
  std::string why_not;  ///< why they are not comparable; empty where they are
};

/// With fewer features in common than this two networks are not comparable.
constexpr size_t least_common_features = 3;

/// The feature of `theirs` that `feature`, one of `own`, is set beside, or null. It has the same name, group
/// and question. Where two networks have a finding of one kind, but no probe found it in both, the first of
/// each stand side by side: findings mean the same whoever reports them.
const Feature* counterpart(const Feature& feature, const Signature& own, const Signature& theirs);

/// Each feature beside its counterpart. The signatures outlive the result.
SignatureComparison compare(const Signature& a, const Signature& b);
SignatureComparison compare(Signature&&, const Signature&) = delete;
SignatureComparison compare(const Signature&, Signature&&) = delete;

/// Sorted in descending order and divided by their sum. Empty if the sum is 0.
std::vector<double> sorted_parts(std::vector<double> shares);

/// Half the sum of |a_i - b_i|, the shorter one going on with zeros: 0 to 1 for parts that add up to 1.
double total_variation(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace orrery::engine
