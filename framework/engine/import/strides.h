// Private to the import room. Free of LibTorch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace orrery::engine {

/// The strides, in elements, of an array without gaps; nothing where they overflow.
inline std::optional<std::vector<int64_t>> strides_of(const std::vector<int64_t>& shape,
                                                      bool first_dimension_fastest = false) {
  std::vector<int64_t> strides(shape.size(), 1);
  int64_t stride = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const size_t dim = first_dimension_fastest ? i : shape.size() - 1 - i;
    strides[dim] = stride;
    if (__builtin_mul_overflow(stride, std::max<int64_t>(shape[dim], 1), &stride)) return {};
  }
  return strides;
}

}  // namespace orrery::engine
