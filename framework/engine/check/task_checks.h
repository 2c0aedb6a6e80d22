// Checks of a task: its data are what it declares.
#pragma once

#include <orrery/task.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/check/check.h"

namespace orrery::engine::checks {

/// Makes instances of one task.
struct TaskSource {
  std::string name;
  std::vector<Field> fields;
  std::function<std::unique_ptr<Task>(const Values&)> make;
};

/// A task with some parameters, and the data it makes from them.
struct Variant {
  std::string name;  ///< "" for the given parameters, else what differs: `operation = "subtract"`
  Values values;
  std::unique_ptr<Task> task;
  TaskSpec spec;
  Structure structure;
  Split split;         ///< for data seed 0
  Batch sample;        ///< if the task is endless: 64 of its examples for the first update
  Batch final_sample;  ///< likewise for the step final_step

  /// "train", "test", "grid", "sample", "final_sample", as far as the task has them.
  std::vector<std::pair<std::string, const Batch*>> batches() const;
  /// `train, where operation = "subtract"`: a place, for messages.
  std::string at(const std::string& place) const;
};

constexpr uint64_t data_seed = 0, other_data_seed = 1;

/// Throws what the task throws.
Variant make_variant(const TaskSource& source, const Values& values, std::string name);

/// The task with the given parameters and, one at a time, with every other value of each of its boolean or
/// enumerated parameters. Made on first use.
class TaskUnderCheck {
 public:
  /// Calls `note` before each variant is made.
  TaskUnderCheck(TaskSource source, Values given, Note note)
      : source_(std::move(source)), given_(std::move(given)), note_(std::move(note)) {}

  const TaskSource& source() const { return source_; }
  const Values& given() const { return given_; }
  /// Throws what the task throws, but leaves out choices it refuses with an orrery::UsageError.
  const std::vector<Variant>& variants();
  /// The choices that were left out.
  const std::vector<std::string>& refused() const { return refused_; }
  void note(const std::string& what) const { note_(what); }

 private:
  TaskSource source_;
  Values given_;
  Note note_;
  std::vector<Variant> variants_;
  std::vector<std::string> refused_;
};

std::vector<Check> task_checks(std::shared_ptr<TaskUnderCheck> task);

// The checks, by room.

// task_data.cpp
Result makes_its_data(TaskUnderCheck& task);
Result shapes(TaskUnderCheck& task);
Result tokens_in_range(TaskUnderCheck& task);
Result labels_in_range(TaskUnderCheck& task);
Result train_and_test_disjoint(TaskUnderCheck& task);
Result grid_holds_both(TaskUnderCheck& task);
Result loss_groups(TaskUnderCheck& task);
Result shows_its_inputs(TaskUnderCheck& task);

// task_seeds.cpp
Result same_seed_same_data(TaskUnderCheck& task);
Result other_seed_other_data(TaskUnderCheck& task);
Result draws_from_its_generator(TaskUnderCheck& task);

// task_corrupt.cpp
Result corrupts(TaskUnderCheck& task);

// task_structure.cpp
Result cyclic_structure(TaskUnderCheck& task);
Result cayley_table(TaskUnderCheck& task);
Result group_labels(TaskUnderCheck& task);
Result relevant_positions(TaskUnderCheck& task);
Result repeats(TaskUnderCheck& task);

// task_model.cpp
Result finite_loss(TaskUnderCheck& task);
Result own_metrics(TaskUnderCheck& task);
Result own_model(TaskUnderCheck& task);

}  // namespace orrery::engine::checks
