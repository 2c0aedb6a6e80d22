// Reads event files independently of the code that writes them: records with a bitwise checksum, messages by
// protoc.
#pragma once

#include <gtest/gtest.h>
#include <algorithm>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "sdk/files/temporary_folder.h"

namespace orrery::testing {

inline uint32_t bitwise_crc32c(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const unsigned char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool one = ((crc ^ (byte >> bit)) & 1) != 0;
      crc = (crc >> 1) ^ (one ? 0x82f63b78 : 0);
    }
  return ~crc;
}

/// The data of each record. Throws std::runtime_error if a length or checksum is wrong, or if bytes are left
/// over.
inline std::vector<std::string> read_records(const std::string& file) {
  const auto number = [&](size_t at, size_t size) {
    if (at > file.size() || size > file.size() - at)
      throw std::runtime_error("the file ends within a record");
    uint64_t value = 0;
    for (size_t i = 0; i < std::min<size_t>(size, 8); ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(file[at + i])) << (8 * i);
    return value;
  };
  const auto check = [&](const std::string& bytes, size_t at) {
    const auto rotated = static_cast<uint32_t>(number(at, 4)) - 0xa282ead8;
    if ((rotated >> 17 | rotated << 15) != bitwise_crc32c(bytes)) throw std::runtime_error("wrong checksum");
  };
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const uint64_t length = number(at, 8);
    check(file.substr(at, 8), at + 8);
    if (length > file.size()) throw std::runtime_error("the file ends within a record");
    number(at + 12, length + 4);
    records.push_back(file.substr(at + 12, length));
    check(records.back(), at + 12 + length);
    at += length + 16;
  }
  return records;
}

inline bool has_protoc() { return std::system("protoc --version >/dev/null 2>&1") == 0; }
inline constexpr const char* no_protoc = "no protoc; on Debian: apt-get install protobuf-compiler";

/// The output of `protoc --decode` for one Event; "" if it refuses it. Unknown fields appear as numbers.
inline std::string decode_event(const std::string& message) {
  const TemporaryFolder folder;
  std::ofstream(folder / "in", std::ios::binary) << message;
  const std::string command = "protoc --decode=tensorflow.Event --proto_path=" ORRERY_SOURCE_DIR
                              "/tests/fixtures event.proto <" +
                              (folder / "in").string() + " >" + (folder / "out").string() + " 2>/dev/null";
  std::ostringstream text;
  if (std::system(command.c_str()) == 0) text << std::ifstream(folder / "out").rdbuf();
  return text.str();
}

}  // namespace orrery::testing
