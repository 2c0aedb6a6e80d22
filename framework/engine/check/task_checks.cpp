#include "engine/check/task_checks.h"

#include <fmt/format.h>
#include <orrery/error.h>

namespace orrery::engine::checks {
namespace {

// Every other value of a boolean or enumerated parameter.
std::vector<Value> alternatives(const Field& field, const Value& given) {
  std::vector<Value> others;
  if (const auto* flag = std::get_if<bool>(&given)) others.emplace_back(!*flag);
  if (std::holds_alternative<std::string>(given))
    for (const std::string& choice : field.choices)
      if (Value(choice) != given) others.emplace_back(choice);
  return others;
}

}  // namespace

std::vector<std::pair<std::string, const Batch*>> Variant::batches() const {
  std::vector<std::pair<std::string, const Batch*>> all = {{"train", &split.train}, {"test", &split.test}};
  if (split.grid) all.emplace_back("grid", &*split.grid);
  if (spec.endless) {
    all.emplace_back("sample", &sample);
    all.emplace_back("final_sample", &final_sample);
  }
  return all;
}

std::string Variant::at(const std::string& place) const {
  return name.empty() ? place : fmt::format("{}, where {}", place, name);
}

Variant make_variant(const TaskSource& source, const Values& values, std::string name) {
  Variant variant{std::move(name), values, source.make(values), {}, {}, {}, {}, {}};
  variant.spec = variant.task->spec();
  variant.structure = variant.task->structure();
  variant.split = variant.task->split(make_generator(data_seed));
  if (variant.spec.endless) {
    variant.sample = variant.task->sample(64, 0, make_generator(data_seed));
    variant.final_sample = variant.task->sample(64, final_step, make_generator(data_seed));
  }
  return variant;
}

const std::vector<Variant>& TaskUnderCheck::variants() {
  if (!variants_.empty()) return variants_;
  std::vector<Variant> made;
  refused_.clear();
  note_("its data");
  made.push_back(make_variant(source_, given_, ""));
  for (const Field& field : source_.fields) {
    const auto given = given_.find(field.name);
    for (const Value& other : alternatives(field, given == given_.end() ? field.fallback : given->second)) {
      const std::string name = fmt::format("{} = {}", field.name, to_string(other));
      Values values = given_;
      values[field.name] = other;
      note_("its data, where " + name);
      try {
        made.push_back(make_variant(source_, values, name));
      } catch (const UsageError&) {
        refused_.push_back(name);
      }
    }
  }
  variants_ = std::move(made);
  return variants_;
}

std::vector<Check> task_checks(std::shared_ptr<TaskUnderCheck> task) {
  const auto with = [task](Result (*check)(TaskUnderCheck&)) {
    return [task, check] { return check(*task); };
  };
  const std::string made = "makes its data", shaped = "shapes and dtypes";
  const std::string tokens = "tokens in range", labels = "labels in range", seeded = "same seed, same data";
  return {
      {made, {}, with(makes_its_data)},
      {shaped, {made}, with(shapes)},
      {tokens, {made, shaped}, with(tokens_in_range)},
      {labels, {made, shaped}, with(labels_in_range)},
      {"train and test are disjoint", {made, shaped, seeded}, with(train_and_test_disjoint)},
      {"the grid holds train and test", {made, shaped}, with(grid_holds_both)},
      {seeded, {made, shaped}, with(same_seed_same_data)},
      {"another seed, other data", {made, shaped, seeded}, with(other_seed_other_data)},
      {"draws from its generator only", {made, shaped, seeded}, with(draws_from_its_generator)},
      {"loss groups cover what is read out", {made, shaped}, with(loss_groups)},
      {"cyclic structure is true", {made, shaped, tokens, labels}, with(cyclic_structure)},
      {"the Cayley table is a group's", {made, shaped}, with(cayley_table)},
      {"the Cayley table gives the labels",
       {made, shaped, tokens, labels, "the Cayley table is a group's"},
       with(group_labels)},
      {"labels depend on the relevant positions only",
       {made, shaped, tokens, labels},
       with(relevant_positions)},
      {"repeats are where it says", {made, shaped}, with(repeats)},
      {"corrupted examples keep the contract", {made, shaped, tokens, labels, seeded}, with(corrupts)},
      {"the loss is finite at random weights", {made, shaped, tokens, labels}, with(finite_loss)},
      {"its own metrics keep the contract", {made, shaped, tokens, labels}, with(own_metrics)},
      {"its own model keeps the contract", {made, shaped, tokens, labels}, with(own_model)},
      {"shows its inputs", {made, shaped, tokens}, with(shows_its_inputs)},
  };
}

}  // namespace orrery::engine::checks
