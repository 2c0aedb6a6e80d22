// The page of all reproductions, and the table of each text, as Markdown.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/gallery/gallery_entry.h"

namespace orrery::engine {

/// Where pictures are, below the folder of the page.
inline constexpr const char* picture_folder = "images/reproductions";

struct GalleryPage {
  std::filesystem::path out;  ///< the folder of the page
  std::vector<GalleryEntry> entries;
  std::vector<std::string> unmeasured;  ///< configs of which nothing is known yet
};

/// Depends on nothing but `page` and the headings of the README.md of its folders: the same bytes each time.
std::string gallery_markdown(const GalleryPage& page);

/// The claims of the entries in one folder, for the README.md there.
std::string folder_table(const std::filesystem::path& folder, const std::vector<GalleryEntry>& entries);

/// `readme`, which has_folder_table(), with `table` between its two markers. Throws orrery::UsageError, with
/// file and line, if one of them is missing or they are the wrong way round.
std::string with_folder_table(const std::string& readme, const std::string& file, const std::string& table);
bool has_folder_table(const std::string& readme);

}  // namespace orrery::engine
