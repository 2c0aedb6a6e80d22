// The state of the process that a plugin shares with the host and with every other plugin. It is restored
// after each call into a plugin, and what the plugin had changed is told.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "loader/running.h"

namespace orrery {

/// A change that a plugin made to the process and that was undone.
struct Disturbance {
  std::string
      what;  ///< "probe fourier_basis 1.0.0, measure, step 400: it set the number of threads from 1 to 4"
  std::string hint;
  std::string kind;  ///< `what` without the step: equal for the same change by the same call
};
using DisturbanceListener = std::function<void(const Disturbance& change)>;

/// Replaces the listener and returns the one before. The first one prints warnings to standard error, each
/// kind once. It is called after the change was undone, and may throw nothing.
DisturbanceListener listen_for_disturbances(DisturbanceListener listener);
/// Passes on the first trace of each kind.
DisturbanceListener each_kind_once(DisturbanceListener listener);

/// How much is watched during a call. `computing` leaves out what takes microseconds to look at, for calls
/// that come in every step of a training.
enum class Watch { everything, computing, nothing };

/// Restores, at the end of its lifetime, LibTorch's and BLAS's number of threads, default dtype, gradient
/// mode and the floating-point environment; with Watch::everything also LibTorch's CPU generator and whether
/// it is deterministic, the working directory, locales, and the signal handlers that the host relies on.
/// Standard output is standard error meanwhile, since it belongs to the results of a command.
class Surroundings {
 public:
  /// `call` must outlive it.
  Surroundings(const RunningCall& call, Watch watch);
  ~Surroundings();
  Surroundings(const Surroundings&) = delete;
  Surroundings& operator=(const Surroundings&) = delete;

 private:
  struct State;
  const RunningCall& call_;
  std::unique_ptr<State> state_;  // null: nothing is watched
};

}  // namespace orrery
