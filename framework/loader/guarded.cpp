#include "loader/guarded.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cstdio>

#include "loader/json.h"

namespace orrery {
namespace {

// Does not validate the values: the plugin, which declared them, does that in its create() (Fields::make).
std::string parameters_text(const Values& values) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, value] : values) object[name] = to_json(value);
  try {
    return object.dump();
  } catch (const nlohmann::json::exception&) {
    throw UsageError("a parameter's text is not valid UTF-8", "save the config as UTF-8");
  }
}

}  // namespace

void guarded_destroy(const Who& who, const char* call, const std::function<void()>& destroy) noexcept {
  try {
    guard(who, call, destroy);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "warning: %s\n", error.what());
  }
}

void* create_instance(const Plugin& plugin, PluginKind kind, const Values& values) {
  if (plugin.kind != kind)
    throw UsageError(
        fmt::format("\"{}\" is {}, not {}", plugin.name, with_article(plugin.kind), with_article(kind)),
        fmt::format("`orrery plugins` lists every {}", to_string(kind)));
  return guard(plugin.who(), "create", [&] {
    void* made = plugin.info->create(parameters_text(values).c_str());
    if (!made)
      throw Error("nothing was made", "return an instance, or throw an orrery::Error that says why not");
    return made;
  });
}

}  // namespace orrery
