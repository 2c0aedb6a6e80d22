// The triples (a, b, c) of indices at which gradients are compared.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <string>

namespace clock_pizza {

/// `n_triples` of the n^3 triples, drawn uniformly with replacement, the same at every call; all of them, in
/// order, where it is n^3 or more. [n_triples, 3] int64.
torch::Tensor drawn_triples(int64_t n_triples, int64_t n);

/// The first `n_triples` of all n^3, listed in order and shuffled as Python's random.Random(42).shuffle does.
/// Throws orrery::UsageError for n above 256: the list is held in memory.
torch::Tensor zhong_triples(int64_t n_triples, int64_t n);

/// The rows of a tensor of integers [m, 3] in a safetensors file. Throws orrery::UsageError unless all are 0
/// to n - 1.
torch::Tensor triples_in_file(const std::string& path, const std::string& tensor, int64_t n);

/// Python's random.Random(seed) for seeds of 32 bits: the Mersenne twister (Matsumoto & Nishimura 1998),
/// seeded by an array.
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed);
  uint32_t bits(int count);        ///< getrandbits(count), count 1 to 32
  uint32_t below(uint32_t bound);  ///< randrange(bound), bound > 0

 private:
  uint32_t next();
  void twist();
  std::array<uint32_t, 624> state_{};
  size_t at_ = 624;
};

}  // namespace clock_pizza
