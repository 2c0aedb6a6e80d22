#include "engine/check/check_run.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "loader/processes/ending.h"
#include "loader/processes/supervisor.h"

namespace orrery::engine {
namespace {

using checks::Result;
using checks::Verdict;

// The child's messages: the suite, the start of a check, a note, a result; or that the plugin does not load,
// or that the request was wrong.
enum class Report : uint64_t { about, begins, note, result, unloaded, refused, done };

using Verdicts = std::map<std::string, Verdict>;

// In the child: runs the checks from `first` on. Their order is the same each time.
void work(const CheckRun& run, size_t first, Verdicts so_far, int socket) {
  ::dup2(STDERR_FILENO, STDOUT_FILENO);  // keeps a plugin's output out of our own
  const checks::Note note = [&](const std::string& text) {
    send(socket, Message().add(Report::note).add(text));
  };
  CheckSuite suite;
  try {
    suite = run.make(note);
  } catch (const UsageError& error) {
    send(socket, Message().add(Report::refused).add(std::string(error.what())).add(error.hint()));
    return;
  } catch (const Error& error) {
    send(socket, Message().add(Report::unloaded).add(std::string(error.what())).add(error.hint()));
    return;
  } catch (const std::exception& error) {
    send(socket, Message().add(Report::unloaded).add(std::string(error.what())).add(std::string()));
    return;
  }
  Message about;
  about.add(Report::about).add(suite.kind).add(suite.name).add(suite.version).add(suite.file);
  about.add(uint64_t{suite.checks.size()});
  for (const checks::Check& check : suite.checks) about.add(check.name);
  send(socket, about);
  for (size_t i = first; i < suite.checks.size(); ++i) {
    send(socket, Message().add(Report::begins).add(uint64_t{i}));
    const Result result = run_check(suite.checks[i], so_far);
    so_far[suite.checks[i].name] = result.verdict;
    send(socket, Message().add(Report::result).add(result.verdict).add(result.seen).add(result.advice));
  }
  send(socket, Message().add(Report::done));
}

// In the parent.
class CheckSupervisor {
 public:
  explicit CheckSupervisor(const CheckRun& run)
      : run_(run),
        supervisor_({.on_message = [this](size_t child, const std::string& text) { on_message(child, text); },
                     .on_end = [this](size_t, int status, bool late) { on_end(status, late); }}) {}

  CheckedPlugin run() {
    while (!finished_) {
      Verdicts so_far;
      for (const auto& [name, result] : plugin_.results) so_far[name] = result.verdict;
      const size_t first = plugin_.results.size();
      running_.reset();
      supervisor_.spawn([&](int socket) { work(run_, first, so_far, socket); },
                        std::chrono::seconds(run_.limit));
      while (supervisor_.running() > 0) supervisor_.wait();
    }
    if (refusal_) throw *refusal_;
    return std::move(plugin_);
  }

 private:
  void on_message(Supervisor::Id child, const std::string& text);
  void on_end(int status, bool too_long);
  void unloaded(const std::string& what, const std::string& hint) {
    plugin_.results.emplace_back("loads", checks::failed(what, hint));
    finished_ = true;
  }

  const CheckRun& run_;
  CheckedPlugin plugin_;
  std::vector<std::string> names_;
  std::optional<size_t> running_;
  std::string note_;
  std::optional<UsageError> refusal_;
  bool finished_ = false;
  Supervisor supervisor_;  // last: its listener uses the others
};

void CheckSupervisor::on_message(Supervisor::Id child, const std::string& text) {
  MessageReader message(text);
  switch (static_cast<Report>(message.number())) {
    case Report::about:
      plugin_.kind = message.text();
      plugin_.name = message.text();
      plugin_.version = message.text();
      plugin_.file = message.text();
      names_.assign(message.number(), "");
      for (std::string& name : names_) name = message.text();
      return;
    case Report::begins:
      running_ = message.number();
      note_.clear();
      supervisor_.restart_clock(child);
      if (run_.progress) run_.progress(names_.at(*running_), *running_, names_.size());
      return;
    case Report::note:
      note_ = message.text();
      return;
    case Report::result: {
      Result result;
      result.verdict = static_cast<Verdict>(message.number());
      result.seen = message.text();
      result.advice = message.text();
      plugin_.results.emplace_back(names_.at(running_.value()), std::move(result));
      running_.reset();
      supervisor_.restart_clock(child);
      return;
    }
    case Report::unloaded: {
      const std::string what = message.text();
      unloaded(what, message.text());
      return;
    }
    case Report::refused: {
      const std::string what = message.text();
      refusal_.emplace(what, message.text());
      break;
    }
    case Report::done:
      break;
  }
  finished_ = true;
}

// The child ended by itself, or was killed at the time limit.
void CheckSupervisor::on_end(int status, bool too_long) {
  if (finished_) return;
  const std::string how = too_long ? fmt::format("nothing came back within {} seconds", run_.limit)
                                   : "it crashed: " + ending_text(status);
  const std::string during = note_.empty() ? "" : fmt::format(" (while: {})", note_);
  const std::string advice = too_long
                                 ? "look for a loop that does not end, or give it longer: --limit SECONDS"
                                 : "find where with gdb: gdb -ex 'set follow-fork-mode child' -ex run "
                                   "--args orrery check " +
                                       run_.argument;
  if (!running_) return unloaded(how + during, advice);
  plugin_.results.emplace_back(names_.at(*running_), checks::failed(how + during, advice));
  finished_ = plugin_.results.size() == names_.size();
}

}  // namespace

bool CheckedPlugin::passed() const { return !results.empty() && count(Verdict::failed) == 0; }

int64_t CheckedPlugin::count(Verdict verdict) const {
  return std::count_if(results.begin(), results.end(),
                       [&](const auto& result) { return result.second.verdict == verdict; });
}

CheckedPlugin run_checks(const CheckRun& run) { return CheckSupervisor(run).run(); }

}  // namespace orrery::engine
