#include "engine/import/plausible.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>

namespace orrery::engine {
namespace {

// Half a unit of the last digit that is written: 0.00005 of "0.0072", 5e-9 of "1.53e-6". A whole number is
// meant as it stands.
double half_last_digit(const std::string& text) {
  const size_t exponent_at = std::min(text.find_first_of("eE"), text.size());
  const size_t point = text.substr(0, exponent_at).find('.');
  if (point == text.npos) return 0;
  const double decimals = static_cast<double>(exponent_at - point - 1);
  const double exponent = exponent_at == text.size() ? 0 : std::stod(text.substr(exponent_at + 1));
  return 0.5 * std::pow(10.0, exponent - decimals);
}

double metric_of(const Metrics& metrics, const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [known, value] : metrics) {
    if (known == name) return value;
    names.push_back(known);
  }
  throw UsageError(fmt::format("--expect: {} has no metric \"{}\"{}", where, name, did_you_mean(name, names)),
                   fmt::format("there are: {}", fmt::join(names, ", ")));
}

// The share of a set's most frequent label.
double chance_of(const Batch& examples) {
  torch::Tensor labels = examples.labels;
  if (examples.scored.defined()) labels = labels.masked_select(examples.scored);
  if (labels.numel() == 0) return 0;
  const torch::Tensor counts = torch::bincount(labels.flatten());
  return counts.max().item<double>() / static_cast<double>(labels.numel());
}

}  // namespace

Expectations::Expectations(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    One one{text.substr(0, equals), equals == text.npos ? "" : text.substr(equals + 1), 0, 0};
    size_t used = 0;
    try {
      one.value = std::stod(one.text, &used);
    } catch (const std::exception&) {
    }
    const bool decimal = one.text.find_first_not_of("0123456789+-.eE") == std::string::npos;
    if (!decimal || used == 0 || used != one.text.size() || one.metric.empty() || !std::isfinite(one.value))
      throw UsageError(fmt::format("--expect \"{}\": expected METRIC=NUMBER", text),
                       "such as test/loss=0.0072");
    one.tolerance = std::max(half_last_digit(one.text), 1e-5 * std::abs(one.value));
    all_.push_back(std::move(one));
  }
}

void Expectations::check(const Metrics& metrics, const std::string& where) const {
  for (const One& one : all_) {
    const double got = metric_of(metrics, one.metric, where);
    if (std::abs(got - one.value) <= one.tolerance) continue;
    throw UsageError(
        fmt::format("{}: {} is {:.9g}, expected {}", where, one.metric, got, one.text),
        "nothing was imported; the task, the split or the architecture is not that of the network");
  }
}

void warn_of_chance(const Experiment& experiment, const Metrics& metrics, Reporter& reporter) {
  const Split& split = experiment.split();
  const auto look = [&](const std::string& name, const Batch& examples) {
    for (const auto& [metric, accuracy] : metrics) {
      const double chance = metric == name + "/accuracy" ? chance_of(examples) : 1;
      // Within two standard deviations of what the most frequent label would give.
      const double spread =
          std::sqrt(chance * (1 - chance) / std::max(1.0, static_cast<double>(examples.size())));
      if (chance < 1 && accuracy <= chance + 2 * spread)
        reporter.warning(
            fmt::format(
                "its accuracy on {} is {:.3g} %, and always giving the most frequent label has {:.3g} %",
                name, 100 * accuracy, 100 * chance),
            "if it has been trained: is this its task (operands, order of the classes, the \"=\" token), and "
            "its "
            "architecture (heads, causal or not, normalisation)?");
    }
  };
  if (split.grid) return look("all", *split.grid);
  look(split.test.size() > 0 ? "test" : "train", split.test.size() > 0 ? split.test : split.train);
}

}  // namespace orrery::engine
