// Text in columns. Widths count UTF-8 code points, each of which takes one column in the texts that we print.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace orrery::cli {

size_t width_of(const std::string& text);
/// The first `width` characters, ending in "..." if truncated.
std::string cut(const std::string& text, size_t width);
/// `text` with `margin` before every line but the first.
std::string indented(const std::string& text, const std::string& margin);

/// `text` in lines of at most `width` characters, broken at spaces, and within a word that is longer. Lines
/// but the first begin with `indent` spaces.
std::string wrapped(const std::string& text, size_t indent, size_t width);

/// `text` with each of its lines cut to `width`.
std::string lines_cut(const std::string& text, size_t width);

/// A width for text that is not to be broken or cut.
inline constexpr size_t no_limit = SIZE_MAX;

enum class Align { left, right };
struct Column {
  Align align = Align::left;
  size_t at_least = 0;   ///< the minimum width
  size_t narrow_to = 0;  ///< fit() may narrow it to this width; 0: it may not
  bool wraps = false;    ///< if it is narrower than a cell, the cell takes several lines instead of being cut
};

/// Rows of cells, with two spaces between columns and none at the end of a line. A row of one cell is a
/// heading and does not affect the widths. A newline in a cell is shown as a space.
class Table {
 public:
  /// Further columns are like `Column()`.
  explicit Table(std::vector<Column> columns = {}) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row);
  /// Narrows columns, the widest first, until lines have at most `width` characters or no column may be
  /// narrowed further. Call after adding all rows.
  void fit(size_t width);

  /// The width of the longest line.
  size_t width() const;
  std::vector<std::string> lines() const;
  /// The lines, each with its newline.
  std::string text() const;
  /// The same in lines of at most `width` characters, as by fit(). If columns do not fit beside each other,
  /// in several tables one below the other, each with the first column.
  std::string text(size_t width);

 private:
  std::vector<std::string> lines_of(const std::vector<std::string>& row) const;
  Table with_columns(size_t begin, size_t end, size_t width) const;

  std::vector<Column> columns_;  // as many as widths_, or more
  std::vector<size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace orrery::cli
