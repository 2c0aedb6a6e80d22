// OpenMP and OpenBLAS read the environment once, when they are loaded, and that is before main(). What suits
// small matrices must be there by then:
//   OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1   more threads make them slower; [train] threads asks for more
//   OPENBLAS_CORETYPE=SkylakeX                  OpenBLAS 0.3.21 does not know recent processors and falls
//   back
//                                               to AVX2 kernels; with AVX-512 training is up to 1.5 times as
//                                               fast
// Where one of them is not set, the program starts itself again with it, before any library has done
// anything: tens of milliseconds. ORRERY_NO_REEXEC=1 leaves the environment as it is.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

constexpr int most_variables = 4096;

bool is_set(char** environment, const char* name) {
  const size_t n = strlen(name);
  for (; *environment; ++environment)
    if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=') return true;
  return false;
}

bool has_avx512() {
#ifdef __x86_64__
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#else
  return false;
#endif
}

// Neither the C library nor C++ is ready for anything when this runs; it makes system calls only.
void complete_environment(int, char** arguments, char** environment) {
  if (is_set(environment, "ORRERY_NO_REEXEC")) return;
  static char threads[] = "OMP_NUM_THREADS=1", blas_threads[] = "OPENBLAS_NUM_THREADS=1",
              core[] = "OPENBLAS_CORETYPE=SkylakeX";
  static char* complete[most_variables + 4];
  int n = 0;
  for (; environment[n]; ++n) {
    if (n == most_variables) return;
    complete[n] = environment[n];
  }
  const int before = n;
  if (!is_set(environment, "OMP_NUM_THREADS")) complete[n++] = threads;
  if (!is_set(environment, "OPENBLAS_NUM_THREADS")) complete[n++] = blas_threads;
  if (!is_set(environment, "OPENBLAS_CORETYPE") && has_avx512()) complete[n++] = core;
  if (n == before) return;
  complete[n] = nullptr;
  static char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
  if (length > 0) execve(program, arguments, complete);
}

using Function = void (*)(int, char**, char**);
__attribute__((section(".preinit_array"), used)) Function before_all_libraries = complete_environment;

}  // namespace

#endif
