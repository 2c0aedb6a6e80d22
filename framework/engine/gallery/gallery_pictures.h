// The figures that a config or a sweep shows in the gallery.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/export/page_images.h"
#include "engine/gallery/finished_results.h"

namespace orrery::engine {

/// Draws them as PNGs, on white. The name of each file is that of the entry and of the figure. Throws
/// UsageError, with the place in the config, for a name or a glob that is of no figure; Error if the browser
/// fails.
std::vector<PageImage> gallery_pictures(const FinishedResults& found, const std::filesystem::path& browser,
                                        const Registry& registry);

/// "mlp_mod67-curves_loss.png"; that of a sweep begins with "sweep_".
std::string picture_name(const GalleryEntry& entry, const std::string& file);

}  // namespace orrery::engine
