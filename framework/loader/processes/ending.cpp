#include "loader/processes/ending.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

namespace orrery {

std::string signal_text(int number) {
  const char *name = sigabbrev_np(number), *words = sigdescr_np(number);
  return fmt::format("{} ({})", name ? fmt::format("SIG{}", name) : fmt::format("signal {}", number),
                     words ? words : "unknown");
}

const char* signal_advice(int number) noexcept {
  switch (number) {
    case SIGSEGV:
    case SIGBUS:
      return "an index or a pointer leads out of bounds, or a function calls itself without end";
    case SIGABRT:
      return "an assertion failed, memory was damaged, or an exception was not caught; the output above says "
             "which";
    case SIGFPE:
      return "an integer was divided by zero";
    case SIGILL:
      return "a function ended without its return statement, or the plugin was built for another processor";
    case SIGKILL:
      return "perhaps there was too little memory";
    default:
      return "";
  }
}

std::string ending_text(int status) {
  if (WIFSTOPPED(status)) return fmt::format("stopped again and again by {}", signal_text(WSTOPSIG(status)));
  return WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status)) : signal_text(WTERMSIG(status));
}

std::string ending_advice(int status) {
  if (WIFSTOPPED(status)) return "a plugin may neither stop its process nor read from the terminal";
  return WIFEXITED(status) ? "it ended the program; throw an orrery::Error instead"
                           : signal_advice(WTERMSIG(status));
}

}  // namespace orrery
