// Opening a library in a fork first: a static initialiser of it that throws or crashes ends the process.
#pragma once

#include <filesystem>

namespace orrery {

/// Throws orrery::Error, without naming the file, if a fork of this process does not survive opening it. One
/// that merely cannot be opened is left to open_library() to report. Costs tens of milliseconds, as LibTorch
/// makes the process large. Does nothing under a debugger, which shall see the crash itself.
void try_opening(const std::filesystem::path& file);

/// What to do about static initialisers that do not end well.
extern const char* const initialisers_advice;

}  // namespace orrery
