// Text in columns. Widths are numbers of characters: the bytes of a UTF-8 text that begin one, which is what
// the texts that we print take on the screen.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace orrery::cli {

size_t width_of(const std::string& text);
/// The first `width` characters; "..." at the end where something was cut off.
std::string cut(const std::string& text, size_t width);
/// `text` with `margin` before every line but the first.
std::string indented(const std::string& text, const std::string& margin);

enum class Align { left, right };
struct Column {
  Align align = Align::left;
  size_t at_least = 0;   ///< the width where its cells are narrower
  size_t narrow_to = 0;  ///< fit() may cut its cells to this width; 0: it may not
};

/// Rows of cells, two spaces between columns and none at the end of a line. A row of one cell stands above
/// others: it has no say in the widths.
class Table {
 public:
  /// Further columns are as `Column()`.
  explicit Table(std::vector<Column> columns = {}) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row);
  /// Narrows columns, the widest of them first, until a line has `width` characters, or none may be narrowed
  /// any more. For when all rows are there.
  void fit(size_t width);

  /// Of the longest line.
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
