// Parts of the process-wide state: each can be read, and set back to what was read.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <locale.h>
#include <signal.h>

#include <array>
#include <cfenv>
#include <locale>
#include <string>
#include <vector>

namespace orrery {

/// What changed, as in "it {}": "set the number of threads from 1 to 4".
using Changes = std::vector<std::string>;

/// Each has its state at construction; undo() sets the process back to it and adds what had changed.
class ComputingState {
 public:
  ComputingState();
  void undo(Changes& changes) const;

 private:
  int threads_, blas_threads_;
  caffe2::TypeMeta dtype_;
  bool gradients_;
  std::fenv_t floating_point_;
};

class GeneratorState {
 public:
  GeneratorState();
  void undo(Changes& changes) const;

 private:
  at::Tensor generator_;
  bool deterministic_, warns_only_;
};

class SystemState {
 public:
  SystemState();
  void undo(Changes& changes) const;

 private:
  static constexpr std::array watched_signals = {SIGINT,  SIGTERM, SIGPIPE, SIGCHLD, SIGALRM,
                                                 SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT};
  void undo_signals(Changes& changes) const;
  void undo_locales(Changes& changes) const;

  std::string folder_, c_locale_;
  std::locale locale_;
  locale_t thread_locale_;
  std::array<struct sigaction, watched_signals.size()> handlers_;
  sigset_t blocked_;
};

/// Sends standard output to standard error for its lifetime, unless an outer one does already.
class OutputDiversion {
 public:
  OutputDiversion();
  ~OutputDiversion();
  OutputDiversion(const OutputDiversion&) = delete;
  OutputDiversion& operator=(const OutputDiversion&) = delete;
  /// Ends it, and adds whether something was printed. Buffered text that was printed through descriptor 1
  /// directly is diverted, but does not show here.
  void end(Changes& changes);

 private:
  bool outermost_;
  int output_ = -1;  // a duplicate of the real standard output
  std::streambuf* buffer_ = nullptr;
  std::ios_base::fmtflags flags_{};
  std::streamsize precision_ = 0;
};

}  // namespace orrery
