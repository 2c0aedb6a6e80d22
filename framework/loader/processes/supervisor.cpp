#include "loader/processes/supervisor.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace orrery {

Supervisor::Id Supervisor::spawn(const std::function<void(int socket)>& body,
                                 std::optional<std::chrono::milliseconds> limit) {
  Child child([&](int socket) {
    children_.clear();  // closes their sockets, so that a sibling sees the end of file when the parent dies
    body(socket);
  });
  const Id id = next_++;
  children_.emplace(id, Watched{std::move(child), limit, Clock::now()});
  return id;
}

void Supervisor::send(Id child, const Message& message) {
  try {
    orrery::send(children_.at(child).process.socket(), message);
  } catch (const Error&) {
    // The child has ended; wait() will report it.
  }
}

void Supervisor::restart_clock(Id child) { children_.at(child).since = Clock::now(); }

void Supervisor::set_limit(Id child, std::optional<std::chrono::milliseconds> limit) {
  children_.at(child).limit = limit;
  restart_clock(child);
}

void Supervisor::end(Id child, bool timed_out, int stopped_by) {
  auto node = children_.extract(child);
  Child& process = node.mapped().process;
  if (timed_out || stopped_by) process.kill();
  const int status = process.wait();
  listener_.on_end(child, stopped_by ? W_STOPCODE(stopped_by) : status, timed_out);
}

// Nobody else would, and its work would never end. Returns false if it has been stopped too often and was
// killed.
bool Supervisor::resume_if_stopped(Id id) {
  constexpr int patience = 5;
  Watched& child = children_.at(id);
  const int signal = child.process.stopped_by();
  if (!signal) return true;
  if (++child.stops > patience) {
    end(id, false, signal);
    return false;
  }
  child.process.resume();
  return true;
}

void Supervisor::wait() {
  std::vector<Id> ids;
  std::vector<pollfd> waiting;
  for (const auto& [id, child] : children_) {
    ids.push_back(id);
    waiting.push_back({child.process.socket(), POLLIN, 0});
  }
  if (::poll(waiting.data(), waiting.size(), 200) < 0) {
    if (errno == EINTR) return;
    throw Error(fmt::format("cannot listen to child processes: {}", std::strerror(errno)));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (waiting[i].revents != 0) {
      if (const auto text = receive(waiting[i].fd)) {
        children_.at(ids[i]).stops = 0;
        listener_.on_message(ids[i], *text);
      } else {
        end(ids[i], false);
      }
      continue;
    }
    if (!resume_if_stopped(ids[i])) continue;
    const Watched& child = children_.at(ids[i]);
    if (child.limit && Clock::now() - child.since >= *child.limit) end(ids[i], true);
  }
}

}  // namespace orrery
