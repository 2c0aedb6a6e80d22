// Which variables sites of two networks carry, from what interchange interventions recorded
// (orrery/interchange_variables.h): a finding of the kind "hypotheses", their scalars, and a finding
// carries/NAME for each that is carried.
#pragma once

#include <orrery/recorder.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace orrery::engine {

/// One hypothesis VARIABLE/SITE of one network. Accuracies of interchange; NaN where none was recorded.
struct CarriedScore {
  double accuracy = 0;
  double random = 0;     ///< with a random subspace of the same size
  double functions = 0;  ///< with the directions of other functions
  double variable = 0;   ///< had another variable been exchanged
  bool carried = false;
  size_t place = 0;  ///< in the order of the forward pass, in which hypotheses are recorded
};
using CarriedScores = std::map<std::string, CarriedScore>;  // by VARIABLE/SITE

/// Those of a record, if hypotheses were tested there.
std::optional<CarriedScores> carried_of(const Record& record);

/// What was tested on two networks, by the names of hypotheses. Heads keep their numbers.
struct CarriedInBoth {
  struct Row {
    std::string hypothesis;
    CarriedScore a, b;
  };
  std::vector<Row> rows;                            ///< tested on both
  std::vector<std::string> both, only_a, only_b;    ///< of these, the carried ones
  std::vector<std::string> untested_a, untested_b;  ///< tested on the other only
  double mean = 0, largest = 0;  ///< absolute differences of accuracy; NaN if there is none
  std::string largest_at;        ///< the hypothesis of the largest
};
/// Nothing if no hypothesis was tested on both.
std::optional<CarriedInBoth> carried_in_both(const CarriedScores& a, const CarriedScores& b);

}  // namespace orrery::engine
