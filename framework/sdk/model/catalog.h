// The framework's models, by their names in configs.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/model.h>
#include <orrery/task.h>

#include <memory>
#include <string>
#include <vector>

namespace orrery {

/// The kinds of model, by name: "mlp", "transformer".
ORRERY_API std::vector<std::string> model_kinds();
/// The parameters of a kind of model. Throws orrery::UsageError, with the nearest name, if the kind does not
/// exist.
ORRERY_API std::vector<Field> model_parameters(const std::string& kind);
/// The kind that selects the task's own model; it has no parameters.
inline constexpr const char* task_model = "task";

/// Makes a model of the framework for a task, on the CPU, its weights drawn from `rng`. Throws
/// orrery::UsageError if the values or the shapes do not fit.
ORRERY_API std::unique_ptr<Model> make_model(const std::string& kind, const Values& values,
                                             const TaskSpec& spec, torch::Generator rng);

}  // namespace orrery
