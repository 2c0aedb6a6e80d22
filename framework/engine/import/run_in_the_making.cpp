#include "engine/import/run_in_the_making.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view ending = ".importing-";

// The process that made a folder of this name; 0: it is none of ours.
pid_t maker_of(const std::string& name) {
  const size_t at = name.rfind(ending);
  if (!name.starts_with(".") || at == name.npos) return 0;
  pid_t process = 0;
  const char* const last = name.data() + name.size();
  const auto [stop, failure] = std::from_chars(name.data() + at + ending.size(), last, process);
  return failure == std::errc() && stop == last && process > 0 ? process : 0;
}

// The lock tells of processes on other machines, too.
bool is_abandoned(const fs::directory_entry& entry) {
  std::error_code failure;
  const pid_t maker = maker_of(entry.path().filename().string());
  if (maker == 0 || entry.symlink_status(failure).type() != fs::file_type::directory) return false;
  const bool lives = maker != ::getpid() && (::kill(maker, 0) == 0 || errno != ESRCH);
  return !lives && !RunLock::is_held(entry.path());
}

void sweep(const fs::path& folder) {
  std::error_code failure;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failure)) {
    std::error_code ignored;
    if (is_abandoned(entry)) fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace

RunInTheMaking::RunInTheMaking(fs::path path) : path_(std::move(path)) {
  std::error_code ignored;
  if (fs::exists(path_, ignored) && !(fs::is_directory(path_, ignored) && fs::is_empty(path_, ignored)))
    throw UsageError(path_.string() + ": exists already, and a new run never overwrites",
                     "choose another --out");
  const fs::path clean = (path_ / "").parent_path();  // without a trailing slash
  const fs::path parent = clean.parent_path();
  temporary_ = parent / fmt::format(".{}{}{}", clean.filename().string(), ending, ::getpid());
  sweep(parent.empty() ? "." : parent);
  try {
    run_.emplace(RunDirectory::create(temporary_));
  } catch (...) {
    remove();
    throw;
  }
}

RunInTheMaking::~RunInTheMaking() {
  if (!done_) remove();
}

void RunInTheMaking::finish() {
  std::error_code failure;
  fs::rename(temporary_, path_, failure);
  if (failure) throw Error(fmt::format("{}: cannot make this folder: {}", path_.string(), failure.message()));
  done_ = true;
  const fs::path parent = (path_ / "").parent_path().parent_path();
  sync_folder(parent.empty() ? "." : parent);
}

void RunInTheMaking::remove() const {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

}  // namespace orrery::engine
