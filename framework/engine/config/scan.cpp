#include "engine/config/scan.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <charconv>
#include <cmath>

namespace orrery::engine {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_sign(char c) { return c == '<' || c == '>' || c == '=' || c == '!'; }

// Whether all of `text` is a number; if so, sets `value` to it.
template <class Number>
bool reads_as(const std::string& text, Number& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end;
}

}  // namespace

bool is_operator(const Token& token) { return !token.text.empty() && is_sign(token.text.front()); }

Token Tokens::next() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  const size_t start = at_;
  const auto alike = [&](char c) { return !is_space(c) && is_sign(c) == is_sign(text_[start]); };
  while (at_ < text_.size() && alike(text_[at_])) ++at_;
  return {text_.substr(start, at_ - start), start};
}

Token Tokens::peek() const { return Tokens(*this).next(); }

std::string Tokens::comparison() {
  const Token op = next();
  if (op.text != ">=" && op.text != "<=" && op.text != ">" && op.text != "<") refuse("one of >= <= > <", op);
  return op.text;
}

double Tokens::number() {
  const Token token = next();
  double value = 0;
  if (!reads_as(token.text, value) || !std::isfinite(value)) refuse("a number", token);
  return value;
}

int64_t Tokens::step() {
  const Token token = next();
  int64_t value = 0;
  if (!reads_as(token.text, value) || token.text.front() == '-') refuse("a step (an integer >= 0)", token);
  return value;
}

void Tokens::end() {
  const Token token = next();
  if (!token.text.empty()) refuse("the end", token);
}

void Tokens::refuse(const std::string& expected, const Token& got, const std::string& suggestion) const {
  throw UsageError(fmt::format("expected {} at character {} of \"{}\", got {}{}", expected, got.start + 1,
                               text_, got.text.empty() ? "the end" : "\"" + got.text + "\"", suggestion),
                   hint_);
}

}  // namespace orrery::engine
