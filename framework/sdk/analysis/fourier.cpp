#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sdk/analysis/by_element.h"
#include "sdk/analysis/wave_energies.h"
#include "sdk/kernels/simd/dispatch.h"

namespace orrery {
namespace {

// The frequency of each row of the basis: 0, 1, 1, 2, 2, ...
torch::Tensor frequency_of_row(int64_t n) {
  return torch::div(torch::arange(1, n + 1, torch::kInt64), 2, "floor");
}

// Adds up entries of the same frequency along `dim`, which runs over rows of the basis.
torch::Tensor pooled(const torch::Tensor& x, int64_t dim) {
  const int64_t n = x.size(dim);
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[dim] = n / 2 + 1;
  return torch::zeros(sizes, x.options()).index_add_(dim, frequency_of_row(n).to(x.device()), x);
}

torch::Tensor basis_like(int64_t n, const torch::Tensor& x) { return fourier_basis(n).to(x.options()); }

int64_t side_of_square(const torch::Tensor& x) {
  const auto n = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(x.size(0)))));
  if (x.dim() != 2 || n * n != x.size(0) || n == 0)
    throw Error(fmt::format("expected [n*n, m] values over pairs, got {} rows in {} dimensions",
                            x.dim() > 0 ? x.size(0) : 0, x.dim()));
  return n;
}

// Means of x [n*n, m] over the n pairs (i, j) with i + j = s (mod n): [n, m] float64.
torch::Tensor means_by_sum(const torch::Tensor& x, int64_t n) {
  const auto i = torch::arange(n, torch::kInt64);
  const auto cells = i * n + torch::remainder(i.unsqueeze(1) - i, n);  // [s, i]: the cell (i, s - i)
  return means_by_element(x, cells.flatten(), n);
}

}  // namespace

torch::Tensor fourier_basis(int64_t n) {
  if (n < 1) throw Error(fmt::format("there is no Fourier basis of order {}", n));
  const auto frequency = frequency_of_row(n).unsqueeze(1);
  const auto is_sine = torch::logical_and(torch::remainder(torch::arange(n), 2) == 0, torch::arange(n) > 0);
  // Reduces the product before it becomes an angle: exact for any n.
  const auto angle = torch::remainder(frequency * torch::arange(n), n).to(torch::kFloat64) * (2 * M_PI / n);
  const auto waves = torch::where(is_sine.unsqueeze(1), angle.sin(), angle.cos());
  const auto alone = torch::logical_or(frequency == 0, frequency * 2 == n);  // const, and cos n/2: no sine
  return waves *
         torch::where(alone, torch::tensor(1.0 / n, torch::kFloat64), torch::tensor(2.0 / n, torch::kFloat64))
             .sqrt();
}

std::vector<std::string> fourier_names(int64_t n) {
  std::vector<std::string> names{"const"};
  for (int64_t row = 1; row < n; ++row)
    names.push_back(fmt::format("{} {}", row % 2 ? "cos" : "sin", (row + 1) / 2));
  return names;
}

torch::Tensor fourier_norms(const torch::Tensor& x) {
  const int64_t n = x.size(0);
  const auto values = x.to(torch::kFloat64).reshape({n, -1});
  return pooled(basis_like(n, values).matmul(values).square().sum(1), 0).sqrt();
}

torch::Tensor fourier_2d(const torch::Tensor& x) {
  if (x.dim() != 3 || x.size(0) != x.size(1)) throw Error("fourier_2d: expected values [n, n, m]");
  const int64_t n = x.size(0), m = x.size(2);
  const auto basis = basis_like(n, x);
  const auto first = basis.matmul(x.reshape({n, n * m})).view({n, n, m});
  return torch::bmm(basis.expand({n, n, n}), first);
}

NeuronSpectrum neuron_spectrum(const torch::Tensor& neurons) {
  if (neurons.dim() != 3 || neurons.size(0) != neurons.size(1))
    throw Error("neuron_spectrum: expected values [n, n, m]");
  if (neurons.size(0) < 2) throw Error("neuron_spectrum: a group of one element has no frequencies");
  const bool loops = neurons.device().is_cpu() && !neurons.requires_grad();
  const WaveEnergies energies = loops ? wave_energies(neurons) : plain_wave_energies(neurons);
  const auto [largest, at] = energies.own.max(0);
  const auto everything =
      torch::where(energies.varies, energies.total, torch::zeros_like(energies.total)).sum();
  return {torch::where(energies.varies, at + 1, torch::zeros_like(at)),
          torch::where(energies.varies, largest / energies.total, torch::zeros_like(energies.total)),
          pooled(pooled(energies.varying, 0), 1) / everything.clamp_min(std::numeric_limits<double>::min()),
          (energies.components / neurons.numel()).sqrt()};
}

torch::Tensor NeuronSpectrum::clusters(double threshold) const {
  const auto members = frequency.masked_select(torch::logical_and(share >= threshold, frequency > 0));
  return torch::bincount(members, {}, energy.size(0));
}

torch::Tensor cosine_coefficients(const torch::Tensor& x) {
  const int64_t n = side_of_square(x);
  if (x.size(1) != n)
    throw Error(fmt::format("expected values [n*n, n], n = {}, got {} columns", n, x.size(1)));
  const auto means = means_by_sum(x, n);
  const auto basis = basis_like(n, means);
  // cos w(s - c) = cos ws cos wc + sin ws sin wc, so the diagonal of the transform over s and c is enough.
  const auto diagonal = pooled(basis.matmul(means).mul(basis).sum(1), 0);
  auto scale = torch::full({n / 2 + 1}, std::sqrt(n / 2.0), means.options());
  scale[0] = std::sqrt(static_cast<double>(n));
  if (n % 2 == 0) scale[n / 2] = std::sqrt(static_cast<double>(n));
  return diagonal * scale;
}

double gini(const torch::Tensor& values) {
  const auto sorted = values.detach().to(torch::kCPU, torch::kFloat64).flatten().clone();
  double* const first = sorted.data_ptr<double>();
  std::sort(first, first + sorted.numel(), [](double a, double b) {  // NaN last
    return std::isnan(b) ? !std::isnan(a) : a < b;
  });
  const int64_t n = sorted.numel();
  const double sum = sorted.sum().item<double>();
  if (sum == 0) return 0;
  const auto rank = torch::arange(1, n + 1, torch::kFloat64);
  return ((rank * 2 - (n + 1)) * sorted).sum().item<double>() / (static_cast<double>(n) * sum);
}

torch::Tensor cross_entropy(const torch::Tensor& logits, const torch::Tensor& labels) {
  const bool are_classes = labels.numel() > 0 && labels.min().item<int64_t>() >= 0 &&
                           labels.max().item<int64_t>() < logits.size(-1);
  if (logits.device().is_cpu() && logits.dim() == 2 && !logits.requires_grad() && are_classes) {
    const auto rows = logits.to(torch::kFloat64).contiguous(), of_rows = labels.to(torch::kCPU).contiguous();
    const auto losses = torch::empty({rows.size(0)}, torch::kFloat64);
    kernels::loops().row_losses(rows.size(0), rows.size(1), rows.data_ptr<double>(),
                                of_rows.data_ptr<int64_t>(), losses.data_ptr<double>());
    return losses;
  }
  const auto log_probabilities = torch::log_softmax(logits.to(torch::kFloat64), -1);
  return -log_probabilities.gather(-1, labels.to(logits.device()).unsqueeze(-1)).squeeze(-1);
}

}  // namespace orrery
