#include "cli/text/interchange_text.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>

#include "cli/text/table.h"
#include "engine/reporter/numbers.h"
#include "engine/run/json_write.h"

namespace orrery::cli {
namespace {

using engine::Json;
using engine::json_real;

double accuracy_of_null(const std::optional<InterchangeScore>& score) {
  return score ? score->accuracy : std::numeric_limits<double>::quiet_NaN();
}

std::optional<double> recorded_null(const std::optional<InterchangeScore>& score) {
  return score ? std::optional(score->accuracy) : std::nullopt;
}

std::string as_percent(double share) { return std::isnan(share) ? "-" : fmt::format("{:.2f}%", 100 * share); }

std::string size_of(const torch::Tensor& directions) {
  if (!directions.defined()) return "all";
  if (directions.size(0) == 0) return "none";  // turns with the variable there: nothing is exchanged
  return fmt::format("{} of {}", directions.size(0), directions.size(1));
}

}  // namespace

std::string interchange_text(const TestedSet& tested, size_t width) {
  std::vector<Column> columns(8, {Align::right});
  columns[0] = {Align::left, 0, 24};
  Table table(std::move(columns));
  table.add({"hypothesis", "dimensions", "labels", "accuracy", "random", "other functions", "other variable",
             "logit diff"});
  for (const TestedHypothesis& one : tested.hypotheses)
    table.add({one.name, size_of(one.directions), engine::thousands(one.score.counted),
               as_percent(one.score.accuracy), as_percent(accuracy_of_null(one.random)),
               as_percent(accuracy_of_null(one.wrong)), as_percent(one.score.other_accuracy),
               engine::compact(one.score.logit_difference)});
  return table.text(width);
}

std::string interchange_json(const TestedSet& tested, int64_t step) {
  std::string out;
  for (const TestedHypothesis& one : tested.hypotheses) {
    Json line{{"step", step}, {"hypothesis", one.name}, {"variable", one.variable}, {"site", one.site.hook}};
    line["dimension"] = one.directions.defined() ? Json(one.directions.size(0)) : Json(nullptr);
    line["counted"] = one.score.counted;
    line["accuracy"] = json_real(one.score.accuracy);
    line["kept"] = json_real(one.score.kept);
    line["random"] = json_real(recorded_null(one.random));
    line["shared"] = json_real(std::isnan(one.shared) ? std::nullopt : std::optional(one.shared));
    line["other_functions"] = json_real(recorded_null(one.wrong));
    line["other_variable"] = json_real(one.score.other_accuracy);
    line["logit_difference"] = json_real(one.score.logit_difference);
    line["logit_difference_before"] = json_real(one.score.logit_difference_before);
    line["base_accuracy"] = json_real(tested.base_accuracy);
    out += line.dump() + "\n";
  }
  return out;
}

}  // namespace orrery::cli
