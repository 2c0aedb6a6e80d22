// Text in columns. Widths count UTF-8 code points, each of which takes one column in the texts that we print.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace orrery::cli {

size_t width_of(const std::string& text);
/// The first `width` characters, ending in "..." if truncated.
std::string cut(const std::string& text, size_t width);
/// `text` with `margin` before every line but the first.
std::string indented(const std::string& text, const std::string& margin);

enum class Align { left, right };
struct Column {
  Align align = Align::left;
  size_t at_least = 0;   ///< the minimum width
  size_t narrow_to = 0;  ///< fit() may cut its cells to this width; 0: it may not
};

/// Rows of cells, with two spaces between columns and none at the end of a line. A row of one cell is a
/// heading and does not affect the widths.
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

 private:
  std::string line(const std::vector<std::string>& row) const;

  std::vector<Column> columns_;  // as many as widths_, or more
  std::vector<size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace orrery::cli
