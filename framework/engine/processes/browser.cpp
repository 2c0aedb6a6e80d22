#include "engine/processes/browser.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

#include "sdk/files/atomic_file.h"

extern char** environ;

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

fs::path in_path(const std::string& name) {
  if (name.find('/') != std::string::npos)
    return access(name.c_str(), X_OK) == 0 ? fs::path(name) : fs::path();
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (const fs::path file = fs::path(folder) / name; access(file.c_str(), X_OK) == 0) return file;
  return {};
}

// A path as it stands in a URL.
std::string url_of(const fs::path& path) {
  std::string url = "file://";
  for (const char c : fs::absolute(path).string())
    if (std::isalnum(static_cast<unsigned char>(c)) || std::strchr("/-_.~", c))
      url += c;
    else
      url += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return url;
}

// A program whose standard output is read; what it says on standard error is its own affair.
class Child {
 public:
  explicit Child(const std::vector<std::string>& command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw Error(fmt::format("no pipe: {}", std::strerror(errno)));
    out_ = Descriptor(ends[0]);
    const Descriptor in(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.get(), STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // so that its helpers can be ended with it
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const int failed =
        posix_spawn(&pid_, command[0].c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0)
      throw Error(fmt::format("{} could not be started: {}", command[0], std::strerror(failed)));
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  /// All that it writes. Throws orrery::Error after `seconds`.
  std::string read_all(int seconds) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    std::string text;
    char buffer[65536];
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      pollfd waiting{out_.get(), POLLIN, 0};
      const int ready = left.count() > 0 ? poll(&waiting, 1, static_cast<int>(left.count())) : 0;
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) throw Error(fmt::format("the browser did not finish within {} seconds", seconds));
      const ssize_t got = read(out_.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return text;
      text.append(buffer, static_cast<size_t>(got));
    }
  }

  int wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }

 private:
  Descriptor out_;
  pid_t pid_ = -1;
};

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "orrery-XXXXXX").string();
  if (!mkdtemp(name.data()))
    throw Error(fmt::format("no temporary folder could be made: {}", std::strerror(errno)));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path find_browser() {
  if (const char* named = std::getenv("ORRERY_BROWSER"); named && *named) {
    if (const fs::path found = in_path(named); !found.empty()) return found;
    throw Error(fmt::format("ORRERY_BROWSER names {}, which is no program", named),
                "let it name Chromium or Chrome");
  }
  for (const char* name : {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"})
    if (const fs::path found = in_path(name); !found.empty()) return found;
  throw Error("drawing images needs Chromium or Chrome, and neither was found",
              "install one (on Debian: apt-get install chromium), or let ORRERY_BROWSER name it");
}

std::string page_after_scripts(const fs::path& browser, const fs::path& page, const std::string& fragment,
                               int seconds) {
  const TemporaryFolder profile;
  std::vector<std::string> command = {
      browser.string(), "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--user-data-dir=" + profile.path().string(),
      // Scripts have this long by their own clock, which runs while they wait.
      fmt::format("--virtual-time-budget={}", 1000 * seconds), "--dump-dom", url_of(page) + "#" + fragment};
  // Chromium's sandbox refuses to work for root; the page is our own.
  if (geteuid() == 0) command.insert(command.begin() + 1, "--no-sandbox");
  Child child(command);
  std::string html = child.read_all(seconds);
  if (const int code = child.wait(); code != 0)
    throw Error(fmt::format("{} ended with code {}", browser.string(), code));
  return html;
}

}  // namespace orrery::engine
