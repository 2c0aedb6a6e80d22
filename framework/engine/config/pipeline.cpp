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
  if (value)
    if (const auto* words = std::get_if<std::vector<std::string>>(value); words && !words->empty())
      return StepChoice::parse(fmt::format("{}", fmt::join(*words, ",")), place);
  refuse(place, fmt::format("steps: {}, got {}", StepChoice::expected, describe(root.content("steps"))));
}

}  // namespace

ConfigTable pipeline_table() {
  return {"pipeline",
          "a pipeline",
          "which probes, over which checkpoints of which runs, for `orrery probe --pipeline`; its [[probe]] "
          "entries are "
          "those of a config",
          {{"runs", std::vector<std::string>{}, "folders of runs, or globs of them", {}, {}, {}},
           {"steps",
            std::string("all"),
            "which checkpoints: all, first, last, grokked, every N, or a list of these and of steps",
            {},
            {},
            {}}},
          {}};
}

Pipeline resolve_pipeline(const Document& document, const ParametersOf& parameters_of) {
  const Table& root = document.root();
  Pipeline pipeline;
  const Values values =
      bind_fields(root, {pipeline_table().keys.front()}, "the pipeline", {"steps", "probe"});
  pipeline.runs = std::get<std::vector<std::string>>(values.at("runs"));
  pipeline.steps = read_steps(root);
  pipeline.probes = resolve_probes(root.tables("probe"), parameters_of);
  if (pipeline.probes.empty())
    throw UsageError(fmt::format("{}: this pipeline has no [[probe]]", document.source()),
                     "name at least one: [[probe]] and, below it, name = \"...\"");
  return pipeline;
}

}  // namespace orrery::engine
