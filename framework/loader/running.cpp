#include "loader/running.h"

#include <fmt/format.h>

#include <atomic>

#include "loader/guard.h"

namespace orrery {
namespace {

std::atomic<const RunningCall*> running = nullptr;
static_assert(decltype(running)::is_always_lock_free, "it is read in signal handlers");

}  // namespace

RunningCall::RunningCall(const Who& who, const char* call, std::optional<int64_t> step) noexcept
    : who(&who), call(call), step(step), outer_(running) {
  running = this;
}

RunningCall::RunningCall(const char* file) noexcept : file(file), outer_(running) { running = this; }

RunningCall::~RunningCall() { running = outer_; }

const RunningCall* RunningCall::innermost() noexcept { return running; }

std::string place_text(const RunningCall& call, std::optional<int64_t> step) {
  if (!call.who) return fmt::format("{}, its static initialisers: ", call.file);
  return fmt::format("{} {} {}, {}{}: ", to_string(call.who->kind), call.who->name, call.who->version,
                     call.call, step ? fmt::format(", step {}", *step) : "");
}

}  // namespace orrery
