#include "engine/sweep/sweep_check.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/experiment/experiment.h"
#include "engine/train/hardware.h"
#include "loader/processes/ending.h"
#include "loader/processes/supervisor.h"

namespace orrery::engine {
namespace {

// The first run of each group of runs that differ in their seeds alone, and the group of each run.
struct Groups {
  std::vector<const SweptRun*> first;
  std::map<std::string, size_t> of_run;
};

Groups group(const std::vector<const SweptRun*>& runs) {
  Groups groups;
  std::map<std::string, size_t> known;
  for (const SweptRun* run : runs) {
    Settings settings = *run->settings;
    settings.seeds = {};
    const auto [found, fresh] = known.emplace(identity(settings), groups.first.size());
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
    answer.add(Checked::good).add(static_cast<uint64_t>(experiment.model().n_parameters()));
  } catch (const UsageError& error) {
    answer.add(Checked::refused).add(std::string(error.what())).add(error.hint());
  } catch (const Error& error) {
    answer.add(Checked::failed).add(std::string(error.what())).add(error.hint());
  } catch (const std::exception& error) {
    answer.add(Checked::failed).add(std::string(error.what())).add(std::string());
  }
  send(socket, answer);
}

std::string at_point(const std::string& what, const SweptRun& run) {
  const std::string text = point_text(run.point);
  return text.empty() ? what : fmt::format("{} (at {})", what, text);
}

int64_t read_answer(const std::string& text, const SweptRun& run) {
  MessageReader message(text);
  const auto kind = static_cast<Checked>(message.number());
  if (kind == Checked::good) return static_cast<int64_t>(message.number());
  const std::string what = at_point(message.text(), run), hint = message.text();
  if (kind == Checked::refused) throw UsageError(what, hint);
  throw Error(what, hint);
}

}  // namespace

std::map<std::string, int64_t> check_points(const Registry& registry,
                                            const std::vector<const SweptRun*>& runs,
                                            const Reporter& reporter) {
  if (runs.empty()) return {};
  const Groups groups = group(runs);
  std::vector<int64_t> sizes;
  bool ended = false;
  Supervisor supervisor(
      {.on_message =
           [&](Supervisor::Id, const std::string& text) {
             sizes.push_back(read_answer(text, *groups.first[sizes.size()]));
           },
       .on_end =
           [&](Supervisor::Id, int status, bool) {
             ended = true;
             if (sizes.size() == groups.first.size()) return;
             throw Error(at_point("making the task, the model and the probes crashed: " + ending_text(status),
                                  *groups.first[sizes.size()]),
                         ending_advice(status));
           }});
  supervisor.spawn([&](int socket) {
    for (const SweptRun* run : groups.first) check_group(registry, *run, socket);
  });
  while (!ended && !reporter.stop_requested()) supervisor.wait();
  std::map<std::string, int64_t> found;
  for (const auto& [id, index] : groups.of_run)
    if (index < sizes.size()) found[id] = sizes[index];
  return found;
}

}  // namespace orrery::engine
