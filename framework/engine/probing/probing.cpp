#include "engine/probing/probing.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <optional>

#include "cli/text/tables.h"
#include "cli/text/terminal.h"
#include "engine/probing/checkpoint_pass.h"
#include "engine/probing/workers.h"
#include "engine/run/curves.h"
#include "engine/train/trainer.h"

namespace orrery::engine {
namespace {

Outcome shown(const ProbeInRun* probe, const Record& record) {
  return {probe, {record.scalars, record.headlines, {}, {}, record.findings}, {}, {}};
}

class Probing {
 public:
  Probing(Experiment& experiment, RunDirectory& run, const ProbingOptions& options, const Audience& audience)
      : experiment_(experiment),
        run_(run),
        options_(options),
        audience_(audience),
        origins_(experiment, run) {}

  Probed run(const std::vector<CheckpointFile>& checkpoints);

 private:
  using Known = std::map<const ProbeInRun*, Record>;
  // What a worker does with the probes of one job, and how it packs what they say.
  struct Look {
    std::function<std::vector<Outcome>(CheckpointPass& pass, std::vector<const ProbeInRun*> probes)> ask;
    std::function<std::string(const ProbeInRun& probe, const Record& record)> line;
  };

  void plan(const std::vector<CheckpointFile>& checkpoints);
  void note_what_is_there() const;
  Job null_job();
  Job conclusion_job();
  void read_all_curves();
  Look look_at(const Row& row);
  Look look_at(Aside aside);
  void work(std::vector<Job> jobs, const std::vector<Look>& looks,
            const std::function<void(size_t job, const Answer& answer)>& take,
            const std::function<void(size_t job)>& done);
  void rows_and_null();
  void conclusions();
  void show_until(size_t row);
  void show(Aside aside, const Known& known);
  std::vector<Outcome> outcomes(const Known& known) const;
  std::optional<Record> stored(const ProbeInRun& probe, Aside aside,
                               const std::function<std::string()>& origin) const;

  Experiment& experiment_;
  RunDirectory& run_;
  const ProbingOptions& options_;
  const Audience& audience_;
  Origins origins_;
  std::vector<Row> rows_;
  size_t shown_ = 0;
  std::map<Aside, Known> asides_;
  std::map<std::string, CurveReader> own_curves_;  // by label; of results that are not stored
  std::vector<Curve> curves_;
  bool failed_ = false;
};

void Probing::plan(const std::vector<CheckpointFile>& checkpoints) {
  for (const ProbeInRun& probe : experiment_.probes()) reference_of(probe, run_);
  if (options_.store) {
    rows_ = plan_rows(experiment_, run_, origins_, checkpoints, options_.reuse);
    return;
  }
  for (const CheckpointFile& checkpoint : checkpoints) {
    Row row{checkpoint, {}, {}};
    for (const ProbeInRun& probe : experiment_.probes())
      if (probe.due(checkpoint.step)) row.due.push_back(&probe);
    if (!row.due.empty()) rows_.push_back(std::move(row));
  }
}

void Probing::note_what_is_there() const {
  size_t there = 0, all = 0;
  for (const Row& row : rows_) {
    there += row.known.size();
    all += row.known.size() + row.due.size();
  }
  if (there > 0)
    note(fmt::format("{}: {} of {} results were there already", run_.root().string(),
                     thousands(static_cast<int64_t>(there)), thousands(static_cast<int64_t>(all))));
}

// What cannot be read now, or is not there, is said by the probe's answer.
std::optional<Record> Probing::stored(const ProbeInRun& probe, Aside aside,
                                      const std::function<std::string()>& origin) const {
  if (!options_.store || options_.reuse == Reuse::none) return std::nullopt;
  try {
    return stored_aside(run_, probe, aside, origin());
  } catch (const UsageError&) {
    throw;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Job Probing::null_job() {
  Job job{"random weights", {}};
  for (const ProbeInRun& probe : experiment_.probes()) {
    if (!probe.needs.null) continue;
    if (auto record = stored(probe, Aside::null, [&] { return origins_.of_null(probe); }))
      asides_[Aside::null].emplace(&probe, std::move(*record));
    else
      job.probes.push_back(&probe);
  }
  return job;
}

void Probing::read_all_curves() {
  curves_ = all_curves(read_curves(run_));
  for (const auto& [label, reader] : own_curves_) {
    const std::string prefix = fmt::format("probe/{}/", label);
    std::erase_if(curves_, [&](const Curve& curve) { return curve.name.starts_with(prefix); });
    for (Curve& curve : reader.curves()) curves_.push_back(std::move(curve));
  }
}

Job Probing::conclusion_job() {
  Job job{"the curves of the run", {}};
  const auto& probes = experiment_.probes();
  if (std::all_of(probes.begin(), probes.end(), [](auto& probe) { return probe.needs.curves.empty(); }))
    return job;
  read_all_curves();
  for (const ProbeInRun& probe : probes) {
    if (probe.needs.curves.empty()) continue;
    const auto origin = [&] {
      return origins_.of_curves(probe, choose_curves(curves_, probe.needs.curves, probe.label));
    };
    if (auto record = stored(probe, Aside::conclusion, origin))
      asides_[Aside::conclusion].emplace(&probe, std::move(*record));
    else
      job.probes.push_back(&probe);
  }
  return job;
}

Probing::Look Probing::look_at(const Row& row) {
  return {[&row](CheckpointPass& pass, auto probes) { return pass.measure(row.checkpoint, probes); },
          [this, &row](const ProbeInRun& probe, const Record& record) {
            const int64_t step = row.checkpoint.step;
            return result_line(step, RunDirectory::checkpoint_name(step), {{probe.label, &record}},
                               options_.store ? origins_.of(probe, step) : "");
          }};
}

Probing::Look Probing::look_at(Aside aside) {
  return {[this, aside](CheckpointPass& pass, auto probes) {
            return aside == Aside::null ? pass.measure_null(probes) : pass.conclude(probes, curves_);
          },
          [this, aside](const ProbeInRun& probe, const Record& record) {
            const std::string origin =
                aside == Aside::null
                    ? origins_.of_null(probe)
                    : origins_.of_curves(probe, choose_curves(curves_, probe.needs.curves, probe.label));
            return result_line(aside, {{probe.label, &record}}, origin);
          }};
}

void Probing::work(std::vector<Job> jobs, const std::vector<Look>& looks,
                   const std::function<void(size_t, const Answer&)>& take,
                   const std::function<void(size_t)>& done) {
  Teller* told = nullptr;
  const Look* look = nullptr;
  std::optional<CheckpointPass> pass;  // made in each worker
  const auto pack = [&](const Outcome& outcome) {
    Answer answer{outcome.probe, {}, outcome.error, outcome.hint, outcome.unusable};
    try {
      if (outcome.ok())
        answer.result = pack_result(look->line(*outcome.probe, outcome.record), outcome.record);
    } catch (const Error& error) {
      answer.error = fmt::format("probe \"{}\": {}", outcome.probe->label, error.what());
      answer.hint = error.hint();
    }
    told->answer(answer);
  };
  run_in_workers({.processes = options_.processes,
                  .jobs = std::move(jobs),
                  .work =
                      [&](size_t job, const std::vector<const ProbeInRun*>& probes, Teller& teller) {
                        if (!pass) {
                          use_threads(experiment_.settings().train.threads);
                          pass.emplace(experiment_, run_,
                                       Watcher{[&](const ProbeInRun& probe, const char* call) {
                                                 told->begins(probe, call);
                                               },
                                               pack});
                        }
                        told = &teller;
                        look = &looks[job];
                        look->ask(*pass, probes);
                      },
                  .done =
                      [&](size_t job, const std::vector<Answer>& answers) {
                        for (const Answer& answer : answers) {
                          failed_ |= !answer.ok();
                          if (answer.ok())
                            take(job, answer);
                          else
                            complain("warning", answer.error, answer.hint);
                        }
                        done(job);
                      },
                  .stop = interrupted});
}

void Probing::rows_and_null() {
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
  Progress progress(static_cast<int64_t>(n_rows), "checkpoints");
  if (Job null = null_job(); !null.probes.empty()) {
    jobs.push_back(std::move(null));
    looks.push_back(look_at(Aside::null));
  }
  const auto take = [&](size_t job, const Answer& answer) {
    const std::string& label = answer.probe->label;
    const Record record = parse_result(answer.result.line, label, label).record;
    if (job == n_rows) {
      if (options_.store) run_.save_aside(label, Aside::null, answer.result);
      asides_[Aside::null].emplace(answer.probe, record);
      return;
    }
    Row& row = rows_[row_of[job]];
    if (options_.store)
      run_.save_probe_result(label, row.checkpoint.step, answer.result);
    else
      own_curves_[label].add_row(row.checkpoint.step, record.scalars, fmt::format("probe/{}/", label));
    row.known.emplace(answer.probe, record);
  };
  const auto done = [&](size_t job) {
    if (job == n_rows) return;
    show_until(row_of[job] + 1);
    progress.show(static_cast<int64_t>(job + 1), headline_text(outcomes(rows_[row_of[job]].known)));
  };
  work(std::move(jobs), looks, take, done);
  if (!interrupted()) show_until(rows_.size());
}

void Probing::conclusions() {
  Job job = conclusion_job();
  if (job.probes.empty()) return;
  const auto take = [&](size_t, const Answer& answer) {
    const std::string& label = answer.probe->label;
    if (options_.store) run_.save_aside(label, Aside::conclusion, answer.result);
    asides_[Aside::conclusion].emplace(answer.probe, parse_result(answer.result.line, label, label).record);
  };
  work({std::move(job)}, {look_at(Aside::conclusion)}, take, [](size_t) {});
}

std::vector<Outcome> Probing::outcomes(const Known& known) const {
  std::vector<Outcome> all;
  for (const ProbeInRun& probe : experiment_.probes())
    if (const auto found = known.find(&probe); found != known.end())
      all.push_back(shown(&probe, found->second));
  return all;
}

// What was shown is forgotten, but for the last, which the progress line names.
void Probing::show_until(size_t row) {
  for (; shown_ < row; ++shown_) {
    audience_.row(rows_[shown_].checkpoint, outcomes(rows_[shown_].known));
    if (shown_ > 0) rows_[shown_ - 1].known.clear();
  }
}

void Probing::show(Aside aside, const Known& known) {
  if (!known.empty()) audience_.aside(aside, outcomes(known));
}

Probed Probing::run(const std::vector<CheckpointFile>& checkpoints) {
  plan(checkpoints);
  note_what_is_there();
  if (rows_.empty()) {
    complain("warning", fmt::format("{}: no probe is due at any of these checkpoints", run_.root().string()),
             "choose other --steps, or another every = N");
    return Probed::with_failures;
  }
  rows_and_null();
  if (!interrupted()) conclusions();
  if (interrupted()) return Probed::interrupted;
  for (const auto& [aside, known] : asides_) show(aside, known);
  return failed_ ? Probed::with_failures : Probed::well;
}

}  // namespace

Probed probe_run(Experiment& experiment, RunDirectory& run, const std::vector<CheckpointFile>& checkpoints,
                 const ProbingOptions& options, const Audience& audience) {
  return Probing(experiment, run, options, audience).run(checkpoints);
}

}  // namespace orrery::engine
