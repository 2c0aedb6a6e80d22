#include "loader/surroundings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include "loader/guard.h"
#include "loader/process_state.h"

namespace orrery {
namespace {

DisturbanceListener& listener() {
  // Never destroyed: calls come as late as in static destructors.
  static auto* current = new DisturbanceListener(each_kind_once([](const Disturbance& change) {
    std::fprintf(stderr, "warning: %s\n  %s\n", change.what.c_str(), change.hint.c_str());
  }));
  return *current;
}

constexpr const char* advice =
    "it was undone. A plugin shares such things with the host and other plugins: leave them as they are, "
    "draw from "
    "a torch::Generator of your own, and print to std::cerr";

}  // namespace

DisturbanceListener each_kind_once(DisturbanceListener listener) {
  return
      [listener = std::move(listener), heard = std::set<std::string>()](const Disturbance& change) mutable {
        if (heard.insert(change.kind).second) listener(change);
      };
}

DisturbanceListener listen_for_disturbances(DisturbanceListener next) {
  return std::exchange(listener(), std::move(next));
}

struct Surroundings::State {
  ComputingState computing;
  std::optional<GeneratorState> generator;
  std::optional<SystemState> system;
  OutputDiversion output;

  explicit State(Watch watch) {
    if (watch != Watch::everything) return;
    generator.emplace();
    system.emplace();
  }
  Changes undo() {
    Changes changes;
    output.end(changes);
    computing.undo(changes);
    if (generator) generator->undo(changes);
    if (system) system->undo(changes);
    return changes;
  }
};

Surroundings::Surroundings(const RunningCall& call, Watch watch)
    : call_(call), state_(watch == Watch::nothing ? nullptr : std::make_unique<State>(watch)) {}

Surroundings::~Surroundings() {
  if (!state_) return;
  try {
    const Changes changes = state_->undo();
    if (changes.empty()) return;
    const std::string what = fmt::format("it {}", fmt::join(changes, ", and "));
    listener()({place_text(call_, call_.step) + what, advice, place_text(call_, std::nullopt) + what});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "warning: %s\n", error.what());
  }
}

}  // namespace orrery
