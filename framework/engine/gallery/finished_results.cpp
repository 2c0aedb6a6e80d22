#include "engine/gallery/finished_results.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/experiment/experiment.h"
#include "engine/run/run_json.h"
#include "engine/sweep/judge_sweep.h"
#include "engine/verify/verify_config.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// What several runs say of how they were made.
class Makers {
 public:
  void add(const fs::path& run) {
    const RunJson info = read_run_json(run);
    if (!info.orrery.empty()) versions_.insert(info.orrery);
    for (const SessionInfo& session : info.sessions) {
      seconds_ += session.seconds.value_or(0);
      date_ = std::max(date_, session.started.substr(0, 10));
      for (const std::string& kernel : {session.blas_core, session.cpu_capability})
        if (!kernel.empty()) kernels_.insert(kernel);
    }
    ++n_;
  }
  void tell(GalleryEntry& entry) const {
    entry.orrery = fmt::format("{}", fmt::join(versions_, ", "));
    entry.date = date_;
    entry.kernels = fmt::format("{}", fmt::join(kernels_, ", "));
    entry.seconds = std::round(10 * seconds_) / 10;
    entry.n_runs = n_;
  }

 private:
  std::set<std::string> versions_, kernels_;
  std::string date_;
  double seconds_ = 0;
  size_t n_ = 0;
};

void refuse_without_claims(const fs::path& file) {
  throw UsageError(
      fmt::format("{}: it has no [[expect]] entry, so there is nothing to verify", file.string()));
}

// Without outcomes.
GalleryEntry new_entry(const fs::path& file, const Document& document, const std::string& name) {
  GalleryEntry entry;
  entry.name = name;
  entry.is_sweep = is_sweep(document);
  entry.config = file.lexically_normal().generic_string();
  entry.experiment = experiment_hash(document);
  entry.expectations = expectations_hash(document);
  return entry;
}

FinishedResults of_config(const Registry& registry, const fs::path& file, const Document& document,
                          const fs::path& runs) {
  const Settings settings = resolve(document, parameters_from(registry));
  if (settings.expectations.empty()) refuse_without_claims(file);
  FinishedResults found{
      {}, "", settings.gallery, (runs.empty() ? fs::path("runs/verify") : runs) / settings.name};
  FoundRun state = FoundRun::nothing;
  try {
    state = find_run(found.run, settings, registry);
  } catch (const Error& error) {  // of another config, damaged, ...
    found.why = error.what();
    return found;
  }
  if (state == FoundRun::nothing) found.why = fmt::format("there is no run in {}", found.run.string());
  if (state == FoundRun::unfinished) found.why = fmt::format("{} is not finished", found.run.string());
  if (!found.why.empty()) return found;
  GalleryEntry entry = new_entry(file, document, settings.name);
  for (const Verdict& each :
       judge(settings.expectations, RunDirectory::open(found.run, RunDirectory::Access::read)))
    entry.outcomes.push_back({sentence(*each.expectation), each.expectation->claim, each.expectation->source,
                              each.got, "", 1, each.passed});
  Makers makers;
  makers.add(found.run);
  makers.tell(entry);
  refresh(entry, document);
  found.entry = std::move(entry);
  return found;
}

// A run that diverged is an outcome, and so is one that could not start from it.
bool has_ended(const SweepRow& row) {
  return row.status.state == SweptState::done || row.status.diverged ||
         row.status.state == SweptState::blocked;
}

FinishedResults of_sweep(const Registry& registry, const fs::path& file, const Document& document,
                         const fs::path& runs) {
  auto plan = std::make_shared<SweepPlan>(plan_sweep(file, parameters_from(registry)));
  if (!runs.empty()) plan->folder = runs / plan->file.name;
  if (plan->file.claims.empty()) refuse_without_claims(file);
  FinishedResults found{{}, "", plan->file.gallery, {}, plan};
  const std::vector<SweepRow> rows = read_rows(*plan);
  const auto n_ended = std::count_if(rows.begin(), rows.end(), has_ended);
  if (static_cast<size_t>(n_ended) < rows.size()) {
    found.why = fmt::format("{} of {} runs in {} are done", n_ended, rows.size(), plan->folder.string());
    return found;
  }
  GalleryEntry entry = new_entry(file, document, plan->file.name);
  for (const SweepVerdict& each : judge_sweep(*plan, rows))
    entry.outcomes.push_back({sentence(*each.claim), each.claim->claim, each.claim->source, each.got,
                              each.interval, each.n, each.passed});
  Makers makers;
  for (const SweepRow& row : rows)
    if (row.status.state != SweptState::blocked) makers.add(plan->run_folder(*row.run));
  makers.tell(entry);
  refresh(entry, document);
  found.entry = std::move(entry);
  return found;
}

}  // namespace

FinishedResults finished_results(const Registry& registry, const fs::path& file, const fs::path& runs) {
  const Document document = Document::load(file);
  return is_sweep(document) ? of_sweep(registry, file, document, runs)
                            : of_config(registry, file, document, runs);
}

}  // namespace orrery::engine
