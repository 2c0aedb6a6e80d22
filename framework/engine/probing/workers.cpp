// The worker pool: jobs in forks of this process, so that a probe that crashes costs only its own result.
#include <fmt/format.h>
#include <orrery/error.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "engine/probing/work.h"
#include "engine/processes/crash.h"
#include "loader/processes/ending.h"
#include "loader/processes/supervisor.h"

namespace orrery::engine {
namespace {

// A worker's messages: a probe begins, its answer, the job is done, or the job failed as a whole.
enum class Report : uint64_t { begins, answer, done, failed };

// In the worker. Identifies probes by their index in the plan's job.
class SocketSink final : public ResultSink {
 public:
  SocketSink(int socket, const Job& job) : socket_(socket), job_(job) {}

  void begins(const ProbeInRun& probe, const char* call) override {
    send(socket_, Message().add(Report::begins).add(number(&probe)).add(std::string(call)));
  }
  void answer(const Answer& answer) override {
    send(socket_, Message()
                      .add(Report::answer)
                      .add(number(answer.probe))
                      .add(uint64_t{answer.unusable})
                      .add(answer.error)
                      .add(answer.hint)
                      .add(answer.result.line)
                      .add(answer.result.data));
  }

 private:
  uint64_t number(const ProbeInRun* probe) const {
    return std::find(job_.probes.begin(), job_.probes.end(), probe) - job_.probes.begin();
  }
  int socket_;
  const Job& job_;
};

// An order is the index of a job followed by the indices of its probes to ask.
void worker_main(const WorkPlan& plan, int socket) {
  while (const auto text = receive(socket)) {
    MessageReader order(*text);
    const uint64_t number = order.number();
    const Job& job = plan.jobs.at(number);
    std::vector<const ProbeInRun*> probes;
    for (uint64_t left = order.number(); left > 0; --left) probes.push_back(job.probes.at(order.number()));
    try {
      SocketSink sink(socket, job);
      plan.work(number, probes, sink);
      send(socket, Message().add(Report::done));
    } catch (const Error& error) {
      send(socket, Message().add(Report::failed).add(std::string(error.what())).add(error.hint()));
    } catch (const std::exception& error) {
      send(socket, Message().add(Report::failed).add(std::string(error.what())).add(std::string()));
    }
  }
}

std::optional<std::chrono::milliseconds> limit_of(const ProbeInRun& probe) {
  if (probe.timeout_s <= 0) return std::nullopt;
  return std::chrono::milliseconds(static_cast<int64_t>(probe.timeout_s * 1000));
}

struct Worker {
  std::optional<uint64_t> job;
  const ProbeInRun* running = nullptr;
  std::string call;
};

// In the parent.
class WorkerPool {
 public:
  WorkerPool(const WorkPlan& plan, int processes)
      : plan_(plan),
        processes_(static_cast<size_t>(std::max(processes, 1))),
        states_(plan.jobs.size()),
        supervisor_({.on_message = [this](size_t id, const std::string& text) { on_message(id, text); },
                     .on_end = [this](size_t id, int status, bool late) { on_end(id, status, late); }}) {
    for (size_t i = 0; i < states_.size(); ++i) states_[i].left = plan.jobs[i].probes;
  }

  void run();

 private:
  struct State {
    std::vector<const ProbeInRun*> left;  // without an answer yet
    std::vector<Answer> answers;
    bool done = false;
  };

  void dispatch();
  bool assign(uint64_t job);
  std::optional<Supervisor::Id> idle_worker();
  void on_message(Supervisor::Id id, const std::string& text);
  void on_end(Supervisor::Id id, int status, bool too_long);
  void add(uint64_t job, Answer answer);
  void hand_over();

  const WorkPlan& plan_;
  const size_t processes_;
  std::vector<State> states_;
  std::map<Supervisor::Id, Worker> workers_;
  std::vector<uint64_t> again_;  // jobs whose worker died
  std::set<const ProbeInRun*> unusable_;
  size_t next_ = 0, handed_over_ = 0;
  Supervisor supervisor_;  // last: its listener uses the others
};

std::optional<Supervisor::Id> WorkerPool::idle_worker() {
  for (const auto& [id, worker] : workers_)
    if (!worker.job) return id;
  if (workers_.size() >= processes_) return std::nullopt;
  const Supervisor::Id id = supervisor_.spawn([this](int socket) { worker_main(plan_, socket); });
  workers_[id] = {};
  return id;
}

// Returns whether there was a free worker.
bool WorkerPool::assign(uint64_t job) {
  State& state = states_[job];
  std::erase_if(state.left, [&](const ProbeInRun* probe) { return unusable_.contains(probe); });
  state.done = state.left.empty();
  if (state.done) return true;
  const auto id = idle_worker();
  if (!id) return false;
  workers_[*id] = {job, nullptr, {}};
  const auto& all = plan_.jobs[job].probes;
  Message order;
  order.add(job).add(uint64_t{state.left.size()});
  for (const ProbeInRun* probe : state.left)
    order.add(uint64_t(std::find(all.begin(), all.end(), probe) - all.begin()));
  supervisor_.send(*id, order);
  return true;
}

// Stays close to the oldest unfinished job, because later answers are held until it is done.
void WorkerPool::dispatch() {
  while (!again_.empty() && assign(again_.back())) again_.pop_back();
  const size_t window = 4 * processes_;
  while (next_ < states_.size() && next_ < handed_over_ + window && assign(next_)) ++next_;
}

// Each worker discovers by itself that a probe is unusable; report it once.
void WorkerPool::add(uint64_t job, Answer answer) {
  std::erase(states_[job].left, answer.probe);
  if (!answer.unusable || unusable_.insert(answer.probe).second)
    states_[job].answers.push_back(std::move(answer));
}

void WorkerPool::on_message(Supervisor::Id id, const std::string& text) {
  Worker& worker = workers_.at(id);
  MessageReader message(text);
  const uint64_t job = worker.job.value();
  const auto probe = [&] { return plan_.jobs.at(job).probes.at(message.number()); };
  switch (static_cast<Report>(message.number())) {
    case Report::begins:
      worker.running = probe();
      worker.call = message.text();
      supervisor_.set_limit(id, limit_of(*worker.running));
      return;
    case Report::answer: {
      Answer answer{probe()};
      answer.unusable = message.number() != 0;
      answer.error = message.text();
      answer.hint = message.text();
      answer.result.line = message.text();
      answer.result.data = message.bytes();
      worker.running = nullptr;
      supervisor_.set_limit(id, std::nullopt);
      add(job, std::move(answer));
      return;
    }
    case Report::failed: {
      Answer answer;
      answer.error = message.text();
      answer.hint = message.text();
      add(job, std::move(answer));
      break;
    }
    case Report::done:
      break;
  }
  states_[job].done = true;
  worker.job.reset();
}

bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

// A worker that ended on its own: blames the running probe.
void WorkerPool::on_end(Supervisor::Id id, int status, bool too_long) {
  const Worker worker = workers_.extract(id).mapped();
  if (!worker.job) return;
  const uint64_t job = *worker.job;
  const std::string ending = ending_text(status), &place = plan_.jobs[job].place;
  Answer answer{worker.running};
  answer.hint = ending_advice(status);
  if (!worker.running) {
    answer.error = fmt::format("{}: the worker process ended: {}", place, ending);
    add(job, std::move(answer));
    states_[job].done = true;
    return;
  }
  answer.unusable = worker.call == "fit";
  answer.error = with_place(*answer.probe,
                            call_text(*answer.probe, worker.call, answer.unusable ? "its reference" : place));
  if (too_long) {
    answer.error += fmt::format("it has not come back within {} s (timeout_s)", answer.probe->timeout_s);
    answer.hint = "look for a loop that does not end, or give it longer: timeout_s";
  } else {
    answer.error += "it crashed: " + ending;
  }
  if (!killed(status)) answer.hint += "\n  to see where: " + debugger_command();
  add(job, std::move(answer));
  again_.push_back(job);
}

void WorkerPool::hand_over() {
  for (; handed_over_ < states_.size() && states_[handed_over_].done; ++handed_over_) {
    plan_.done(handed_over_, states_[handed_over_].answers);
    states_[handed_over_].answers = {};
  }
}

void WorkerPool::run() {
  while (handed_over_ < states_.size() && !plan_.stop()) {
    dispatch();
    hand_over();
    if (handed_over_ < states_.size()) supervisor_.wait();
  }
}

}  // namespace

void run_in_workers(const WorkPlan& plan, int processes) { WorkerPool(plan, processes).run(); }

}  // namespace orrery::engine
