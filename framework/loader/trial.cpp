#include "loader/trial.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <optional>

#include "loader/guard.h"
#include "loader/processes/ending.h"
#include "loader/processes/supervisor.h"

namespace orrery {
namespace {

bool being_debugged() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("TracerPid:")) return std::stol(line.substr(std::strlen("TracerPid:"))) != 0;
  return false;
}

// If it is open, its initialisers have run already.
bool is_open(const char* file) {
  void* library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (library) ::dlclose(library);
  return library != nullptr;
}

// In the child. Tells the parent that the library is open, or the text of an initialiser's exception.
void open_library(const char* file, int socket) {
  std::set_terminate(std::abort);
  ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
  // The C library declares dlopen() noexcept; calling it through a volatile pointer keeps the handler below.
  void* (*volatile open)(const char*, int) = ::dlopen;
  try {
    open(file, RTLD_NOW | RTLD_LOCAL);
    send(socket, Message().add(std::string()));
  } catch (...) {
    send(socket, Message().add(text_in_flight()));
  }
}

[[noreturn]] void refuse_initialisers(const std::string& what_they_did, const std::string& advice = "") {
  throw Error(fmt::format("cannot be opened: its static initialisers {}", what_they_did),
              fmt::format("{}{}{}", advice, advice.empty() ? "" : "; ", initialisers_advice));
}

}  // namespace

const char* const initialisers_advice =
    "global and static objects are made when the library is opened; make them in the constructor of the "
    "plugin's class, which reports its own errors";

void try_opening(const std::filesystem::path& file) {
  const std::string path = std::filesystem::absolute(file).string();
  if (is_open(path.c_str()) || being_debugged()) return;
  std::optional<std::string> thrown;  // nothing if the child ended before it could tell
  int status = 0;
  Supervisor supervisor(
      {.on_message = [&](size_t, const std::string& message) { thrown = MessageReader(message).text(); },
       .on_end = [&](size_t, int ended, bool) { status = ended; }});
  try {
    supervisor.spawn([&](int socket) { open_library(path.c_str(), socket); });
  } catch (const Error&) {
    return;  // fork failed: go on without a trial
  }
  while (supervisor.running() > 0) supervisor.wait();
  if (thrown && !thrown->empty()) refuse_initialisers("threw: " + *thrown);
  if (WIFSIGNALED(status)) refuse_initialisers("crashed: " + ending_text(status), ending_advice(status));
  if (!thrown) refuse_initialisers("ended the program: " + ending_text(status));
}

}  // namespace orrery
