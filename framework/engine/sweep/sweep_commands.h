// A sweep as command lines, for GNU parallel, HyperQueue or Snakemake.
#pragma once

#include <cstddef>
#include <string>

namespace orrery::engine {

/// `text` as one word of a POSIX shell.
std::string shell_word(const std::string& text);

/// `orrery sweep run FILE --index INDEX`, quoted for a POSIX shell; `folder`: that of --out, or "".
std::string command_of(const std::string& file, const std::string& folder, size_t index);

}  // namespace orrery::engine
