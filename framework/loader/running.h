// Which call into a plugin is running. Nobody comes back from a crash to say so, so it is noted beforehand.
#pragma once

#include <cstdint>
#include <optional>

namespace orrery {

struct Who;

/// Noted for as long as it lives. Calls may be nested, but are made by one thread at a time.
class RunningCall {
 public:
  RunningCall(const Who& who, const char* call, std::optional<int64_t> step) noexcept;
  /// The library `file` is being opened: its static initialisers run.
  explicit RunningCall(const char* file) noexcept;
  ~RunningCall();
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;

  /// The innermost one, or null. May be asked in a signal handler, from any thread.
  static const RunningCall* innermost() noexcept;

  const Who* who = nullptr;    ///< null while a library is opened
  const char* call = nullptr;  ///< "measure"
  const char* file = nullptr;  ///< of the library that is opened, else null
  std::optional<int64_t> step;

 private:
  const RunningCall* outer_;
};

}  // namespace orrery
