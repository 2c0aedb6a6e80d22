// The message when the program crashes, which it does when a plugin does: whose call it was, the likely
// cause, how to find the place, and that nothing is lost. The signal then takes its course.
#pragma once

#include <string>

namespace orrery::engine {

/// Installs the handlers. `argv` is that of main(); `severity` opens the message ("error:", perhaps in
/// colour). Leaves crashes to an address or thread sanitizer if there is one.
void tell_of_crashes(int argc, char** argv, const std::string& severity);

/// Sets the advice for later crashes; may be several lines. Initially debugger_command().
void advise_on_crash(const std::string& advice);

/// A command line that shows where `arguments` to this program crash it, also in a worker. Empty stands for
/// the arguments of this process.
std::string debugger_command(const std::string& arguments = "");

/// The --plugin options of this process, for a command that continues its work: " --plugin a.so", or "".
std::string plugin_options();

}  // namespace orrery::engine
