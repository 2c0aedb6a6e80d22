#include "loader/process_state.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/GradMode.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <streambuf>

namespace orrery {
namespace {

// A BLAS with threads of its own, or null.
template <class Function>
Function blas_function(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
}
int blas_threads() {
  static const auto get = blas_function<int (*)()>("openblas_get_num_threads");
  return get ? get() : 0;
}
void set_blas_threads(int threads) {
  static const auto set = blas_function<void (*)(int)>("openblas_set_num_threads");
  if (set) set(threads);
}

// The control bits alone: the others tell of past exceptions.
uint64_t floating_point_control(const std::fenv_t& environment) {
#if defined(__x86_64__)
  constexpr uint32_t status = 0x3f;
  return uint64_t{environment.__mxcsr & ~status} << 16 | environment.__control_word;
#elif defined(__aarch64__)
  return environment.__fpcr;
#else
  return static_cast<uint64_t>(std::fegetround());
#endif
}

at::Tensor generator_state() { return at::detail::getDefaultCPUGenerator().get_state(); }

std::string default_dtype() {
  const auto name = c10::get_default_dtype().name();
  return {name.data(), name.size()};
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.nbytes() == b.nbytes() && ::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0;
}

std::string working_folder() {
  char path[PATH_MAX];
  return ::getcwd(path, sizeof path) ? path : "";
}

std::string c_locale() {
  const char* name = ::setlocale(LC_ALL, nullptr);
  return name ? name : "";
}

// What std::cout writes to during a diversion.
class ToStandardError final : public std::streambuf {
 public:
  bool used = false;

 protected:
  int overflow(int c) override {
    if (c == traits_type::eof()) return 0;
    used = true;
    return std::fputc(c, stderr);
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    used |= size > 0;
    return static_cast<std::streamsize>(std::fwrite(text, 1, static_cast<size_t>(size), stderr));
  }
};

bool diverted = false;
ToStandardError& to_standard_error() {
  static auto* buffer = new ToStandardError;  // std::cout may be used as late as in static destructors
  return *buffer;
}

}  // namespace

ComputingState::ComputingState()
    : threads_(at::get_num_threads()),
      blas_threads_(blas_threads()),
      dtype_(c10::get_default_dtype()),
      gradients_(c10::GradMode::is_enabled()) {
  std::fegetenv(&floating_point_);
}

void ComputingState::undo(Changes& changes) const {
  std::fenv_t now;
  std::fegetenv(&now);
  if (floating_point_control(now) != floating_point_control(floating_point_)) {
    changes.push_back("changed the floating-point environment (rounding, or how it treats denormal numbers)");
    std::fesetenv(&floating_point_);
  }
  if (const int threads = at::get_num_threads(); threads != threads_) {
    changes.push_back(fmt::format("set the number of threads from {} to {}", threads_, threads));
    at::set_num_threads(threads_);
  }
  if (const int threads = blas_threads(); threads != blas_threads_) {
    // LibTorch may have set these with its own.
    if (changes.empty() || !changes.back().starts_with("set the number of threads"))
      changes.push_back(
          fmt::format("set the number of threads of BLAS from {} to {}", blas_threads_, threads));
    set_blas_threads(blas_threads_);
  }
  if (c10::get_default_dtype() != dtype_) {
    changes.push_back(fmt::format("set the default dtype to {}", default_dtype()));
    c10::set_default_dtype(dtype_);
  }
  if (c10::GradMode::is_enabled() != gradients_) {
    changes.push_back(fmt::format("switched gradients {}", gradients_ ? "off" : "on"));
    c10::GradMode::set_enabled(gradients_);
  }
}

GeneratorState::GeneratorState()
    : generator_(generator_state()),
      deterministic_(at::globalContext().deterministicAlgorithms()),
      warns_only_(at::globalContext().deterministicAlgorithmsWarnOnly()) {}

void GeneratorState::undo(Changes& changes) const {
  if (!same_bytes(generator_state(), generator_)) {
    changes.push_back("drew from LibTorch's own generator, or seeded it");
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    generator.set_state(generator_);
  }
  at::Context& context = at::globalContext();
  if (context.deterministicAlgorithms() != deterministic_ ||
      context.deterministicAlgorithmsWarnOnly() != warns_only_) {
    changes.push_back("set whether LibTorch is deterministic");
    context.setDeterministicAlgorithms(deterministic_, warns_only_);
  }
}

SystemState::SystemState()
    : folder_(working_folder()), c_locale_(c_locale()), thread_locale_(::uselocale(nullptr)) {
  for (size_t i = 0; i < watched_signals.size(); ++i) ::sigaction(watched_signals[i], nullptr, &handlers_[i]);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked_);
}

void SystemState::undo_signals(Changes& changes) const {
  std::string names;
  for (size_t i = 0; i < watched_signals.size(); ++i) {
    struct sigaction now;
    ::sigaction(watched_signals[i], nullptr, &now);
    if (now.sa_sigaction == handlers_[i].sa_sigaction && now.sa_flags == handlers_[i].sa_flags) continue;
    ::sigaction(watched_signals[i], &handlers_[i], nullptr);
    names += fmt::format("{}SIG{}", names.empty() ? "" : ", ", ::sigabbrev_np(watched_signals[i]));
  }
  if (!names.empty()) changes.push_back(fmt::format("set another handler for {}", names));
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  bool same = true;
  for (int number = 1; number < NSIG; ++number)
    same &= ::sigismember(&blocked, number) == ::sigismember(&blocked_, number);
  if (same) return;
  changes.push_back("blocked or unblocked signals");
  ::pthread_sigmask(SIG_SETMASK, &blocked_, nullptr);
}

void SystemState::undo_locales(Changes& changes) const {
  const bool same =
      std::locale() == locale_ && c_locale() == c_locale_ && ::uselocale(nullptr) == thread_locale_;
  if (same) return;
  changes.push_back(fmt::format("set the locale from {} to {}", c_locale_, c_locale()));
  std::locale::global(locale_);  // sets that of C, too, if it has a name
  ::setlocale(LC_ALL, c_locale_.c_str());
  ::uselocale(thread_locale_);
}

void SystemState::undo(Changes& changes) const {
  if (const std::string folder = working_folder(); folder != folder_) {
    changes.push_back(fmt::format("went from the folder {} to {}", folder_, folder));
    if (::chdir(folder_.c_str()) != 0)
      changes.push_back(fmt::format("left {}, and there is no way back: {}", folder_, ::strerror(errno)));
  }
  undo_locales(changes);
  undo_signals(changes);
}

OutputDiversion::OutputDiversion() : outermost_(!diverted) {
  if (!outermost_) return;
  std::cout.flush();
  std::fflush(stdout);
  output_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (output_ >= 0) ::dup2(STDERR_FILENO, STDOUT_FILENO);
  to_standard_error().used = false;
  buffer_ = std::cout.rdbuf(&to_standard_error());
  flags_ = std::cout.flags();
  precision_ = std::cout.precision();
  diverted = true;
}

void OutputDiversion::end(Changes& changes) {
  if (!outermost_ || !buffer_) return;
  const bool printed = to_standard_error().used || ::__fpending(stdout) > 0;
  std::fflush(stdout);
  if (output_ >= 0) {
    ::dup2(output_, STDOUT_FILENO);
    ::close(output_);
  }
  std::cout.rdbuf(buffer_);
  std::cout.flags(flags_);
  std::cout.precision(precision_);
  buffer_ = nullptr;
  diverted = false;
  if (printed) changes.push_back("printed to standard output");
}

OutputDiversion::~OutputDiversion() {
  Changes changes;
  end(changes);
}

}  // namespace orrery
