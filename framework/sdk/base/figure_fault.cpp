// What keeps a figure from being drawn.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/recorder.h>

#include <algorithm>

#include "sdk/base/names.h"
#include "sdk/base/storable.h"

namespace orrery {
namespace {

using torch::Tensor;

std::string shape_text(const Tensor& x) { return fmt::format("[{}]", fmt::join(x.sizes(), ", ")); }

bool has_length(const Tensor& x, int64_t n) { return x.dim() == 1 && x.size(0) == n; }

bool all_finite(const Tensor& x) { return x.to(torch::kFloat64).isfinite().all().item<bool>(); }

// Tick labels name the positions 0, 1, ...; every drawn position must have one.
std::string ticks_fault(const char* axis, const std::vector<std::string>& ticks, const Tensor& at,
                        int64_t n) {
  if (ticks.empty() || n == 0) return "";
  const Tensor places =
      at.defined() ? at.to(torch::kFloat64) : torch::tensor({0.0, static_cast<double>(n - 1)});
  const double least = places.min().item<double>(), last = places.max().item<double>();
  if (least >= 0 && last <= static_cast<double>(ticks.size()) - 1) return "";
  return fmt::format("{} runs from {} to {}, and {}_ticks has {} names", axis, least, last, axis,
                     ticks.size());
}

std::string heatmap_fault(const Figure& figure, const Trace& trace) {
  if (!trace.z.defined() || trace.z.dim() != 2) return "a heatmap needs z [rows, columns]";
  const int64_t rows = trace.z.size(0), columns = trace.z.size(1);
  if (trace.x.defined() && !has_length(trace.x, columns))
    return fmt::format("z is {}, and x {}", shape_text(trace.z), shape_text(trace.x));
  if (trace.y.defined() && !has_length(trace.y, rows))
    return fmt::format("z is {}, and y {}", shape_text(trace.z), shape_text(trace.y));
  if (!trace.facet.empty() || !trace.labels.empty() || trace.y_error.defined())
    return "facets, labels and error bars are not for heatmaps";
  const std::string fault = ticks_fault("x", figure.x_ticks, trace.x, columns);
  return fault.empty() ? ticks_fault("y", figure.y_ticks, trace.y, rows) : fault;
}

std::string histogram_fault(const Trace& trace) {
  if (!trace.x.defined() || trace.x.dim() != 1) return "a histogram needs x [n], the values that it counts";
  if (trace.y.defined() || trace.z.defined() || trace.y_error.defined()) return "a histogram has x alone";
  return "";
}

// What belongs to each point of a trace: an error bar, a name.
std::string points_fault(const Trace& trace) {
  const int64_t n = trace.y.numel(), n_labels = static_cast<int64_t>(trace.labels.size());
  if (n_labels > 0 && n_labels != n) return fmt::format("it has {} points, and {} labels", n, n_labels);
  if (!trace.y_error.defined()) return "";
  const auto sizes = trace.y_error.sizes();
  if (sizes != torch::IntArrayRef{n} && sizes != torch::IntArrayRef({2, n}))
    return fmt::format("y is {}, and y_error {}; expected [{}] or [2, {}]", shape_text(trace.y),
                       shape_text(trace.y_error), n, n);
  return trace.y_error.lt(0).any().item<bool>() ? "y_error has negative values; it holds lengths" : "";
}

std::string curve_fault(const Figure& figure, const Trace& trace) {
  if (!trace.y.defined() || trace.y.dim() != 1) return "it needs y [n]";
  const int64_t n = trace.y.size(0);
  if (trace.z.defined()) return "z is for heatmaps";
  if (std::string fault = points_fault(trace); !fault.empty()) return fault;
  if (!trace.x.defined()) return ticks_fault("x", figure.x_ticks, trace.x, n);
  if (!has_length(trace.x, n))
    return fmt::format("x is {}, and y {}", shape_text(trace.x), shape_text(trace.y));
  if (figure.kind != Figure::Kind::scatter && !all_finite(trace.x)) return "x is not finite";
  if (figure.x_log && n > 0 && trace.x.min().item<double>() <= 0)
    return fmt::format("x goes down to {}, on a logarithmic axis", trace.x.min().item<double>());
  return ticks_fault("x", figure.x_ticks, trace.x, n);
}

std::string trace_fault(const Figure& figure, const Trace& trace) {
  for (const Tensor* tensor : {&trace.x, &trace.y, &trace.z, &trace.y_error})
    if (tensor->defined())
      if (std::string fault = storable_fault(*tensor); !fault.empty()) return fault;
  if (figure.kind == Figure::Kind::heatmap) return heatmap_fault(figure, trace);
  return figure.kind == Figure::Kind::histogram ? histogram_fault(trace) : curve_fault(figure, trace);
}

bool all_utf8(const Figure& figure) {
  const auto text = [](const std::string& part) { return is_utf8(part); };
  return text(figure.title) && text(figure.x_label) && text(figure.y_label) &&
         std::all_of(figure.x_ticks.begin(), figure.x_ticks.end(), text) &&
         std::all_of(figure.y_ticks.begin(), figure.y_ticks.end(), text) &&
         std::all_of(figure.traces.begin(), figure.traces.end(), [&](const Trace& trace) {
           return text(trace.name) && text(trace.facet) &&
                  std::all_of(trace.labels.begin(), trace.labels.end(), text);
         });
}

}  // namespace

std::string figure_fault(const Figure& figure) {
  if (std::string fault = name_fault(figure.name); !fault.empty()) return fault;
  if (!all_utf8(figure)) return fmt::format("\"{}\": its text is not UTF-8", figure.name);
  for (const Trace& trace : figure.traces)
    if (const std::string fault = trace_fault(figure, trace); !fault.empty())
      return fmt::format("\"{}\", trace \"{}\": {}", figure.name, trace.name, fault);
  return "";
}

}  // namespace orrery
