#include "engine/check/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <cmath>
#include <limits>
#include <regex>
#include <set>

namespace orrery::engine::checks {
namespace {

using Case = std::pair<std::string, Value>;

// `number` in the type of the field: an integer, a real, or a list of one of them.
std::optional<Value> in_type_of(const Field& field, double number) {
  const bool whole = std::abs(number) < 9e18;
  const auto integer = static_cast<int64_t>(whole ? number : 0);
  if (std::holds_alternative<double>(field.fallback)) return Value(number);
  if (std::holds_alternative<std::vector<double>>(field.fallback)) return Value(std::vector<double>{number});
  if (!whole) return std::nullopt;
  if (std::holds_alternative<int64_t>(field.fallback)) return Value(integer);
  if (std::holds_alternative<std::vector<int64_t>>(field.fallback))
    return Value(std::vector<int64_t>{integer});
  return std::nullopt;
}

// The nearest number below (or above) a bound that the field's type can represent.
double beyond(const Field& field, double bound, double direction) {
  const bool real = std::holds_alternative<double>(field.fallback) ||
                    std::holds_alternative<std::vector<double>>(field.fallback);
  if (real) {
    // Next to 0 lie subnormal numbers, which may be flushed to 0 itself.
    const double next = std::nextafter(bound, direction * std::numeric_limits<double>::infinity());
    constexpr double normal = std::numeric_limits<double>::min();
    return std::abs(next) < normal ? direction * normal : next;
  }
  return direction < 0 ? std::ceil(bound) - 1 : std::floor(bound) + 1;
}

std::string fault_of_doc(const Field& field) {
  if (field.doc.empty()) return "it has no doc";
  if (field.doc.find('\n') != std::string::npos) return "its doc has more than one line";
  if (field.doc.back() == '.') return "its doc ends with a full stop";
  return "";
}

Result documented(const DeclaredParameters& declared) {
  static const std::regex name("[A-Za-z][A-Za-z0-9_]*(\\.[A-Za-z][A-Za-z0-9_]*)*");
  if (declared.summary.empty() || declared.summary.back() != '.')
    return failed(fmt::format("the summary is \"{}\"", declared.summary),
                  "end the line ORRERY_TASK(...), ORRERY_PROBE(...) or their like with one sentence, full "
                  "stop included");
  for (const Field& field : declared.fields) {
    if (!std::regex_match(field.name, name))
      return failed(fmt::format("parameter \"{}\" cannot be written as a key of a config", field.name),
                    "name it with letters, digits and underscores; a point makes a nested table");
    if (const std::string fault = fault_of_doc(field); !fault.empty())
      return failed(fmt::format("parameter \"{}\": {}", field.name, fault),
                    "say in one line, without a full stop, what it means: f.add(NAME, MEMBER, DOC)");
  }
  return ok(counted(static_cast<int64_t>(declared.fields.size()), "parameter"));
}

// Once without values, and once with every default written out, as run.json has them.
Result defaults(const DeclaredParameters& declared) {
  Values all;
  for (const Field& field : declared.fields) {
    Value fallback = field.fallback;
    if (const auto wrong = conform(field, fallback))
      return failed(fmt::format("the default of {}: {}", field.name, *wrong),
                    "change the member initialiser, or the bounds");
    if (!all.emplace(field.name, fallback).second)
      return failed(fmt::format("parameter \"{}\" is declared twice", field.name), "declare it once");
  }
  declared.make({});
  declared.make(all);
  return ok();
}

// "" if making it with `value` is refused by a message that names the parameter; otherwise what is wrong.
std::string not_refused(const std::function<void(const Values&)>& make, const std::string& name,
                        const Value& value) {
  try {
    make({{name, value}});
  } catch (const std::exception& error) {
    if (std::string(error.what()).find(name) != std::string::npos) return "";
    return fmt::format("is refused without its name: {}", error.what());
  }
  return "is accepted";
}

Result refused(const DeclaredParameters& declared, const std::vector<Case>& cases,
               const std::string& advice) {
  for (const auto& [name, value] : cases)
    if (const std::string fault = not_refused(declared.make, name, value); !fault.empty())
      return failed(fmt::format("{} = {} {} by its create()", name, to_string(value), fault), advice);
  return ok(counted(static_cast<int64_t>(cases.size()), "wrong value") + " refused");
}

Result bounds(const DeclaredParameters& declared) {
  const std::vector<Case> cases = values_out_of_bounds(declared.fields);
  if (cases.empty()) return not_applicable("no parameter has bounds or choices");
  return refused(
      declared, cases,
      "declare the parameter with f.add(...).at_least(), at_most(), between() or one_of(), and let "
      "ORRERY_TASK or ORRERY_PROBE write create()");
}

Result types(const DeclaredParameters& declared) {
  std::vector<Case> cases = values_of_another_type(declared.fields);
  cases.emplace_back("no_such_parameter", int64_t{1});
  return refused(declared, cases,
                 "let ORRERY_TASK or ORRERY_PROBE write create(): it refuses what is not declared");
}

bool makes(const DeclaredParameters& declared, const Values& values) {
  try {
    declared.make(values);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// A bad value must be refused when it is given, not fail later.
Result small(const DeclaredParameters& declared) {
  const std::vector<Case> cases = small_values(declared.fields);
  if (cases.empty()) return not_applicable("it has no numbers for parameters");
  try {
    declared.use({});
  } catch (const std::exception&) {
    return not_applicable("it fails with the values it was given already");
  }
  for (const auto& [name, value] : cases) {
    if (!makes(declared, {{name, value}})) continue;
    try {
      declared.use({{name, value}});
    } catch (const std::exception& error) {
      return failed(
          fmt::format("{} = {} is accepted, but then: {}", name, to_string(value), error.what()),
          "declare its bounds (f.add(...).at_least()), or throw orrery::UsageError in the constructor");
    }
  }
  return ok(counted(static_cast<int64_t>(cases.size()), "value"));
}

}  // namespace

std::vector<Case> values_out_of_bounds(const std::vector<Field>& fields) {
  std::vector<Case> cases;
  const auto add = [&](const Field& field, double number) {
    if (const auto value = in_type_of(field, number)) cases.emplace_back(field.name, *value);
  };
  for (const Field& field : fields) {
    if (field.minimum) add(field, beyond(field, *field.minimum, -1));
    if (field.maximum) add(field, beyond(field, *field.maximum, +1));
    if (field.choices.empty()) continue;
    const std::string other = fmt::format("not {}", fmt::join(field.choices, " or "));
    if (std::holds_alternative<std::string>(field.fallback)) cases.emplace_back(field.name, other);
    if (std::holds_alternative<std::vector<std::string>>(field.fallback))
      cases.emplace_back(field.name, std::vector<std::string>{other});
  }
  return cases;
}

std::vector<Case> values_of_another_type(const std::vector<Field>& fields) {
  std::vector<Case> cases;
  for (const Field& field : fields) {
    const bool text = std::holds_alternative<std::string>(field.fallback);
    cases.emplace_back(field.name, text ? Value(true) : Value(std::string("text")));
    // A real is never accepted as an integer.
    if (std::holds_alternative<int64_t>(field.fallback)) cases.emplace_back(field.name, 2.5);
  }
  return cases;
}

std::vector<Case> small_values(const std::vector<Field>& fields) {
  std::vector<Case> cases;
  for (const Field& field : fields) {
    std::set<double> numbers = {-1, 0, 1};
    if (field.minimum) numbers.insert(std::ceil(*field.minimum));
    for (const double number : numbers) {
      auto value = in_type_of(field, number);
      if (value && !conform(field, *value)) cases.emplace_back(field.name, *value);
    }
  }
  return cases;
}

std::vector<Check> parameter_checks(const DeclaredParameters& declared) {
  return {{"parameters are documented", {}, [declared] { return documented(declared); }},
          {"the defaults fit", {}, [declared] { return defaults(declared); }},
          {"bounds are enforced", {"the defaults fit"}, [declared] { return bounds(declared); }},
          {"types are enforced", {"the defaults fit"}, [declared] { return types(declared); }}};
}

Check small_values_check(const DeclaredParameters& declared, std::vector<std::string> after) {
  after.push_back("the defaults fit");
  return {"small values work or are refused", std::move(after), [declared] { return small(declared); }};
}

}  // namespace orrery::engine::checks
