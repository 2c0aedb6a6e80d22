#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/interchange.h>
#include <orrery/subspace.h>

#include <algorithm>

#include "sdk/analysis/interchange_site.h"

namespace orrery {
namespace {

using namespace interchanging;
using torch::Tensor;

constexpr double kRounding = 1e-5;

// The functions about their means, orthonormal: the coefficients have the same span, and functions that
// nearly depend on each other do no harm.
Tensor centred_functions(const Tensor& functions, int64_t n_inputs) {
  if (!functions.defined() || functions.dim() != 2 || functions.size(1) != n_inputs)
    throw UsageError(
        fmt::format("functions for a regression must be [m, {}], a value for each input", n_inputs));
  const Tensor values = functions.detach().to(torch::kCPU, torch::kFloat64);
  if (!torch::isfinite(values).all().item<bool>())
    throw UsageError("functions for a regression must be finite");
  const Tensor about_mean = values - values.mean(1, /*keepdim=*/true);
  if (values.size(0) == 0 || (about_mean.abs().max() <= 1e-12 * values.abs().max()).item<bool>())
    return torch::zeros({0, n_inputs}, torch::kFloat64);
  return orthonormal_rows(about_mean);
}

class RegressionSums {
 public:
  RegressionSums(const Model& model, const TaskSpec& spec, const Batch& inputs, const Regression& regression)
      : slices_(slices_of(model, regression.site, spec)),
        spec_(spec),
        functions_(centred_functions(regression.functions, inputs.size())) {
    if (slices_.size() > 1)
      throw UsageError(fmt::format("directions are sought at one hook point, and \"{}\" matches {}",
                                   regression.site.hook, slices_.size()),
                       "name one of them");
  }

  const std::vector<Slice>& slices() const { return slices_; }

  // What a pass over the inputs from `start` on saw.
  void add(const CachedForward& seen, int64_t start) {
    const Tensor x = (slices_.empty() ? at_read_out(seen.logits, spec_)
                                      : slices_.front().taken(seen.cache[slices_.front().hook()]))
                         .to(torch::kCPU, torch::kFloat64);  // [batch, positions, features]
    const Tensor f = functions_.narrow(1, start, x.size(0));
    const Tensor products = f.matmul(x.reshape({x.size(0), -1})).reshape({-1, x.size(2)});
    coefficients_ = coefficients_.defined() ? coefficients_ + products : products;
    const double here = x.numel() > 0 ? x.abs().max().item<double>() : 0;
    largest_ = std::max(largest_, here);
  }

  Tensor directions() const {
    if (!torch::isfinite(coefficients_).all().item<bool>())
      throw UsageError("activations are not finite, and have no directions",
                       "choose another site, such as attn.hook_pattern");
    const auto [u, size, rows] = at::linalg_svd(coefficients_, /*full_matrices=*/false);
    // Activations are rounded to float32. The functions have norm 1, so what rounding adds to a coefficient
    // is about 1e-7 of the largest activation; in up to a thousand features that is 1e-5 together. What the
    // activation turns with has coefficients of its size times the square root of the number of inputs.
    const Tensor rank = (size > largest_ * kRounding).sum();
    return rows.narrow(0, 0, rank.item<int64_t>()).contiguous();
  }

 private:
  std::vector<Slice> slices_;
  const TaskSpec& spec_;
  Tensor functions_;     // [m, inputs]
  Tensor coefficients_;  // [m * positions, features]
  double largest_ = 0;
};

}  // namespace

std::vector<Tensor> regression_directions(Model& model, const TaskSpec& spec, const Batch& inputs,
                                          const std::vector<Regression>& regressions) {
  const torch::NoGradGuard no_grad;
  std::vector<RegressionSums> sums;
  std::vector<std::string> hooks;
  for (const Regression& regression : regressions) {
    sums.emplace_back(model, spec, inputs, regression);
    for (const Slice& slice : sums.back().slices()) hooks.push_back(slice.hook());
  }
  if (inputs.size() == 0) throw UsageError("there are no inputs to find directions on");
  for (int64_t start = 0; start < inputs.size(); start += piece_size) {
    const int64_t size = std::min(piece_size, inputs.size() - start);
    const CachedForward seen =
        run_with_cache(model, inputs.tokens.narrow(0, start, size).to(model.device()), hooks);
    for (RegressionSums& sum : sums) sum.add(seen, start);
  }
  std::vector<Tensor> directions;
  for (const RegressionSums& sum : sums) directions.push_back(sum.directions());
  return directions;
}

Tensor random_directions(int64_t m, int64_t d, torch::Generator rng) {
  if (m < 0 || m > d)
    throw Error(fmt::format("there are no {} orthogonal directions in {} dimensions", m, d));
  if (m == 0) return torch::zeros({0, d}, torch::kFloat64);
  return orthonormal_rows(torch::randn({m, d}, rng, torch::kFloat64));
}

Tensor principal_angles(const Tensor& a, const Tensor& b) {
  if (a.dim() != 2 || b.dim() != 2 || a.size(1) != b.size(1))
    throw Error("principal angles are between bases [m, d] and [k, d] of the same d");
  if (a.size(0) == 0 || b.size(0) == 0) return torch::zeros({0}, torch::kFloat64);
  const Tensor x = a.to(torch::kFloat64), y = b.to(torch::kFloat64);
  const Tensor &few = x.size(0) <= y.size(0) ? x : y, &many = x.size(0) <= y.size(0) ? y : x;
  const Tensor inner = few.matmul(many.t());
  // The cosine of a small angle is 1 up to its square, so small angles are taken by their sines: the singular
  // values of what of the smaller space lies outside of the larger one (Bjorck and Golub 1973).
  const Tensor cosines = std::get<1>(at::linalg_svd(inner, false)).clamp(0, 1);
  const Tensor sines = std::get<1>(at::linalg_svd(few - inner.matmul(many), false)).flip(0).clamp(0, 1);
  return torch::where(cosines > 0.7, sines.asin(), cosines.acos());
}

}  // namespace orrery
