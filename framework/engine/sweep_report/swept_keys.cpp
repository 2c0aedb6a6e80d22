#include "engine/sweep_report/swept_keys.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace orrery::engine {
namespace {

constexpr const char* in_the_base = "as in the base";

std::optional<double> as_number(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

std::string plain_text(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text ? *text : orrery::to_string(value);
}

// Puts the values into ascending order, and the runs' indices with them.
void sort_by_number(SweptKey& key) {
  std::vector<size_t> order(key.numbers.size()), place(key.numbers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return key.numbers[a] < key.numbers[b]; });
  SweptKey sorted{key.name, {}, {}, {}};
  for (size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    sorted.texts.push_back(key.texts[order[i]]);
    sorted.numbers.push_back(key.numbers[order[i]]);
  }
  for (const size_t value : key.of_run) sorted.of_run.push_back(place[value]);
  key = std::move(sorted);
}

SweptKey read_key(const SweepPlan& plan, const std::string& name) {
  SweptKey key{name, {}, {}, {}};
  std::vector<Value> values;
  std::vector<size_t> without;
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    key.of_run.push_back(0);
    const std::vector<Override> all = plan.runs[i].point.coordinates();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Override& each) { return each.key == name; });
    if (found == all.end()) {
      without.push_back(i);
      continue;
    }
    const auto known = std::find_if(values.begin(), values.end(),
                                    [&](const Value& value) { return same_value(value, found->value); });
    key.of_run.back() = static_cast<size_t>(known - values.begin());
    if (known != values.end()) continue;
    values.push_back(found->value);
    key.texts.push_back(plain_text(found->value));
    if (const auto number = as_number(found->value)) key.numbers.push_back(*number);
  }
  for (const size_t i : without) key.of_run[i] = values.size();
  if (!without.empty()) key.texts.push_back(in_the_base);
  if (key.numbers.size() == key.texts.size())
    sort_by_number(key);
  else
    key.numbers.clear();
  return key;
}

}  // namespace

std::vector<SweptKey> swept_keys(const SweepPlan& plan) {
  std::vector<SweptKey> keys;
  for (const std::string& name : plan.keys())
    if (SweptKey key = read_key(plan, name); key.texts.size() > 1) keys.push_back(std::move(key));
  return keys;
}

}  // namespace orrery::engine
