#include "engine/report/figure_frames.h"

#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace orrery::engine {
namespace {

// The smallest and the largest finite value, and the smallest positive one for logarithmic axes.
struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low, low_positive = low;
  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
    if (value > 0) low_positive = std::min(low_positive, value);
  }
  bool empty() const { return low > high; }
};

torch::Tensor as_double(const torch::Tensor& tensor) {
  return tensor.to(torch::kCPU, torch::kDouble).contiguous();
}

std::span<const double> values_of(const torch::Tensor& contiguous_double) {
  return {contiguous_double.data_ptr<double>(), static_cast<size_t>(contiguous_double.numel())};
}

size_t frame_bytes(const Figure& figure, Precision precision) {
  size_t bytes = 0;
  for (const Trace& trace : figure.traces) {
    if (trace.y.defined()) bytes += trace.y.numel() * sizeof(float);
    // Integers along an axis are the same at every step, so they are stored once.
    if (trace.x.defined() && trace.x.is_floating_point()) bytes += trace.x.numel() * sizeof(float);
    if (trace.z.defined()) bytes += trace.z.numel() * static_cast<size_t>(precision);
    if (trace.y_error.defined()) bytes += trace.y_error.numel() * sizeof(float);
  }
  return bytes;
}

size_t bytes_of(const FigureFrames& figure, Precision precision) {
  size_t bytes = 0;
  for (const auto& [step, frame] : figure.frames) bytes += frame_bytes(frame, precision);
  return bytes;
}

Json reference(const torch::Tensor& tensor, Numbers& numbers) {
  if (!tensor.defined()) return nullptr;
  const torch::Tensor values = as_double(tensor);
  return tensor.is_floating_point() ? numbers.add_float32(values_of(values))
                                    : numbers.add_float64(values_of(values));
}

// Integer multiples of scale = largest / `most`; the most negative integer stands for NaN and infinities.
template <class Integer>
std::string add_scaled(const char* type, std::span<const double> values, double scale, Numbers& numbers) {
  std::vector<Integer> scaled;
  scaled.reserve(values.size());
  for (const double value : values)
    scaled.push_back(std::isfinite(value) ? static_cast<Integer>(std::lround(scale > 0 ? value / scale : 0))
                                          : std::numeric_limits<Integer>::min());
  return numbers.add(type, std::as_bytes(std::span(scaled)));
}

Json heatmap(const torch::Tensor& z, Precision precision, Numbers& numbers) {
  if (!z.defined()) return nullptr;
  const torch::Tensor tensor = as_double(z);
  const std::span<const double> values = values_of(tensor);
  const int64_t rows = z.dim() == 2 ? z.size(0) : 1, columns = z.dim() == 2 ? z.size(1) : z.numel();
  if (precision == Precision::full) return Json::array({numbers.add_float32(values), rows, columns, 1});
  double largest = 0;
  for (const double value : values)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  const bool wide = precision == Precision::sixteen_bits;
  const double scale = largest / (wide ? 32767 : 127);
  return Json::array({wide ? add_scaled<int16_t>("i16", values, scale, numbers)
                           : add_scaled<int8_t>("i8", values, scale, numbers),
                      rows, columns, scale});
}

const char* name_of(Figure::Kind kind) {
  switch (kind) {
    case Figure::Kind::line:
      return "line";
    case Figure::Kind::bar:
      return "bar";
    case Figure::Kind::scatter:
      return "scatter";
    case Figure::Kind::heatmap:
      return "heatmap";
    case Figure::Kind::histogram:
      return "histogram";
  }
  return "";
}

// Everything in a figure except its numbers.
Json head_of(const Figure& figure) {
  Json head = {{"kind", name_of(figure.kind)},
               {"title", figure.title},
               {"x_label", figure.x_label},
               {"y_label", figure.y_label},
               {"traces", Json::array()}};
  for (const Trace& trace : figure.traces) head["traces"].push_back(trace.name);
  const auto any = [&](auto said) { return std::any_of(figure.traces.begin(), figure.traces.end(), said); };
  if (any([](const Trace& trace) { return !trace.facet.empty(); }))
    for (const Trace& trace : figure.traces) head["facets"].push_back(trace.facet);
  if (any([](const Trace& trace) { return !trace.labels.empty(); }))
    for (const Trace& trace : figure.traces) head["labels"].push_back(trace.labels);
  if (figure.x_log) head["x_log"] = true;
  if (figure.y_log) head["y_log"] = true;
  if (figure.equal_axes) head["equal_axes"] = true;
  if (!figure.x_ticks.empty()) head["x_ticks"] = figure.x_ticks;
  if (!figure.y_ticks.empty()) head["y_ticks"] = figure.y_ticks;
  return head;
}

class Packer {
 public:
  Packer(Precision precision, Numbers& numbers) : precision_(precision), numbers_(numbers) {}

  Json frame(int64_t step, const Figure& figure) {
    Json traces = Json::array();
    for (const Trace& trace : figure.traces) {
      traces.push_back(Json::array({reference(trace.x, numbers_), reference(trace.y, numbers_),
                                    heatmap(trace.z, precision_, numbers_)}));
      if (trace.y_error.defined())
        traces.back().push_back(Json::array({reference(trace.y_error, numbers_), trace.y_error.dim()}));
    }
    return Json::array({step, index_of(head_of(figure)), std::move(traces)});
  }
  const Json& heads() const { return heads_; }

 private:
  size_t index_of(const Json& head) {
    const auto known = std::find(heads_.begin(), heads_.end(), head);
    if (known != heads_.end()) return static_cast<size_t>(known - heads_.begin());
    heads_.push_back(head);
    return heads_.size() - 1;
  }

  Precision precision_;
  Numbers& numbers_;
  Json heads_ = Json::array();
};

void add_all(Range& range, const torch::Tensor& tensor) {
  if (!tensor.defined()) return;
  const torch::Tensor values = as_double(tensor);
  for (const double value : values_of(values)) range.add(value);
}

// Where the error bars of a trace end, below (side 0) and above (side 1): [n].
torch::Tensor end_of_error(const Trace& trace, int64_t side) {
  const torch::Tensor error = trace.y_error.dim() == 2 ? trace.y_error[side] : trace.y_error;
  if (error.sizes() != trace.y.sizes()) return {};
  return side == 0 ? trace.y - error : trace.y + error;
}

Json ranges_of(const FigureFrames& figure) {
  Range x, y, z;
  for (const auto& [step, frame] : figure.frames)
    for (const Trace& trace : frame.traces) {
      add_all(x, trace.x);
      add_all(y, trace.y);
      if (trace.y_error.defined() && trace.y.defined())
        for (const int64_t side : {0, 1}) add_all(y, end_of_error(trace, side));
      add_all(z, trace.z);
    }
  Json ranges = Json::object();
  for (const auto& [axis, range] : {std::pair{"x", x}, {"y", y}})
    if (!range.empty()) {
      ranges[axis] = {range.low, range.high};
      if (std::isfinite(range.low_positive)) ranges[axis].push_back(range.low_positive);
    }
  if (!z.empty()) ranges["z"] = {z.low, z.high};
  return ranges;
}

}  // namespace

std::vector<size_t> spread(size_t n, size_t count) {
  std::vector<size_t> chosen;
  if (n == 0 || count == 0) return chosen;
  if (count == 1) return {n - 1};
  count = std::min(n, count);
  for (size_t i = 0; i < count; ++i) chosen.push_back(count == 1 ? n - 1 : i * (n - 1) / (count - 1));
  return chosen;
}

Packing choose_packing(const std::vector<FigureFrames>& figures, size_t budget) {
  Packing packing;
  for (const FigureFrames& figure : figures) packing.n_frames.push_back(figure.frames.size());
  std::vector<size_t> bytes(figures.size());
  for (const Precision precision : {Precision::full, Precision::sixteen_bits, Precision::eight_bits}) {
    packing.precision = precision;
    size_t total = 0;
    for (size_t i = 0; i < figures.size(); ++i) total += bytes[i] = bytes_of(figures[i], precision);
    if (total <= budget) return packing;
  }
  // The limit for each figure: large ones share what small ones leave over.
  std::vector<size_t> ascending = bytes;
  std::sort(ascending.begin(), ascending.end());
  size_t left = budget, limit = 0;
  for (size_t i = 0; i < ascending.size(); ++i) {
    limit = left / (ascending.size() - i);
    if (ascending[i] > limit) break;
    left -= ascending[i];
  }
  for (size_t i = 0; i < figures.size(); ++i)
    if (bytes[i] > limit)
      packing.n_frames[i] = std::max<size_t>(2, figures[i].frames.size() * limit / bytes[i]);
  return packing;
}

Json pack_figure(const FigureFrames& figure, size_t n_frames, Precision precision, Numbers& numbers) {
  Packer packer(precision, numbers);
  Json frames = Json::array();
  for (const size_t i : spread(figure.frames.size(), n_frames))
    frames.push_back(packer.frame(figure.frames[i].first, figure.frames[i].second));
  Json packed = {{"name", figure.name}, {"range", ranges_of(figure)}, {"of", figure.frames.size()}};
  packed["frames"] = std::move(frames);
  if (figure.null) packed["null"] = packer.frame(-1, *figure.null);
  packed["heads"] = packer.heads();
  return packed;
}

}  // namespace orrery::engine
