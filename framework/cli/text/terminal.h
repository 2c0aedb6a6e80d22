// The terminal: messages and progress, all on stderr, and the width and style of text on stdout. Uses colour
// and a progress line only on a terminal, and no colour if NO_COLOR is set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/reporter/reporter.h"

namespace orrery::cli {

using namespace engine;

enum class Style { bold, dim, red, green, yellow };
enum class Stream { out, err };
/// `text` in that style if the stream takes colour; shown() makes it visible.
std::string styled(Style style, const std::string& text, Stream stream = Stream::err);

/// Whether stdout is a terminal, and its number of columns; elsewhere that of COLUMNS, or 80.
bool output_is_terminal();
size_t output_width();
/// The columns that lines on stdout must fit: those of the terminal, elsewhere COLUMNS, or no_limit if it is
/// not set, because what goes to a file or another program is not to be cut.
size_t line_limit();
/// Whether the locale (LC_ALL, LC_CTYPE or LANG, the first that is set) has UTF-8.
bool locale_has_utf8();

/// "error: WHAT", and the hint on a line of its own. Ends an open progress line first.
void complain(const std::string& severity, const std::string& what, const std::string& hint = "");
/// `text` with the commands in it as the user called this program: the launcher of a source tree says
/// ORRERY_CALLED_AS=./orrery, and "`orrery plugins`" becomes "`./orrery plugins`". A command stands after a
/// backtick, a colon and a space, or at the beginning. complain() and note() do it themselves.
std::string as_called(const std::string& text);
/// A line for the user. Ends an open progress line first.
void note(const std::string& text);

/// What one line of progress says in `width` columns: the count and the first two parts of `text` (parts are
/// separated by two spaces; in training these are the losses), then, as far as they fit, the time left, a
/// bar, the speed and the rest of `text`. `rate` is in units per second, 0 if unknown.
struct ProgressLine {
  int64_t done, total;
  std::string unit, text;
  double rate = 0;
  /// On a terminal. Never longer than `width`.
  std::string fitted(size_t width) const;
  /// Everything but the bar, for a log.
  std::string plain() const;
};

/// Writes notes, warnings and progress to stderr; stop_requested() is interrupted().
Reporter& terminal();

/// Makes Ctrl-C (and SIGTERM) request an orderly stop; a second one ends the program at once. SIGUSR1,
/// SIGUSR2 and SIGXCPU, which batch systems send before they kill, request it too.
void catch_interrupts();
bool interrupted();

}  // namespace orrery::cli
