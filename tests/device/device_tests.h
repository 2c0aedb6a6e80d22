// The device under test, and how close its numbers must be to the CPU's.
#pragma once

#include <torch/types.h>

#include <string>

namespace orrery::device_test {

/// What --device names: a CUDA GPU or the emulated device.
torch::Device device_under_test();
/// Its name as [train] device: "cuda".
std::string device_name();

/// The largest entry of `x`, or 0.
double largest(const torch::Tensor& x);

/// Expects that `x` and `y`, wherever they are, have one shape and finite entries that differ by at most
/// `bound`.
void expect_close(const torch::Tensor& x, const torch::Tensor& y, double bound, const std::string& what);

}  // namespace orrery::device_test
