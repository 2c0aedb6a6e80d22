// Checks a task's own metrics.
#include <fmt/format.h>

#include "engine/check/bitwise.h"
#include "engine/check/task_checks.h"
#include "engine/experiment/check_split.h"

namespace orrery::engine::checks {
namespace {

const char* const advice = "compute each number from the logits and the examples alone, and write to copies";

// The first metric whose values differ, or "".
std::string metrics_differ(const std::vector<std::string>& names, const std::vector<double>& a,
                           const std::vector<double>& b) {
  for (size_t i = 0; i < names.size(); ++i)
    if (!same(a[i], b[i])) return fmt::format("{} is {}, then {}", names[i], a[i], b[i]);
  return "";
}

// What is wrong with the metrics of `batch`, or "". Throws if there are not as many as spec() names.
std::string metrics_fault(const Variant& variant, const Task& other, const std::string& name,
                          const Batch& batch) {
  const TaskSpec& spec = variant.spec;
  const torch::Tensor logits =
      torch::randn({batch.size(), static_cast<int64_t>(spec.read_out.size()), spec.d_vocab_out},
                   make_generator(data_seed));
  const torch::Tensor shown = logits.clone();
  const Batch examples = copy(batch);
  const std::vector<double> values = variant.task->metrics(shown, examples);
  check_metrics(spec, values);
  if (!same(logits, shown)) return "it changed the logits of " + name;
  if (const std::string changed = difference(name, batch, examples); !changed.empty())
    return "it changed " + changed;
  for (const Task* task : {static_cast<const Task*>(variant.task.get()), &other})
    if (const std::string differs = metrics_differ(spec.metrics, values, task->metrics(shown, examples));
        !differs.empty())
      return fmt::format("on {}, {}", name, differs);
  return "";
}

}  // namespace

Result own_metrics(TaskUnderCheck& task) {
  for (const Variant& variant : task.variants()) {
    if (variant.spec.metrics.empty()) continue;
    task.note(variant.at("metrics"));
    const auto other = task.source().make(variant.values);
    for (const auto& [name, batch] : variant.batches())
      if (batch->size() > 0)
        if (const std::string fault = metrics_fault(variant, *other, name, *batch); !fault.empty())
          return failed(variant.at(fault), advice);
  }
  const auto n = static_cast<int64_t>(task.variants().front().spec.metrics.size());
  return n > 0 ? ok(counted(n, "metric")) : not_applicable("it names no metrics of its own");
}

}  // namespace orrery::engine::checks
