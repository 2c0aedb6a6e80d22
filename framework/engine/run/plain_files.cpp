#include "engine/run/plain_files.h"

#include <fmt/format.h>
#include <orrery/error.h>

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* top_files[] = {"run.json", "metrics.jsonl", ".lock"};
constexpr const char* folders[] = {"checkpoints", "probes", "set_aside", "tensorboard"};

[[noreturn]] void refuse_entry(const fs::path& path, const char* found) {
  throw Error(fmt::format("{}: {}, where a run holds only plain files and folders", path.string(), found),
              "it may lead outside the run: put a copy in its place, or delete it");
}

void require_kind(const fs::path& path, fs::file_type kind, const char* other) {
  std::error_code ignored;
  const fs::file_type found = fs::symlink_status(path, ignored).type();
  if (found == fs::file_type::symlink) refuse_entry(path, "a link");
  if (found != fs::file_type::not_found && found != kind && found != fs::file_type::directory)
    refuse_entry(path, other);
}

void refuse_links_below(const fs::path& folder) {
  std::error_code failure;
  for (fs::recursive_directory_iterator at(folder, failure), end; !failure && at != end;
       at.increment(failure)) {
    std::error_code ignored;
    if (at->is_symlink(ignored)) refuse_entry(at->path(), "a link");
    if (!at->is_regular_file(ignored) && !at->is_directory(ignored) && at->exists(ignored))
      refuse_entry(at->path(), "a pipe or device");
  }
}

}  // namespace

void refuse_links_at_top(const fs::path& root) {
  for (const char* name : top_files) require_kind(root / name, fs::file_type::regular, "a pipe or device");
}

void refuse_links(const fs::path& root) {
  refuse_links_at_top(root);
  for (const char* name : folders) {
    require_kind(root / name, fs::file_type::directory, "a file");
    refuse_links_below(root / name);
  }
}

}  // namespace orrery::engine
