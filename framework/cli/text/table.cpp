#include "cli/text/table.h"

#include <algorithm>

namespace orrery::cli {
namespace {

constexpr size_t gap = 2;

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

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

std::string wrapped(const std::string& text, size_t indent, size_t width) {
  const size_t most = std::max<size_t>(width, indent + 8),
               margin = std::min(text.find_first_not_of(' '), text.size());
  std::string out(margin, ' ');
  size_t used = margin;  // by the open line
  bool fresh = true;     // nothing but its margin stands on it
  const auto next_line = [&] {
    out += "\n" + std::string(indent, ' ');
    used = indent;
    fresh = true;
  };
  for (size_t begin = margin; begin <= text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    std::string word = text.substr(begin, end - begin);
    if (!fresh && used + 1 + width_of(word) > most) next_line();
    while (fresh && used + width_of(word) > most) {  // longer than a line
      size_t cut_at = 0;
      for (size_t room = most - used; cut_at < word.size(); ++cut_at)
        if ((word[cut_at] & 0xc0) != 0x80 && room-- == 0) break;
      // After a separator rather than within a name, where that does not waste most of the line.
      if (const size_t joint = word.find_last_of("/|,_-=", cut_at - 1);
          joint != std::string::npos && joint + 1 > cut_at / 2)
        cut_at = joint + 1;
      out += word.substr(0, cut_at);
      word.erase(0, cut_at);
      next_line();
    }
    if (!fresh) word = " " + word;
    out += word;
    used += width_of(word);
    fresh = false;
    begin = end + 1;
  }
  return out;
}

std::string lines_cut(const std::string& text, size_t width) {
  std::string out;
  const std::vector<std::string> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) out += (i > 0 ? "\n" : "") + cut(lines[i], width);
  return out;
}

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) std::replace(cell.begin(), cell.end(), '\n', ' ');
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

std::vector<std::string> Table::lines_of(const std::vector<std::string>& row) const {
  if (row.size() == 1) return row;
  std::vector<std::vector<std::string>> cells;
  size_t height = 1;
  for (size_t i = 0; i < row.size(); ++i) {
    cells.push_back({cut(row[i], widths_[i])});
    if (columns_[i].wraps && width_of(row[i]) > widths_[i]) {
      const size_t margin = std::min(row[i].find_first_not_of(' '), row[i].size());
      cells.back() = split_lines(wrapped(row[i], margin > 0 ? margin + 2 : 0, widths_[i]));
    }
    height = std::max(height, cells.back().size());
  }
  std::vector<std::string> lines;
  for (size_t k = 0; k < height; ++k) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string text = k < cells[i].size() ? cells[i][k] : "";
      const std::string pad(widths_[i] - std::min(widths_[i], width_of(text)), ' ');
      line +=
          (i > 0 ? std::string(gap, ' ') : "") + (columns_[i].align == Align::left ? text + pad : pad + text);
    }
    lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  }
  return lines;
}

std::vector<std::string> Table::lines() const {
  std::vector<std::string> lines;
  for (const auto& row : rows_)
    for (std::string& line : lines_of(row)) lines.push_back(std::move(line));
  return lines;
}

std::string Table::text() const {
  std::string text;
  for (const std::string& line : lines()) text += line + "\n";
  return text;
}

// The first column and those from `begin` to `end`, cut to `width` if even one of them is too wide.
Table Table::with_columns(size_t begin, size_t end, size_t width) const {
  Table part;
  part.columns_ = {columns_[0]};
  part.widths_ = {widths_[0]};
  for (size_t i = begin; i < end; ++i) {
    part.columns_.push_back(columns_[i]);
    part.widths_.push_back(widths_[i]);
  }
  for (const auto& row : rows_) {
    if (row.size() == 1) {
      part.rows_.push_back({wrapped(row[0], 2, width)});
      continue;
    }
    part.rows_.push_back({row[0]});
    for (size_t i = begin; i < end; ++i) part.rows_.back().push_back(i < row.size() ? row[i] : "");
  }
  for (size_t i = part.widths_.size(); i-- > 0 && part.width() > width;)
    part.widths_[i] -= std::min(part.widths_[i] - std::min<size_t>(part.widths_[i], 4), part.width() - width);
  return part;
}

std::string Table::text(size_t width) {
  if (width == no_limit || rows_.empty() || widths_.size() < 2) return text();
  fit(width);
  std::string out;
  for (size_t begin = 1, end; begin < widths_.size(); begin = end) {
    size_t used = widths_[0] + gap + widths_[begin];
    for (end = begin + 1; end < widths_.size() && used + gap + widths_[end] <= width; ++end)
      used += gap + widths_[end];
    out += (out.empty() ? "" : "\n") + with_columns(begin, end, width).text();
  }
  return out;
}

}  // namespace orrery::cli
