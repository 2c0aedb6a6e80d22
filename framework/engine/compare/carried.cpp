#include "engine/compare/carried.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace orrery::engine {
namespace {

constexpr double kNotRecorded = std::numeric_limits<double>::quiet_NaN();

double recorded_scalar(const Record& record, const std::string& name) {
  for (const auto& [known, value] : record.scalars)
    if (known == name) return value;
  return kNotRecorded;
}

template <class T>
T carried_field(const Finding& finding, const std::string& name) {
  const auto found = finding.fields.find(name);
  const auto* value = found == finding.fields.end() ? nullptr : std::get_if<T>(&found->second);
  return value ? *value : T{};
}

std::vector<std::string> in_order(const CarriedScores& scores) {
  std::vector<std::string> names;
  for (const auto& [name, score] : scores) names.push_back(name);
  std::sort(names.begin(), names.end(), [&](const std::string& x, const std::string& y) {
    return scores.at(x).place < scores.at(y).place;
  });
  return names;
}

void add_difference(CarriedInBoth& both, const CarriedInBoth::Row& row, size_t& counted) {
  const double difference = std::abs(row.a.accuracy - row.b.accuracy);
  if (std::isnan(difference)) return;
  both.mean += difference;
  ++counted;
  if (counted > 1 && difference <= both.largest) return;
  both.largest = difference;
  both.largest_at = row.hypothesis;
}

void add_row(CarriedInBoth& both, const CarriedInBoth::Row& row) {
  if (row.a.carried && row.b.carried) both.both.push_back(row.hypothesis);
  if (row.a.carried && !row.b.carried) both.only_a.push_back(row.hypothesis);
  if (!row.a.carried && row.b.carried) both.only_b.push_back(row.hypothesis);
  both.rows.push_back(row);
}

}  // namespace

std::optional<CarriedScores> carried_of(const Record& record) {
  std::vector<std::string> names;
  std::set<std::string> carried;
  for (const Finding& finding : record.findings) {
    if (finding.kind == "hypotheses") names = carried_field<std::vector<std::string>>(finding, "names");
    if (finding.name.starts_with("carries/"))
      carried.insert(carried_field<std::string>(finding, "hypothesis"));
  }
  if (names.empty()) return std::nullopt;
  CarriedScores scores;
  for (const std::string& name : names)
    if (!scores.contains(name))
      scores[name] = {recorded_scalar(record, "accuracy/" + name),
                      recorded_scalar(record, "random/" + name),
                      recorded_scalar(record, "wrong/" + name),
                      recorded_scalar(record, "other/" + name),
                      carried.contains(name),
                      scores.size()};
  return scores;
}

std::optional<CarriedInBoth> carried_in_both(const CarriedScores& a, const CarriedScores& b) {
  CarriedInBoth both;
  size_t counted = 0;
  for (const std::string& name : in_order(a)) {
    const auto found = b.find(name);
    if (found == b.end()) {
      both.untested_b.push_back(name);
      continue;
    }
    const CarriedInBoth::Row row{name, a.at(name), found->second};
    add_row(both, row);
    add_difference(both, row, counted);
  }
  for (const std::string& name : in_order(b))
    if (!a.contains(name)) both.untested_a.push_back(name);
  if (both.rows.empty()) return std::nullopt;
  if (counted > 0)
    both.mean /= static_cast<double>(counted);
  else
    both.mean = both.largest = kNotRecorded;
  return both;
}

}  // namespace orrery::engine
