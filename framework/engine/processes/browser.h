// A browser without a window, which draws pages for us.
#pragma once

#include <filesystem>
#include <string>

namespace orrery::engine {

/// The program: what ORRERY_BROWSER names, or else Chromium or Chrome by one of its usual names. Throws
/// orrery::Error, saying what to install, where there is none.
std::filesystem::path find_browser();

/// What a page becomes once its scripts have nothing more to do, as HTML. `fragment` is behind the # of its
/// address. Throws orrery::Error where the browser fails or takes more than `seconds`.
std::string page_after_scripts(const std::filesystem::path& browser, const std::filesystem::path& page,
                               const std::string& fragment, int seconds);

}  // namespace orrery::engine
