#include "engine/train/hardware.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <malloc.h>
#include <orrery/error.h>
#include <orrery/version.h>

#include <limits>

namespace orrery::engine {

torch::Device choose_device(const std::string& name) {
  if (name == "auto") return at::hasCUDA() ? torch::kCUDA : torch::kCPU;
  const torch::Device device(name);
  if (!device.is_cuda() || at::hasCUDA()) return device;
  throw UsageError(
      "train.device is \"cuda\", but this LibTorch (" + torch_version() + ") finds no CUDA device",
      "use \"cpu\" or \"auto\", or build against a LibTorch with CUDA (CMAKE_PREFIX_PATH)");
}

bool flush_subnormals(bool flush) { return at::globalContext().setFlushDenormal(flush); }

void use_threads(int64_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  // LibTorch does not set the threads of a BLAS with its own pool, and two pools compete for the cores.
  using SetThreads = void (*)(int);
  if (auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")))
    set(static_cast<int>(threads));
}

void prepare_processor(const TrainSettings& settings, int64_t threads) {
  flush_subnormals(settings.flush_subnormals);
  use_threads(threads > 0 ? threads : settings.threads);
}

void keep_freed_memory() {
#ifdef __GLIBC__
  // Otherwise every step returns its larger tensors to the system and faults them in again page by page.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

}  // namespace orrery::engine
