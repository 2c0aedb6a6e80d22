#include "engine/probing/probe_runner.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/probing/headlines.h"
#include "engine/reporter/numbers.h"
#include "engine/run/run_files.h"
#include "engine/run/run_json.h"
#include "engine/train/hardware.h"

namespace orrery::engine {
namespace {

Outcome without_data(const ProbeInRun* probe, const Record& record) {
  return {probe, {record.scalars, record.headlines, {}, {}, record.findings}, {}, {}};
}

// A record that cannot be written down costs the probe that record, and nothing else.
std::optional<PackedResult> packed_or_failed(Outcome& outcome, const std::string& place,
                                             const std::function<std::string()>& line) {
  const auto failed = [&](const std::string& what, const std::string& hint) {
    outcome.error = with_place(*outcome.probe, fmt::format("{}what it recorded cannot be stored: {}",
                                                           call_text(*outcome.probe, "record", place), what));
    outcome.hint = hint;
  };
  try {
    return pack_result(line(), outcome.record);
  } catch (const Error& error) {
    failed(error.what(), error.hint());
  } catch (const std::exception& error) {
    failed(error.what(), "record plain numbers, dense tensors and UTF-8 text");
  }
  return std::nullopt;
}

}  // namespace

ProbeRunner::ProbeRunner(Experiment& experiment, RunDirectory& run, Reporter& reporter,
                         ProbingOptions options)
    : experiment_(experiment),
      run_(run),
      reporter_(reporter),
      options_(options),
      provenances_(experiment, run) {}

// Results that are not stored need no provenance, and so no hash of a checkpoint.
std::optional<Provenance> ProbeRunner::provenance_of(const ProbeInRun& probe, int64_t step) {
  return options_.store ? std::optional(provenances_.of(probe, step)) : std::nullopt;
}

std::vector<Outcome> ProbeRunner::measure_current(int64_t step,
                                                  const std::vector<const ProbeInRun*>& probes) {
  std::vector<Outcome> outcomes = experiment_.probe_host().measure(step, probes, Reference::this_checkpoint);
  for (Outcome& outcome : outcomes) {
    const ProbeInRun& probe = *outcome.probe;
    if (outcome.ok() && options_.store && !probe.waits()) {
      const auto provenance = provenance_of(probe, step);
      const auto line = [&] {
        return result_line(step, RunDirectory::checkpoint_name(step), {{probe.label, &outcome.record}},
                           provenance);
      };
      if (const auto packed = packed_or_failed(outcome, fmt::format("step {}", step), line))
        run_.save_probe_result(probe.label, step, *packed);
    }
    if (!probe.waits()) count(probe, std::nullopt, outcome.error);
    if (!outcome.ok()) reporter_.warning(outcome.error, outcome.hint);
  }
  return outcomes;
}

void ProbeRunner::count(const ProbeInRun& probe, std::optional<RunLevelResult> run_level,
                        const std::string& error) {
  auto tally = std::find_if(tallies_.begin(), tallies_.end(),
                            [&](const ProbeTally& known) { return known.label == probe.label; });
  if (tally == tallies_.end()) {
    tally = tallies_.emplace(tallies_.end());
    tally->label = probe.label;
  }
  if (!run_level) ++tally->asked;
  if (error.empty()) return;
  if (!run_level) ++tally->failed;
  if (run_level == RunLevelResult::null) tally->null_failed = true;
  if (run_level == RunLevelResult::conclusion) tally->conclusion_failed = true;
  if (tally->first_error.empty()) tally->first_error = error;
}

// At the end of a training, when a reference turns out not to exist (a run that did not grok), that costs
// only the results of its probe; a request is refused.
void ProbeRunner::check_references(const std::vector<CheckpointFile>& checkpoints) {
  for (const ProbeInRun& probe : experiment_.probes()) try {
      reference_of(probe, run_);
    } catch (const UsageError& error) {
      if (!options_.waiting_only) throw;
      skipped_.insert(&probe);
      failed_ = true;
      for (const CheckpointFile& checkpoint : checkpoints)
        if (probe.due(checkpoint.step)) count(probe, std::nullopt, error.what());
      reporter_.warning(error.what(), error.hint());
    }
}

void ProbeRunner::plan(const std::vector<CheckpointFile>& checkpoints) {
  for (const CheckpointFile& checkpoint : checkpoints) asked_.insert(checkpoint.step);
  check_references(checkpoints);
  if (options_.store) {
    rows_ = plan_rows(experiment_, run_, provenances_, checkpoints, options_.reuse);
    if (!options_.waiting_only) return;
    for (Row& row : rows_)
      std::erase_if(row.due, [&](const ProbeInRun* probe) {
        return skipped_.contains(probe) || (!probe->waits() && !options_.also_lost);
      });
    std::erase_if(rows_, [](const Row& row) { return row.due.empty(); });
    return;
  }
  for (const CheckpointFile& checkpoint : checkpoints) {
    Row row{checkpoint, {}, {}};
    for (const ProbeInRun& probe : experiment_.probes())
      if (probe.due(checkpoint.step)) row.due.push_back(&probe);
    if (!row.due.empty()) rows_.push_back(std::move(row));
  }
}

// Results of checkpoints that were thinned, where every checkpoint is asked for.
void ProbeRunner::note_what_is_gone() const {
  const std::vector<CheckpointFile> all = run_.checkpoints();
  if (!options_.store || asked_.size() < all.size()) return;
  int64_t gone = 0;
  for (const ProbeInRun& probe : experiment_.probes()) {
    const auto known =
        std::count_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.known.contains(&probe); });
    // Then all are of checkpoints that are there, and the log need not be parsed again.
    const auto lines = lines_if_any(run_.probe_folder(probe.label) / "results.jsonl");
    if (lines.size() == static_cast<size_t>(known)) continue;
    for (const ProbeResult& result : run_.read_probe_results(probe.label, RunDirectory::ProbeData::leave_out))
      gone += std::none_of(all.begin(), all.end(), [&](auto& each) { return each.step == result.step; });
  }
  if (gone > 0)
    reporter_.note(
        fmt::format("{}: {} stored results are of checkpoints that are gone: they stay as they are",
                    run_.root().string(), thousands(gone)));
}

// Probes that look into the training are asked only where its state is.
void ProbeRunner::note_states_that_are_gone() const {
  for (const ProbeInRun& probe : experiment_.probes()) {
    if (!probe.needs.training) continue;
    const auto there = std::count_if(rows_.begin(), rows_.end(), [&](const Row& row) {
      return row.known.contains(&probe) || std::find(row.due.begin(), row.due.end(), &probe) != row.due.end();
    });
    const auto all =
        std::count_if(asked_.begin(), asked_.end(), [&](int64_t step) { return probe.due(step); });
    if (there < all)
      reporter_.note(
          fmt::format("probe {}: not asked at {} of {} checkpoints, which no longer have the state "
                      "of the training that it looks into; checkpoints.keep_states = true keeps it",
                      probe.label, thousands(all - there), thousands(all)));
  }
}

void ProbeRunner::note_what_is_there() const {
  size_t there = 0, all = 0;
  for (const Row& row : rows_) {
    there += row.known.size();
    all += row.known.size() + row.due.size();
  }
  if (there > 0)
    reporter_.note(fmt::format("{}: {} of {} results were there already", run_.root().string(),
                               thousands(static_cast<int64_t>(there)), thousands(static_cast<int64_t>(all))));
}

// Results that were computed by another build of a plugin count as its version's; so do the data of another
// build of the task.
void ProbeRunner::warn_of_other_plugins() const {
  const Plugin& task = experiment_.task_plugin();
  for (const PluginInfo& before : read_run_json(run_.root()).plugins)
    if (before.kind == "task" && before.name == task.name)
      if (const auto warning = other_plugin(before, task)) reporter_.warning(warning->first, warning->second);
  std::map<const ProbeInRun*, int64_t> counts;
  for (const Row& row : rows_)
    for (const ProbeInRun* probe : row.of_other_build) ++counts[probe];
  for (const auto& [probe, count] : counts)
    reporter_.warning(fmt::format("probe {}: {} stored results are from another build of version {}",
                                  probe->label, thousands(count), probe->version),
                      "they are kept; compute them anew with orrery probe --again, and raise the version of "
                      "the plugin when its numbers change");
}

// A missing or unreadable result is reported when the probe is asked.
std::optional<Record> ProbeRunner::stored(const ProbeInRun& probe, RunLevelResult which,
                                          const std::function<Provenance()>& provenance) const {
  if (!options_.store || options_.reuse == Reuse::none) return std::nullopt;
  try {
    return stored_run_level(run_, probe, which, provenance());
  } catch (const UsageError&) {
    throw;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Job ProbeRunner::null_job() {
  Job job{"random weights", {}};
  for (const ProbeInRun& probe : experiment_.probes()) {
    if (!probe.needs.null || skipped_.contains(&probe)) continue;
    if (auto record = stored(probe, RunLevelResult::null, [&] { return provenances_.of_null(probe); }))
      run_level_[RunLevelResult::null].emplace(&probe, std::move(*record));
    else
      job.probes.push_back(&probe);
  }
  return job;
}

ProbeRunner::Look ProbeRunner::look_at(const Row& row) {
  return {[&row](CheckpointPass& pass, auto probes) { return pass.measure(row.checkpoint, probes); },
          [this, &row](const ProbeInRun& probe, const Record& record) {
            const int64_t step = row.checkpoint.step;
            return result_line(step, RunDirectory::checkpoint_name(step), {{probe.label, &record}},
                               provenance_of(probe, step));
          }};
}

ProbeRunner::Look ProbeRunner::look_at(RunLevelResult which) {
  return {[this, which](CheckpointPass& pass, auto probes) {
            if (which == RunLevelResult::null) return pass.measure_null(probes);
            return pass.conclude(probes, [this](const ProbeInRun& probe) {
              return choose_history(history_, probe.needs, probe.label);
            });
          },
          [this, which](const ProbeInRun& probe, const Record& record) {
            if (which == RunLevelResult::null)
              return result_line(which, {{probe.label, &record}}, provenances_.of_null(probe));
            const History seen = choose_history(history_, probe.needs, probe.label);
            const auto partly = partly_seen_.find(&probe);
            return result_line(which, {{probe.label, &record}}, provenances_.of_history(probe, history_),
                               last_step(seen),
                               partly == partly_seen_.end() ? std::nullopt : std::optional(partly->second));
          },
          which};
}

void ProbeRunner::work(std::vector<Job> jobs, const std::vector<Look>& looks,
                       const std::function<void(size_t, const Answer&)>& take,
                       const std::function<void(size_t)>& done) {
  ResultSink* sink = nullptr;
  const Look* look = nullptr;
  std::optional<CheckpointPass> pass;  // made where the work is done: in this process, or in each worker
  const std::string* place = nullptr;
  const auto answer = [&](const Outcome& given) {
    Outcome outcome = given;
    std::optional<PackedResult> packed;
    if (outcome.ok())
      packed = packed_or_failed(outcome, *place, [&] { return look->line(*outcome.probe, outcome.record); });
    sink->answer({outcome.probe, packed ? std::move(*packed) : PackedResult{}, outcome.error, outcome.hint,
                  outcome.unusable});
  };
  const ProbeListener listener{[&](const ProbeInRun& probe, const char* call) { sink->begins(probe, call); },
                               answer};
  const WorkPlan plan{.jobs = std::move(jobs),
                      .work =
                          [&](size_t job, const std::vector<const ProbeInRun*>& probes, ResultSink& to) {
                            if (!pass) {
                              if (options_.workers > 0) use_threads(experiment_.settings().train.threads);
                              pass.emplace(experiment_, run_, listener);
                            }
                            sink = &to;
                            look = &looks[job];
                            place = &plan.jobs[job].place;
                            look->ask(*pass, probes);
                          },
                      .done =
                          [&](size_t job, const std::vector<Answer>& answers) {
                            for (const Answer& answer : answers) {
                              failed_ |= !answer.ok();
                              // Without a probe: none of the job's could be asked.
                              const auto& asked = plan.jobs[job].probes;
                              for (const ProbeInRun* probe : answer.probe ? std::vector{answer.probe} : asked)
                                count(*probe, looks[job].run_level, answer.error);
                              if (answer.ok())
                                take(job, answer);
                              else
                                reporter_.warning(answer.error, answer.hint);
                            }
                            done(job);
                          },
                      .stop = [&] { return reporter_.stop_requested(); }};
  if (options_.workers > 0)
    run_in_workers(plan, options_.workers);
  else
    run_in_process(plan);
}

void ProbeRunner::keep(const ProbeInRun& probe, RunLevelResult which, const PackedResult& result) {
  if (options_.store) run_.save_run_level(probe.label, which, result);
  run_level_[which].emplace(&probe, parse_result(result.line, probe.label, probe.label).record);
}

void ProbeRunner::rows_and_null() {
  std::vector<Job> jobs;
  std::vector<Look> looks;
  std::vector<size_t> row_of;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].due.empty()) continue;
    row_of.push_back(i);
    jobs.push_back({fmt::format("step {}", rows_[i].checkpoint.step), rows_[i].due});
    looks.push_back(look_at(rows_[i]));
  }
  const size_t n_rows = jobs.size();
  const auto progress = reporter_.progress(static_cast<int64_t>(n_rows), "checkpoints");
  if (Job null = null_job(); !null.probes.empty()) {
    jobs.push_back(std::move(null));
    looks.push_back(look_at(RunLevelResult::null));
  }
  const auto take = [&](size_t job, const Answer& answer) {
    if (job == n_rows) return keep(*answer.probe, RunLevelResult::null, answer.result);
    const std::string& label = answer.probe->label;
    ProbeResult result = parse_result(answer.result.line, label, label);
    Row& row = rows_[row_of[job]];
    if (options_.store)
      run_.save_probe_result(label, row.checkpoint.step, answer.result);
    else
      keep_unstored(label, result, answer.result);
    row.known.emplace(answer.probe, std::move(result.record));
  };
  const auto done = [&](size_t job) {
    if (job == n_rows) return;
    show_until(row_of[job] + 1);
    progress->show(static_cast<int64_t>(job + 1), headline_text(outcomes(rows_[row_of[job]].known)));
  };
  work(std::move(jobs), looks, take, done);
  if (!reporter_.stop_requested()) show_until(rows_.size());
}

std::vector<Outcome> ProbeRunner::outcomes(const Known& known) const {
  std::vector<Outcome> all;
  for (const ProbeInRun& probe : experiment_.probes())
    if (const auto found = known.find(&probe); found != known.end())
      all.push_back(without_data(&probe, found->second));
  return all;
}

// Frees the records of shown rows, except the last, which the progress line shows.
void ProbeRunner::show_until(size_t row) {
  for (; shown_ < row; ++shown_) {
    audience_->row(rows_[shown_].checkpoint, outcomes(rows_[shown_].known));
    if (shown_ > 0) rows_[shown_ - 1].known.clear();
  }
}

Probed ProbeRunner::run(const std::vector<CheckpointFile>& checkpoints, const Audience& audience) {
  audience_ = &audience;
  plan(checkpoints);
  if (options_.waiting_only) {
    if (!rows_.empty())
      reporter_.note("going over the checkpoints again, for the probes that needed the last one first");
  } else {
    note_what_is_there();
    note_what_is_gone();
    note_states_that_are_gone();
    warn_of_other_plugins();
    if (rows_.empty()) {
      reporter_.warning(fmt::format("{}: no probe is due at any of these checkpoints", run_.root().string()),
                        "choose other --steps, or another every = N");
      return Probed::with_failures;
    }
  }
  rows_and_null();
  if (!reporter_.stop_requested()) conclusions();
  if (options_.store) run_.sync_logs();
  if (reporter_.stop_requested()) return Probed::interrupted;
  for (const auto& [which, known] : run_level_)
    if (!known.empty()) audience.run_level(which, outcomes(known));
  return failed_ ? Probed::with_failures : Probed::well;
}

}  // namespace orrery::engine
