// What probes said, as text for people.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/experiment/probe_host.h"

namespace orrery::cli {

using namespace engine;

/// A table with a row per checkpoint, or what else was looked at, and a column per headline.
class HeadlineTable {
 public:
  void add(const std::string& row, const std::vector<Outcome>& outcomes);
  std::string text() const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::pair<std::string, std::map<std::string, double>>> rows_;
};

/// Every scalar and finding, grouped by probe; beside a scalar its null, where `nulls` has one.
std::string details_text(const std::vector<Outcome>& outcomes, const std::vector<Outcome>& nulls);

/// " (null 4.71)": what the probe says of random weights, behind what it says of trained ones.
std::string null_text(const Record* null, const std::string& scalar);

/// "key_frequencies: order 113, frequencies [14, 35], shares [0.31, 0.44]".
std::string finding_text(const Finding& finding);
/// "key frequencies 14, 35" for a finding of that kind; others as finding_text(), with long lists cut.
std::string finding_words(const Finding& finding);

}  // namespace orrery::cli
