#include <orrery/error.h>
#include <orrery/grid_pieces.h>

#include <algorithm>
#include <limits>

namespace orrery {
namespace {

// Columns added together: 8 MB of doubles, which stay in cache, but not fewer than 64.
int64_t columns_at_once(int64_t rows) { return std::max<int64_t>(64, (int64_t{1} << 20) / rows); }

}  // namespace

PairSums::PairSums(const FiniteGroup& group, bool operands)
    : n_(group.order()), operands_(operands), products_(group.products()) {}

void PairSums::start(const torch::Tensor& values) {
  const int64_t m = values.size(1);
  const auto zeros = [&](int64_t rows) { return torch::zeros({rows, m}, torch::kFloat64); };
  product_ = zeros(n_);
  if (operands_) left_ = zeros(n_), right_ = zeros(n_);
  mean_ = zeros(1)[0], energy_ = zeros(1)[0], squares_ = zeros(1)[0];
  epsilon_ = values.scalar_type() == torch::kFloat64 ? std::numeric_limits<double>::epsilon()
                                                     : std::numeric_limits<float>::epsilon();
}

void PairSums::add(const torch::Tensor& pairs, const torch::Tensor& values) {
  if (values.dim() != 2 || values.size(0) != pairs.size(0))
    throw Error("PairSums: expected values [k, m], a row for each of the k pairs");
  if (!product_.defined()) start(values);
  const int64_t rows = values.size(0), m = values.size(1);
  if (rows == 0) return;
  const bool all = rows == n_ * n_;
  const auto x_y = products_.index_select(0, pairs), x = pairs.floor_divide(n_), y = pairs.remainder(n_);
  const double count = static_cast<double>(rows), together = count_ + count;
  const int64_t columns = columns_at_once(rows);
  for (int64_t at = 0; at < m; at += columns) {
    const int64_t width = std::min(columns, m - at);
    const auto some = values.narrow(1, at, width).to(torch::kFloat64).contiguous();
    const auto part = [&](const torch::Tensor& sums) { return sums.narrow(-1, at, width); };
    part(product_).index_add_(0, x_y, some);
    if (operands_ && all) {  // in order: faster than looking up each row
      part(left_).add_(some.view({n_, n_, width}).sum(1));
      part(right_).add_(some.view({n_, n_, width}).sum(0));
    } else if (operands_) {
      part(left_).index_add_(0, x, some);
      part(right_).index_add_(0, y, some);
    }
    // Two sets of rows about their own means, together about the mean of both (Chan, Golub & LeVeque 1983).
    const auto mean = some.mean(0), apart = mean - part(mean_);
    part(squares_).add_(some.square().sum(0));
    part(energy_).add_((some - mean).square().sum(0) + apart.square() * (count_ * count / together));
    part(mean_).add_(apart * (count / together));
  }
  count_ = together;
}

torch::Tensor PairSums::energy() const {
  const double rounding = 16 * epsilon_;
  return torch::where(energy_ > squares_ * (rounding * rounding), energy_, torch::zeros_like(energy_));
}

}  // namespace orrery
