#include "engine/verify/other_versions.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <tuple>

#include "engine/run/results.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// Nothing if there is none, or if it is damaged, which others say.
std::optional<Provenance> last_provenance(const fs::path& results) {
  std::ifstream file(results);
  std::string line, last;
  while (std::getline(file, line))
    if (!line.empty()) last = line;
  if (last.empty()) return std::nullopt;
  try {
    return parse_result(last, results.parent_path().filename().string(), results.string()).provenance;
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Of the probe that is loaded; "" if none is.
std::string version_here(const Registry& registry, const std::string& probe) {
  for (const auto& plugin : registry.plugins())
    if (plugin->kind == PluginKind::probe && plugin->name == probe) return plugin->version;
  return "";
}

struct Other {
  std::string probe, stored;
  bool operator<(const Other& other) const {
    return std::tie(probe, stored) < std::tie(other.probe, other.stored);
  }
};

}  // namespace

void warn_of_other_versions(const std::vector<fs::path>& runs, const std::string& runs_text,
                            const Registry& registry, Reporter& reporter) {
  std::map<Other, size_t> counts;
  for (const fs::path& run : runs) {
    std::error_code none;
    for (const auto& probe : fs::directory_iterator(run / "probes", none)) {
      const auto stored = last_provenance(probe.path() / "results.jsonl");
      if (!stored) continue;
      const std::string here = version_here(registry, stored->probe);
      if (!here.empty() && here != stored->version) ++counts[{stored->probe, stored->version}];
    }
  }
  for (const auto& [other, count] : counts)
    reporter.warning(
        fmt::format("{} is version {} here, and measured {} as version {}", other.probe,
                    version_here(registry, other.probe),
                    runs.size() == 1 ? "this run" : fmt::format("{} of {} runs", count, runs.size()),
                    other.stored),
        fmt::format("measure again: orrery probe {}", runs_text));
}

}  // namespace orrery::engine
