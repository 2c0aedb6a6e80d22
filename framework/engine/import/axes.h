// How the axes of a tensor are written: "n_heads d_model d_head", and "(n_heads d_head) d_model" where two
// lie in one, as einops writes them.
#pragma once

#include <torch/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace orrery::engine {

/// Sizes by the name of their axis.
using Sizes = std::map<std::string, int64_t>;

/// One list of names per dimension. A number stands for that many equal parts, one of which is taken: rows of
/// "(3 n_heads d_head) d_model" are queries, keys and values.
class Axes {
 public:
  /// Throws orrery::UsageError, quoting `text`, where it is malformed or names an axis twice.
  explicit Axes(const std::string& text);

  const std::string& text() const { return text_; }
  const std::vector<std::vector<std::string>>& dimensions() const { return dimensions_; }
  /// All names, numbers left out, in order.
  std::vector<std::string> names() const;
  /// How many parts there are to choose from; 1 where no number is given.
  int64_t parts() const;

  /// The sizes that follow from a tensor's shape, given those in `known`; nothing where the ranks differ.
  std::optional<Sizes> solve(const std::vector<int64_t>& shape, const Sizes& known) const;
  /// The shape that these sizes ask for; -1 for a dimension that is not known.
  std::vector<int64_t> shape(const Sizes& sizes) const;

 private:
  std::string text_;
  std::vector<std::vector<std::string>> dimensions_;
};

/// `tensor`, whose axes are `from`, with the axes `to`: split, permuted, joined; of parts, number `part`. All
/// sizes are known, and both have the same names.
torch::Tensor rearrange(const torch::Tensor& tensor, const Axes& from, const Axes& to, const Sizes& sizes,
                        int64_t part = 0);

}  // namespace orrery::engine
