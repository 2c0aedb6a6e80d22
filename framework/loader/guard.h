// The gate through which every call into a plugin passes. It turns any exception into an orrery::Error that
// says who, what and when: "probe fourier_basis 1.0.0, measure, step 400: ...", and restores the surroundings
// of the call (surroundings.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "loader/running.h"
#include "loader/surroundings.h"

namespace orrery {

enum class PluginKind { task, probe, loss, update, model };
/// All of them, in this order.
inline constexpr PluginKind plugin_kinds[] = {PluginKind::task, PluginKind::probe, PluginKind::loss,
                                              PluginKind::update, PluginKind::model};
/// "task", "probe", ...; a string that needs no memory, for signal handlers.
const char* name_of(PluginKind kind) noexcept;
std::string to_string(PluginKind kind);
/// "tasks", "probes", "losses", ...
std::string plural(PluginKind kind);
/// "a task", "an update", ...
std::string with_article(PluginKind kind);
/// The kind of this name. Throws std::invalid_argument if there is none.
PluginKind kind_named(const std::string& name);

/// The plugin whose code is running.
struct Who {
  PluginKind kind;
  std::string name, version;
};

/// The message of the exception in flight, without LibTorch's backtrace. Call only in a catch block or a
/// terminate handler.
std::string text_in_flight();

/// Rethrows the exception in flight as an orrery::Error, or as an orrery::UsageError if it was one. Keeps the
/// hint of an orrery::Error; leaves out LibTorch's backtraces. Call only in a catch block.
[[noreturn]] void rethrow_as_error(const Who& who, const char* call, std::optional<int64_t> step);

/// Runs `body`, which calls into the plugin, and returns what it returns.
template <class Body>
decltype(auto) guard(const Who& who, const char* call, std::optional<int64_t> step, Body&& body,
                     Watch watch = Watch::everything) {
  const RunningCall running(who, call, step);
  const Surroundings surroundings(running, watch);
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    rethrow_as_error(who, call, step);
  }
}
template <class Body>
decltype(auto) guard(const Who& who, const char* call, Body&& body, Watch watch = Watch::everything) {
  return guard(who, call, std::nullopt, std::forward<Body>(body), watch);
}

}  // namespace orrery
