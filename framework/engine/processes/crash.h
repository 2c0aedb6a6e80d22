// The message when the program crashes, which it does when a plugin does: whose call it was, the likely
// cause, how to find the place, and that nothing is lost. The signal then takes its course. So for a plugin
// that ends the program or does not come back: the exit code is 1 then.
#pragma once

#include <string>

namespace orrery::engine {

/// Installs the handlers. `argv` is that of main(); `severity` opens the message ("error:", perhaps in
/// colour). Leaves crashes to an address or thread sanitizer if there is one.
void tell_of_crashes(int argc, char** argv, const std::string& severity);

/// Says at once which call into a plugin keeps the program from ending, if one does: for the first Ctrl-C.
/// Safe in a signal handler.
void tell_what_runs() noexcept;

/// Ends the program with a message and exit code 1 if it lives longer than `seconds` (0: no limit): a call
/// into a plugin cannot be ended in any other way. Does nothing in a child, on which its parent keeps an eye.
class TimeLimit {
 public:
  explicit TimeLimit(double seconds);
  ~TimeLimit();
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

 private:
  bool set_;
};

/// While it lives, a message about a crash in this thread opens with `place`, "configs/x.toml:9:1" (""
/// nothing), which must outlive it.
class CrashPlace {
 public:
  explicit CrashPlace(const std::string& place);
  ~CrashPlace();
  CrashPlace(const CrashPlace&) = delete;
  CrashPlace& operator=(const CrashPlace&) = delete;

 private:
  const std::string* before_;
};

/// Sets the advice for later crashes; may be several lines. Initially debugger_command().
void advise_on_crash(const std::string& advice);

/// A command line that shows where `arguments` to this program crash it, also in a worker. Empty stands for
/// the arguments of this process.
std::string debugger_command(const std::string& arguments = "");

/// The --plugin options of this process, for a command that continues its work: " --plugin a.so", or "".
std::string plugin_options();

}  // namespace orrery::engine
