// Shared by the loader's tests: the path of the bad plugins, and a temporary folder.
#pragma once

#include <gtest/gtest.h>
#include <loader/registry.h>
#include <orrery/error.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "sdk/files/temporary_folder.h"

namespace orrery::test {

inline std::filesystem::path bad_plugin(const std::string& name) {
  return std::filesystem::path(ORRERY_BAD_PLUGINS) / (name + ".so");
}

inline std::string contents(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

// Readable by other users, because some tests run as the user "nobody" (as_nobody.h).
class TempFolder : public TemporaryFolder {
 public:
  TempFolder() { std::filesystem::permissions(path(), std::filesystem::perms(0755)); }
};

/// The error that `body` throws as the program would print it: the message, then the hint. Fails if it throws
/// nothing.
template <class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_NE(error.hint(), "") << error.what() << ": there is no cure";
    return std::string(error.what()) + "\n" + error.hint();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

#define EXPECT_CONTAINS(text, part) EXPECT_PRED2(::orrery::test::contains, text, part)

}  // namespace orrery::test
