// Exports the figures of a report as images, drawn by a browser.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/export/page_images.h"
#include "engine/reporter/reporter.h"
#include "engine/run/run_directory.h"
#include "loader/registry.h"

namespace orrery::engine {

struct FigureExport {
  std::string run;
  std::string format;  ///< "png" or "svg"
  std::string out;     ///< a folder; empty: figures/ in the run
  std::string steps;   ///< as --steps of `orrery probe`; empty: the last
};

/// Returns the files. Throws orrery::Error if no browser is found or it fails.
std::vector<std::filesystem::path> export_figures(const FigureExport& wanted, const Registry& registry,
                                                  Reporter& reporter);

/// The page of a run with all that its curves and figures have at `steps` ("": the last), for page_images().
/// `asked_by` opens errors about the steps.
std::string page_for_images(const RunDirectory& run, const std::string& steps, const Registry& registry,
                            const std::string& asked_by);

}  // namespace orrery::engine
