// Results of probes as text.
#pragma once

#include <cstddef>
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
  /// In lines of at most `width` characters; if the columns do not fit beside each other, in several tables.
  std::string text(size_t width) const;

 private:
  std::vector<std::pair<std::string, std::string>> columns_;  // the label of a probe, a headline of it
  std::vector<std::pair<std::string, std::map<std::pair<std::string, std::string>, double>>> rows_;
};

/// Every scalar and finding, grouped by probe, with the null beside a scalar if `nulls` has one, in lines of
/// at most `width` characters.
std::string details_text(const std::vector<Outcome>& outcomes, const std::vector<Outcome>& nulls,
                         size_t width);

/// " (null 4.71)": the value for random weights, to print after the value for trained ones.
std::string null_text(const Record* null, const std::string& scalar);

/// "key_frequencies: order 113, frequencies [14, 35], shares [0.31, 0.44]".
std::string finding_text(const Finding& finding);
/// "key frequencies 14, 35" for a finding of that kind; others as finding_text(), with long lists truncated.
std::string finding_words(const Finding& finding);

}  // namespace orrery::cli
