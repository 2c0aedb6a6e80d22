// Every key that a config may have, taken from the declarations that read it: `orrery describe config`,
// docs/config.md.
#pragma once

#include <orrery/fields.h>

#include <string>
#include <vector>

namespace orrery::engine {

struct ConfigTable {
  std::string
      name;  ///< what `orrery describe` calls it: "train", "probe", "mlp"; "config": outside any table
  std::string title;    ///< as it is written: "[train]", "[[probe]]"
  std::string meaning;  ///< one line, no full stop
  std::vector<Field> keys;
  std::vector<std::string> required;  ///< keys without a default, whose `fallback` means nothing

  bool requires_key(const std::string& key) const;
};

/// The tables of a config in the order in which run.json has them, the parameters of each kind of model after
/// [model], and a pipeline at the end.
std::vector<ConfigTable> config_tables();

/// Those called `name`; all for "config". Empty if there is none.
std::vector<ConfigTable> config_tables(const std::string& name);

/// {"table", "title", "meaning", "keys": [{"name", "type", "default" or "required": true, "minimum",
/// "maximum", "choices", "doc"}]}, for each, as a JSON list.
std::string config_json(const std::vector<ConfigTable>& tables);

/// A heading and a table of keys for each, as docs/config.md holds them.
std::string config_markdown(const std::vector<ConfigTable>& tables);

}  // namespace orrery::engine
