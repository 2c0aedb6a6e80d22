// Inside the config room only: reading short texts with comparisons in them, such as "test/loss < 1e-4".
#pragma once

#include <cstdint>
#include <string>

namespace orrery::engine {

struct Token {
  std::string text;  ///< empty at the end
  size_t start = 0;
};

/// Whether `token` begins like an operator: one of < > = !
bool is_operator(const Token& token);

/// The words, numbers and operators of a text, one after the other.
class Tokens {
 public:
  /// `hint` goes with every complaint; `text` has to outlive this.
  Tokens(const std::string& text, std::string hint) : text_(text), hint_(std::move(hint)) {}

  /// A run of operator characters, or of anything else that is not space.
  Token next();
  /// What next() will give.
  Token peek() const;

  /// The next token as one of >= <= > <, as a finite number, as an integer >= 0. Throws UsageError otherwise.
  std::string comparison();
  double number();
  int64_t step();
  /// Throws UsageError unless nothing is left.
  void end();

  /// Throws UsageError: `expected` at the place of `got`, which was there; `suggestion` comes last.
  [[noreturn]] void refuse(const std::string& expected, const Token& got,
                           const std::string& suggestion = "") const;

 private:
  const std::string& text_;
  std::string hint_;
  size_t at_ = 0;
};

}  // namespace orrery::engine
