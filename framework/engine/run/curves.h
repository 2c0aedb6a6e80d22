// The curves of a run: the columns of metrics.jsonl, and the scalars of probes as "probe/LABEL/SCALAR".
#pragma once

#include <orrery/probe.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/run/run_directory.h"

namespace orrery::engine {

/// Collects the rows of one file into curves.
class CurveReader {
 public:
  /// `columns` are named `prefix` + their name.
  void add_row(int64_t step, const std::vector<std::pair<std::string, double>>& columns,
               const std::string& prefix = "");
  /// By name; rows in ascending order.
  std::vector<Curve> curves() const;
  /// The steps of all rows, ascending.
  std::vector<int64_t> steps() const;

 private:
  std::vector<int64_t> steps_;
  std::map<std::string, std::vector<std::pair<int64_t, double>>> points_;
};

/// One reader for metrics.jsonl and, if `with_probes`, one for each label that has results. Throws
/// orrery::Error, with file and line, if the run's files are damaged.
std::vector<CurveReader> read_curves(const RunDirectory& run, bool with_probes = true);

/// Every curve of `files`.
std::vector<Curve> all_curves(const std::vector<CurveReader>& files);

/// The curves that match `globs`, each once. Throws orrery::Error, naming the probe `label` and the nearest
/// curve, for a glob that matches none.
std::vector<Curve> choose_curves(const std::vector<Curve>& all, const std::vector<std::string>& globs,
                                 const std::string& label);

/// SHA-256 of names, steps and values.
std::string sha256_of(const std::vector<Curve>& curves);

}  // namespace orrery::engine
