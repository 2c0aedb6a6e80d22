// Runs code that may crash, hang or exit in a fork of this process.
#pragma once

#include <sys/types.h>

#include <functional>

#include "sdk/files/atomic_file.h"

namespace orrery {

/// Movable. The destructor kills a child that is still running.
class Child {
 public:
  Child() = default;
  /// Runs `body`, with its end of a socket, in a fork of this process, which must not have used more than one
  /// thread yet. The child exits when `body` returns: with code 1 if it throws, 0 otherwise. It ignores
  /// Ctrl-C, which the parent handles, leaves reporting crashes to the parent, and dies with it. Throws
  /// orrery::Error if the fork fails.
  explicit Child(const std::function<void(int socket)>& body);
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  /// The parent's end, or -1 without a child.
  int socket() const { return socket_.get(); }
  bool running() const { return pid_ > 0; }
  /// Kills it, together with its process group if it leads one.
  void kill();
  /// The signal that stopped it (SIGSTOP, SIGTTIN), or 0 if it goes on.
  int stopped_by() const;
  void resume();
  /// Waits for its end and returns the status of waitpid(). Call at most once.
  int wait();

 private:
  pid_t pid_ = -1;
  Descriptor socket_;
};

/// Whether this process is a Child.
bool in_child() noexcept;

}  // namespace orrery
