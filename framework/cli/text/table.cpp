#include "cli/text/table.h"

#include <algorithm>

namespace orrery::cli {
namespace {

constexpr size_t gap = 2;

}  // namespace

size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string cut(const std::string& text, size_t width) {
  if (width_of(text) <= width) return text;
  const std::string dots(std::min<size_t>(3, width), '.');
  size_t end = 0;
  for (size_t left = width - dots.size() + 1; end < text.size(); ++end)
    if ((text[end] & 0xc0) != 0x80 && --left == 0) break;
  return text.substr(0, end) + dots;
}

std::string indented(const std::string& text, const std::string& margin) {
  std::string out;
  for (const char c : text) out += c == '\n' ? "\n" + margin : std::string(1, c);
  return out;
}

void Table::add(std::vector<std::string> row) {
  if (columns_.size() < row.size()) columns_.resize(row.size());
  for (size_t i = widths_.size(); i < row.size(); ++i) widths_.push_back(columns_[i].at_least);
  for (size_t i = 0; i < row.size() && row.size() > 1; ++i)
    widths_[i] = std::max(widths_[i], width_of(row[i]));
  rows_.push_back(std::move(row));
}

size_t Table::width() const {
  size_t total = 0;
  for (const size_t width : widths_) total += width + gap;
  return total - std::min(total, gap);
}

void Table::fit(size_t width) {
  while (this->width() > width) {
    size_t widest = widths_.size();
    for (size_t i = 0; i < widths_.size(); ++i)
      if (columns_[i].narrow_to > 0 && widths_[i] > columns_[i].narrow_to &&
          (widest == widths_.size() || widths_[i] > widths_[widest]))
        widest = i;
    if (widest == widths_.size()) return;
    --widths_[widest];
  }
}

std::string Table::line(const std::vector<std::string>& row) const {
  if (row.size() == 1) return row[0];
  std::string line;
  for (size_t i = 0; i < row.size(); ++i) {
    const std::string text = cut(row[i], widths_[i]), pad(widths_[i] - width_of(text), ' ');
    line +=
        (i > 0 ? std::string(gap, ' ') : "") + (columns_[i].align == Align::left ? text + pad : pad + text);
  }
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

std::vector<std::string> Table::lines() const {
  std::vector<std::string> lines;
  for (const auto& row : rows_) lines.push_back(line(row));
  return lines;
}

std::string Table::text() const {
  std::string text;
  for (const std::string& line : lines()) text += line + "\n";
  return text;
}

}  // namespace orrery::cli
