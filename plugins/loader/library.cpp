#define BOOST_DLL_USE_STD_FS
#include "library.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <boost/dll/shared_library.hpp>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "guard.h"
#include "running.h"
#include "trial.h"

namespace orrery {
namespace {

// Never unloaded, and leaked on purpose: objects made by a plugin may be freed as late as in static
// destructors, LibTorch keeps pointers into a library that used it (operator registries, thread-local
// dispatch state), and unloading either way would leave them dangling. So no destructor ever runs here.
void keep_for_ever(std::unique_ptr<boost::dll::shared_library> library) {
  static auto* const kept = new std::vector<std::unique_ptr<boost::dll::shared_library>>;
  kept->push_back(std::move(library));
}

// Boost wraps the linker's own words, which are the ones that help. Nothing if it was not the linker who
// failed, but an initialiser that threw an exception of the same type.
std::optional<std::string> linker_text(std::string_view text) {
  constexpr std::string_view opening = "(dlerror system message: ";
  const size_t begin = text.find(opening), end = text.rfind(')');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin + opening.size())
    return std::nullopt;
  return std::string(text.substr(begin + opening.size(), end - begin - opening.size()));
}

[[noreturn]] void refuse_failed_load() {
  try {
    throw;
  } catch (const std::exception& error) {
    if (const auto text = linker_text(error.what()))
      throw Error(fmt::format("cannot be loaded: {}", *text),
                  "rebuild the plugin against this Orrery (an undefined symbol means that a source file or a "
                  "library is missing from it): cmake -S . -B build && cmake --build build");
  } catch (...) {
  }
  refuse_initialisers("threw: " + text_in_flight());
}

}  // namespace

const orrery_plugin_info* (*open_library(const std::filesystem::path& file))() {
  using boost::dll::load_mode::rtld_local;
  using boost::dll::load_mode::rtld_now;
  auto library = std::make_unique<boost::dll::shared_library>();
  const std::string path = std::filesystem::absolute(file).string();
  const RunningCall running(path.c_str());
  try {
    library->load(path, rtld_now | rtld_local);
  } catch (...) {
    refuse_failed_load();
  }
  const bool has_entry = library->has("orrery_plugin");
  const orrery_plugin_info* (*entry)() = nullptr;
  if (has_entry) entry = &library->get<const orrery_plugin_info*()>("orrery_plugin");
  keep_for_ever(std::move(library));
  if (!entry)
    throw Error("has no function orrery_plugin()",
                "end its source with ORRERY_TASK(...) or ORRERY_PROBE(...) (orrery/plugin.h), outside of any "
                "namespace, and rebuild it: cmake --build build");
  return entry;
}

}  // namespace orrery
