// sweep.log in a run's folder: what the run had to say. Its last line is how the last attempt ended: "done",
// or "failed: THE FIRST LINE OF THE ERROR". A killed attempt leaves neither. Before "done" stands what the
// run then held: "holds {"metrics": ...}", as from SweptResults.
#pragma once

#include <filesystem>
#include <string>

namespace orrery::engine {

/// Appends lines. Until the run exists they wait, because a new run is made in an empty folder.
class SweptLog {
 public:
  static constexpr const char* file_name = "sweep.log";

  explicit SweptLog(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void line(const std::string& text);
  /// Writes lines that wait, if the run exists.
  void flush();
  /// `holds`: SweptResults::text() of the run.
  void done(const std::string& holds = "");
  /// Makes the folder if need be.
  void failed(const std::string& what, const std::string& hint = "");

 private:
  void write();
  std::filesystem::path folder_;
  std::string waiting_;
};

enum class LoggedEnd { none, nothing, done, failed };
struct LastLine {
  LoggedEnd end = LoggedEnd::none;  ///< none: there is no log; nothing: neither done nor failed
  std::string error = {};
  std::string holds = {};  ///< of `done`; "" if it does not say
  bool warned = false;     ///< whether there was a warning in any attempt; told of `done` alone
};
/// Never throws orrery::Error.
LastLine read_swept_log(const std::filesystem::path& folder);

std::string first_line(const std::string& text);

}  // namespace orrery::engine
