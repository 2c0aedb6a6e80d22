// The one gate between text and the terminal. Names of runs, files, probes and findings and the messages of
// exceptions come from elsewhere and may hold anything: a terminal would obey escape sequences in them.
#pragma once

#include <cstddef>
#include <streambuf>
#include <string>

namespace orrery::cli {

/// `text` with everything that a terminal might obey written out: control characters other than newline and
/// tab as
/// "\\x1b", C1 controls as "\\u009b", bytes that are not UTF-8 as "\\xff". Only the styles that style_mark()
/// opens become escape sequences.
std::string shown(const std::string& text);

/// What stands in a text for the beginning of an escape sequence of our own. Drawn anew in each process, so
/// that no text from elsewhere can hold it.
const std::string& style_mark();

/// The beginning of `text`, with a word about its length, if it is longer than a screen: an exception may
/// carry megabytes.
std::string shortened(const std::string& text, size_t most = 4000);

/// Takes the place of std::cout's buffer: all that is printed passes shown(), and a failure to write (a full
/// disk, a closed pipe) is kept. Text is written when the stream is flushed, and with this object.
class ShownOutput final : public std::streambuf {
 public:
  explicit ShownOutput(int file) : file_(file) {}
  ~ShownOutput() override { sync(); }
  /// Writes what is left. Returns errno of the first failure, or 0.
  int finish();

 protected:
  int overflow(int c) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;

 private:
  int file_, failure_ = 0;
  std::string held_;
};

}  // namespace orrery::cli
