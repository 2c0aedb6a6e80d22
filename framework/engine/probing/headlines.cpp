#include "engine/probing/headlines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/reporter/numbers.h"

namespace orrery::engine {

std::optional<double> scalar_of(const Record& record, const std::string& name) {
  for (const auto& [known, value] : record.scalars)
    if (known == name) return value;
  return std::nullopt;
}

std::string headline_text(const std::vector<Outcome>& outcomes) {
  std::vector<std::string> parts;
  for (const Outcome& outcome : outcomes)
    for (const std::string& name : outcome.record.headlines)
      if (const auto value = scalar_of(outcome.record, name))
        parts.push_back(fmt::format(
            "{} {}", outcome.record.headlines.size() > 1 ? name : outcome.probe->label, compact(*value)));
  return fmt::format("{}", fmt::join(parts, "  "));
}

}  // namespace orrery::engine
