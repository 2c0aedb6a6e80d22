// What is said when the program crashes, which it does when a plugin does: whose call it was, what may have
// gone wrong, how to see where, and that nothing is lost. The signal then takes its course.
#pragma once

#include <string>

namespace orrery::engine {

/// From now on; `argv` is that of main(), `severity` what opens the message, "error:", perhaps in colour. An
/// address or thread sanitizer is left to tell of crashes itself.
void tell_of_crashes(int argc, char** argv, const std::string& severity);

/// What to do if it crashes from now on; may be several lines. At first: debugger_command().
void advise_on_crash(const std::string& advice);

/// A command line that shows where `arguments` to this program crash it, also where that is in a worker.
/// Empty stands for the arguments that it was called with.
std::string debugger_command(const std::string& arguments = "");

/// The --plugin options that this program was called with, for a command that goes on with its work:
/// " --plugin a.so", or "".
std::string plugin_options();

}  // namespace orrery::engine
