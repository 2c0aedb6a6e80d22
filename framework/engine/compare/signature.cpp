#include "engine/compare/signature.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace orrery::engine {
namespace {

bool is_same(const Feature& x, const Feature& y) {
  return x.name == y.name && x.group == y.group && x.question == y.question;
}

const Feature* find(const Signature& signature, const Feature& like) {
  for (const Feature& feature : signature.features)
    if (is_same(feature, like)) return &feature;
  return nullptr;
}

// Features that are the same finding, whichever probe reports it.
std::vector<const Feature*> of_stem(const Signature& signature, const Feature& like) {
  std::vector<const Feature*> all;
  for (const Feature& feature : signature.features)
    if (feature.stem == like.stem && feature.group == like.group) all.push_back(&feature);
  return all;
}

double of_guessing(double loss, double guessing) { return std::clamp(loss / guessing, 0.0, 1.0); }

FeaturePair both(const Feature& x, const Feature& y, const Signature& a, const Signature& b) {
  FeaturePair pair{&x, &y, {}, false, {}};
  if (x.scale != y.scale || x.scale == Scale::none) {
    pair.why_not = "has a unit";
  } else if (x.scale == Scale::shares) {
    if (x.parts.empty() && y.parts.empty())
      pair.why_not = "neither has any";
    else
      pair.distance = x.parts.empty() || y.parts.empty() ? 1 : total_variation(x.parts, y.parts);
  } else if (!std::isfinite(x.value) || !std::isfinite(y.value)) {
    pair.why_not = "not a number";
  } else if (x.scale == Scale::loss) {
    pair.distance = std::abs(of_guessing(x.value, a.guessing) - of_guessing(y.value, b.guessing));
  } else {
    pair.distance = std::min(1.0, std::abs(x.value - y.value));
  }
  return pair;
}

// `feature` is one side's; `other` is the network that lacks it.
FeaturePair one(const Feature& feature, const Signature& own, const Signature& other, bool first) {
  FeaturePair pair{first ? &feature : nullptr, first ? nullptr : &feature, {}, false, {}};
  if (feature.zero_if_absent && other.questions.contains(feature.question)) {
    Feature zero = feature;
    zero.value = 0;
    pair = both(feature, zero, own, other);
    pair.a = first ? &feature : nullptr;
    pair.b = first ? nullptr : &feature;
    pair.zero = true;
    return pair;
  }
  pair.why_not = asked_otherwise(other, feature)              ? "measured with other parameters"
                 : other.questions.contains(feature.question) ? "the other has none"
                                                              : "not measured on the other";
  return pair;
}

void judge(SignatureComparison& result) {
  std::map<std::string, std::vector<double>> groups;
  for (const FeaturePair& pair : result.pairs)
    if (pair.distance) {
      groups[pair.a ? pair.a->group : pair.b->group].push_back(*pair.distance);
      ++result.n_counted;
    }
  result.n_groups = groups.size();
  if (result.n_counted < least_common_features) {
    result.why_not = result.n_counted == 0
                         ? "no feature was measured on both"
                         : fmt::format("{} feature{} measured on both, fewer than {}", result.n_counted,
                                       result.n_counted == 1 ? " was" : "s were", least_common_features);
    return;
  }
  double sum = 0;
  for (const auto& [group, distances] : groups) {
    double inside = 0;
    for (const double distance : distances) inside += distance;
    sum += inside / static_cast<double>(distances.size());
  }
  result.distance = sum / static_cast<double>(groups.size());
}

}  // namespace

bool asked_otherwise(const Signature& signature, const Feature& like) {
  return std::any_of(signature.features.begin(), signature.features.end(), [&](const Feature& feature) {
    return feature.name == like.name && feature.group == like.group;
  });
}

const Feature* counterpart(const Feature& feature, const Signature& own, const Signature& theirs) {
  if (const Feature* same = find(theirs, feature)) return same;
  if (feature.stem.empty()) return nullptr;
  const auto here = of_stem(own, feature), there = of_stem(theirs, feature);
  const bool one_probe =
      std::any_of(here.begin(), here.end(), [&](auto* each) { return find(theirs, *each); });
  return one_probe || there.empty() || here.front()->name != feature.name ? nullptr : there.front();
}

SignatureComparison compare(const Signature& a, const Signature& b) {
  SignatureComparison result;
  for (const Feature& feature : a.features)
    if (const Feature* other = counterpart(feature, a, b))
      result.pairs.push_back(both(feature, *other, a, b));
  for (const Feature& feature : a.features)
    if (!counterpart(feature, a, b)) result.pairs.push_back(one(feature, a, b, true));
  for (const Feature& feature : b.features)
    if (!counterpart(feature, b, a)) result.pairs.push_back(one(feature, b, a, false));
  judge(result);
  return result;
}

std::vector<double> sorted_parts(std::vector<double> shares) {
  std::sort(shares.begin(), shares.end(), std::greater<>());
  double sum = 0;
  for (const double share : shares) sum += share;
  if (!(sum > 0)) return {};
  for (double& share : shares) share /= sum;
  return shares;
}

double total_variation(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i)
    sum += std::abs((i < a.size() ? a[i] : 0) - (i < b.size() ? b[i] : 0));
  return sum / 2;
}

}  // namespace orrery::engine
