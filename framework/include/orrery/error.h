// Errors that Orrery reports to users: what went wrong and where, with a hint that says what to do about it.
#pragma once

#include <orrery/export.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace orrery {

/// A failure. The program prints `what()`, then the hint on a line of its own, and exits with 1.
class ORRERY_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string hint = "");
  ~Error() override;
  const std::string& hint() const noexcept { return hint_; }

 private:
  std::string hint_;
};

/// An invalid request: a bad config, an unknown name, a bad flag. The program exits with 2.
class ORRERY_API UsageError : public Error {
 public:
  using Error::Error;
  ~UsageError() override;
};

/// The candidate closest to `name` by edit distance (Levenshtein), or "" if none is close enough to be a
/// likely typo: at most 2 edits, or a third of the length of `name` if that is more.
ORRERY_API std::string nearest(const std::string& name, const std::vector<std::string>& candidates);

/// ` (did you mean "every"?)`, or "" when nothing is near.
ORRERY_API std::string did_you_mean(const std::string& name, const std::vector<std::string>& candidates);

}  // namespace orrery
