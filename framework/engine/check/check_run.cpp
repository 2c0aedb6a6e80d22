#include "engine/check/check_run.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>

#include "engine/processes/child.h"
#include "engine/processes/messages.h"
#include "loader/ending.h"

namespace orrery::engine {
namespace {

using checks::Result;
using checks::Verdict;
using Clock = std::chrono::steady_clock;

// What the child tells: whose checks there are, that one begins, what it does, how it went; or that the
// plugin could not be loaded, or the request was wrong.
enum class Tell : uint64_t { about, begins, note, result, unloaded, refused, done };

using Verdicts = std::map<std::string, Verdict>;

// In the child: the checks from `first` on. Their order is the same each time.
void work(const CheckRun& run, size_t first, Verdicts so_far, int socket) {
  ::dup2(STDERR_FILENO, STDOUT_FILENO);  // what a plugin prints is no data
  const checks::Note note = [&](const std::string& text) {
    send(socket, Message().add(Tell::note).add(text));
  };
  CheckSuite suite;
  try {
    suite = run.make(note);
  } catch (const UsageError& error) {
    send(socket, Message().add(Tell::refused).add(std::string(error.what())).add(error.hint()));
    return;
  } catch (const Error& error) {
    send(socket, Message().add(Tell::unloaded).add(std::string(error.what())).add(error.hint()));
    return;
  } catch (const std::exception& error) {
    send(socket, Message().add(Tell::unloaded).add(std::string(error.what())).add(std::string()));
    return;
  }
  Message about;
  about.add(Tell::about).add(suite.kind).add(suite.name).add(suite.version).add(suite.file);
  about.add(uint64_t{suite.checks.size()});
  for (const checks::Check& check : suite.checks) about.add(check.name);
  send(socket, about);
  for (size_t i = first; i < suite.checks.size(); ++i) {
    send(socket, Message().add(Tell::begins).add(uint64_t{i}));
    const Result result = run_check(suite.checks[i], so_far);
    so_far[suite.checks[i].name] = result.verdict;
    send(socket, Message().add(Tell::result).add(result.verdict).add(result.seen).add(result.advice));
  }
  send(socket, Message().add(Tell::done));
}

// In the parent.
class Overseer {
 public:
  explicit Overseer(const CheckRun& run) : run_(run) {}

  CheckedPlugin oversee() {
    while (!finished_) {
      Verdicts so_far;
      for (const auto& [name, result] : plugin_.results) so_far[name] = result.verdict;
      const size_t first = plugin_.results.size();
      child_ = start_child([&](int socket) { work(run_, first, so_far, socket); });
      running_.reset();
      listen();
    }
    if (refusal_) throw *refusal_;
    return std::move(plugin_);
  }

 private:
  void listen();
  bool hear(const std::string& text);
  void ended(bool too_long);
  void unloaded(const std::string& what, const std::string& hint) {
    plugin_.results.emplace_back("loads", checks::failed(what, hint));
    finished_ = true;
  }

  const CheckRun& run_;
  CheckedPlugin plugin_;
  std::vector<std::string> names_;
  Child child_;
  std::optional<size_t> running_;
  std::string note_;
  Clock::time_point since_;
  std::optional<UsageError> refusal_;
  bool finished_ = false;
};

// Whether the child has more to say.
bool Overseer::hear(const std::string& text) {
  MessageReader message(text);
  switch (static_cast<Tell>(message.number())) {
    case Tell::about:
      plugin_.kind = message.text();
      plugin_.name = message.text();
      plugin_.version = message.text();
      plugin_.file = message.text();
      names_.assign(message.number(), "");
      for (std::string& name : names_) name = message.text();
      return true;
    case Tell::begins:
      running_ = message.number();
      note_.clear();
      since_ = Clock::now();
      if (run_.progress) run_.progress(names_.at(*running_), *running_, names_.size());
      return true;
    case Tell::note:
      note_ = message.text();
      return true;
    case Tell::result: {
      Result result;
      result.verdict = static_cast<Verdict>(message.number());
      result.seen = message.text();
      result.advice = message.text();
      plugin_.results.emplace_back(names_.at(running_.value()), std::move(result));
      running_.reset();
      since_ = Clock::now();
      return true;
    }
    case Tell::unloaded: {
      const std::string what = message.text();
      unloaded(what, message.text());
      return false;
    }
    case Tell::refused: {
      const std::string what = message.text();
      refusal_.emplace(what, message.text());
      break;
    }
    case Tell::done:
      break;
  }
  finished_ = true;
  return false;
}

// The child has ended by itself, or has taken too long over what it was doing.
void Overseer::ended(bool too_long) {
  if (too_long) ::kill(child_.pid, SIGKILL);
  int status = 0;
  ::waitpid(child_.pid, &status, 0);
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

void Overseer::listen() {
  since_ = Clock::now();
  for (;;) {
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since_).count();
    if (waited >= run_.limit) return ended(true);
    pollfd waiting{child_.socket.get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, 200);
    if (ready < 0 && errno != EINTR) throw Error("cannot listen to a worker process");
    if (ready <= 0) continue;
    const auto text = receive(child_.socket.get());
    if (!text || !hear(*text)) return ended(false);
  }
}

}  // namespace

bool CheckedPlugin::passed() const { return !results.empty() && count(Verdict::failed) == 0; }

int64_t CheckedPlugin::count(Verdict verdict) const {
  return std::count_if(results.begin(), results.end(),
                       [&](const auto& result) { return result.second.verdict == verdict; });
}

CheckedPlugin run_checks(const CheckRun& run) { return Overseer(run).oversee(); }

}  // namespace orrery::engine
