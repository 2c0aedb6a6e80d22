// Results of probes as text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/experiment/probe_host.h"

namespace orrery::cli {

using namespace engine;

/// A table with a row per checkpoint (or other place) and a column per headline.
class HeadlineTable {
 public:
  void add(const std::string& row, const std::vector<Outcome>& outcomes);
  std::string text() const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::pair<std::string, std::map<std::string, double>>> rows_;
};

/// Every scalar and finding, grouped by probe, with the null beside a scalar if `nulls` has one.
std::string details_text(const std::vector<Outcome>& outcomes, const std::vector<Outcome>& nulls);

/// " (null 4.71)": the value for random weights, to print after the value for trained ones.
std::string null_text(const Record* null, const std::string& scalar);

/// "key_frequencies: order 113, frequencies [14, 35], shares [0.31, 0.44]".
std::string finding_text(const Finding& finding);
/// "key frequencies 14, 35" for a finding of that kind; others as finding_text(), with long lists truncated.
std::string finding_words(const Finding& finding);

}  // namespace orrery::cli
