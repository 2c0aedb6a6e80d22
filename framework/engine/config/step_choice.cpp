#include "engine/config/step_choice.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "engine/config/parse_text.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::string range_text(const std::vector<int64_t>& there) {
  return fmt::format("there are {}, from step {} to {}", there.size(), there.front(), there.back());
}

}  // namespace

const char* const StepChoice::expected =
    R"(expected "all", "first", "last", "grokked", "every N" or a list of steps such as 0,500,1000)";

void refuse_step(const std::string& asked_by, int64_t step, const std::vector<int64_t>& there,
                 const std::string& run) {
  throw UsageError(fmt::format("{}: there is no checkpoint of step {} in {}", asked_by, step, run),
                   range_text(there));
}

void require_checkpoints(const std::vector<int64_t>& there, const std::string& run) {
  if (there.empty()) throw UsageError(fmt::format("{}: the run has no checkpoints", run), "train it first");
}

StepChoice StepChoice::parse(const std::string& text, const std::string& place) {
  StepChoice choice;
  if (text == "all") return choice;
  const auto wrong = [&] { refuse(place, fmt::format("{}; got \"{}\"", expected, text)); };
  if (text.starts_with("every ")) {
    const auto number = parse_integer(trimmed(text.substr(6)));
    if (!number || *number < 1) wrong();
    choice.kind_ = Kind::every;
    choice.steps_ = {*number};
    return choice;
  }
  choice.kind_ = Kind::list;
  for (const std::string& part : split_outside_quotes(text, ',')) {
    const std::string word = trimmed(part);
    bool* const named = word == "first"     ? &choice.first_
                        : word == "last"    ? &choice.last_
                        : word == "grokked" ? &choice.grokked_
                                            : nullptr;
    const auto number = parse_integer(word);
    if (named)
      *named = true;
    else if (number && *number >= 0)
      choice.steps_.push_back(*number);
    else
      wrong();
  }
  return choice;
}

std::vector<int64_t> StepChoice::choose(const std::vector<int64_t>& there, const std::string& run,
                                        const std::function<int64_t()>& grokked) const {
  require_checkpoints(there, run);
  if (kind_ == Kind::all) return there;
  if (kind_ == Kind::list) {
    std::vector<int64_t> chosen = steps_;
    for (const int64_t step : steps_)
      if (!std::binary_search(there.begin(), there.end(), step)) refuse_step("--steps", step, there, run);
    if (first_) chosen.push_back(there.front());
    if (last_) chosen.push_back(there.back());
    if (grokked_) chosen.push_back(grokked());
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    return chosen;
  }
  std::vector<int64_t> chosen;
  for (const int64_t step : there)
    if (step % steps_.front() == 0) chosen.push_back(step);
  if (chosen.empty())
    throw UsageError(
        fmt::format("{}: no checkpoint is of a step that is a multiple of {}", run, steps_.front()),
        range_text(there));
  return chosen;
}

}  // namespace orrery::engine
