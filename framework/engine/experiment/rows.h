// Which rows a run will have, before anything is trained.
#pragma once

#include <string>
#include <vector>

#include "engine/config/settings.h"

namespace orrery::engine {

/// "weight_structure" of "probe/weight_structure/norm/L2"; "" of other metrics.
std::string label_in(const std::string& metric);

/// Whether a run of `settings` that goes on to its last step has a row that `question` asks about: the curves
/// have one at step 0, at each multiple of train.eval_every and at the last step, a probe at each checkpoint
/// that is a multiple of its `every`; nulls and conclusions are of the whole run.
bool has_row(const Settings& settings, const Expectation& question);

/// For a `question` without a row: where rows come from, and the steps around it that have one.
std::string advice_on_rows(const Settings& settings, const Expectation& question);

/// Throws UsageError, with its place, for an expectation of `settings` about a column that is not among those
/// `written` to metrics.jsonl, or about a row that the run will not have. Which scalars a probe records is
/// known once it has measured.
void refuse_unanswerable(const Settings& settings, const std::vector<std::string>& written);

}  // namespace orrery::engine
