// Bitwise equality of tensors, batches, splits and records, and where two of them first differ.
#pragma once

#include <orrery/recorder.h>
#include <orrery/task.h>

#include <string>

namespace orrery::engine::checks {

/// Same dtype, shape and bytes, or both undefined.
bool same(const torch::Tensor& a, const torch::Tensor& b);
/// NaN equals NaN.
bool same(double a, double b);

/// Where the second first differs from the first: "train.labels, at row 3", `scalar "loss" is 1.5, then 1.6`;
/// "" if they are the same.
std::string difference(const std::string& name, const Batch& a, const Batch& b);
std::string difference(const Split& a, const Split& b);
std::string difference(const Record& a, const Record& b);

/// Seeds LibTorch's global CPU generator with an unlikely number, so that any later draw from it, or seeding
/// of it, changes its state.
void seed_global_generator();

/// Deep copies.
Batch copy(const Batch& batch);
Split copy(const Split& split);

}  // namespace orrery::engine::checks
