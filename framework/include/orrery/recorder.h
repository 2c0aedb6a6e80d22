// The results of a probe at one checkpoint: scalars, tensors, figures as data, findings.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace orrery {

/// One series of numbers in a figure, of any real dtype. Tensors may be undefined: x of a line, bar or
/// scatter is then 0, 1, ..., as are x and y of a heatmap.
struct Trace {
  std::string name;
  torch::Tensor x;  ///< [n], or for a heatmap [columns]; for a histogram the n values that it counts
  torch::Tensor y;  ///< [n], or for a heatmap [rows]
  torch::Tensor z;  ///< heatmap: [rows, columns], row 0 on top
  /// Error bars of a line, bar or scatter: how far they reach from y, [n], or [2, n] below and above it.
  torch::Tensor y_error = {};
  /// Names of the n points of a line, bar or scatter ("neuron 17"), for the hover; a scatter of few writes
  /// them beside the points. Empty: none.
  std::vector<std::string> labels = {};
  /// Small multiples: traces with the same text share a panel of that title, and all panels share their
  /// axes. Empty in all traces: one panel. Not for heatmaps.
  std::string facet = {};
};

/// An axis, for the builders of Figure.
struct Axis {
  std::string label;
  std::vector<std::string> ticks = {};  ///< see Figure::x_ticks
  /// [n] or longer: the coordinates of the n entries along the axis. Undefined: 0, 1, ... (int64).
  torch::Tensor at = {};
};

/// Tensors [n] under the names of their traces; they may differ in length.
using Series = std::vector<std::pair<std::string, torch::Tensor>>;

/// A figure as data, for any report to draw. Put units into the labels. Fill in the fields, or start from a
/// builder, which keeps dtypes:
///   Figure::bars("entropy", "Attention entropy", {"head"}, "entropy (nats)", {{"layer 0", entropy}})
struct Figure {
  /// A histogram counts x; its traces have no y.
  enum class Kind { line, bar, scatter, heatmap, histogram };
  std::string name;  ///< unique within a record; see name_fault()
  Kind kind = Kind::line;
  std::string title, x_label, y_label;  ///< y_label of a heatmap labels its rows
  std::vector<Trace> traces;
  bool x_log = false, y_log = false;
  /// Names of the positions 0, 1, ... along an axis ("head 0", "=", "(2,2,1)"). Empty: the axis shows
  /// numbers.
  std::vector<std::string> x_ticks = {}, y_ticks = {};
  bool equal_axes = false;  ///< one unit is as long on x as on y: for points on circles

  /// One trace for each of `series`; all start at the same x.
  ORRERY_API static Figure bars(const std::string& name, const std::string& title, Axis x,
                                const std::string& y_label, const Series& series);
  ORRERY_API static Figure line(const std::string& name, const std::string& title, Axis x,
                                const std::string& y_label, const Series& series);
  /// z: [rows, columns]. `scale` labels its colours.
  ORRERY_API static Figure heatmap(const std::string& name, const std::string& title, Axis x, Axis y,
                                   const std::string& scale, const torch::Tensor& z);
  /// Counts the values of each of `series`, [n] of any real dtype, in bins that all of them share.
  ORRERY_API static Figure histogram(const std::string& name, const std::string& title,
                                     const std::string& x_label, const std::string& y_label,
                                     const Series& series);
};

/// `text` in lower case, with an underscore for everything but letters and digits: for the names of figures
/// and files.
ORRERY_API std::string file_safe_name(std::string text);

/// What some scalars of a probe measure: the title and the y label of the panel in which a report draws them
/// over training.
struct ScalarPanel {
  std::string scalars;  ///< "gini" stands for the scalars gini, gini/... and .../gini
  std::string title;    ///< says on its own what is drawn: "Gini coefficient of the Fourier norms"
  std::string y_label;  ///< with its unit: "norm (units of the weights)"
};

/// A typed fact that other programs understand without knowing the probe: kind "key_frequencies" with fields
/// order, frequencies and shares. A kind has the same fields in every probe (orrery/findings.h).
struct Finding {
  std::string name;  ///< unique within a record; see name_fault()
  std::string kind;  ///< likewise a name
  Values fields;     ///< none may be called "kind"
};

/// Everything a probe recorded at one checkpoint, each list in recording order.
struct Record {
  std::vector<std::pair<std::string, double>> scalars;
  std::vector<std::string> headlines;  ///< names of the scalars shown while training runs
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  std::vector<Figure> figures;
  std::vector<Finding> findings;
  std::vector<ScalarPanel> panels = {};
};

/// The one rule for the names of scalars, tensors, figures, findings and their kinds: UTF-8 without control
/// characters (newlines, tabs), in parts that slashes separate and of which none is empty ("loss/train",
/// "neurons/k=14"). Returns what is wrong with `name`, or "".
ORRERY_API std::string name_fault(const std::string& name);

/// Why `figure` cannot be drawn, or "": its name, shapes that do not fit each other, a position without a
/// tick label, a logarithmic axis from 0 or below, x of a line or bars that is not finite, tensors that are
/// not dense and real, text that is not UTF-8.
ORRERY_API std::string figure_fault(const Figure& figure);

/// Collects the results of one probe at one checkpoint. Calls may come in any order; each list keeps the
/// order of its calls. Every call throws orrery::Error if name_fault() finds fault with the name, or if
/// something of its sort was recorded under the same name.
class ORRERY_API Recorder {
 public:
  /// `value` may be NaN or infinite. Name the unit unless it is nats or a share from 0 to 1.
  void scalar(const std::string& name, double value);
  /// Records a scalar that live progress and the summary of a run show.
  void headline(const std::string& name, double value);
  /// Says what the scalars `scalars` measure, for reports; see ScalarPanel. Of several panels that fit a
  /// name, the one that fits its earliest part counts, then the one of most parts ("inputs/ratio" before
  /// "inputs"). Panels with the same title and y label are drawn as one. A scalar without a panel has its own
  /// name for title and label. Call it before or after scalar(), at every checkpoint.
  void panel(const std::string& scalars, const std::string& title, const std::string& y_label);
  /// Records a detached copy on the CPU, in the dtype of `value`. Any shape. Throws orrery::Error unless it
  /// is defined, dense and real.
  void tensor(const std::string& name, const torch::Tensor& value);
  /// Records a figure; its tensors are copied as tensor() does, undefined ones stay undefined. Throws
  /// orrery::Error if figure_fault() finds fault with it.
  void figure(Figure figure);
  /// Records a finding, under Finding::name. Throws orrery::Error if a field is called "kind" or holds text
  /// that is not UTF-8.
  void finding(Finding finding);

  const Record& record() const { return record_; }

 private:
  enum Sort { scalars, tensors, figures, findings };
  void take_name(Sort sort, const std::string& name);

  Record record_;
  std::array<std::unordered_set<std::string>, 4> names_;  // by Sort
};

}  // namespace orrery
