// How the engine speaks to whoever called it: the terminal of the command line, a notebook, a test. The
// engine itself prints nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace orrery::engine {

/// How far one piece of work has come. Made by Reporter::progress(); it ends when it is destroyed.
class Progress {
 public:
  virtual ~Progress();
  /// `done` units are done; `text` says more ("loss 0.01"). Called as often as the work likes: an
  /// implementation drops what it has no time to show, unless `always` is set.
  virtual void show(int64_t done, const std::string& text, bool always = false) = 0;
  /// Whether show() would be seen now. Saves making the text.
  virtual bool due() const = 0;
};

/// The default of each is to say nothing and to go on. Called from one thread at a time, never in a forked
/// worker.
class Reporter {
 public:
  virtual ~Reporter();
  /// Something worth knowing that is not wrong.
  virtual void note(const std::string& text);
  /// Something that failed without ending the work; `hint` is what to do about it, or empty.
  virtual void warning(const std::string& what, const std::string& hint = "");
  /// Begins a piece of work of `total` units, named in the plural: "steps". Never null.
  virtual std::unique_ptr<Progress> progress(int64_t total, const std::string& unit);
  /// Whether to stop in good order. Asked after every step, so it must be cheap.
  virtual bool stop_requested() const;
};

}  // namespace orrery::engine
