// Drops root's rights, for tests of files that a user may not read: root may read everything.
#pragma once

#include <unistd.h>

#include <cstdlib>

namespace orrery::test {

/// During its lifetime, a process of root has the rights of the user "nobody".
class AsNobody {
 public:
  AsNobody() {
    if (geteuid() == 0) dropped_ = seteuid(65534) == 0;
  }
  ~AsNobody() {
    if (dropped_ && seteuid(0) != 0) std::abort();
  }

 private:
  bool dropped_ = false;
};

}  // namespace orrery::test
