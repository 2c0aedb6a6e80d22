// What the user sees besides data: messages and progress, all on stderr; and how wide and how plain data for
// people is to be on stdout. Colour and the moving line only on a terminal, colour never where NO_COLOR is
// set.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace orrery::cli {

using namespace engine;

enum class Style { bold, dim, red, green, yellow };
enum class Stream { out, err };
/// `text` in that style where the stream takes colour.
std::string styled(Style style, const std::string& text, Stream stream = Stream::err);

/// Whether stdout is a terminal, and how many columns it has; elsewhere as many as COLUMNS says, or 80.
bool output_is_terminal();
size_t output_width();
/// Whether the locale (LC_ALL, LC_CTYPE or LANG, the first that is set) has UTF-8.
bool locale_has_utf8();
/// The number of characters of a UTF-8 text: what it takes on the screen, for the texts that we print.
size_t width_of(const std::string& text);
/// The first `width` of them; "..." at the end where something was cut off.
std::string cut(const std::string& text, size_t width);

/// "error: WHAT", and the hint on a line of its own. Ends a moving line first.
void complain(const std::string& severity, const std::string& what, const std::string& hint = "");
/// A line for the user. Ends a moving line first.
void note(const std::string& text);

/// One line that is drawn over and over on a terminal; elsewhere a plain line now and then.
class Progress {
 public:
  /// `unit` is what is counted, in the plural: "steps".
  Progress(int64_t total, std::string unit);
  ~Progress();
  /// Shows `text` behind how far we are. `always`: also where lines are plain and the last one is recent.
  void show(int64_t done, const std::string& text, bool always = false);
  /// Whether show() would be seen now; saves making the text.
  bool due() const;
  /// Units per second since the progress began; it began at the first unit shown.
  double rate() const { return rate_; }

 private:
  using Clock = std::chrono::steady_clock;
  int64_t total_, first_ = -1;
  std::string unit_;
  Clock::time_point start_, last_{};
  double rate_ = 0;
  bool drawn_ = false;
};

/// "0:41", "12:05", "3:20:00".
std::string duration(double seconds);
/// "3,830".
std::string thousands(int64_t number);
/// "55.4 MB".
std::string bytes_text(uint64_t bytes);
/// A loss or another number that varies over many orders of magnitude: "4.71", "0.0312", "1.2e-07".
std::string compact(double value);

/// From now on Ctrl-C (and SIGTERM) ask for an orderly stop; a second one ends the program at once.
void catch_interrupts();
bool interrupted();

}  // namespace orrery::cli
