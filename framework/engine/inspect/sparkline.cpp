#include "engine/inspect/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

namespace orrery::engine {
namespace {

constexpr std::array<const char*, 8> blocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, 8> ascii = {"_", ".", "-", "~", "=", "+", "*", "#"};

struct Cell {
  double sum = 0;
  int64_t count = 0;
  bool broken = false;  // has a NaN or an infinity
};

// The values on the scale they are drawn on; NaN for those that cannot be drawn.
std::vector<double> scaled(const Curve& curve) {
  std::vector<double> values = curve.values;
  double least = std::numeric_limits<double>::infinity();
  for (const double value : values)
    if (value > 0) least = std::min(least, value);
  const bool logarithmic = is_loss(curve.name) && std::isfinite(least);
  for (double& value : values) {
    if (logarithmic && std::isfinite(value)) value = std::log(std::max(value, least));
    if (std::isinf(value)) value = std::nan("");
  }
  return values;
}

std::vector<Cell> cells_of(const Curve& curve, int64_t last_step, size_t width) {
  std::vector<Cell> cells(width);
  const std::vector<double> values = scaled(curve);
  for (size_t i = 0; i < values.size(); ++i) {
    const double share = static_cast<double>(curve.steps[i]) / (static_cast<double>(last_step) + 1);
    Cell& cell =
        cells[std::min(width - 1, static_cast<size_t>(std::max(0.0, share) * static_cast<double>(width)))];
    if (std::isnan(values[i])) {
      cell.broken = true;
    } else {
      cell.sum += values[i];
      ++cell.count;
    }
  }
  return cells;
}

}  // namespace

bool is_loss(const std::string& name) {
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (part == "loss" || part.ends_with("_loss")) return true;
    begin = end + 1;
  }
  return false;
}

std::string sparkline(const Curve& curve, int64_t last_step, size_t width, Glyphs glyphs) {
  if (width == 0 || curve.steps.empty()) return std::string(width, ' ');
  std::vector<Cell> cells = cells_of(curve, last_step, width);
  double low = std::numeric_limits<double>::infinity(), high = -low;
  size_t end = 0;  // past the last cell with a point
  for (size_t i = 0; i < width; ++i) {
    if (cells[i].count == 0 && !cells[i].broken) continue;
    end = i + 1;
    if (cells[i].count == 0) continue;
    low = std::min(low, cells[i].sum / static_cast<double>(cells[i].count));
    high = std::max(high, cells[i].sum / static_cast<double>(cells[i].count));
  }
  const auto& ramp = glyphs == Glyphs::blocks ? blocks : ascii;
  std::string line;
  const char* glyph = " ";
  for (size_t i = 0; i < end; ++i) {
    const Cell& cell = cells[i];
    if (cell.broken) {
      glyph = "!";
    } else if (cell.count > 0) {
      const double height = cell.sum / static_cast<double>(cell.count);
      glyph = ramp[high > low ? static_cast<size_t>(std::lround((height - low) / (high - low) * 7)) : 3];
    }
    line += glyph;
  }
  return line + std::string(width - end, ' ');
}

}  // namespace orrery::engine
