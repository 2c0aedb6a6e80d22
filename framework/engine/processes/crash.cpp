#include "engine/processes/crash.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <vector>

#include "loader/guard.h"
#include "loader/processes/child.h"
#include "loader/processes/ending.h"
#include "loader/trial.h"

namespace orrery::engine {
namespace {

std::vector<std::string> words;  // of the command line
std::string severity, advice;    // set before a crash, read in the handler
std::string uncaught;            // the message of the exception that ended the program
thread_local const std::string* config_place = nullptr;  // of the [[probe]] that is asked

// Composes text without allocating, for signal handlers.
class Line {
 public:
  Line& operator<<(const char* text) {
    const size_t n = std::min(::strlen(text), text_.size() - size_);
    ::memcpy(text_.data() + size_, text, n);
    size_ += n;
    return *this;
  }
  Line& operator<<(const std::string& text) { return *this << text.c_str(); }
  Line& operator<<(int64_t number) {
    std::array<char, 24> digits;
    char* at = digits.end() - 1;
    *at = 0;
    for (uint64_t left = number < 0 ? -uint64_t(number) : uint64_t(number);
         at == digits.end() - 1 || left > 0; left /= 10)
      *--at = static_cast<char>('0' + left % 10);
    if (number < 0) *--at = '-';
    return *this << at;
  }
  void print() const {
    for (size_t done = 0; done < size_;) {
      const ssize_t n = ::write(STDERR_FILENO, text_.data() + done, size_ - done);
      if (n <= 0) return;
      done += static_cast<size_t>(n);
    }
  }

 private:
  std::array<char, 8192> text_;
  size_t size_ = 0;
};

// "probe fourier_basis 1.0.0, measure, step 400: "
void place(Line& line, const RunningCall& running, const char* end) {
  if (!running.who) {
    line << running.file << ", its static initialisers" << end;
    return;
  }
  const Who& who = *running.who;
  line << name_of(who.kind) << " " << who.name << " " << who.version << ", " << running.call;
  if (running.step) line << ", step " << *running.step;
  line << end;
}

// "error: ", and the call that runs.
Line opening() {
  Line line;
  line << "\n" << severity << " ";
  if (config_place && !config_place->empty()) line << *config_place << ": ";
  if (const RunningCall* running = RunningCall::innermost()) place(line, *running, ": ");
  return line;
}

void start_timer(double seconds) {
  itimerval timer = {};
  timer.it_value.tv_sec = static_cast<time_t>(seconds);
  timer.it_value.tv_usec = static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6);
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

void close(Line& line, const char* what_may_be_wrong) {
  if (*what_may_be_wrong) line << "  " << what_may_be_wrong << "\n";
  line << "  " << advice << "\n";
  line.print();
}

const char* advice_on_uncaught() {
  const RunningCall* running = RunningCall::innermost();
  return running && running->file
             ? initialisers_advice
             : "it left a destructor, a noexcept function or a thread; catch it in there";
}

extern "C" void on_crash(int number) {
  Line line = opening();
  const char *name = ::sigabbrev_np(number), *meaning = ::sigdescr_np(number);
  if (!uncaught.empty())
    line << "an exception could not be caught: " << uncaught << "\n";
  else
    line << (RunningCall::innermost() ? "it crashed: SIG" : "Orrery crashed: SIG") << (name ? name : "?")
         << " (" << (meaning ? meaning : "unknown") << ")\n";
  close(line, uncaught.empty() ? signal_advice(number) : advice_on_uncaught());
  // SA_RESETHAND has removed the handler, so this ends the process as if there had been none.
  ::raise(number);
}

// Replaces the library's own, which prints LibTorch's backtraces.
void on_terminate() {
  if (std::current_exception()) uncaught = text_in_flight();
  if (in_child() && !uncaught.empty()) {
    Line line;
    line << "an exception could not be caught: " << uncaught << "\n";
    line.print();
  }
  std::abort();
}

bool ends_within_plugin() { return !in_child() && RunningCall::innermost(); }

[[noreturn]] void leave(int code) {
  while (true) ::syscall(SYS_exit_group, code);
}

// The program ends in the middle of its work, so its exit code is 1, whatever the plugin chose.
[[noreturn]] void end_for_plugin(std::optional<int> code) {
  Line line = opening();
  line << "it ended the program";
  if (code) line << ": exit code " << int64_t{*code};
  line << "\n";
  close(line, "throw an orrery::Error instead of calling exit()");
  leave(1);
}

void on_exit_of_plugin(int code, void*) {
  if (!ends_within_plugin()) return;
  std::fflush(nullptr);
  end_for_plugin(code);
}

void on_quick_exit_of_plugin() {
  if (ends_within_plugin()) end_for_plugin(std::nullopt);
}

double time_limit = 0;  // seconds, of the call that runs

extern "C" void on_time_out(int) {
  Line line = opening();
  line << "it has not come back within " << static_cast<int64_t>(time_limit) << " seconds (timeout_s)\n";
  close(line, "look for a loop that does not end, or give it longer: timeout_s");
  leave(1);
}

std::string shell_word(const std::string& word) {
  const auto plain = [](unsigned char c) { return std::isalnum(c) || ::strchr("_-./=:,+@%", c); };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

constexpr int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

}  // namespace

void tell_of_crashes(int argc, char** argv, const std::string& severity_text) {
  words.assign(argv, argv + argc);
  severity = severity_text;
  advise_on_crash("to see where: " + debugger_command());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return;
#endif
  std::set_terminate(on_terminate);
  ::on_exit(on_exit_of_plugin, nullptr);
  ::at_quick_exit(on_quick_exit_of_plugin);
  // A separate stack, because endless recursion leaves no room on the usual one.
  static std::array<char, 64 * 1024> memory;
  stack_t stack = {};
  stack.ss_sp = memory.data();
  stack.ss_size = memory.size();
  ::sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_ONSTACK | SA_RESETHAND | SA_NODEFER);
  for (const int number : crashes) ::sigaction(number, &action, nullptr);
}

void tell_what_runs() noexcept {
  const RunningCall* running = RunningCall::innermost();
  if (in_child() || !running || !running->who) return;
  Line line;
  line << "\nwaiting for ";
  place(line, *running, " ");
  line << "to come back; another Ctrl-C ends the program at once\n";
  line.print();
}

TimeLimit::TimeLimit(double seconds) : set_(seconds > 0 && !in_child()) {
  if (!set_) return;
  time_limit = seconds;
  struct sigaction action = {};
  action.sa_handler = on_time_out;
  ::sigaction(SIGALRM, &action, nullptr);
  start_timer(seconds);
}

TimeLimit::~TimeLimit() {
  if (set_) start_timer(0);
}

CrashPlace::CrashPlace(const std::string& place) : before_(config_place) { config_place = &place; }
CrashPlace::~CrashPlace() { config_place = before_; }

void advise_on_crash(const std::string& text) { advice = text; }

std::string debugger_command(const std::string& arguments) {
  std::error_code failed;
  std::string command = "gdb -ex 'set follow-fork-mode child' -ex run -ex backtrace --args " +
                        shell_word(std::filesystem::read_symlink("/proc/self/exe", failed).string());
  if (!arguments.empty()) return command + " " + arguments;
  for (size_t i = 1; i < words.size(); ++i) command += " " + shell_word(words[i]);
  return command;
}

std::string plugin_options() {
  std::string options;
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--plugin" && i + 1 < words.size()) options += " --plugin " + shell_word(words[++i]);
    if (words[i].starts_with("--plugin=")) options += " " + shell_word(words[i]);
  }
  return options;
}

}  // namespace orrery::engine

// In front of those of the C library, for plugins that end the program without a handler being called; the
// program is linked so that plugins see them (cli/CMakeLists.txt).
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" {
__attribute__((visibility("default"), used)) void _exit(int code) {
  using namespace orrery::engine;
  if (ends_within_plugin()) end_for_plugin(code);
  leave(code);
}
__attribute__((visibility("default"), used)) void _Exit(int code) noexcept { _exit(code); }
}
#endif
