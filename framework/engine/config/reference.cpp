#include "engine/config/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "loader/describe.h"
#include "loader/json.h"

namespace orrery::engine {

bool ConfigTable::requires_key(const std::string& key) const {
  return std::find(required.begin(), required.end(), key) != required.end();
}

std::vector<ConfigTable> config_tables(const std::string& name) {
  std::vector<ConfigTable> tables = config_tables();
  if (name != "config") std::erase_if(tables, [&](const ConfigTable& table) { return table.name != name; });
  return tables;
}

std::string config_json(const std::vector<ConfigTable>& tables) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const ConfigTable& table : tables) {
    nlohmann::ordered_json keys = nlohmann::ordered_json::array();
    for (const Field& field : table.keys) {
      keys.push_back(field_json(field));
      if (!table.requires_key(field.name)) continue;
      keys.back().erase("default");
      keys.back()["required"] = true;
    }
    all.push_back({{"table", table.name},
                   {"title", table.title},
                   {"meaning", table.meaning},
                   {"keys", std::move(keys)}});
  }
  return all.dump(2) + "\n";
}

std::string config_markdown(const std::vector<ConfigTable>& tables) {
  std::string out;
  for (const ConfigTable& table : tables) {
    out += fmt::format("{}## {}\n\n{}{}.\n\n", out.empty() ? "" : "\n",
                       table.name == "config" ? "Outside any table" : "`" + table.title + "`",
                       static_cast<char>(std::toupper(static_cast<unsigned char>(table.meaning.front()))),
                       table.meaning.substr(1));
    out += fields_markdown("key", table.keys, table.required);
  }
  return out;
}

}  // namespace orrery::engine
