#include "engine/config/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include "engine/config/probe_choice.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

StepChoice read_steps(const Table& root) {
  if (!root.has("steps")) return {};
  const std::string& place = root.place("steps");
  const auto* value = std::get_if<Value>(&root.content("steps"));
  if (value)
    if (const auto* text = std::get_if<std::string>(value)) return StepChoice::parse(*text, place);
  if (value)
    if (const auto* steps = std::get_if<std::vector<int64_t>>(value); steps && !steps->empty())
      return StepChoice::parse(fmt::format("{}", fmt::join(*steps, ",")), place);
  refuse(place, fmt::format("steps: {}, got {}", StepChoice::expected, describe(root.content("steps"))));
}

}  // namespace

Pipeline resolve_pipeline(const Document& document, const ParametersOf& parameters_of) {
  const Table& root = document.root();
  const Field runs{"runs", std::vector<std::string>{}, "folders of runs, or globs of them", {}, {}, {}};
  Pipeline pipeline;
  const Values values = bind_fields(root, {runs}, "the pipeline", {"steps", "probe"});
  pipeline.runs = std::get<std::vector<std::string>>(values.at("runs"));
  pipeline.steps = read_steps(root);
  pipeline.probes = resolve_probes(root.tables("probe"), parameters_of);
  if (pipeline.probes.empty())
    throw UsageError(fmt::format("{}: this pipeline has no [[probe]]", document.origin()),
                     "name at least one: [[probe]] and, below it, name = \"...\"");
  return pipeline;
}

}  // namespace orrery::engine
