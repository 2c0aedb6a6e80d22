// Axes of a tensor in the notation of einops: "n_heads d_model d_head", or "(n_heads d_head) d_model" for two
// axes in one dimension.
#pragma once

#include <torch/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace orrery::engine {

/// Sizes by the name of the axis.
using Sizes = std::map<std::string, int64_t>;

/// One list of names per dimension. A number stands for that many equal parts, of which a rule takes one: the
/// rows of "(3 n_heads d_head) d_model" are queries, keys and values.
class Axes {
 public:
  /// Throws orrery::UsageError, quoting `text`, if it is malformed or names an axis twice.
  explicit Axes(const std::string& text);

  const std::string& text() const { return text_; }
  const std::vector<std::vector<std::string>>& dimensions() const { return dimensions_; }
  /// All names in order, without numbers.
  std::vector<std::string> names() const;
  /// The number of parts to choose from; 1 if no number is given.
  int64_t parts() const;

  /// The sizes that follow from a tensor's shape, given those in `known`; nothing if the ranks differ.
  std::optional<Sizes> solve(const std::vector<int64_t>& shape, const Sizes& known) const;
  /// The shape for these sizes, with -1 for an unknown dimension.
  std::vector<int64_t> shape(const Sizes& sizes) const;

 private:
  std::string text_;
  std::vector<std::vector<std::string>> dimensions_;
};

/// Splits, permutes and joins the dimensions of `tensor` from the axes `from` to the axes `to`, taking number
/// `part` of its parts. `sizes` must have every axis, and both must have the same names.
torch::Tensor rearrange(const torch::Tensor& tensor, const Axes& from, const Axes& to, const Sizes& sizes,
                        int64_t part = 0);

}  // namespace orrery::engine
