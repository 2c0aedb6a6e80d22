#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>

#include "engine/config/document.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

bool finite(double number) { return std::isfinite(number); }
bool finite(const std::vector<double>& list) {
  return std::all_of(list.begin(), list.end(), [](double number) { return std::isfinite(number); });
}
template <class T>
bool finite(const T&) {
  return true;
}

std::string first_part(const std::string& dotted) { return dotted.substr(0, dotted.find('.')); }

// Walks one table and the tables inside it to which dotted field names lead.
class Binder {
 public:
  Binder(const std::vector<Field>& fields, std::string owner) : fields_(fields), owner_(std::move(owner)) {}

  // `prefix` is "" or, inside a nested table, "split.".
  void walk(const Table& table, const std::string& prefix, const std::vector<std::string>& also_known) {
    for (const std::string& key : table.keys()) {
      if (std::find(also_known.begin(), also_known.end(), key) != also_known.end()) continue;
      if (const Field* field = named(prefix, key))
        take(*field, table, key);
      else if (!key.empty() && key.find('.') == std::string::npos && leads_on(prefix + key + "."))
        walk(table.table(key), prefix + key + ".", {});
      else
        refuse_unknown(table, prefix, key, also_known);
    }
  }

  Values complete() {
    for (const Field& field : fields_) {
      if (values_.count(field.name)) continue;
      if (!std::visit([](const auto& value) { return finite(value); }, field.fallback))
        throw Error(fmt::format("{}: the default of \"{}\" is {}, which a run cannot record", owner_,
                                field.name, to_string(field.fallback)),
                    "declare a finite default");
      values_[field.name] = field.fallback;
    }
    return std::move(values_);
  }

 private:
  // A quoted key that contains a dot is not the path it looks like.
  const Field* named(const std::string& prefix, const std::string& key) const {
    if (key.find('.') != std::string::npos) return nullptr;
    const auto found = std::find_if(fields_.begin(), fields_.end(),
                                    [&](const Field& field) { return field.name == prefix + key; });
    return found == fields_.end() ? nullptr : &*found;
  }

  bool leads_on(const std::string& prefix) const {
    return std::any_of(fields_.begin(), fields_.end(),
                       [&](const Field& field) { return field.name.starts_with(prefix); });
  }

  void take(const Field& field, const Table& table, const std::string& key) {
    const Table::Content& content = table.content(key);
    const auto* written = std::get_if<Value>(&content);
    if (!written) {
      const std::string bounds = field.bounds().empty() ? "" : " " + field.bounds();
      refuse(table.value_place(key), fmt::format("{}: expected one value ({}{}), got {}", table.path(key),
                                                 field.type(), bounds, describe(content)));
    }
    Value value = *written;
    if (const auto wrong = conform(field, value))
      refuse(table.value_place(key), fmt::format("{}: {}", table.path(key), *wrong));
    values_[field.name] = std::move(value);
  }

  [[noreturn]] void refuse_unknown(const Table& table, const std::string& prefix, const std::string& key,
                                   std::vector<std::string> known) const {
    for (const Field& field : fields_) {
      if (!field.name.starts_with(prefix)) continue;
      const std::string name = first_part(field.name.substr(prefix.size()));
      if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
    }
    refuse(table.place(key),
           fmt::format("{} has no key \"{}\"{}", owner_, prefix + key, did_you_mean(key, known)),
           known.empty() ? "it has no keys at all" : fmt::format("its keys are {}", fmt::join(known, ", ")));
  }

  const std::vector<Field>& fields_;
  std::string owner_;
  Values values_;
};

}  // namespace

Values bind_fields(const Table& table, const std::vector<Field>& fields, const std::string& owner,
                   const std::vector<std::string>& also_known) {
  Binder binder(fields, owner);
  binder.walk(table, "", also_known);
  return binder.complete();
}

std::string required_text(const Table& table, const std::string& key, const std::string& owner,
                          const std::string& means, const std::string& hint) {
  if (!table.has(key))
    refuse(table.place(), fmt::format("{} needs a key \"{}\", {}", owner, key, means), hint);
  const Table::Content& content = table.content(key);
  if (const auto* value = std::get_if<Value>(&content))
    if (const auto* text = std::get_if<std::string>(value)) return *text;
  refuse(table.value_place(key),
         fmt::format("{}: expected a text, got {}", table.path(key), describe(content)));
}

}  // namespace orrery::engine
