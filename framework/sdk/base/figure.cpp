#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/recorder.h>

#include <cctype>

namespace orrery {
namespace {

// The coordinates of `n` entries along an axis of a figure.
torch::Tensor places_on(const Axis& axis, int64_t n, const std::string& figure) {
  if (!axis.at.defined()) return torch::arange(n, torch::kInt64);
  if (axis.at.dim() != 1 || axis.at.size(0) < n)
    throw Error(fmt::format("figure \"{}\": the axis \"{}\" has places for {} entries of {}", figure,
                            axis.label, axis.at.dim() == 1 ? axis.at.size(0) : 0, n));
  return axis.at.narrow(0, 0, n);
}

Figure of_series(Figure::Kind kind, const std::string& name, const std::string& title, Axis x,
                 const std::string& y_label, const Series& series) {
  Figure figure{name, kind, title, x.label, y_label, {}};
  for (const auto& [label, y] : series)
    figure.traces.push_back({label, places_on(x, y.size(0), name), y, {}});
  figure.x_ticks = std::move(x.ticks);
  return figure;
}

}  // namespace

Figure Figure::bars(const std::string& name, const std::string& title, Axis x, const std::string& y_label,
                    const Series& series) {
  return of_series(Kind::bar, name, title, std::move(x), y_label, series);
}

Figure Figure::line(const std::string& name, const std::string& title, Axis x, const std::string& y_label,
                    const Series& series) {
  return of_series(Kind::line, name, title, std::move(x), y_label, series);
}

Figure Figure::heatmap(const std::string& name, const std::string& title, Axis x, Axis y,
                       const std::string& scale, const torch::Tensor& z) {
  Figure figure{name, Kind::heatmap, title, x.label, y.label, {}};
  figure.traces.push_back({scale, places_on(x, z.size(1), name), places_on(y, z.size(0), name), z});
  figure.x_ticks = std::move(x.ticks);
  figure.y_ticks = std::move(y.ticks);
  return figure;
}

Figure Figure::histogram(const std::string& name, const std::string& title, const std::string& x_label,
                         const std::string& y_label, const Series& series) {
  Figure figure{name, Kind::histogram, title, x_label, y_label, {}};
  for (const auto& [label, values] : series) figure.traces.push_back({label, values, {}, {}});
  return figure;
}

std::string file_safe_name(std::string text) {
  for (char& letter : text) {
    const auto c = static_cast<unsigned char>(letter);
    letter = std::isalnum(c) ? static_cast<char>(std::tolower(c)) : '_';
  }
  return text;
}

}  // namespace orrery
