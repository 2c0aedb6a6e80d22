#include "engine/export/export_curves.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/export/curve_events.h"
#include "engine/export/event_file.h"

namespace orrery::engine {

// Works on finished runs and on runs in training: exports what there is.
std::filesystem::path export_curves(const RunDirectory& run, const std::string& out, Reporter& reporter) {
  const std::filesystem::path folder = out.empty() ? events_folder(run) : std::filesystem::path(out);
  constexpr const char* ending = "export";  // an earlier export is replaced
  if (tensorboard::has_event_files(folder, ending))
    throw UsageError(
        folder.string() + ": there are event files here already, and TensorBoard would show points twice",
        "choose another --out, or delete them first");
  const std::string events = curve_events(run, [](const std::string&) { return true; });
  tensorboard::replace_event_file(folder, ending, events);
  reporter.note(fmt::format("the curves of {}; look at them with: tensorboard --logdir {}",
                            run.root().string(), folder.string()));
  return folder;
}

}  // namespace orrery::engine
