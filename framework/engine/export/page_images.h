// Draws figures of a page of a run or a sweep as images, in a headless browser.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace orrery::engine {

struct PageImage {
  std::string file;     ///< "neuron_waves_phases_step_00000400.png"
  std::string figure;   ///< the name of the figure: "neuron_waves_phases"
  std::string caption;  ///< its title
  int width = 0;        ///< in pixels of the page; a PNG has `scale` times as many
  std::vector<std::byte> bytes;
};

struct PageImages {
  std::vector<std::string> names;  ///< of every figure that the page has, drawn or not
  std::vector<PageImage> images;
};

/// Which figures to draw, and how.
struct ImageRequest {
  std::string format;                     ///< "png" or "svg"
  std::vector<std::string> figures = {};  ///< names or globs; none: all
  int width = 0;                          ///< of those that need no more; 0: each as it is by default
  double scale = 2;                       ///< pixels of a PNG for each of the page
};

/// The figures of the page `html`, made by html_page(). Throws orrery::Error if the browser fails.
PageImages page_images(const std::filesystem::path& browser, const std::string& html,
                       const ImageRequest& request);

/// A name from a probe or a sweep as the name of a file.
std::string safe_name(const std::string& name);

}  // namespace orrery::engine
