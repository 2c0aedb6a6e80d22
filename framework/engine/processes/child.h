// A fork of this process that runs code which may crash.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "sdk/files/atomic_file.h"

namespace orrery::engine {

struct Child {
  pid_t pid = -1;
  Descriptor socket;  ///< to talk to it
};

/// Runs `body` in a fork of this process, which must not have used more than one thread yet, with its end of
/// the socket. The child ends with `body`: with code 1 if that throws, 0 otherwise. It ignores Ctrl-C, which
/// the parent decides about, and dies with the parent.
Child start_child(const std::function<void(int socket)>& body);

}  // namespace orrery::engine
