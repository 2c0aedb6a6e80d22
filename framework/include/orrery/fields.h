// Parameters, declared once. A struct lists its members in `fields()`; that list is at the same time the
// defaults (the member initialisers), the validation, `orrery describe` and the table in a plugin's README.
//
//   struct Params {
//     int64_t p = 113;
//     static void fields(orrery::Fields<Params>& f) { f.add("p", &Params::p, "modulus").at_least(2); }
//   };
#pragma once

#include <orrery/error.h>
#include <orrery/export.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace orrery {

/// Every type a parameter may have. An integer is accepted where a real is declared, never the reverse.
using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                           std::vector<std::string>>;
/// Values by parameter name.
using Values = std::map<std::string, Value>;

/// The texts for the values of an enum, in the order in which `describe` lists them. An enum whose function
/// names_of() gives them can be the type of a parameter: a text in configs and on disk, an enum in code.
///
///   struct Params {
///     enum class Rule { random, diagonal };
///     friend orrery::Names<Rule> names_of(Rule) {
///       return {{"random", Rule::random}, {"diagonal", Rule::diagonal}};
///     }
///     Rule rule = Rule::random;
///   };
template <class E>
using Names = std::vector<std::pair<std::string, E>>;

/// An enum with names_of() in its namespace, or as a friend of the struct that it belongs to.
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E value) {
  { names_of(value) } -> std::same_as<Names<E>>;
};

/// The text for `value`. Throws orrery::Error where names_of() leaves it out.
template <NamedEnum E>
std::string name_of(E value) {
  for (const auto& [name, named] : names_of(value))
    if (named == value) return name;
  throw Error("names_of() gives no text for the value " + std::to_string(static_cast<int64_t>(value)) +
              " of an enum");
}

/// The value that `name` stands for. Throws orrery::Error where names_of() has no such text.
template <NamedEnum E>
E named(const std::string& name) {
  for (const auto& [known, value] : names_of(E{}))
    if (known == name) return value;
  throw Error("names_of() gives no value for the text \"" + name + "\"");
}

/// One declared parameter. The bounds of a list hold for each of its entries.
struct ORRERY_API Field {
  std::string name;  ///< as written in a config; "split.rule" is the key `rule` of a nested table `split`
  Value fallback;    ///< the default; its alternative is the parameter's type
  std::string doc;   ///< one line, no full stop
  std::optional<double> minimum, maximum;
  std::vector<std::string> choices;  ///< for text: what is accepted; empty accepts anything

  /// Bounds are inclusive. Each returns this field, so that calls can be chained.
  Field& at_least(double bound);
  Field& at_most(double bound);
  Field& between(double low, double high);
  Field& one_of(std::vector<std::string> accepted);

  std::string type() const;    ///< "integer", "real", "boolean", "text", "list of integers", ...
  std::string bounds() const;  ///< ">= 2", "0 to 1", "add | subtract", or ""
};

/// `value` as it is written in TOML: 113, 0.3, "add", [1, 2].
ORRERY_API std::string to_string(const Value& value);

/// Widens an integer where `field` is real, an empty list where it is a list of another type. Returns what is
/// wrong with `value` ("expected an integer >= 2, got -1"), or nothing if it is acceptable.
ORRERY_API std::optional<std::string> conform(const Field& field, Value& value);

/// Throws orrery::Error unless every name in `values` is declared and every value acceptable.
ORRERY_API Values conformed(const std::vector<Field>& fields, Values values);

/// Throws orrery::Error on a declaration nobody can use: a name twice, no doc, a default outside its bounds.
ORRERY_API void check_declaration(const std::vector<Field>& fields);

/// Collects the parameters of the struct `Params`.
template <class Params>
class Fields {
 public:
  /// Declares `member` (of Params or of a base of it) under `name`. T is one of the alternatives of Value, or
  /// an enum with names_of(), whose texts are then the choices. `doc` is one line without a full stop. The
  /// result is good until the next add(). A declaration that nobody can use (check_declaration) is reported
  /// when the plugin is loaded.
  template <class T, class Owner>
  Field& add(std::string name, T Owner::*member, std::string doc) {
    static_assert(std::is_base_of_v<Owner, Params>, "the member belongs to another struct");
    static_assert(!std::is_enum_v<T> || NamedEnum<T>,
                  "a parameter that is an enum E needs its texts: in the struct that E belongs to, "
                  "friend orrery::Names<E> names_of(E) { return {{\"text\", E::value}, ...}; }");
    static_assert(
        std::is_enum_v<T> || std::is_constructible_v<Value, std::in_place_type_t<T>>,
        "a parameter is a bool, an int64_t, a double, a std::string, or a std::vector of one of these, "
        "or an enum");
    static const Params defaults{};
    list_.push_back({std::move(name), to_value(defaults.*member), std::move(doc), {}, {}, choices<T>()});
    setters_.push_back(
        [member](Params& params, const Value& value) { params.*member = from_value<T>(value); });
    getters_.push_back([member](const Params& params) { return to_value(params.*member); });
    return list_.back();
  }

  template <class T, class Owner>
  Field& add(const std::string&, T Owner::*) {
    static_assert(!sizeof(T), "a parameter needs a doc: f.add(\"p\", &Params::p, \"what it is\")");
    return list_.back();
  }

  const std::vector<Field>& list() const { return list_; }

  /// The defaults, overlaid with `values`. Throws orrery::Error where a value does not fit its declaration.
  Params make(const Values& values) const {
    Params params{};
    const Values good = conformed(list_, values);
    for (size_t i = 0; i < list_.size(); ++i)
      if (auto found = good.find(list_[i].name); found != good.end()) setters_[i](params, found->second);
    return params;
  }

  /// Every parameter with its value in `params`: what goes into run.json.
  Values values(const Params& params) const {
    Values all;
    for (size_t i = 0; i < list_.size(); ++i) all[list_[i].name] = getters_[i](params);
    return all;
  }

 private:
  // Of an enum, only this class sees both sides: everything beyond it reads and writes texts.
  template <class T>
  static Value to_value(const T& member) {
    if constexpr (NamedEnum<T>)
      return name_of(member);
    else
      return member;
  }
  template <class T>
  static T from_value(const Value& value) {
    if constexpr (NamedEnum<T>)
      return named<T>(std::get<std::string>(value));
    else
      return std::get<T>(value);
  }
  template <class T>
  static std::vector<std::string> choices() {
    std::vector<std::string> texts;
    if constexpr (NamedEnum<T>)
      for (const auto& [name, value] : names_of(T{})) texts.push_back(name);
    return texts;
  }

  std::vector<Field> list_;
  std::vector<std::function<void(Params&, const Value&)>> setters_;
  std::vector<std::function<Value(const Params&)>> getters_;
};

/// The declaration of `Params`.
template <class Params>
Fields<Params> fields_of() {
  Fields<Params> fields;
  if constexpr (requires { Params::fields(fields); })
    Params::fields(fields);
  else
    static_assert(!sizeof(Params),
                  "the parameters are declared in a function of the struct: "
                  "static void fields(orrery::Fields<Params>& f) { f.add(...); }");
  return fields;
}

}  // namespace orrery
