// The processor, its threads and the device that a run computes with.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "engine/config/train_settings.h"

namespace orrery::engine {

/// The device named by [train] device: "auto" is a GPU if there is one, else the CPU; other names are those
/// of torch::Device. Throws orrery::UsageError if it is "cuda" and there is none.
torch::Device choose_device(const std::string& name);

/// Has the calling thread, and the threads it begins from now on, take subnormal numbers (below 1.2e-38 in
/// float32) for zero, or not. Intel's processors take long over each of them, and the gradient of the logits
/// of a network that has memorised its data is full of them. Returns false if this processor cannot.
bool flush_subnormals(bool flush);

/// Sets the number of threads of LibTorch and of OpenBLAS, if that is the BLAS. Call before the first matrix
/// product.
void use_threads(int64_t threads);

/// Both, as a run's config says, with `threads` in place of its own unless 0.
void prepare_processor(const TrainSettings& settings, int64_t threads = 0);

/// Makes the process keep the memory that a step frees for the next one. Trainer calls it itself.
void keep_freed_memory();

}  // namespace orrery::engine
