// Renders pages in a headless browser.
#pragma once

#include <filesystem>
#include <string>

namespace orrery::engine {

/// The browser named by ORRERY_BROWSER, or else Chromium or Chrome under one of their usual names. Throws
/// orrery::Error, saying what to install, if there is none.
std::filesystem::path find_browser();

/// The HTML of a page after its scripts have finished. `fragment` is the part of the URL after "#". Throws
/// orrery::Error if the browser fails or takes more than `seconds`.
std::string page_after_scripts(const std::filesystem::path& browser, const std::filesystem::path& page,
                               const std::string& fragment, int seconds);

}  // namespace orrery::engine
