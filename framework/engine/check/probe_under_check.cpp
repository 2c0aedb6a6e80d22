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
void InstrumentedProbe::instrument(const std::string& what, Call&& call) {
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

void InstrumentedProbe::fit(const Observation& reference) {
  instrument(fmt::format("fit, step {}", reference.step), [&] { probe_->fit(reference); });
}
void InstrumentedProbe::measure(const Observation& observation, Recorder& recorder) {
  instrument(fmt::format("measure, step {}", observation.step),
             [&] { probe_->measure(observation, recorder); });
}
void InstrumentedProbe::conclude(const History& history, Recorder& recorder) {
  instrument("conclude", [&] { probe_->conclude(history, recorder); });
}

void DecoyProbe::fit(const Observation& reference) {
  if (callback_) callback_(reference);
}
void DecoyProbe::measure(const Observation& observation, Recorder&) {
  if (callback_) callback_(observation);
}

const Record& record_of(const Outcome& outcome, const InstrumentedProbe& probe) {
  if (outcome.ok()) return outcome.record;
  if (probe.refused()) throw UsageError(outcome.error, outcome.hint);
  throw Error(outcome.error, outcome.hint);
}

ProbeUnderCheck::ProbeUnderCheck(ProbeSource source, ProbeFixtures candidates, Note note)
    : source_(std::move(source)), candidates_(std::move(candidates)), note_(std::move(note)) {}
ProbeUnderCheck::~ProbeUnderCheck() = default;

std::unique_ptr<InstrumentedProbe> ProbeUnderCheck::make() const {
  return std::make_unique<InstrumentedProbe>(source_.make(), note_);
}

ProbeInRun ProbeUnderCheck::in_run(Probe& probe) const {
  return {source_.name, 0, "last", &probe, probe.needs()};
}

// Smallest first.
const std::list<std::pair<std::string, Variant>>& ProbeUnderCheck::tasks() {
  if (!tasks_.empty()) return tasks_;
  for (size_t i = 0; i < candidates_.tasks.size(); ++i) {
    const TaskSource& source = candidates_.tasks[i];
    note_(fmt::format("making the task {} small", source.name));
    try {
      tasks_.emplace_back(source.name, candidates_.given.empty()
                                           ? make_small(source, {})
                                           : make_variant(source, candidates_.given[i], ""));
    } catch (const Error&) {
      if (candidates_.tasks.size() == 1) throw;  // the user named this task
    }
  }
  tasks_.sort([](const auto& a, const auto& b) { return size_of(a.second) < size_of(b.second); });
  return tasks_;
}

// Does the probe measure where a run would accept it? It gets every activation here: whether it declares
// those that it reads is a check of its own (probe_needs.cpp).
void ProbeUnderCheck::try_fixture(const Variant& task, const std::string& task_name,
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
  const Fixture& fixture = kept_.back();
  note_(fixture.name());
  Needs all = in_run.needs;
  all.activations = {"*"};
  DecoyProbe decoy(all);
  const ProbeInRun beside = this->in_run(decoy);
  const auto model = fixture.fresh();
  const Split split = copy(fixture.split());
  const ProbeHost host = fixture.host_of(split, *model);
  const Outcome outcome = host.measure(0, {&beside, &in_run}, Reference::this_checkpoint)[1];
  const auto how = outcome.ok()       ? FixtureTrial::Outcome::measured
                   : probe->refused() ? FixtureTrial::Outcome::refused
                                      : FixtureTrial::Outcome::failed;
  trials_.push_back({how, &fixture, outcome.error, outcome.hint});
}

// For each model, the first task that meets the probe's needs, and one task with each further structure that
// it could use.
const std::vector<FixtureTrial>& ProbeUnderCheck::trials() {
  if (tried_) return trials_;
  trials_.clear();
  kept_.clear();
  const Needs needs = this->needs();
  for (const SmallModel& model : candidates_.models) {
    std::set<std::string> capabilities;
    for (const auto& [name, task] : tasks()) {
      if (!fits(needs, task)) continue;
      std::string offered = "none";
      for (const Capability capability : all_capabilities)
        if (offers(task.structure, capability)) offered = to_string(capability);
      if (capabilities.contains(offered)) continue;
      const size_t before = trials_.size();
      try_fixture(task, name, model);
      if (trials_.size() > before && trials_.back().outcome != FixtureTrial::Outcome::refused)
        capabilities.insert(offered);
    }
  }
  tried_ = true;
  return trials_;
}

std::vector<const Fixture*> ProbeUnderCheck::fixtures() {
  std::vector<const Fixture*> chosen;
  std::set<std::string> seen_tasks, seen_models;
  for (const FixtureTrial& trial : trials()) {
    if (trial.outcome != FixtureTrial::Outcome::measured) continue;
    const bool new_task = seen_tasks.insert(trial.fixture->task_name()).second;
    const bool new_model = seen_models.insert(trial.fixture->model().name).second;
    if (new_task || new_model) chosen.push_back(trial.fixture);
  }
  return chosen;
}

std::string ProbeUnderCheck::fixtures_text() {
  std::vector<std::string> names;
  for (const Fixture* fixture : fixtures()) names.push_back(fixture->name());
  return fmt::format("{}", fmt::join(names, "; "));
}

Record ProbeUnderCheck::measure(const Fixture& fixture, Model& model, int64_t step) const {
  const auto probe = make();
  const ProbeInRun in_run = this->in_run(*probe);
  const Split split = copy(fixture.split());  // a probe may write to it
  if (in_run.waits()) {
    const KeptWeights& last = fixture.checkpoints().back();
    const auto reference = fixture.at(last);
    const ProbeHost at_reference = fixture.host_of(split, *reference);
    record_of(at_reference.fit(last.step, {&in_run})[0], *probe);
  }
  const ProbeHost host = fixture.host_of(split, model);
  return record_of(host.measure(step, {&in_run}, Reference::fitted)[0], *probe);
}

const std::vector<Record>& ProbeUnderCheck::records(const Fixture& fixture) {
  if (const auto found = records_.find(&fixture); found != records_.end()) return found->second;
  std::vector<Record> records;
  for (const KeptWeights& checkpoint : fixture.checkpoints())
    records.push_back(measure(fixture, *fixture.at(checkpoint), checkpoint.step));
  return records_.emplace(&fixture, std::move(records)).first->second;
}

}  // namespace orrery::engine::checks
