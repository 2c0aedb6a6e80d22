#include "engine/config/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/config/probe_choice.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

constexpr const char* expected = R"(expected "all", "last", "every N" or a list of steps such as 0,500,1000)";

std::optional<int64_t> number_of(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

StepChoice read_steps(const Table& root) {
  if (!root.has("steps")) return {};
  const std::string& place = root.place("steps");
  const auto* value = std::get_if<Value>(&root.content("steps"));
  if (value)
    if (const auto* text = std::get_if<std::string>(value)) return StepChoice::parse(*text, place);
  if (value)
    if (const auto* steps = std::get_if<std::vector<int64_t>>(value); steps && !steps->empty())
      return StepChoice::parse(fmt::format("{}", fmt::join(*steps, ",")), place);
  refuse(place, fmt::format("steps: {}, got {}", expected, describe(root.content("steps"))));
}

}  // namespace

StepChoice StepChoice::parse(const std::string& text, const std::string& place) {
  StepChoice choice;
  if (text == "all") return choice;
  if (text == "last") {
    choice.kind_ = Kind::last;
    return choice;
  }
  const auto wrong = [&] { refuse(place, fmt::format("{}; got \"{}\"", expected, text)); };
  if (text.starts_with("every ")) {
    const auto number = number_of(trimmed(text.substr(6)));
    if (!number || *number < 1) wrong();
    choice.kind_ = Kind::every;
    choice.steps_ = {*number};
    return choice;
  }
  choice.kind_ = Kind::list;
  for (const std::string& part : split_outside_quotes(text, ',')) {
    const auto number = number_of(trimmed(part));
    if (!number || *number < 0) wrong();
    choice.steps_.push_back(*number);
  }
  std::sort(choice.steps_.begin(), choice.steps_.end());
  choice.steps_.erase(std::unique(choice.steps_.begin(), choice.steps_.end()), choice.steps_.end());
  return choice;
}

std::vector<int64_t> StepChoice::choose(const std::vector<int64_t>& there, const std::string& run) const {
  if (there.empty()) throw UsageError(fmt::format("{}: the run has no checkpoints", run), "train it first");
  const std::string range =
      fmt::format("there are {}, from step {} to {}", there.size(), there.front(), there.back());
  if (kind_ == Kind::all) return there;
  if (kind_ == Kind::last) return {there.back()};
  if (kind_ == Kind::list) {
    for (const int64_t step : steps_)
      if (!std::binary_search(there.begin(), there.end(), step))
        throw UsageError(fmt::format("{}: there is no checkpoint of step {}", run, step), range);
    return steps_;
  }
  std::vector<int64_t> chosen;
  for (const int64_t step : there)
    if (step % steps_.front() == 0) chosen.push_back(step);
  if (chosen.empty())
    throw UsageError(
        fmt::format("{}: no checkpoint is of a step that is a multiple of {}", run, steps_.front()), range);
  return chosen;
}

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
