// A fork of this process, for code that may crash, hang or end its process.
#pragma once

#include <sys/types.h>

#include <functional>

#include "sdk/files/atomic_file.h"

namespace orrery {

/// Movable. A child that still runs when its Child goes is killed.
class Child {
 public:
  Child() = default;
  /// Runs `body` in a fork of this process, which must not have used more than one thread yet, with its end
  /// of a socket. The child ends when `body` does: with code 1 if that throws, 0 otherwise. It ignores
  /// Ctrl-C, which is the parent's to decide about, leaves crashes to be reported by the parent, and dies
  /// with it. Throws orrery::Error where no process can be made.
  explicit Child(const std::function<void(int socket)>& body);
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  /// The parent's end, or -1 where there is no child.
  int socket() const { return socket_.get(); }
  bool running() const { return pid_ > 0; }
  /// Ends it at once, together with the process group that it leads, if it leads one.
  void kill();
  /// Waits for its end and returns the status, as waitpid() gives it. Call at most once.
  int wait();

 private:
  pid_t pid_ = -1;
  Descriptor socket_;
};

/// Whether this process is a Child.
bool in_child() noexcept;

}  // namespace orrery
