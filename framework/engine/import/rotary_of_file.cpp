#include "engine/import/rotary_of_file.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>

#include "engine/import/stored.h"

namespace orrery::engine {
namespace {

// The base b of frequencies b^(-i/n), i = 0..n-1: [n], float64. They are stored in float32, or less.
double base_of(const torch::Tensor& frequencies, const std::string& name) {
  const int64_t n = frequencies.size(0);
  if (n < 2) return 10'000;  // it does not matter: the only frequency is 1
  const double last = frequencies[n - 1].item<double>(), size = static_cast<double>(n);
  const double base = std::pow(last, -size / (size - 1));
  const torch::Tensor expected = torch::pow(base, torch::arange(n, torch::kDouble) / -size);
  if (!torch::allclose(frequencies, expected, /*rtol=*/1e-2, /*atol=*/0))
    throw UsageError(
        fmt::format(
            "a transformer with what Orrery's has not: rotary frequencies that are not the powers of one "
            "base ({})",
            name),
        "scaled frequencies, as for longer contexts, are not read");
  const double whole = std::round(base);
  return std::abs(base - whole) < 1e-4 * base ? whole : base;
}

Values values_of(const torch::Tensor& frequencies, const std::string& name) {
  return {{"positional_embedding_type", std::string("rotary")},
          {"rotary_dim", 2 * frequencies.size(0)},
          {"rotary_base", base_of(frequencies, name)}};
}

// TransformerLens's, [n_ctx, rotary_dim]: the angles of position 1 are the frequencies, each of them twice.
Values of_angles(const torch::Tensor& sin, const torch::Tensor& cos, const std::string& name) {
  if (sin.dim() != 2 || sin.sizes() != cos.sizes() || sin.size(0) < 2 || sin.size(1) % 2 != 0) return {};
  const torch::Tensor angles = torch::atan2(sin[1], cos[1]);
  const int64_t n = angles.size(0) / 2;
  const bool adjacent = n > 1 && torch::allclose(angles[0], angles[1]);
  Values values = values_of(adjacent ? angles.slice(0, 0, torch::nullopt, 2) : angles.narrow(0, 0, n), name);
  values["rotary_adjacent_pairs"] = adjacent;
  return values;
}

}  // namespace

Values rotary_of(const StoredTensors& tensors) {
  const auto ends = [](const std::string& name, const char* ending) { return name.ends_with(ending); };
  for (const auto& [name, tensor] : tensors) {
    if (ends(name, "inv_freq") && tensor.shape.size() == 1 && tensor.shape[0] > 0)
      return values_of(as_tensor(tensor).to(torch::kDouble), name);
    if (!ends(name, "rotary_sin")) continue;
    const std::string other = name.substr(0, name.size() - 3) + "cos";
    for (const auto& [cos_name, cos] : tensors)
      if (cos_name == other)
        return of_angles(as_tensor(tensor).to(torch::kDouble), as_tensor(cos).to(torch::kDouble), name);
  }
  return {};
}

}  // namespace orrery::engine
