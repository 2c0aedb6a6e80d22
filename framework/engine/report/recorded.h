// Private to the report room: reads the results of one probe for a page.
#pragma once

#include <orrery/probe.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/report/figure_frames.h"
#include "engine/run/json_read.h"
#include "engine/run/run_directory.h"

namespace orrery::engine {

struct Recorded {
  std::string label;
  std::string plugin;  ///< the probe's own name
  std::vector<int64_t> steps;
  std::vector<Curve> curves;           ///< of its scalars
  std::vector<std::string> headlines;  ///< the names of its headlines
  std::vector<ScalarPanel> panels;     ///< what its scalars measure, as the latest checkpoints say
  Json findings;    ///< [{"name": .., "at": [[step, {"kind": .., ..}], ..]}], where they change
  Json null;        ///< its scalars for random weights, by name
  Json conclusion;  ///< {"scalars": .., "headlines": .., "findings": ..}
  std::vector<FigureFrames> figures;
  std::vector<FigureFrames> concluding;         ///< the figures of its conclusion, one frame each
  std::optional<int64_t> concluded_until = {};  ///< the last step that its conclusion looked at, if known
  std::optional<SeenCheckpoints> concluded_from = {};  ///< of a conclusion that lacks pruned checkpoints
  size_t n_results = 0, n_read = 0;  ///< checkpoints with results, and those whose figures were read
};

/// Reads figures only at `steps`, unless that is empty, and at no more than `most` checkpoints, evenly
/// spread. Throws orrery::Error, with file and line, if the files are damaged.
Recorded read_recorded(const RunDirectory& run, const std::string& label, const std::vector<int64_t>& steps,
                       size_t most);

}  // namespace orrery::engine
