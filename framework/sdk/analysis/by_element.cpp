#include "sdk/analysis/by_element.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace orrery {
namespace {

template <class T>
void add_rows(const torch::Tensor& x, const torch::Tensor& by_element, const torch::Tensor& sums) {
  const int64_t d = x.size(1), of_each = x.size(0) / sums.size(0);
  const T* const from = x.data_ptr<T>();
  const int64_t* const row = by_element.data_ptr<int64_t>();
  double* const to = sums.data_ptr<double>();
  for (int64_t i = 0; i < x.size(0); ++i)
    for (int64_t c = 0; c < d; ++c) to[i / of_each * d + c] += from[row[i] * d + c];
}

}  // namespace

torch::Tensor means_by_element(const torch::Tensor& x, const torch::Tensor& by_element, int64_t n) {
  const int64_t rows = x.size(0), d = x.size(1);
  const bool loops = x.device().is_cpu() && !x.requires_grad() &&
                     (x.dtype() == torch::kFloat64 || x.dtype() == torch::kFloat32);
  if (!loops)
    return x.index_select(0, by_element.to(x.device())).to(torch::kFloat64).view({n, rows / n, d}).mean(1);
  const auto sums = torch::zeros({n, d}, torch::kFloat64);
  const auto values = x.contiguous(), order = by_element.contiguous();
  if (x.dtype() == torch::kFloat64)
    add_rows<double>(values, order, sums);
  else
    add_rows<float>(values, order, sums);
  return sums / static_cast<double>(rows / n);
}

void add_by_element(const torch::Tensor& values, const torch::Tensor& element, const torch::Tensor& to) {
  if (!to.device().is_cpu() || values.requires_grad()) {
    to.add_(values.index_select(0, element.to(to.device())));
    return;
  }
  const int64_t d = to.size(1);
  const auto each = values.contiguous(), of_row = element.contiguous();
  double* row = to.data_ptr<double>();
  for (int64_t i = 0; i < to.size(0); ++i, row += d) {
    const double* const value = each.data_ptr<double>() + of_row.data_ptr<int64_t>()[i] * d;
    for (int64_t c = 0; c < d; ++c) row[c] += value[c];
  }
}

Squares sums_of_squares(const torch::Tensor& x) {
  constexpr int64_t lanes = 8, at_once = 64 * lanes;  // are added up first, so that rounding stays small
  const auto values = x.contiguous();
  const double* const at = values.data_ptr<double>();
  const double mean = values.mean().item<double>();
  const int64_t n = values.numel();
  Squares sums{};
  for (int64_t first = 0; first < n; first += at_once) {
    double as_they_are[lanes] = {}, about_mean[lanes] = {};
    const auto add = [&](int64_t i, int64_t lane) {
      as_they_are[lane] += at[i] * at[i];
      about_mean[lane] += (at[i] - mean) * (at[i] - mean);
    };
    const int64_t end = std::min(first + at_once, n);
    int64_t i = first;
    for (; i + lanes <= end; i += lanes)
      for (int64_t lane = 0; lane < lanes; ++lane) add(i + lane, lane);
    for (; i < end; ++i) add(i, 0);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      sums.as_they_are += as_they_are[lane];
      sums.about_mean += about_mean[lane];
    }
  }
  return sums;
}

}  // namespace orrery
