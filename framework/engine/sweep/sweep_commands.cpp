#include "engine/sweep/sweep_commands.h"

#include <algorithm>
#include <cctype>

namespace orrery::engine {
namespace {

std::string shell_word(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || std::string_view("-_./=,:+@%").find(static_cast<char>(c)) != std::string::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

std::string command_of(const SweepPlan& plan, const SweptRun& run) {
  std::string line = "orrery train " + shell_word(plan.file.base_path);
  for (const Override& each : run.point.overrides(plan.file))
    line += " --set " + shell_word(each.key + "=" + orrery::to_string(each.value));
  return line + " --out " + shell_word(plan.run_folder(run).string());
}

}  // namespace orrery::engine
