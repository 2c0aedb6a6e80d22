// Networks small enough to be made, trained and measured many times.
#pragma once

#include <orrery/fields.h>
#include <orrery/task.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace orrery::engine::checks {

/// One of the framework's models, or the task's own.
struct SmallModel {
  std::string name;  ///< "one-layer transformer"
  std::string kind;  ///< as in [model] of a config
  Values parameters;

  /// With random weights. Null if `kind` asks for the task's own model and the task has none. Throws
  /// orrery::UsageError if the model does not fit the task.
  std::unique_ptr<Model> make(const Task& task, const TaskSpec& spec, int64_t seed) const;
};

/// One of each shape that a probe may meet: transformers with and without neurons, of one layer and of two;
/// mlps with each spelling of their weights; and the task's own model.
const std::vector<SmallModel>& small_models();

}  // namespace orrery::engine::checks
