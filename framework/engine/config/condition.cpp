#include "engine/config/condition.h"

#include <algorithm>

#include "engine/config/scan.h"

namespace orrery::engine {
namespace {

bool compare(double value, const std::string& op, double bound) {
  if (op == ">=") return value >= bound;
  if (op == "<=") return value <= bound;
  return op == ">" ? value > bound : value < bound;
}

}  // namespace

Condition Condition::parse(const std::string& text) {
  Condition condition;
  Tokens tokens(text, "a condition reads METRIC >= NUMBER; `and` joins several");
  Token metric = tokens.next();
  if (metric.text.empty()) return condition;
  while (true) {
    if (metric.text.empty() || metric.text == "and" || is_operator(metric))
      tokens.refuse("the name of a metric", metric);
    const std::string op = tokens.comparison();
    condition.comparisons_.push_back({metric.text, op, tokens.number()});
    const Token joint = tokens.next();
    if (joint.text.empty()) return condition;
    if (joint.text != "and") tokens.refuse("\"and\" or the end", joint);
    metric = tokens.next();
  }
}

bool Condition::holds(const std::map<std::string, double>& metrics) const {
  return !comparisons_.empty() &&
         std::all_of(comparisons_.begin(), comparisons_.end(), [&](const Comparison& comparison) {
           const auto found = metrics.find(comparison.metric);
           return found != metrics.end() && compare(found->second, comparison.op, comparison.bound);
         });
}

std::vector<std::string> Condition::metrics() const {
  std::vector<std::string> names;
  for (const Comparison& comparison : comparisons_)
    if (std::find(names.begin(), names.end(), comparison.metric) == names.end())
      names.push_back(comparison.metric);
  return names;
}

}  // namespace orrery::engine
