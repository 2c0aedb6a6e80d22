#include "engine/processes/child.h"

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

#include "engine/processes/crash.h"

namespace orrery::engine {

Child start_child(const std::function<void(int socket)>& body) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    throw Error(fmt::format("cannot talk to a worker process: {}", strerror(errno)));
  Descriptor here(pair[0]), there(pair[1]);
  const pid_t parent = ::getpid();
  std::fflush(nullptr);  // or the child would have what waits to be written, too
  const pid_t pid = ::fork();
  if (pid < 0)
    throw Error(fmt::format("cannot start a worker process: {}", strerror(errno)), "try fewer --jobs");
  if (pid > 0) return {pid, std::move(here)};
  // Ctrl-C reaches the whole group; it is the parent that decides. Without it there is nothing to live for.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  leave_crashes_to_parent();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  here = Descriptor();
  int code = 0;
  try {
    body(there.get());
  } catch (...) {
    code = 1;  // the parent is gone
  }
  std::fflush(nullptr);
  ::_exit(code);
}

}  // namespace orrery::engine
