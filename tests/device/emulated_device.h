// A GPU's stand-in on a machine without one: a device whose memory this process cannot read, and whose
// operations refuse tensors that lie elsewhere. What a GPU would refuse or crash on fails here too; speed and
// rounding are the CPU's.
#pragma once

#include <c10/core/Device.h>

namespace orrery::testing {

/// Registers the device with LibTorch, once for the process, and returns it. It takes the type XPU, which
/// LibTorch for CPU or CUDA knows by name and has no operations for.
///
/// A pointer to its memory lies in pages without access, so that data_ptr() of its tensors ends in SIGSEGV
/// where somebody follows it. Operations run on the CPU through a second mapping of the same pages. One of
/// them throws c10::Error if it is given a CPU tensor with dimensions beside a tensor of this device, as
/// CUDA's do.
c10::Device emulated_device();

}  // namespace orrery::testing
