// The [gallery] table of a config or a sweep: what the page of reproductions says of it, and shows.
#pragma once

#include <orrery/fields.h>

#include <string>
#include <vector>

#include "engine/config/document.h"

namespace orrery::engine {

struct GallerySettings {
  std::string title;                      ///< "": the name of the config
  std::string text;                       ///< what this is about
  std::vector<std::string> figures = {};  ///< names or globs of figures of its page
  std::string figure_steps = "last";  ///< of figures over steps, as `orrery export --steps`; not of a sweep
  std::string place = {};             ///< of the value of `figures`, for errors

  static void fields(Fields<GallerySettings>& f);
  bool operator==(const GallerySettings&) const = default;
};

/// Reads the table `gallery` of `root`. Throws UsageError, with the place, for the first error.
GallerySettings read_gallery(const Table& root);
/// The same in a sweep, whose page has no steps to choose.
GallerySettings read_sweep_gallery(const Table& root);

}  // namespace orrery::engine
