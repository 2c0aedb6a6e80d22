// What the guard (loader/surroundings.h) found changed, and undid, while a check looked.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "loader/surroundings.h"

namespace orrery::engine::checks {

/// Collects disturbances for its lifetime, in place of the listener before.
class HeardDisturbances {
 public:
  HeardDisturbances()
      : before_(listen_for_disturbances([this](const Disturbance& change) { all_.push_back(change.what); })) {
  }
  ~HeardDisturbances() { listen_for_disturbances(std::move(before_)); }
  HeardDisturbances(const HeardDisturbances&) = delete;
  HeardDisturbances& operator=(const HeardDisturbances&) = delete;

  /// The first one whose text holds `part`, or "".
  std::string first(const std::string& part = "") const {
    for (const std::string& what : all_)
      if (what.find(part) != std::string::npos) return what;
    return "";
  }

 private:
  std::vector<std::string> all_;
  DisturbanceListener before_;
};

}  // namespace orrery::engine::checks
