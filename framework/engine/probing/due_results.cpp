#include "engine/probing/due_results.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/probing/checkpoint_pass.h"
#include "engine/run/run_identity.h"
#include "sdk/files/safetensors.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

using Stored = std::map<int64_t, ProbeResult>;

[[noreturn]] void refuse_label(const RunDirectory& run, const ProbeInRun& probe, const std::string& other) {
  throw UsageError(fmt::format("{}: \"{}\" is the label of another probe here: {}", run.root().string(),
                               probe.label, other),
                   "give this one a label of its own: label = \"...\"");
}

// Results older than provenances are taken to be those of the config.
void check_config(const Experiment& experiment, const RunDirectory& run, const ProbeInRun& probe) {
  for (const ProbeChoice& choice : experiment.settings().probes) {
    const std::string reference = probe.needs.reference ? choice.reference : "";
    if (choice.label == probe.label &&
        (choice.plugin != probe.plugin || choice.parameters != probe.parameters ||
         (probe.needs.reference && choice.reference != probe.reference)))
      refuse_label(run, probe, identity_text({"", choice.plugin, "", choice.parameters, reference, "", ""}));
  }
}

// Throws if they are not results of `probe` with its parameters and reference.
Stored stored_results(const RunDirectory& run, const ProbeInRun& probe, Provenances& provenances) {
  Stored stored;
  const Provenance asked = provenances.question(probe);
  for (ProbeResult& result : run.read_probe_results(probe.label, RunDirectory::ProbeData::leave_out)) {
    if (result.provenance && !same_identity(*result.provenance, asked))
      refuse_label(run, probe, identity_text(*result.provenance));
    stored.emplace(result.step, std::move(result));
  }
  return stored;
}

// Whether the file is what was written, by its own checksum: then it is another network, put there on
// purpose.
bool is_whole(const std::filesystem::path& checkpoint) {
  try {
    return safetensors::File(checkpoint).has_checksum();
  } catch (const Error&) {
    return false;
  }
}

// A checkpoint that has changed and is not whole is damaged, and its old result is worth more.
void refuse_changed(const ProbeResult& result, const Provenance& now, const RunDirectory& run) {
  if (result.provenance->of == now.of) return;
  Provenance as_then = *result.provenance;
  as_then.of = now.of;
  if (!(as_then == now) || is_whole(run.checkpoint_path(result.step))) return;
  throw Error(
      fmt::format("{}: it has changed since the stored result of probe {} was computed from it",
                  run.checkpoint_path(result.step).string(), now.probe),
      "it is damaged: copy it again from where it is whole; if you replaced it on purpose, compute the "
      "result again: --again");
}

// Its results would take the place of those of this run.
void refuse_other_run(const CheckpointFile& checkpoint, const std::string& identity) {
  try {
    refuse_file_of_other_run(checkpoint.path, identity);
  } catch (const Error& error) {
    throw Error(error.what(), std::string(error.hint()) +
                                  "; if you replaced it on purpose, compute the results again: --again");
  }
}

// Nothing if a file cannot be read; the error is reported when the probe is asked. `last` is that of another
// step, if one is known: only the checkpoint differs, and a reference is looked up once.
std::optional<Provenance> provenance_now(const ProbeInRun& probe, int64_t step, Provenances& provenances,
                                         std::optional<Provenance>& last) {
  try {
    if (!last)
      last = provenances.of(probe, step);
    else
      last->of = provenances.hash(step);
    return last;
  } catch (const UsageError&) {
    throw;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool is_of(const ProbeResult& result, const ProbeInRun& probe, const RunDirectory& run,
           Provenances& provenances, std::optional<Provenance>& last) {
  if (!result.provenance) return false;
  const auto now = provenance_now(probe, result.step, provenances, last);
  if (!now) return false;
  refuse_changed(result, *now, run);
  return *result.provenance == *now;
}

}  // namespace

const std::string& Provenances::hash(int64_t step) {
  const auto known = hashes_.find(step);
  if (known != hashes_.end()) return known->second;
  return hashes_.emplace(step, sha256_of_file(run_.checkpoint_path(step))).first->second;
}

Provenance Provenances::make(const ProbeInRun& probe, const std::string& of) {
  const auto reference = of.empty() ? std::nullopt : reference_of(probe, run_);
  return {of,
          probe.plugin,
          probe.version,
          probe.parameters,
          probe.needs.reference ? probe.reference : "",
          reference ? hash(reference->step) : "",
          experiment_.setting(),
          experiment_.task_plugin().version,
          probe.build};
}

Provenance Provenances::of(const ProbeInRun& probe, int64_t step) { return make(probe, hash(step)); }

Provenance Provenances::of_null(const ProbeInRun& probe) {
  return make(probe, fmt::format("random weights, seed {}", experiment_.null_seed()));
}

Provenance Provenances::of_history(const ProbeInRun& probe, const RunHistory& history) {
  return make(probe, sha256_of(history, probe.needs, probe.label));
}

Provenance Provenances::question(const ProbeInRun& probe) { return make(probe, ""); }

void check_labels(const Experiment& experiment, const RunDirectory& run) {
  Provenances provenances(experiment, run);
  plan_rows(experiment, run, provenances, {}, Reuse::stored);
}

std::vector<Row> plan_rows(const Experiment& experiment, const RunDirectory& run, Provenances& provenances,
                           const std::vector<CheckpointFile>& checkpoints, Reuse reuse) {
  std::map<const ProbeInRun*, Stored> stored;
  for (const ProbeInRun& probe : experiment.probes()) {
    check_config(experiment, run, probe);
    stored[&probe] = stored_results(run, probe, provenances);
  }
  std::vector<Row> rows;
  std::map<const ProbeInRun*, std::optional<Provenance>> last;
  const std::string identity = identity_of(run.root());
  for (const CheckpointFile& checkpoint : checkpoints) {
    if (reuse == Reuse::stored) refuse_other_run(checkpoint, identity);
    Row row{checkpoint, {}, {}};
    for (const ProbeInRun& probe : experiment.probes()) {
      if (!probe.due(checkpoint.step)) continue;
      const auto found = stored[&probe].find(checkpoint.step);
      const bool there = reuse == Reuse::stored && found != stored[&probe].end() &&
                         is_of(found->second, probe, run, provenances, last[&probe]);
      if (there) {
        const std::string& build = found->second.provenance->build;
        if (!build.empty() && build != probe.build) row.of_other_build.push_back(&probe);
        row.known.emplace(&probe, std::move(found->second.record));
      } else if (!probe.needs.training || std::filesystem::exists(run.state_path(checkpoint.step))) {
        row.due.push_back(&probe);
      }
    }
    if (!row.due.empty() || !row.known.empty()) rows.push_back(std::move(row));
  }
  return rows;
}

std::optional<Record> stored_run_level(const RunDirectory& run, const ProbeInRun& probe, RunLevelResult aside,
                                       const Provenance& provenance) {
  auto stored = run.read_run_level(probe.label, aside, RunDirectory::ProbeData::leave_out);
  if (!stored || stored->provenance != provenance) return std::nullopt;
  return std::move(stored->record);
}

}  // namespace orrery::engine
