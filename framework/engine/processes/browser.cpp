#include "engine/processes/browser.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

#include "loader/processes/child.h"
#include "loader/processes/ending.h"
#include "sdk/files/temporary_folder.h"

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

// A path as a file URL.
std::string url_of(const fs::path& path) {
  std::string url = "file://";
  for (const char c : fs::absolute(path).string())
    if (std::isalnum(static_cast<unsigned char>(c)) || std::strchr("/-_.~", c))
      url += c;
    else
      url += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return url;
}

// In the child: becomes the browser, with standard output to the socket and standard error discarded. It
// leads a process group, so that its helpers can be killed with it.
void become(const std::vector<std::string>& command, int socket) {
  ::setpgid(0, 0);
  for (const int number : {SIGINT, SIGTERM}) ::signal(number, SIG_DFL);
  ::dup2(socket, STDOUT_FILENO);
  ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

// Everything it writes. Throws orrery::Error after `seconds`.
std::string read_all(const Child& child, int seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::string text;
  char buffer[65536];
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd waiting{child.socket(), POLLIN, 0};
    const int ready = left.count() > 0 ? poll(&waiting, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) throw Error(fmt::format("the browser did not finish within {} seconds", seconds));
    const ssize_t got = read(child.socket(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

fs::path find_browser() {
  if (const char* named = std::getenv("ORRERY_BROWSER"); named && *named) {
    if (const fs::path found = in_path(named); !found.empty()) return found;
    throw Error(fmt::format("ORRERY_BROWSER names {}, which is not a program", named),
                "set it to Chromium or Chrome");
  }
  for (const char* name : {"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"})
    if (const fs::path found = in_path(name); !found.empty()) return found;
  throw Error("drawing images needs Chromium or Chrome, and neither was found",
              "install one (on Debian: apt-get install chromium), or set ORRERY_BROWSER to it");
}

std::string page_after_scripts(const fs::path& browser, const fs::path& page, const std::string& fragment,
                               int seconds) {
  const TemporaryFolder profile;
  std::vector<std::string> command = {
      browser.string(), "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--user-data-dir=" + profile.path().string(),
      // The scripts' time limit in virtual time, which fast-forwards while they wait.
      fmt::format("--virtual-time-budget={}", 1000 * seconds), "--dump-dom", url_of(page) + "#" + fragment};
  // Chromium's sandbox does not work for root, and the page is our own.
  if (geteuid() == 0) command.insert(command.begin() + 1, "--no-sandbox");
  Child child([&](int socket) { become(command, socket); });
  std::string html = read_all(child, seconds);
  const int status = child.wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && html.empty())
    throw Error(fmt::format("{} could not be started", browser.string()));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(fmt::format("{} failed: {}", browser.string(), ending_text(status)));
  return html;
}

}  // namespace orrery::engine
