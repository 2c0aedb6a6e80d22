// What the loader's tests share: where the bad plugins are, and a folder that goes away.
#pragma once

#include <gtest/gtest.h>
#include <loader/registry.h>
#include <orrery/error.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

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

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "orrery-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// What `body` throws, as the program would print it: the message, then the hint. Fails if it throws nothing.
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
