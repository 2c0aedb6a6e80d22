#include "cli/text/terminal.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <utility>
#include <vector>

#include "cli/text/shown.h"
#include "cli/text/table.h"
#include "engine/processes/crash.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

bool is_terminal() {
  static const bool yes = isatty(STDERR_FILENO) != 0;
  return yes;
}

bool takes_colour(Stream stream) {
  static const bool wanted = [] {
    const char* no_color = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    return !(no_color && *no_color) && !(term && std::string(term) == "dumb");
  }();
  return wanted && (stream == Stream::err ? is_terminal() : output_is_terminal());
}

// The width of the terminal behind a file descriptor; 0 if there is none.
size_t columns(int file) {
  winsize size{};
  return ioctl(file, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

size_t width() {
  const size_t known = columns(STDERR_FILENO);
  return known > 0 ? known : 80;
}

bool line_is_open = false;  // a progress line is on the screen, without a newline

void put_raw(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void put(const std::string& text) { put_raw(shown(text)); }

void end_line() {
  if (line_is_open) put_raw("\n");
  line_is_open = false;
}

std::string bar(double share, int cells) {
  const int full = static_cast<int>(std::lround(share * cells));
  std::string text;
  for (int i = 0; i < cells; ++i) text += i < full ? "█" : "░";
  return text;
}

// The parts of a text that two spaces separate.
std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find("  ", begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 2;
  }
  return parts;
}

volatile sig_atomic_t interrupts = 0;

// The first one is a request, the second an order. The handler stays, for calls into plugins compare
// handlers.
extern "C" void on_interrupt(int signal_number) {
  interrupts = interrupts + 1;
  if (interrupts == 1) return engine::tell_what_runs();
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

// What batch systems send some time before they kill: again and again, perhaps, and never an order.
extern "C" void on_batch_signal(int) {
  interrupts = interrupts + (interrupts == 0);
  engine::tell_what_runs();
}

// One line that is redrawn in place on a terminal; elsewhere a plain line now and then.
class TerminalProgress final : public Progress {
 public:
  TerminalProgress(int64_t total, std::string unit);
  ~TerminalProgress() override;
  void show(int64_t done, const std::string& text, bool always) override;
  bool due() const override;

 private:
  using Clock = std::chrono::steady_clock;
  int64_t total_, first_ = -1;
  std::string unit_;
  Clock::time_point start_, last_{};
  std::string shown_;
};

TerminalProgress::TerminalProgress(int64_t total, std::string unit) : total_(total), unit_(std::move(unit)) {}
TerminalProgress::~TerminalProgress() { end_line(); }

bool TerminalProgress::due() const {
  if (first_ < 0) return true;
  const auto seconds = [](Clock::duration time) { return std::chrono::duration<double>(time).count(); };
  const auto now = Clock::now();
  // A log needs fewer lines the longer the work takes.
  const double interval = is_terminal() ? 0.1 : std::clamp(seconds(now - start_) / 20, 5.0, 60.0);
  return seconds(now - last_) >= interval;
}

void TerminalProgress::show(int64_t done, const std::string& text, bool always) {
  if (!due() && !always) return;
  const auto now = Clock::now();
  if (first_ < 0) {
    first_ = done;
    start_ = now;
  }
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = done > first_ && seconds > 0 ? (done - first_) / seconds : 0;
  const ProgressLine line{done, total_, unit_, text, rate};
  last_ = now;
  // The last step is shown whether or not it is time, but not twice.
  const std::string key = fmt::format("{}  {}", done, text);
  if (std::exchange(shown_, key) == key) return;
  if (!is_terminal()) {
    put(line.plain() + "\n");
    return;
  }
  put_raw("\r\033[2K");
  put(line.fitted(width() - 1));
  line_is_open = true;
}

class TerminalReporter final : public Reporter {
 public:
  void note(const std::string& text) override { cli::note(text); }
  void warning(const std::string& what, const std::string& hint) override { complain("warning", what, hint); }
  std::unique_ptr<Progress> progress(int64_t total, const std::string& unit) override {
    return std::make_unique<TerminalProgress>(total, unit);
  }
  bool stop_requested() const override { return interrupted(); }
};

}  // namespace

bool output_is_terminal() {
  static const bool yes = isatty(STDOUT_FILENO) != 0;
  return yes;
}

size_t output_width() {
  if (const size_t known = columns(STDOUT_FILENO); known > 0) return known;
  const char* text = std::getenv("COLUMNS");
  const long number = text ? std::strtol(text, nullptr, 10) : 0;
  return number > 0 && number < 10000 ? static_cast<size_t>(number) : 80;
}

bool locale_has_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (const char* value = std::getenv(name); value && *value) {
      std::string charset = value;
      for (char& c : charset) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      return charset.find("utf-8") != std::string::npos || charset.find("utf8") != std::string::npos;
    }
  return false;
}

size_t line_limit() { return output_is_terminal() || std::getenv("COLUMNS") ? output_width() : no_limit; }

std::string ProgressLine::plain() const {
  const std::string speed =
      rate > 0 ? fmt::format("  {:.3g} {}/s  ETA {}", rate, unit, duration((total - done) / rate)) : "";
  std::string line = fmt::format("{}/{}{}", thousands(done), thousands(total), speed);
  for (const std::string& part : parts_of(text)) line += "  " + part;
  return line;
}

std::string ProgressLine::fitted(size_t width) const {
  const std::string count = fmt::format("{}/{}", thousands(done), thousands(total));
  const std::vector<std::string> parts = parts_of(text);
  size_t used = width_of(count), n_parts = 0;
  const auto fits = [&](size_t more) { return used + more <= width ? (used += more, true) : false; };
  const auto add_parts = [&](size_t most) {
    while (n_parts < std::min(most, parts.size()) && fits(2 + width_of(parts[n_parts]))) ++n_parts;
  };
  add_parts(2);
  std::string left, speed;
  if (rate > 0) {
    left = "  ETA " + duration((total - done) / rate);
    if (!fits(left.size())) left.clear();
  }
  int cells = 20;
  while (cells > 0 && !fits(static_cast<size_t>(cells) + 1)) cells = cells > 10 ? 10 : 0;
  if (rate > 0 && !left.empty()) {
    speed = fmt::format("  {:.3g} {}/s", rate, unit);
    if (!fits(speed.size())) speed.clear();
  }
  add_parts(parts.size());
  std::string line = count + speed + left;
  for (size_t i = 0; i < n_parts; ++i) line += "  " + parts[i];
  line = cut(line, width);
  if (cells == 0) return line;
  return styled(Style::dim, bar(total ? double(done) / total : 1, cells)) + " " + line;
}

std::string styled(Style style, const std::string& text, Stream stream) {
  if (!takes_colour(stream)) return text;
  static constexpr const char* codes[] = {"1", "2", "31", "32", "33"};
  return fmt::format("{0}{1}m{2}{0}0m", style_mark(), codes[static_cast<int>(style)], text);
}

std::string as_called(const std::string& text) {
  static const char* const called = std::getenv("ORRERY_CALLED_AS");
  if (!called || !*called) return text;
  static const std::regex command("(^|`|: |\\n *)orrery (?=[a-z])");
  return std::regex_replace(text, command, "$1" + std::string(called) + " ");
}

void complain(const std::string& severity, const std::string& what, const std::string& hint) {
  end_line();
  const Style style = severity == "error" ? Style::red : Style::yellow;
  put(fmt::format("{} {}\n", styled(style, severity + ":"), shortened(as_called(what))));
  if (!hint.empty()) put(fmt::format("  {}\n", shortened(as_called(hint))));
}

void note(const std::string& text) {
  end_line();
  put(as_called(text) + "\n");
}

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = on_batch_signal;
  for (const int number : {SIGUSR1, SIGUSR2, SIGXCPU}) sigaction(number, &action, nullptr);
  action.sa_handler = on_interrupt;
  // A terminal that closes; not under nohup, which ignores it.
  struct sigaction before = {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, nullptr);
}

bool interrupted() { return interrupts > 0; }

Reporter& terminal() {
  static TerminalReporter reporter;
  return reporter;
}

}  // namespace orrery::cli
