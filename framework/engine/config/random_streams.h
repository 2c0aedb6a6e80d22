// Random streams that share a seed of the config.
#pragma once

#include <cstdint>

namespace orrery::engine {

/// A generator uses the lower 32 bits of its seed only, so these differ there.
enum class RandomStream : uint32_t {
  label_noise = 0x65000000,
  dropout = 0x6f757400,
  updates = 0x74650000,
  initial_draws = 0x64726177,
  endless_examples = 0x73616d70
};

/// The seed of another stream than that of `seed`, and for each `index` another.
inline uint64_t seed_of(RandomStream stream, uint64_t seed, uint64_t index = 0) {
  constexpr uint64_t spread = 0x9e3779b9;  // odd, so that no two indices below 2^32 are the same
  return seed ^ static_cast<uint32_t>(stream) ^ static_cast<uint32_t>(index * spread);
}

}  // namespace orrery::engine
