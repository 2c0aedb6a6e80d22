#include "engine/sweep/sweep_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/config/condition.h"
#include "engine/config/config_keys.h"
#include "engine/experiment/experiment.h"
#include "engine/sweep/metric_check.h"
#include "engine/sweep/row_check.h"
#include "engine/train/hardware.h"
#include "loader/processes/ending.h"
#include "loader/processes/supervisor.h"

namespace orrery::engine {
namespace {

// The first run of each group of runs that have the task, the model and the probes in common, and the group
// of each run.
struct Groups {
  std::vector<const SweptRun*> first;
  std::map<std::string, size_t> of_run;
};

// The part of a run's config that its task, model and probes are made of.
std::string parts_of(const SweptRun& run) {
  std::string parts;
  for (const auto& [key, value] : run.config)
    if (const std::string section = section_of(key);
        section != "seeds" && section != "train" && section != "checkpoints" && section != "log")
      parts += key + "=" + value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return parts;
}

Groups group(const std::vector<const SweptRun*>& runs) {
  Groups groups;
  std::map<std::string, size_t> known;
  for (const SweptRun* run : runs) {
    const auto [found, fresh] = known.emplace(parts_of(*run), groups.first.size());
    if (fresh) groups.first.push_back(run);
    groups.of_run[run->id] = found->second;
  }
  return groups;
}

enum class Checked { good, refused, failed };

void check_group(const Registry& registry, const SweptRun& run, int socket) {
  Message answer;
  try {
    const Settings& settings = *run.settings;
    prepare_processor(settings.train, 1);
    Experiment experiment(registry, settings, choose_device("cpu"));
    experiment.load_initial_weights();
    experiment.add_probes(settings.probes);
    const std::vector<std::string> metrics = metrics_of(experiment.spec());
    answer.add(Checked::good).add(static_cast<uint64_t>(experiment.model().n_parameters()));
    answer.add(static_cast<uint64_t>(metrics.size()));
    for (const std::string& name : metrics) answer.add(name);
  } catch (const UsageError& error) {
    answer.add(Checked::refused).add(std::string(error.what())).add(error.hint());
  } catch (const Error& error) {
    answer.add(Checked::failed).add(std::string(error.what())).add(error.hint());
  } catch (const std::bad_alloc&) {
    answer.add(Checked::failed)
        .add(std::string("there is not enough memory to make the network and the data"));
    answer.add(std::string("raise the limit (ulimit -v), or make them smaller"));
  } catch (const std::exception& error) {
    answer.add(Checked::failed).add(std::string(error.what())).add(std::string());
  }
  send(socket, answer);
}

std::string at_point(const std::string& what, const SweptRun& run) {
  const std::string text = point_text(run.point);
  return text.empty() ? what : fmt::format("{} (at {})", what, text);
}

// Of a group.
struct Seen {
  int64_t n_parameters = 0;
  std::vector<std::string> metrics = {};
};

Seen read_answer(const std::string& text, const SweptRun& run) {
  MessageReader message(text);
  const auto kind = static_cast<Checked>(message.number());
  if (kind == Checked::good) {
    Seen seen{static_cast<int64_t>(message.number())};
    for (uint64_t left = message.number(); left > 0; --left) seen.metrics.push_back(message.text());
    return seen;
  }
  const std::string what = at_point(message.text(), run), hint = message.text();
  if (kind == Checked::refused) throw UsageError(what, hint);
  throw Error(what, hint);
}

// With a metric that is never written a run would be refused when it begins.
void check_stop_when(const SweptRun& run, const std::vector<std::string>& metrics) {
  const std::string& written = run.settings->train.stop_when;
  if (written.empty()) return;
  for (const std::string& name : Condition::parse(written).metrics())
    if (std::find(metrics.begin(), metrics.end(), name) == metrics.end())
      throw UsageError(
          at_point(run.settings->places.placed(fmt::format("train.stop_when: there is no metric \"{}\"{}",
                                                           name, did_you_mean(name, metrics))),
                   run),
          fmt::format("this run writes: {}", fmt::join(metrics, ", ")));
}

}  // namespace

std::map<std::string, int64_t> check_points(const Registry& registry, const SweepPlan& plan,
                                            const std::vector<const SweptRun*>& runs,
                                            const Reporter& reporter) {
  if (runs.empty()) return {};
  const Groups groups = group(runs);
  std::vector<Seen> seen;
  bool ended = false;
  Supervisor supervisor(
      {.on_message =
           [&](Supervisor::Id, const std::string& text) {
             seen.push_back(read_answer(text, *groups.first[seen.size()]));
           },
       .on_end =
           [&](Supervisor::Id, int status, bool) {
             ended = true;
             if (seen.size() == groups.first.size()) return;
             throw Error(at_point("making the task, the model and the probes crashed: " + ending_text(status),
                                  *groups.first[seen.size()]),
                         ending_advice(status));
           }});
  supervisor.spawn([&](int socket) {
    for (const SweptRun* run : groups.first) check_group(registry, *run, socket);
  });
  while (!ended && !reporter.stop_requested()) supervisor.wait();
  std::map<std::string, int64_t> found;
  std::vector<std::string> metrics;
  for (const SweptRun* run : runs) {
    const size_t index = groups.of_run.at(run->id);
    if (index >= seen.size()) continue;
    check_stop_when(*run, seen[index].metrics);
    found[run->id] = seen[index].n_parameters;
  }
  for (const Seen& each : seen) metrics.insert(metrics.end(), each.metrics.begin(), each.metrics.end());
  if (seen.size() == groups.first.size()) {
    refuse_unknown_metrics(plan, metrics);
    refuse_missing_rows(plan);
  }
  return found;
}

}  // namespace orrery::engine
