// Describes a circuit by a list of named features, and measures the distance between two such lists. Free of
// LibTorch.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace orrery::engine {

/// How the values of a feature are compared.
enum class Scale {
  share,   ///< a share, a cosine, a score: |x - y|, at most 1
  loss,    ///< nats, as a share of the loss of guessing, capped at 1: a loss above chance carries no
           ///< information
  shares,  ///< parts of a whole, sorted: half the sum of |x_i - y_i|, the total variation distance
  none     ///< a count, a norm, a logit, a step: has a unit, so it is shown but does not enter the distance
};

struct Feature {
  std::string name;   ///< "logit_variance_explained", "key frequencies, by share"
  std::string group;  ///< the features it is averaged with: the label of its probe, or the kind of a finding
  std::string question;  ///< plugin, parameters and reference; features are comparable only if these agree
  Scale scale = Scale::none;
  double value = 0;
  std::vector<double> parts = {};  ///< Scale::shares only: descending, summing to 1; empty: found nothing
  std::string shown = {};          ///< details beside `value`: "21, 8, 1 of 113"; "head 1.0, head 1.2"
  /// If another run has the feature and this one asked the same question and lacks it, it counts as 0 here.
  bool zero_if_absent = false;
  /// For a kind of finding that several probes report: `name` without the probe.
  std::string stem = {};
};

/// The features of one network.
struct Signature {
  double guessing = 1;  ///< the loss of guessing, in nats: ln(number of classes)
  std::vector<Feature> features;
  std::set<std::string> questions;  ///< those answered, with a feature or without
};

/// A feature in two networks; `why_not` explains a missing side.
struct FeaturePair {
  const Feature *a = nullptr, *b = nullptr;  ///< null: this side lacks it
  std::optional<double> distance;            ///< in [0, 1]; nothing if it does not count
  bool zero = false;                         ///< the missing side counts as 0
  std::string why_not;                       ///< why it does not count; empty if it does
};

/// The distance is the mean over groups of the mean over those features in a group that both networks have on
/// a unit-free scale, so every group counts the same. It is symmetric, between 0 and 1, 0 for equal
/// signatures, and does not depend on other runs. Networks with the same algorithm but different key
/// frequencies are close: no feature holds the frequencies themselves, because automorphisms of the group
/// permute them. It is not a metric: with some features missing the triangle inequality may fail.
struct SignatureComparison {
  std::vector<FeaturePair> pairs;  ///< first those both have, in the order of the first, then the others
  std::optional<double> distance;  ///< nothing if the two are not comparable
  size_t n_counted = 0, n_groups = 0;
  std::string why_not;  ///< why they are not comparable; empty if they are
};

/// Two networks with fewer features in common are not comparable.
constexpr size_t least_common_features = 3;

/// The feature of `theirs` to compare `feature`, one of `own`, with, or null: one with the same name, group
/// and question. If both networks have a finding of some kind but no single probe found it in both, pairs the
/// first of each, because a finding means the same whichever probe reports it.
const Feature* counterpart(const Feature& feature, const Signature& own, const Signature& theirs);

/// Whether `signature` has a feature of this name and group, be it of another question: for example the same
/// measurement with other parameters.
bool asked_otherwise(const Signature& signature, const Feature& like);

/// Pairs each feature with its counterpart. The signatures must outlive the result.
SignatureComparison compare(const Signature& a, const Signature& b);
SignatureComparison compare(Signature&&, const Signature&) = delete;
SignatureComparison compare(const Signature&, Signature&&) = delete;

/// Sorted in descending order and divided by their sum. Empty if the sum is 0.
std::vector<double> sorted_parts(std::vector<double> shares);

/// Half the sum of |a_i - b_i|, with the shorter list padded with zeros: 0 to 1 for parts that add up to 1.
double total_variation(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace orrery::engine
