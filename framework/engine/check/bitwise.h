// Whether two things are the same bit for bit, and where they first differ.
#pragma once

#include <orrery/recorder.h>
#include <orrery/task.h>

#include <string>

namespace orrery::engine::checks {

/// Same dtype, shape and bytes, or both undefined.
bool same(const torch::Tensor& a, const torch::Tensor& b);
/// NaN is the same as NaN.
bool same(double a, double b);

/// Where the second differs from the first: "train.labels, at row 3", `scalar "loss" is 1.5, then 1.6`; ""
/// where they are the same.
std::string difference(const std::string& name, const Batch& a, const Batch& b);
std::string difference(const Split& a, const Split& b);
std::string difference(const Record& a, const Record& b);

/// The state of LibTorch's own generator on the CPU.
torch::Tensor global_generator_state();
/// Gives it a seed that nobody else would: whoever seeds it next is seen, and so is whoever draws from it.
void seed_global_generator();

/// With tensors of their own.
Batch copy(const Batch& batch);
Split copy(const Split& split);

}  // namespace orrery::engine::checks
