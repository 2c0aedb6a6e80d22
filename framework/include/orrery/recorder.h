// What a probe has to say about one checkpoint: scalars, tensors, figures as data, findings.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

/// Numbers drawn together. Undefined tensors are left out: a line, bar or scatter without x stands at 0, 1,
/// ...; a heatmap without x and y has its columns and rows there.
struct Trace {
  std::string name;
  torch::Tensor x;  ///< [n], or for a heatmap [columns]
  torch::Tensor y;  ///< [n], or for a heatmap [rows]
  torch::Tensor z;  ///< heatmap: [rows, columns], row 0 on top
};

/// An axis, for the builders of Figure.
struct Axis {
  std::string label;
  std::vector<std::string> ticks = {};  ///< see Figure::x_ticks
  /// [n] or longer: where the n entries along the axis stand. Undefined: at 0, 1, ... (int64).
  torch::Tensor at = {};
};

/// Tensors [n] under the names of their traces; they may differ in length.
using Series = std::vector<std::pair<std::string, torch::Tensor>>;

/// A figure as data; any report can draw it. Units belong in the labels. Fill in the fields, or begin with
/// one of the builders, which keep dtypes:
///   Figure::bars("entropy", "Attention entropy", {"head"}, "entropy (nats)", {{"layer 0", entropy}})
struct Figure {
  enum class Kind { line, bar, scatter, heatmap };
  std::string name;  ///< as in file names: lower case, digits, underscores
  Kind kind = Kind::line;
  std::string title, x_label, y_label;  ///< y_label of a heatmap belongs to its rows
  std::vector<Trace> traces;
  bool x_log = false, y_log = false;
  /// Names of the positions 0, 1, ... along an axis ("head 0", "=", "(2,2,1)"); empty: the axis has numbers.
  std::vector<std::string> x_ticks = {}, y_ticks = {};
  bool equal_axes = false;  ///< a unit is as long on x as on y, as where points lie on circles

  /// A trace for each of `series`; all begin at the same x.
  ORRERY_API static Figure bars(const std::string& name, const std::string& title, Axis x,
                                const std::string& y_label, const Series& series);
  ORRERY_API static Figure line(const std::string& name, const std::string& title, Axis x,
                                const std::string& y_label, const Series& series);
  /// z [rows, columns]; `scale` says what its colours stand for.
  ORRERY_API static Figure heatmap(const std::string& name, const std::string& title, Axis x, Axis y,
                                   const std::string& scale, const torch::Tensor& z);
};

/// `text` as in the names of figures and files: letters in lower case and digits; anything else becomes an
/// underscore.
ORRERY_API std::string file_safe_name(std::string text);

/// A typed fact that comparison understands, e.g. kind "key_frequencies" with fields order, frequencies and
/// shares. The same kind has the same fields in every probe.
struct Finding {
  std::string name;  ///< one of its own among those of a record
  std::string kind;
  Values fields;  ///< none may be called "kind"
};

/// Everything one probe recorded at one checkpoint, in the order in which it did.
struct Record {
  std::vector<std::pair<std::string, double>> scalars;
  std::vector<std::string> headlines;  ///< names of the scalars shown while training runs
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  std::vector<Figure> figures;
  std::vector<Finding> findings;
};

/// Where a probe writes. Names may contain a slash to group them: "loss/train". All calls throw orrery::Error
/// for a name that was recorded already.
class ORRERY_API Recorder {
 public:
  /// May be NaN or infinite. The name should say the unit where it is not nats or a share from 0 to 1.
  void scalar(const std::string& name, double value);
  /// A scalar that is also shown in the live progress and the summary of a run.
  void headline(const std::string& name, double value);
  /// Copied to the CPU; the dtype is kept. Any shape, dense and real. Throws orrery::Error if it is
  /// undefined.
  void tensor(const std::string& name, const torch::Tensor& value);
  void figure(Figure figure);
  void finding(Finding finding);

  const Record& record() const { return record_; }

 private:
  Record record_;
};

}  // namespace orrery
