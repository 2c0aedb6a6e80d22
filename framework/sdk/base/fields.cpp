#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/fields.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace orrery {
namespace {

// As TOML reads it back. Control characters are escaped, which also keeps a message on one line.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    if (code < 0x20 || code == 0x7f)
      out += fmt::format("\\u{:04x}", code);
    else
      out += c;
  }
  return out + "\"";
}

std::string entry_text(bool v) { return v ? "true" : "false"; }
std::string entry_text(int64_t v) { return fmt::format("{}", v); }
// With a point or an exponent: TOML would read "1" as an integer.
std::string entry_text(double v) {
  const std::string text = fmt::format("{}", v);
  return text.find_first_not_of("-0123456789") == std::string::npos ? text + ".0" : text;
}
std::string entry_text(const std::string& v) { return quoted(v); }
template <class T>
std::string entry_text(const std::vector<T>& list) {
  std::vector<std::string> entries;
  for (const T& entry : list) entries.push_back(entry_text(entry));
  return fmt::format("[{}]", fmt::join(entries, ", "));
}

const char* type_name(const Value& value) {
  static constexpr const char* names[] = {"boolean",          "integer",       "real",         "text",
                                          "list of integers", "list of reals", "list of texts"};
  return names[value.index()];
}

std::string with_article(const std::string& type) { return (type == "integer" ? "an " : "a ") + type; }

// "an integer >= 2", "one of add | subtract", "a list of reals": what conform() expects.
std::string expectation(const Field& field) {
  if (!field.choices.empty()) return "one of " + field.bounds();
  const std::string bounds = field.bounds();
  return fmt::format("{}{}{}", with_article(field.type()), bounds.empty() ? "" : " ", bounds);
}

// An integer becomes a real, and an empty list a list of any type, where that is what `field` declares:
// people write 1 for 1.0, and [] does not say its type, so both arrive as integers.
void widen(const Field& field, Value& value) {
  if (std::holds_alternative<double>(field.fallback) && std::holds_alternative<int64_t>(value)) {
    value = static_cast<double>(std::get<int64_t>(value));
    return;
  }
  const auto* integers = std::get_if<std::vector<int64_t>>(&value);
  if (!integers) return;
  if (std::holds_alternative<std::vector<double>>(field.fallback))
    value = std::vector<double>(integers->begin(), integers->end());
  else if (integers->empty() && std::holds_alternative<std::vector<std::string>>(field.fallback))
    value = std::vector<std::string>{};
}

bool within(const Field& field, double number) {
  // NaN would pass where there are no bounds.
  return !std::isnan(number) && (!field.minimum || number >= *field.minimum) &&
         (!field.maximum || number <= *field.maximum);
}
bool acceptable(const Field&, bool) { return true; }
bool acceptable(const Field& field, int64_t v) { return within(field, static_cast<double>(v)); }
bool acceptable(const Field& field, double v) { return within(field, v); }
bool acceptable(const Field& field, const std::string& v) {
  return field.choices.empty() ||
         std::find(field.choices.begin(), field.choices.end(), v) != field.choices.end();
}
template <class T>
bool acceptable(const Field& field, const std::vector<T>& list) {
  return std::all_of(list.begin(), list.end(), [&](const T& entry) { return acceptable(field, entry); });
}

}  // namespace

Field& Field::at_least(double bound) {
  minimum = bound;
  return *this;
}
Field& Field::at_most(double bound) {
  maximum = bound;
  return *this;
}
Field& Field::between(double low, double high) { return at_least(low).at_most(high); }
Field& Field::one_of(std::vector<std::string> accepted) {
  choices = std::move(accepted);
  return *this;
}

std::string Field::type() const { return type_name(fallback); }

std::string Field::bounds() const {
  if (!choices.empty()) return fmt::format("{}", fmt::join(choices, " | "));
  if (minimum && maximum) return fmt::format("{} to {}", *minimum, *maximum);
  if (minimum) return fmt::format(">= {}", *minimum);
  if (maximum) return fmt::format("<= {}", *maximum);
  return "";
}

std::string to_string(const Value& value) {
  return std::visit([](const auto& v) { return entry_text(v); }, value);
}

std::optional<std::string> conform(const Field& field, Value& value) {
  widen(field, value);
  if (value.index() == field.fallback.index() &&
      std::visit([&](const auto& v) { return acceptable(field, v); }, value))
    return std::nullopt;
  std::string message = fmt::format("expected {}, got {}", expectation(field), to_string(value));
  if (value.index() != field.fallback.index())
    message += fmt::format(" ({})", with_article(type_name(value)));
  if (const auto* text = std::get_if<std::string>(&value)) message += did_you_mean(*text, field.choices);
  return message;
}

Values conformed(const std::vector<Field>& fields, Values values) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  for (auto& [name, value] : values) {
    const auto field = std::find(names.begin(), names.end(), name);
    if (field == names.end())
      throw UsageError(fmt::format("no parameter \"{}\"{}", name, did_you_mean(name, names)));
    if (const auto wrong = conform(fields[field - names.begin()], value))
      throw UsageError(fmt::format("parameter \"{}\": {}", name, *wrong));
  }
  return values;
}

void check_declaration(const std::vector<Field>& fields) {
  std::set<std::string> seen;
  for (const Field& field : fields) {
    if (field.name.empty()) throw Error("a parameter is declared with an empty name");
    if (!seen.insert(field.name).second)
      throw Error(fmt::format("parameter \"{}\" is declared twice", field.name));
    if (field.doc.empty())
      throw Error(fmt::format("parameter \"{}\" has no doc", field.name),
                  "say what it means in its f.add(...)");
    Value fallback = field.fallback;
    if (const auto wrong = conform(field, fallback))
      throw Error(
          fmt::format("the default of parameter \"{}\" breaks its own bounds: {}", field.name, *wrong));
  }
}

}  // namespace orrery
