// What a run recorded over its steps, and the part of it that a probe concludes from.
#pragma once

#include <orrery/probe.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/run/run_directory.h"

namespace orrery::engine {

/// What one probe recorded at one step, without its tensors: they stay in their file.
struct RecordedStep {
  int64_t step = 0;
  std::vector<Finding> findings = {};
  std::vector<std::string> tensors = {};  ///< their names
  std::filesystem::path data = {};        ///< the safetensors file that holds them
};

/// Every curve of a run; and what its probes recorded, by label, with ascending steps.
struct RunHistory {
  std::vector<Curve> curves;
  std::map<std::string, std::vector<RecordedStep>> records;
};

/// The labels whose tensors or findings a probe labelled `own` may conclude from, as far as `all` has them.
std::vector<std::string> labels_read(const Needs& needs, const std::string& own,
                                     const std::vector<std::string>& all);

/// The record of a result whose tensors are in `data`.
RecordedStep recorded_step(const ProbeResult& result, std::filesystem::path data);
/// What the probe `label` recorded, ascending. Throws orrery::Error, with file and line, if it is damaged.
std::vector<RecordedStep> read_records(const RunDirectory& run, const std::string& label);

/// The part that `needs` names, for a probe labelled `own`. The tensors are read when they are asked for.
/// Throws orrery::Error, naming the probe, the glob and the nearest name, for a glob of curves or tensors
/// that matches none, and for one of findings that names no probe with results.
History choose_history(const RunHistory& all, const Needs& needs, const std::string& own);

/// The last step that anything in `history` was recorded at; 0 if it is empty.
int64_t last_step(const History& history);

/// SHA-256 of what choose_history() gives: of the curves alone if `needs` names nothing else. Tensors count
/// by the checksums in their files; a file that is missing or damaged counts as such.
std::string sha256_of(const RunHistory& all, const Needs& needs, const std::string& own);

}  // namespace orrery::engine
