// Results of probes on disk: one line of JSON per checkpoint, with the tensors and figure data beside it.
#pragma once

#include <orrery/recorder.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/run/provenance.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

/// The results that do not belong to a checkpoint: for random weights, and from the curves of a whole run.
enum class RunLevelResult { null, conclusion };
/// "null", "conclusion".
std::string to_string(RunLevelResult aside);

/// Of a conclusion from results at `seen` of the `made` checkpoints: the others were pruned without a result.
struct SeenCheckpoints {
  int64_t seen = 0, made = 0;
};
/// "from 4 of 12 checkpoints: the others were pruned without a result".
std::string to_text(const SeenCheckpoints& checkpoints);

/// What one probe recorded at one checkpoint, or as a run-level result.
struct ProbeResult {
  int64_t step = 0;                      ///< -1 for a run-level result
  std::string checkpoint;                ///< the file, relative to the run
  std::optional<Provenance> provenance;  ///< nothing if unknown
  Record record;
  std::vector<std::string> tensor_names = {};  ///< of the record, whether its tensors were loaded or not
  std::optional<int64_t> until = {};           ///< of a conclusion: the last step of what it looked at
  std::optional<SeenCheckpoints> partly = {};  ///< of a conclusion that lacks checkpoints
};

/// One checkpoint's results, by the label of each probe:
/// `{"step": 400, "checkpoint": "checkpoints/step_00000400.safetensors", "origin": {...}, "probes":
/// {"trig_loss":
///   {"scalars": {"loss/train": 0.1}, "headlines": ["loss/train"],
///    "findings": {"key_frequencies": {"kind": "key_frequencies", "frequencies": [3, 5], ...}},
///    "figures": [{"name": .., "kind": "line", "title": .., "x_label": .., "y_label": ..,
///                 "x_log": true, "x_ticks": [..], "equal_axes": true, "traces": [{"name": .., "x":
///                 "figure/NAME/0/x", "y": "figure/NAME/0/y"}]}],
///    "tensors": {"W_E_norms": "tensor/W_E_norms"}}}}`
/// A trace may have "y_error", "labels" and "facet", and a probe "panels": [{"scalars": "loss", "title": ..,
/// "y_label": ..}]. Traces and tensors are named as in result_tensors. "origin" is the provenance, omitted if
/// there is none.
std::string result_line(int64_t step, const std::string& checkpoint,
                        const std::vector<std::pair<std::string, const Record*>>& probes,
                        const std::optional<Provenance>& provenance = std::nullopt);
/// The same for a run-level result: `{"of": "null", "origin": {...}, "probes": ...}`; a conclusion has
/// "until", and `"checkpoints": {"seen": 4, "made": 12}` if it lacks some.
std::string result_line(RunLevelResult aside,
                        const std::vector<std::pair<std::string, const Record*>>& probes,
                        const std::optional<Provenance>& provenance = std::nullopt,
                        const std::optional<int64_t>& until = std::nullopt,
                        const std::optional<SeenCheckpoints>& partly = std::nullopt);

/// The tensors of a record, "tensor/NAME", and the data of its figures, "figure/NAME/TRACE INDEX/x" (y, z).
/// Data of figures that are there already are left out: the line names the key that they have.
NamedTensors result_tensors(const Record& record);

/// A result in its form on disk: its line, and the safetensors file beside it (empty: no file).
struct PackedResult {
  std::string line;
  std::vector<std::byte> data;
};
/// The result of one probe; `line` is result_line() of `record`. It gets a checksum, as its data do.
PackedResult pack_result(std::string line, const Record& record);

/// The JSON of such a line, whose checksum is checked if it has one. Throws orrery::Error if the line is
/// damaged.
Json checked_result(std::string_view line, const std::string& where);
/// The same with an empty list of figures, where the checksum says that the line is as it was written: their
/// names and ticks are most of a line, and take longest to parse.
Json result_without_figures(std::string_view line, const std::string& where);

/// Parses the result of the probe `label` from such a line. Calls `load` at most once, for the tensors of
/// this step; without `load`, leaves out figures and tensors. In findings, the texts "NaN", "Infinity" and
/// "-Infinity" become reals, and an empty list becomes one of integers. `where` names the line in errors.
/// Throws orrery::Error if the line is damaged.
ProbeResult parse_result(std::string_view line, const std::string& label, const std::string& where,
                         const std::function<NamedTensors(int64_t step)>& load = nullptr);

}  // namespace orrery::engine
