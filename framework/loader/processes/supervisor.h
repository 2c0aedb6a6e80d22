// Watches children that report by messages: the worker pool, `orrery check`, the trial opening of a plugin.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "loader/processes/child.h"
#include "loader/processes/messages.h"

namespace orrery {

class Supervisor {
 public:
  using Id = size_t;
  struct Listener {
    std::function<void(Id child, const std::string& message)> on_message;
    /// The child has ended and is no longer counted as running. `status` is that of waitpid(); `timed_out`:
    /// the supervisor killed it because it exceeded its limit. A child that is stopped goes on; one that is
    /// stopped over and over is killed, and `status` names the signal that stopped it.
    std::function<void(Id child, int status, bool timed_out)> on_end;
  };

  /// The destructor kills children that are still running.
  explicit Supervisor(Listener listener) : listener_(std::move(listener)) {}
  Supervisor(const Supervisor&) = delete;

  /// See Child. The child may take `limit` from now or from the last restart_clock(); nothing: no limit. In
  /// the child, the sockets of its siblings are closed.
  Id spawn(const std::function<void(int socket)>& body,
           std::optional<std::chrono::milliseconds> limit = std::nullopt);
  /// Does nothing if the child has ended in the meantime, which wait() will report.
  void send(Id child, const Message& message);
  void restart_clock(Id child);
  /// Gives the child another limit, from now on.
  void set_limit(Id child, std::optional<std::chrono::milliseconds> limit);
  size_t running() const { return children_.size(); }

  /// Waits for an event, at most 0.2 s, and calls the listener. Throws orrery::Error if waiting fails.
  void wait();

 private:
  using Clock = std::chrono::steady_clock;
  struct Watched {
    Child process;
    std::optional<std::chrono::milliseconds> limit;
    Clock::time_point since;
    int stops = 0;
  };
  void end(Id child, bool timed_out, int stopped_by = 0);
  bool resume_if_stopped(Id child);

  Listener listener_;
  std::map<Id, Watched> children_;
  Id next_ = 0;
};

}  // namespace orrery
