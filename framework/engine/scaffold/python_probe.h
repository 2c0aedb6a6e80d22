// A throw-away probe of Python (@orrery.probe), read from its file, so that a plugin can start from it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace orrery::engine {

/// What such a probe asks for, and how it reads.
struct PythonProbe {
  std::string inputs = "test";  ///< train, test or grid
  std::vector<std::string> activations;
  std::vector<std::string> weights;  ///< those that it names, as in seen.weights["embed.W_E"]
  bool null = true;
  std::vector<std::string> lines;  ///< its source, from the decorator on
};

/// The function `name` under @orrery.probe in a Python file, or the only one there is. Runs nothing. Throws
/// UsageError, with the line, if there is none, or if its decorator has arguments that are not written out.
PythonProbe read_python_probe(const std::filesystem::path& file, const std::string& name);

}  // namespace orrery::engine
