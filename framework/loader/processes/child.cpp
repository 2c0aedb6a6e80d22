#include "loader/processes/child.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace orrery {
namespace {

bool is_child = false;

[[noreturn]] void become_child(pid_t parent, Descriptor there, const std::function<void(int)>& body) {
  is_child = true;
  // Ctrl-C reaches the whole process group, but the parent decides what to do. The child must not outlive it.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(number, SIG_DFL);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  int code = 0;
  try {
    body(there.get());
  } catch (...) {
    code = 1;  // the parent is gone
  }
  std::fflush(nullptr);
  ::_exit(code);
}

}  // namespace

bool in_child() noexcept { return is_child; }

Child::Child(const std::function<void(int socket)>& body) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    throw Error(fmt::format("cannot talk to a child process: {}", strerror(errno)));
  Descriptor here(pair[0]), there(pair[1]);
  const pid_t parent = ::getpid();
  std::fflush(nullptr);  // or the child would write the buffered output a second time
  const pid_t pid = ::fork();
  if (pid < 0)
    throw Error(fmt::format("cannot start a child process: {}", strerror(errno)), "try fewer --jobs");
  if (pid == 0) {
    here = Descriptor();
    become_child(parent, std::move(there), body);
  }
  pid_ = pid;
  socket_ = std::move(here);
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), socket_(std::move(other.socket_)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(socket_, other.socket_);
  return *this;
}

Child::~Child() {
  if (!running() || is_child) return;  // siblings belong to the parent
  kill();
  wait();
}

void Child::kill() {
  if (!running()) return;
  if (::kill(-pid_, SIGKILL) != 0) ::kill(pid_, SIGKILL);
}

int Child::stopped_by() const {
  siginfo_t info = {};
  if (!running() || ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOHANG) != 0) return 0;
  return info.si_pid == pid_ ? info.si_status : 0;
}

void Child::resume() {
  if (running()) ::kill(pid_, SIGCONT);
}

int Child::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  socket_ = Descriptor();
  return status;
}

}  // namespace orrery
