// Wrong labels among the training examples (Doshi et al. 2024, arXiv 2310.13061).
#pragma once

#include <orrery/task.h>

#include <cstdint>

namespace orrery::engine {

/// Replaces the labels of a share of `train` by other ones: round(share x examples) of them, chosen, and each
/// of their labels drawn evenly from the other classes, with a generator of this seed. The grid of the split
/// keeps the right ones. Throws orrery::UsageError for an endless task, which has no training set.
void add_label_noise(Batch& train, const TaskSpec& spec, double share, int64_t seed);

}  // namespace orrery::engine
