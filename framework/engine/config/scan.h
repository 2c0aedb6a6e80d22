// Private to the config room: scans short texts that contain comparisons, such as "test/loss < 1e-4".
#pragma once

#include <cstdint>
#include <string>

namespace orrery::engine {

struct Token {
  std::string text;  ///< empty at the end
  size_t start = 0;
};

/// Whether `token` begins with one of < > = !
bool is_operator(const Token& token);

/// Iterates over the words, numbers and operators of a text.
class Tokens {
 public:
  /// `hint` accompanies every error; `text` must outlive the scanner.
  Tokens(const std::string& text, std::string hint) : text_(text), hint_(std::move(hint)) {}

  /// A run of operator characters, or of other characters that are not space.
  Token next();
  /// The token that next() will return.
  Token peek() const;

  /// The next token as one of >= <= > <, as a finite number, as an integer >= 0. Throws UsageError otherwise.
  std::string comparison();
  double number();
  int64_t step();
  /// Throws UsageError unless nothing is left.
  void end();

  /// Throws UsageError: expected `expected`, found `got`; `suggestion` comes last.
  [[noreturn]] void refuse(const std::string& expected, const Token& got,
                           const std::string& suggestion = "") const;

 private:
  const std::string& text_;
  std::string hint_;
  size_t at_ = 0;
};

}  // namespace orrery::engine
