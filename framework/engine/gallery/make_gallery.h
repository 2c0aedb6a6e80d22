// Makes the page of reproductions from the runs and sweeps that are finished, and trains nothing.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/gallery/gallery_entry.h"
#include "engine/reporter/reporter.h"
#include "loader/registry.h"

namespace orrery::engine {

struct GalleryRequest {
  std::vector<std::filesystem::path> configs;  ///< configs and sweeps to look at
  std::filesystem::path runs;                  ///< where runs and sweeps are; "": runs/verify and runs/sweeps
  std::filesystem::path out = "docs";
  bool readmes = true;  ///< whether to write the tables of the folders' README.md
};

struct Gallery {
  std::vector<GalleryEntry> judged;                           ///< in the order of the request
  std::vector<std::pair<std::string, std::string>> left_out;  ///< configs, and why
  std::vector<std::filesystem::path> written;
  bool empty = false;        ///< nothing is finished, and nothing was recorded before
  bool all_passed = false;   ///< every claim on the page, what was measured elsewhere included
  bool interrupted = false;  ///< asked to stop; nothing was written
};

/// Writes OUT/reproductions.md, OUT/reproductions.json, the pictures in OUT/images/reproductions, and the
/// table in the README.md of each folder of configs that has its markers, if the request says so. Results of
/// configs that are not looked at, or not finished here, are taken from OUT/reproductions.json; those of
/// configs that are gone are dropped, and those of configs that have moved follow them by their name. Without
/// a browser the pictures stay as they are, and the reporter hears of it. Writes nothing if it throws:
/// UsageError for a config or a README that is wrong, Error for a browser that fails or a record that is
/// damaged.
Gallery make_gallery(const Registry& registry, const GalleryRequest& request, Reporter& reporter);

}  // namespace orrery::engine
