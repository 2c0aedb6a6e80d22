#include "triples.h"

#include <orrery/error.h>
#include <orrery/subspace.h>
#include <orrery/task.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <vector>

namespace clock_pizza {
namespace {

using torch::Tensor;

constexpr int64_t kMostShuffled = 256;  // n: 67 MB

// The triples that are the digits of `cells` to base n: [cells, 3].
Tensor digits(const Tensor& cells, int64_t n) {
  const auto digit = [&](int64_t weight) { return torch::div(cells, weight, "floor").remainder(n); };
  return torch::stack({digit(n * n), digit(n), digit(1)}, 1);
}

}  // namespace

PythonRandom::PythonRandom(uint32_t seed) {
  const auto mixed = [&](size_t i, uint32_t factor) {
    return (state_[i - 1] ^ (state_[i - 1] >> 30)) * factor;
  };
  state_[0] = 19650218u;
  for (uint32_t i = 1; i < 624; ++i) state_[i] = mixed(i, 1812433253u) + i;
  size_t i = 1;
  for (int step = 0; step < 624; ++step) {  // the key is the array {seed}
    state_[i] = (state_[i] ^ mixed(i, 1664525u)) + seed;
    if (++i == 624) state_[0] = state_[623], i = 1;
  }
  for (int step = 0; step < 623; ++step) {
    state_[i] = (state_[i] ^ mixed(i, 1566083941u)) - static_cast<uint32_t>(i);
    if (++i == 624) state_[0] = state_[623], i = 1;
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::twist() {
  for (size_t i = 0; i < 624; ++i) {
    const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % 624] & 0x7fffffffu);
    state_[i] = state_[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
  }
  at_ = 0;
}

uint32_t PythonRandom::next() {
  if (at_ == 624) twist();
  uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

uint32_t PythonRandom::bits(int count) { return next() >> (32 - count); }

uint32_t PythonRandom::below(uint32_t bound) {
  const int count = std::bit_width(bound);
  uint32_t drawn = bits(count);
  while (drawn >= bound) drawn = bits(count);
  return drawn;
}

Tensor drawn_triples(int64_t n_triples, int64_t n) {
  if (n_triples < n * n * n)
    return torch::randint(n, {n_triples, 3}, orrery::make_generator(0), torch::kInt64);
  return digits(torch::arange(n * n * n, torch::kInt64), n);
}

Tensor zhong_triples(int64_t n_triples, int64_t n) {
  if (n > kMostShuffled)
    throw orrery::UsageError("triples = \"zhong\" shuffles a list of all n^3 triples, and n is " +
                                 std::to_string(n) + "; at most " + std::to_string(kMostShuffled) +
                                 " is accepted",
                             "set triples to \"drawn\" or \"file\"");
  std::vector<uint32_t> cells(static_cast<size_t>(n * n * n));
  std::iota(cells.begin(), cells.end(), 0u);
  PythonRandom random(42);
  for (size_t i = cells.size() - 1; i > 0; --i)
    std::swap(cells[i], cells[random.below(static_cast<uint32_t>(i) + 1)]);
  const size_t taken = std::min(cells.size(), static_cast<size_t>(n_triples));
  return digits(
      torch::tensor(std::vector<int64_t>(cells.begin(), cells.begin() + static_cast<int64_t>(taken)),
                    torch::kInt64),
      n);
}

Tensor triples_in_file(const std::string& path, const std::string& tensor, int64_t n) {
  const Tensor rows = orrery::read_tensor(path, tensor);
  if (rows.dim() != 2 || rows.size(1) != 3 || rows.size(0) == 0 || rows.is_floating_point() ||
      rows.scalar_type() == torch::kBool)
    throw orrery::UsageError(path + ": expected integers [m, 3], a row (a, b, c) for each triple",
                             "from Python: safetensors.numpy.save_file({\"triples\": "
                             "numpy.array(triples)}, \"triples.safetensors\")");
  const Tensor triples = rows.to(torch::kInt64);
  if (triples.min().item<int64_t>() < 0 || triples.max().item<int64_t>() >= n)
    throw orrery::UsageError(path + ": the triples hold numbers from " +
                                 std::to_string(triples.min().item<int64_t>()) + " to " +
                                 std::to_string(triples.max().item<int64_t>()) +
                                 ", and the indices of the group are 0 to " + std::to_string(n - 1),
                             "a, b and c are indices in the cyclic group, counted from 0");
  return triples;
}

}  // namespace clock_pizza
