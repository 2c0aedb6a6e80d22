// A self-contained HTML page for `orrery report`, `orrery compare` and `orrery sweep report`: plotly.js, the
// style, the scripts and the data in one file that needs no internet.
//
// The scripts are in page/, plain and unbundled; each becomes its own script element, in alphabetical order:
//   page/shared_*.js  page/shared_*.css    on every page, first
//   page/VIEW*.js     page/VIEW*.css       on the pages of that view: compare.js, compare_table.js
// They share one scope. A view starts on DOMContentLoaded, when all scripts are loaded, and fills
// <main id="page">. It can use:
//   pageData                     the JSON of the page
//   numbers(reference)           the array behind a reference of Numbers::add(), typed, unpacked on first use
//   element(tag, {}, ...)        makes a DOM element with these properties, and children: elements or text
//   addFigure(element, make)     draws make() -> {data, layout, title, file} with Plotly in the page's style
//                                once it comes into view; `title` and `file` are for an image saved from it
//   updateFigure(element)        redraws it now, or once it comes into view
//   axisStyle(title, {log, ticks})       an axis in the style of all figures
//   lineColour(i), divergingScale()      colours of the current theme; call inside make()
//   masthead(title, facts)       the head of the page, with the switch between light and dark
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace orrery::engine {

/// Arrays of numbers as bytes rather than text, so that a page with millions of them opens at once. Stores
/// equal arrays once.
class Numbers {
 public:
  /// Keeps NaN and infinities.
  std::string add_float32(std::span<const double> values);
  std::string add_float64(std::span<const double> values);
  /// Exact for integers that a float64 represents exactly.
  std::string add_integers(std::span<const int64_t> values);
  /// Raw bytes; `type` tells JavaScript how to read them: "f32", "f64", "i32", "i16" or "i8". Each of these
  /// functions returns a reference for the page's JSON, as text: "f32:0:100" is 100 numbers from byte 0.
  std::string add(const std::string& type, std::span<const std::byte> bytes);

  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  std::map<std::string, std::string> known_;  // by type and SHA-256
};

/// The page. `view` selects its scripts: "report", "compare", "sweep". `json` becomes pageData, and its
/// references point into `numbers`. Throws orrery::Error if require_page() does.
std::string html_page(const std::string& title, const std::string& view, const std::string& json,
                      const Numbers& numbers);

/// Throws orrery::Error, saying what to do, if this build has no plotly.js, which npm fetches during the
/// build.
void require_page();

}  // namespace orrery::engine
