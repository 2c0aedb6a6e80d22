// The engine's messages to its caller: the command line, a notebook, a test. The engine itself prints
// nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace orrery::engine {

/// The progress of one piece of work. Made by Reporter::progress(); ends on destruction.
class Progress {
 public:
  virtual ~Progress();
  /// `done` units are done; `text` adds details ("loss 0.01"). May be called very often: an implementation
  /// drops what it has no time to show, unless `always` is set.
  virtual void show(int64_t done, const std::string& text, bool always = false) = 0;
  /// Whether show() would have an effect now. Saves composing the text.
  virtual bool due() const = 0;
};

/// By default, every function is silent and the work goes on. Called from one thread at a time, never in a
/// forked worker.
class Reporter {
 public:
  virtual ~Reporter();
  /// Information; nothing is wrong.
  virtual void note(const std::string& text);
  /// A failure that does not end the work; `hint` says what to do about it, or is empty.
  virtual void warning(const std::string& what, const std::string& hint = "");
  /// Begins a piece of work of `total` units, named in the plural: "steps". Never returns null.
  virtual std::unique_ptr<Progress> progress(int64_t total, const std::string& unit);
  /// Whether to stop in an orderly way. Called after every step, so it must be cheap.
  virtual bool stop_requested() const;
};

}  // namespace orrery::engine
