// Opening a library in a fork first. What its static initialisers do, nothing can take back: one that throws
// leaves the dynamic linker's lock held, one that crashes ends the process.
#pragma once

#include <filesystem>

namespace orrery {

/// Throws orrery::Error, without naming the file, if a fork of this process does not survive opening it. One
/// that merely cannot be opened is left to open_library() to report. Costs tens of milliseconds, as LibTorch
/// makes the process large. Does nothing under a debugger, which shall see the crash itself.
void try_opening(const std::filesystem::path& file);

/// The error for a library whose static initialisers did not end well: "threw: no data file", "crashed: ...".
[[noreturn]] void refuse_initialisers(const std::string& what_they_did, const std::string& advice = "");

}  // namespace orrery
