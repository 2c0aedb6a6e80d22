#define BOOST_DLL_USE_STD_FS
#include "loader/library.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <boost/dll/shared_library.hpp>
#include <memory>
#include <string_view>
#include <vector>

#include "loader/running.h"
#include "loader/surroundings.h"

namespace orrery {
namespace {

// Never unloaded, and leaked on purpose: objects made by a plugin may be freed as late as in static
// destructors, LibTorch keeps pointers into a library that used it (operator registries, thread-local
// dispatch state), and unloading either way would leave them dangling. So no destructor ever runs here.
void keep_for_ever(std::unique_ptr<boost::dll::shared_library> library) {
  static auto* const kept = new std::vector<std::unique_ptr<boost::dll::shared_library>>;
  kept->push_back(std::move(library));
}

// Boost wraps the dynamic linker's message, which is the helpful one.
std::string linker_text(std::string_view text) {
  constexpr std::string_view opening = "(dlerror system message: ";
  const size_t begin = text.find(opening), end = text.rfind(')');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin + opening.size())
    return std::string(text);
  return std::string(text.substr(begin + opening.size(), end - begin - opening.size()));
}

}  // namespace

const orrery_plugin_info* (*open_library(const std::filesystem::path& file))() {
  using boost::dll::load_mode::rtld_local;
  using boost::dll::load_mode::rtld_now;
  auto library = std::make_unique<boost::dll::shared_library>();
  const std::string path = std::filesystem::absolute(file).string();
  const RunningCall running(path.c_str());
  const Surroundings surroundings(running, Watch::everything);
  try {
    library->load(path, rtld_now | rtld_local);
  } catch (const std::exception& error) {
    throw Error(fmt::format("cannot be loaded: {}", linker_text(error.what())),
                "rebuild the plugin against this Orrery (an undefined symbol means that a source file or a "
                "library is missing from it): cmake -S . -B build && cmake --build build");
  }
  const bool has_entry = library->has("orrery_plugin");
  const orrery_plugin_info* (*entry)() = nullptr;
  if (has_entry) entry = &library->get<const orrery_plugin_info*()>("orrery_plugin");
  keep_for_ever(std::move(library));
  if (!entry)
    throw Error("has no function orrery_plugin()",
                "end its source with ORRERY_TASK(...), ORRERY_PROBE(...) or their like (orrery/plugin.h) and "
                "rebuild it: "
                "cmake --build build");
  return entry;
}

}  // namespace orrery
