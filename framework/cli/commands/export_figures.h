// orrery export RUN --figures: the figures of a report as images.
#pragma once

#include <string>

#include "loader/registry.h"

namespace orrery::cli {

using namespace engine;

struct FigureExport {
  std::string run;
  std::string format;  ///< "png" or "svg"
  std::string out;     ///< a folder; empty: figures/ in the run
  std::string steps;   ///< as --steps of `orrery probe`; empty: the last
};

/// Returns the exit code.
int export_figures(const FigureExport& wanted, const Registry& registry);

}  // namespace orrery::cli
