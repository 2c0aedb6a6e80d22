// Runs the program in a folder of its own, and keeps what it printed.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sdk/files/temporary_folder.h"

namespace orrery {

struct Finished {
  int code = -1;  ///< exit status, or 128 + the signal that ended it
  std::string out, err;
};

/// Whether this system can make a terminal: a bare one may lack /dev/pts.
bool has_terminals();

/// A folder that is deleted with the object; programs run in it.
class Workplace {
 public:
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const;
  std::string read(const std::string& name) const;
  std::vector<std::string> lines(const std::string& name) const;
  /// Everything below the folder `name`: path (relative to it) and content, sorted; lock files left out.
  std::vector<std::pair<std::string, std::string>> tree(const std::string& name) const;

  /// Runs it in the folder `in` of the workplace.
  Finished orrery(const std::vector<std::string>& arguments, const std::string& in = "") const;
  /// Runs it on a terminal of that many columns; `out` is everything that reached the terminal.
  Finished on_terminal(unsigned short columns, const std::vector<std::string>& arguments) const;
  /// Runs another program.
  Finished run(const std::filesystem::path& program, const std::vector<std::string>& arguments) const;
  /// Starts it in the background.
  pid_t start(const std::vector<std::string>& arguments, const std::string& in = "") const;
  Finished wait(pid_t pid) const;

 private:
  pid_t start(const std::string& program, const std::vector<std::string>& arguments,
              const std::string& in) const;

  TemporaryFolder folder_;
};

}  // namespace orrery
