// Rows of a matrix that belong to the same element of a set, such as the pairs with one sum.
#pragma once

#include <torch/types.h>

namespace orrery {

/// The mean of the rows of x [rows, d] of each of n elements: [n, d] float64 on the device of x. by_element:
/// [rows] int64 on the CPU, the rows in the order of their elements, equally many of each.
torch::Tensor means_by_element(const torch::Tensor& x, const torch::Tensor& by_element, int64_t n);

/// to[row] += values[element[row]]. to: [rows, d], values: [n, d], both float64 on one device.
void add_by_element(const torch::Tensor& values, const torch::Tensor& element, const torch::Tensor& to);

/// Of numbers x, float64 on the CPU: the sum of their squares, and that of their distances to the mean.
struct Squares {
  double as_they_are, about_mean;
};
Squares sums_of_squares(const torch::Tensor& x);

}  // namespace orrery
