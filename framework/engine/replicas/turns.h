// Pieces of work that take turns in one process: one computes while the others wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace orrery::engine {

/// Replicas are independent of each other, so a CPU gains nothing by making the same step of all of them at
/// once: no factor is shared, and the weights and moments of many do not fit into its caches. A turn of many
/// steps reads them once. What the replicas do share is the process: LibTorch, the plugins, the BLAS.
class Turns {
 public:
  explicit Turns(std::chrono::milliseconds turn = std::chrono::milliseconds(20)) : turn_(turn) {}
  Turns(const Turns&) = delete;

  /// Returns once all pieces have ended. Each has a thread of its own, so that what LibTorch keeps by thread
  /// is its own, but only one runs at a time. A piece must not throw. To call once.
  void run(std::vector<std::function<void()>> pieces);

  /// For a piece, wherever it can be interrupted: if its turn has been long enough, lets the others have
  /// theirs first.
  void pass_if_due();

 private:
  using Clock = std::chrono::steady_clock;
  struct Place {
    std::condition_variable woken;
    bool ended = false;
  };
  void body(size_t place, const std::function<void()>& piece);
  void pass(std::unique_lock<std::mutex>& lock, bool ended);

  const std::chrono::milliseconds turn_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Place>> places_;
  size_t current_ = 0;
  Clock::time_point since_;
};

}  // namespace orrery::engine
