#include "engine/run/kernels.h"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <dlfcn.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <sstream>

#include "sdk/kernels/simd/dispatch.h"

namespace orrery::engine {
namespace {

// What a function of the BLAS answers, or "" if this BLAS has no such function.
std::string answer_of(const char* function) {
  using Ask = const char* (*)();
  const auto ask = reinterpret_cast<Ask>(dlsym(RTLD_DEFAULT, function));
  const char* answer = ask ? ask() : nullptr;
  return answer ? answer : "";
}

// The first two words of "OpenBLAS 0.3.21 NO_LAPACK DYNAMIC_ARCH SkylakeX MAX_THREADS=64".
std::string first_words(const std::string& config) {
  std::istringstream stream(config);
  std::string name, version;
  stream >> name >> version;
  return name + (version.empty() ? "" : " " + version);
}

// LibTorch has no function for it in every version, but says it in its description of itself.
std::string cpu_capability() {
  const std::string description = at::show_config(), key = "CPU capability usage: ";
  const size_t at = description.find(key);
  if (at == std::string::npos) return "";
  const size_t begin = at + key.size();
  return description.substr(begin, description.find('\n', begin) - begin);
}

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Below the smallest normal number, and not a constant to the compiler.
bool flushes_subnormals() {
  volatile float tiny = std::numeric_limits<float>::min();
  volatile float half = tiny / 2;
  return half == 0;
}

}  // namespace

Kernels kernels_in_use() {
  Kernels kernels;
  kernels.blas = first_words(answer_of("openblas_get_config"));
  kernels.blas_core = answer_of("openblas_get_corename");
  if (kernels.blas.empty() && at::hasMKL()) kernels.blas = "MKL";
  kernels.cpu_capability = cpu_capability();
  kernels.loops = orrery::kernels::loops().name;
  kernels.flushes_subnormals = flushes_subnormals();
  return kernels;
}

double product_speed() {
  constexpr int64_t rows = 1024, inner = 128, columns = 512;
  const at::Tensor a = at::ones({rows, inner}), b = at::ones({inner, columns});
  double best = std::numeric_limits<double>::infinity();
  for (const double end = thread_seconds() + 0.1; thread_seconds() < end;) {
    const double start = thread_seconds();
    at::mm(a, b);
    best = std::min(best, thread_seconds() - start);
  }
  return 2e-6 * rows * inner * columns / best;
}

}  // namespace orrery::engine
