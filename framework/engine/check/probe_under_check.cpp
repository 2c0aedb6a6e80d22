#include "engine/check/probe_under_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>

#include "engine/check/bitwise.h"
#include "engine/check/small_task.h"

namespace orrery::engine::checks {
namespace {

bool fits(const Needs& needs, const Variant& task) {
  const auto offered = [&](Capability capability) { return offers(task.structure, capability); };
  return std::all_of(needs.structure.begin(), needs.structure.end(), offered) &&
         (needs.structure_any.empty() ||
          std::any_of(needs.structure_any.begin(), needs.structure_any.end(), offered)) &&
         (needs.inputs != Inputs::grid || task.split.grid);
}

int64_t size_of(const Variant& task) {
  return task.split.grid ? task.split.grid->size() : task.split.train.size() + task.split.test.size();
}

}  // namespace

template <class Call>
void Attended::attend(const std::string& what, Call&& call) {
  note_(what);
  refused_ = false;
  try {
    call();
  } catch (const UsageError&) {
    refused_ = true;
    throw;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(error.what());
  }
}

void Attended::fit(const Observation& reference) {
  attend(fmt::format("fit, step {}", reference.step), [&] { probe_->fit(reference); });
}
void Attended::measure(const Observation& observation, Recorder& recorder) {
  attend(fmt::format("measure, step {}", observation.step), [&] { probe_->measure(observation, recorder); });
}
void Attended::conclude(const std::vector<Curve>& curves, Recorder& recorder) {
  attend("conclude", [&] { probe_->conclude(curves, recorder); });
}

void Companion::fit(const Observation& reference) {
  if (look_) look_(reference);
}
void Companion::measure(const Observation& observation, Recorder&) {
  if (look_) look_(observation);
}

const Record& record_of(const Outcome& outcome, const Attended& probe) {
  if (outcome.ok()) return outcome.record;
  if (probe.refused()) throw UsageError(outcome.error, outcome.hint);
  throw Error(outcome.error, outcome.hint);
}

ProbeUnderCheck::ProbeUnderCheck(ProbeSource source, ProbeGround ground, Note note)
    : source_(std::move(source)), ground_(std::move(ground)), note_(std::move(note)) {}
ProbeUnderCheck::~ProbeUnderCheck() = default;

std::unique_ptr<Attended> ProbeUnderCheck::make() const {
  return std::make_unique<Attended>(source_.make(), note_);
}

ProbeInRun ProbeUnderCheck::in_run(Probe& probe) const {
  return {source_.name, 0, "last", &probe, probe.needs()};
}

// Smallest first.
const std::list<std::pair<std::string, Variant>>& ProbeUnderCheck::tasks() {
  if (!tasks_.empty()) return tasks_;
  for (size_t i = 0; i < ground_.tasks.size(); ++i) {
    const TaskSource& source = ground_.tasks[i];
    note_(fmt::format("making the task {} small", source.name));
    try {
      tasks_.emplace_back(source.name, ground_.given.empty() ? make_small(source, {})
                                                             : make_variant(source, ground_.given[i], ""));
    } catch (const Error&) {
      if (ground_.tasks.size() == 1) throw;  // it was asked for
    }
  }
  tasks_.sort([](const auto& a, const auto& b) { return size_of(a.second) < size_of(b.second); });
  return tasks_;
}

// A run would let it in; does it then measure? It is given every activation: whether it declares those that
// it reads is another question.
void ProbeUnderCheck::try_setting(const Variant& task, const std::string& task_name,
                                  const SmallModel& small) {
  const auto probe = make();
  const ProbeInRun in_run = this->in_run(*probe);
  try {
    kept_.emplace_back(task, task_name, small);
    if (!kept_.back().fits()) throw UsageError("no model");
    kept_.back().accept(in_run);
  } catch (const UsageError&) {
    if (!kept_.empty() && kept_.size() > trials_.size()) kept_.pop_back();
    return;
  }
  const Setting& setting = kept_.back();
  note_(setting.name());
  Needs all = in_run.needs;
  all.activations = {"*"};
  Companion companion(all);
  const ProbeInRun beside = this->in_run(companion);
  const auto model = setting.fresh();
  const Split split = copy(setting.split());
  const ProbeHost host(setting.spec(), setting.structure(), split, *model);
  const Outcome outcome = host.measure(0, {&beside, &in_run}, Reference::this_checkpoint)[1];
  const auto how = outcome.ok()       ? Trial::Outcome::measured
                   : probe->refused() ? Trial::Outcome::refused
                                      : Trial::Outcome::failed;
  trials_.push_back({how, &setting, outcome.error, outcome.hint});
}

// For each model, the first task that gives the probe what it needs, and one with each structure that it
// could make something of.
const std::vector<Trial>& ProbeUnderCheck::trials() {
  if (tried_) return trials_;
  trials_.clear();
  kept_.clear();
  const Needs needs = this->needs();
  for (const SmallModel& model : ground_.models) {
    std::set<std::string> capabilities;
    for (const auto& [name, task] : tasks()) {
      if (!fits(needs, task)) continue;
      std::string offered = "none";
      for (const Capability capability : all_capabilities)
        if (offers(task.structure, capability)) offered = to_string(capability);
      if (capabilities.contains(offered)) continue;
      const size_t before = trials_.size();
      try_setting(task, name, model);
      if (trials_.size() > before && trials_.back().outcome != Trial::Outcome::refused)
        capabilities.insert(offered);
    }
  }
  tried_ = true;
  return trials_;
}

std::vector<const Setting*> ProbeUnderCheck::settings() {
  std::vector<const Setting*> chosen;
  std::set<std::string> seen_tasks, seen_models;
  for (const Trial& trial : trials()) {
    if (trial.outcome != Trial::Outcome::measured) continue;
    const bool new_task = seen_tasks.insert(trial.setting->task_name()).second;
    const bool new_model = seen_models.insert(trial.setting->model().name).second;
    if (new_task || new_model) chosen.push_back(trial.setting);
  }
  return chosen;
}

std::string ProbeUnderCheck::settings_text() {
  std::vector<std::string> names;
  for (const Setting* setting : settings()) names.push_back(setting->name());
  return fmt::format("{}", fmt::join(names, "; "));
}

Record ProbeUnderCheck::measure(const Setting& setting, Model& model, int64_t step) const {
  const auto probe = make();
  const ProbeInRun in_run = this->in_run(*probe);
  const Split split = copy(setting.split());  // whatever the probe does to it
  if (in_run.waits()) {
    const KeptWeights& last = setting.checkpoints().back();
    const auto reference = setting.at(last);
    const ProbeHost at_reference(setting.spec(), setting.structure(), split, *reference);
    record_of(at_reference.fit(last.step, {&in_run})[0], *probe);
  }
  const ProbeHost host(setting.spec(), setting.structure(), split, model);
  return record_of(host.measure(step, {&in_run}, Reference::fitted)[0], *probe);
}

}  // namespace orrery::engine::checks
