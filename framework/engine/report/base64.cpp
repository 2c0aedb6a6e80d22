#include "engine/report/base64.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <orrery/error.h>

#include <limits>

namespace orrery::engine {
namespace {

constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// OpenSSL counts in int.
int size_of(size_t size) {
  if (size > std::numeric_limits<int>::max() / 2)
    throw Error(fmt::format("base64: {} bytes are too many at once", size));
  return static_cast<int>(size);
}

}  // namespace

std::string to_base64(std::span<const std::byte> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL appends a zero
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()), size_of(bytes.size()));
  text.pop_back();
  return text;
}

// OpenSSL skips blanks at both ends and reads "=" as a zero anywhere, so check the digits first.
std::vector<std::byte> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) throw Error("base64: the text ends too early");
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  if (text.substr(0, text.size() - padding).find_first_not_of(digits) != std::string_view::npos)
    throw Error("base64: a character that is none of its digits");
  std::vector<std::byte> bytes(text.size() / 4 * 3);
  EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                  reinterpret_cast<const unsigned char*>(text.data()), size_of(text.size()));
  bytes.resize(bytes.size() - padding);
  return bytes;
}

}  // namespace orrery::engine
