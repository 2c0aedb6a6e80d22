// Shared by the tests of the run room: a temporary folder, and the message of an error.
#pragma once

#include <gtest/gtest.h>
#include <orrery/error.h>

#include <filesystem>
#include <string>

#include "sdk/files/temporary_folder.h"

namespace orrery::testing {

class TestFolder : public TemporaryFolder {
 public:
  /// Hidden files count too.
  size_t count() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path()), {}));
  }
};

/// The message and hint of the orrery::Error that `action` throws, or "no error".
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.hint();
  }
  return "no error";
}

inline void expect_holds(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in: " << text;
}

}  // namespace orrery::testing
