// What a run recorded over its steps, as Probe::conclude() sees it: curves, and the tensors and findings of
// probes.
#pragma once

#include <orrery/export.h>
#include <orrery/recorder.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace orrery {

/// Numbers that a run recorded over its steps: a column of metrics.jsonl, or a scalar of a probe under the
/// name "probe/LABEL/SCALAR".
struct Curve {
  std::string name;
  std::vector<int64_t> steps;  ///< ascending
  std::vector<double> values;  ///< one for each step; may be NaN or infinite
};

/// A tensor that a probe recorded at several steps. It stays in the run's files until it is asked for, so
/// that hundreds of large ones can be looked at one by one.
struct TensorSeries {
  std::string name;            ///< as Needs::tensors asked: "NAME" of the probe itself, or "probe/LABEL/NAME"
  std::vector<int64_t> steps;  ///< ascending: those at which it was recorded
  /// Reads the tensor of one of `steps`. Set by the host; a test may return tensors of its own.
  std::function<torch::Tensor(int64_t step)> read = {};

  /// The tensor recorded at `step`, on the CPU, in the dtype and shape in which it was recorded; yours to
  /// change. Throws orrery::Error if it was not recorded at that step, and, naming the file, if the file is
  /// missing or damaged.
  ORRERY_API torch::Tensor at(int64_t step) const;
};

/// A finding that a probe recorded at several steps.
struct FindingSeries {
  std::string name;               ///< as for TensorSeries
  std::vector<int64_t> steps;     ///< ascending: those at which it was recorded
  std::vector<Finding> findings;  ///< one for each step
};

/// What Needs::curves, tensors and findings name. Valid during the call of conclude() only.
struct History {
  std::vector<Curve> curves = {};
  std::vector<TensorSeries> tensors = {};
  std::vector<FindingSeries> findings = {};

  /// The one of this name. They throw orrery::Error, with the nearest name, if there is none.
  ORRERY_API const Curve& curve(const std::string& name) const;
  ORRERY_API const TensorSeries& tensor(const std::string& name) const;
  /// The findings of this name; none, without steps, if nothing was recorded under it.
  ORRERY_API FindingSeries finding(const std::string& name) const;
};

}  // namespace orrery
