#include "loader/trial.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <orrery/error.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>

#include "loader/ending.h"
#include "loader/guard.h"

namespace orrery {
namespace {

bool being_debugged() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("TracerPid:")) return std::stol(line.substr(std::strlen("TracerPid:"))) != 0;
  return false;
}

// Its initialisers have run already.
bool is_open(const char* file) {
  void* library = ::dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (library) ::dlclose(library);
  return library != nullptr;
}

// In the fork. What an initialiser throws goes into the pipe.
[[noreturn]] void open_and_leave(const char* file, int pipe) {
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(number, SIG_DFL);
  std::set_terminate(std::abort);
  ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
  // The C library declares dlopen() as one that never throws, and the compiler would take its word for it.
  void* (*volatile open_library)(const char*, int) = ::dlopen;
  std::string thrown;
  try {
    open_library(file, RTLD_NOW | RTLD_LOCAL);
  } catch (...) {
    thrown = text_in_flight();
  }
  size_t written = 0;
  while (written < thrown.size()) {
    const ssize_t n = ::write(pipe, thrown.data() + written, thrown.size() - written);
    if (n <= 0) break;
    written += static_cast<size_t>(n);
  }
  ::_exit(0);
}

[[noreturn]] void refuse_initialisers(const std::string& what_they_did, const std::string& advice = "") {
  throw Error(fmt::format("cannot be opened: its static initialisers {}", what_they_did),
              fmt::format("{}{}{}", advice, advice.empty() ? "" : "; ", initialisers_advice));
}

std::string read_all(int pipe) {
  std::string text;
  std::array<char, 4096> piece;
  while (true) {
    const ssize_t n = ::read(pipe, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(piece.data(), static_cast<size_t>(n));
  }
}

}  // namespace

const char* const initialisers_advice =
    "global and static objects are made as the library is opened; make them in the constructor of the "
    "task or probe, where an error is reported as its own";

void try_opening(const std::filesystem::path& file) {
  const std::string path = std::filesystem::absolute(file).string();
  if (is_open(path.c_str()) || being_debugged()) return;
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return;  // without a trial, then
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) open_and_leave(path.c_str(), pipe[1]);
  ::close(pipe[1]);
  const std::string thrown = pid > 0 ? read_all(pipe[0]) : "";
  ::close(pipe[0]);
  if (pid < 0) return;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!thrown.empty()) refuse_initialisers("threw: " + thrown);
  if (WIFSIGNALED(status)) refuse_initialisers("crashed: " + ending_text(status), ending_advice(status));
  if (WEXITSTATUS(status) != 0) refuse_initialisers("ended the program: " + ending_text(status));
}

}  // namespace orrery
