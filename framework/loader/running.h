// Records which call into a plugin is running, so that a crash handler can name it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace orrery {

struct Who;

/// In effect for its lifetime. Calls may be nested, but only one thread may call plugins at a time.
class RunningCall {
 public:
  RunningCall(const Who& who, const char* call, std::optional<int64_t> step) noexcept;
  /// Records that the library `file` is being opened, which runs its static initialisers.
  explicit RunningCall(const char* file) noexcept;
  ~RunningCall();
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;

  /// The innermost one, or null. Safe in a signal handler and from any thread.
  static const RunningCall* innermost() noexcept;

  const Who* who = nullptr;    ///< null while a library is opened
  const char* call = nullptr;  ///< "measure"
  const char* file = nullptr;  ///< of the library that is opened, else null
  std::optional<int64_t> step;

 private:
  const RunningCall* outer_;
};

/// "probe fourier_basis 1.0.0, measure, step 400: ", or "a.so, its static initialisers: ".
std::string place_text(const RunningCall& call, std::optional<int64_t> step);

}  // namespace orrery
