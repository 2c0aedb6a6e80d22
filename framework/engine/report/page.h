// A self-contained HTML page, which `orrery report` and `orrery compare` share: plotly.js, the style, the
// scripts and the data in one file that asks nothing of any network.
//
// The scripts lie in page/, plain and unbundled; each is a script element of its own, in alphabetical order:
//   page/shared_*.js  page/shared_*.css    on every page, first
//   page/VIEW*.js     page/VIEW*.css       on the pages of that view: compare.js, compare_table.js
// They share one scope. A view begins on DOMContentLoaded, when all scripts are there, and fills
// <main id="page">. It has:
//   pageData                     the JSON that the page was made with
//   numbers(reference)           what Numbers::add() gave a name to, as a typed array (unpacked on first use)
//   element(tag, {}, ...)        makes a DOM element with these properties, and children: elements or text
//   addFigure(element, make)     draws make() -> {data, layout, title, file} for Plotly, in the page's style,
//                                once it comes into view; `title` and `file` are for an image saved from it
//   updateFigure(element)        draws it again now, or once it comes into view
//   axisStyle(title, {log, ticks})       an axis as all figures have it
//   lineColour(i), divergingScale()      colours of the present theme, to be asked for inside make()
//   masthead(title, facts)       the head of the page, with the switch between light and dark
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace orrery::engine {

/// Arrays of numbers, kept as bytes rather than as text: a page with millions of them opens at once. The same
/// array twice is stored once.
class Numbers {
 public:
  /// NaN and infinities are kept.
  std::string add_float32(std::span<const double> values);
  std::string add_float64(std::span<const double> values);
  /// Integers that a float64 holds exactly stay exact.
  std::string add_integers(std::span<const int64_t> values);
  /// Bytes as they are; `type` as JavaScript reads them: "f32", "f64", "i32", "i16" or "i8". Each of these
  /// returns the reference that goes into the page's JSON, as text: "f32:0:100" is 100 numbers from byte 0.
  std::string add(const std::string& type, std::span<const std::byte> bytes);

  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  std::map<std::string, std::string> known_;  // by type and SHA-256
};

/// The page. `view` chooses its scripts: "report", "compare". `json` becomes pageData, `numbers` are what
/// its references refer to. Throws orrery::Error where require_page() does.
std::string html_page(const std::string& title, const std::string& view, const std::string& json,
                      const Numbers& numbers);

/// Throws orrery::Error, saying what to do, if this build has no plotly.js: npm fetches it while building.
void require_page();

}  // namespace orrery::engine
