// The framework's own models, by the name a config calls them.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/model.h>
#include <orrery/task.h>

#include <memory>
#include <string>
#include <vector>

namespace orrery {

/// The parameters of a kind of model. Throws orrery::UsageError, naming the nearest, if there is no such
/// kind.
ORRERY_API std::vector<Field> model_parameters(const std::string& kind);
/// The kind that stands for a task's own model; it has no parameters here.
inline constexpr const char* task_model = "task";

/// A model of the framework's for a task, its weights drawn from `rng`.
ORRERY_API std::unique_ptr<Model> make_model(const std::string& kind, const Values& values,
                                             const TaskSpec& spec, torch::Generator rng);

}  // namespace orrery
