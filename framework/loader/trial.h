// Opens a library in a fork first, because a static initialiser that throws or crashes ends the process.
#pragma once

#include <filesystem>

namespace orrery {

/// Throws orrery::Error, without naming the file, if a fork of this process does not survive opening it.
/// Leaves it to open_library() to report a library that merely cannot be opened. Costs tens of milliseconds,
/// because LibTorch makes the process large. Does nothing under a debugger, so that the debugger sees the
/// crash.
void try_opening(const std::filesystem::path& file);

/// The advice for static initialisers that fail.
extern const char* const initialisers_advice;

}  // namespace orrery
