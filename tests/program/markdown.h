// Pages in Markdown whose code is run by tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace orrery {

/// A file of the source tree.
inline std::string source_file(const std::string& path) {
  std::ifstream file(ORRERY_SOURCE_DIR "/" + path);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The fenced blocks of one language, in order.
inline std::vector<std::string> blocks_in(const std::string& page, const std::string& language) {
  std::vector<std::string> found;
  const std::string opening = "\n```" + language + "\n";
  for (size_t at = page.find(opening); at != std::string::npos; at = page.find(opening, at + 1)) {
    const size_t begin = at + opening.size();
    found.push_back(page.substr(begin, page.find("```", begin) - begin));
  }
  return found;
}

/// An interpreter that has numpy and pandas, or "" with a test failure.
inline std::string python_with_pandas() {
  for (const char* candidate : {"/usr/bin/python3", "python3"})
    if (std::system((std::string(candidate) + " -c 'import pandas, numpy' 2>/dev/null").c_str()) == 0)
      return candidate;
  ADD_FAILURE()
      << "no python3 with numpy and pandas; on Debian: apt-get install python3-numpy python3-pandas";
  return "";
}

}  // namespace orrery
