#include "engine/probing/workers.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>

#include "engine/processes/child.h"
#include "engine/processes/crash.h"
#include "engine/processes/messages.h"
#include "loader/ending.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

// What a worker tells: that a probe begins, what it answered, that the job is done, or has failed as a whole.
enum class Tell : uint64_t { begins, answer, done, failed };

constexpr uint64_t no_job = ~uint64_t{0};

// In the worker. Probes go by their number in the plan's job.
class SocketTeller final : public Teller {
 public:
  SocketTeller(int socket, const Job& job) : socket_(socket), job_(job) {}

  void begins(const ProbeInRun& probe, const char* call) override {
    send(socket_, Message().add(Tell::begins).add(number(&probe)).add(std::string(call)));
  }
  void answer(const Answer& answer) override {
    send(socket_, Message()
                      .add(Tell::answer)
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

// An order is the number of a job and, behind it, those of its probes that are to be asked.
void work_off(const WorkPlan& plan, int socket) {
  while (const auto text = receive(socket)) {
    MessageReader order(*text);
    const uint64_t number = order.number();
    const Job& job = plan.jobs.at(number);
    std::vector<const ProbeInRun*> probes;
    for (uint64_t left = order.number(); left > 0; --left) probes.push_back(job.probes.at(order.number()));
    try {
      SocketTeller teller(socket, job);
      plan.work(number, probes, teller);
      send(socket, Message().add(Tell::done));
    } catch (const Error& error) {
      send(socket, Message().add(Tell::failed).add(std::string(error.what())).add(error.hint()));
    } catch (const std::exception& error) {
      send(socket, Message().add(Tell::failed).add(std::string(error.what())).add(std::string()));
    }
  }
}

struct Worker {
  pid_t pid = -1;
  Descriptor socket;
  uint64_t job = no_job;
  const ProbeInRun* running = nullptr;
  std::string call;
};

// In the parent.
class Crew {
 public:
  explicit Crew(const WorkPlan& plan) : plan_(plan), states_(plan.jobs.size()) {
    for (size_t i = 0; i < states_.size(); ++i) states_[i].left = plan.jobs[i].probes;
  }
  ~Crew() {
    for (Worker& worker : workers_) {
      ::kill(worker.pid, SIGKILL);
      ::waitpid(worker.pid, nullptr, 0);
    }
  }
  Crew(const Crew&) = delete;

  void run();

 private:
  struct State {
    std::vector<const ProbeInRun*> left;  // not answered yet
    std::vector<Answer> answers;
    bool done = false;
  };

  void give_out();
  bool give(uint64_t job);
  void listen();
  void hear(Worker& worker, const std::string& text);
  void bury(Worker& worker);
  void add(uint64_t job, Answer answer);
  void hand_over();
  Worker hire();

  const WorkPlan& plan_;
  std::vector<State> states_;
  std::vector<Worker> workers_;
  std::vector<uint64_t> again_;  // jobs that a worker died over
  std::set<const ProbeInRun*> unusable_;
  size_t next_ = 0, handed_over_ = 0;
};

Worker Crew::hire() {
  Child child = start_child([this](int socket) {
    for (Worker& other : workers_) other.socket = Descriptor();
    work_off(plan_, socket);
  });
  return {child.pid, std::move(child.socket), no_job, nullptr, {}};
}

// Whether there was a worker to give it to.
bool Crew::give(uint64_t job) {
  State& state = states_[job];
  std::erase_if(state.left, [&](const ProbeInRun* probe) { return unusable_.contains(probe); });
  state.done = state.left.empty();
  if (state.done) return true;
  auto idle = std::find_if(workers_.begin(), workers_.end(), [](auto& w) { return w.job == no_job; });
  if (idle == workers_.end()) {
    if (workers_.size() >= static_cast<size_t>(std::max(plan_.processes, 1))) return false;
    workers_.push_back(hire());
    idle = workers_.end() - 1;
  }
  idle->job = job;
  idle->running = nullptr;
  const auto& all = plan_.jobs[job].probes;
  Message order;
  order.add(job).add(uint64_t{state.left.size()});
  for (const ProbeInRun* probe : state.left)
    order.add(uint64_t(std::find(all.begin(), all.end(), probe) - all.begin()));
  try {
    send(idle->socket.get(), order);
  } catch (const Error&) {
    // It has ended; listen() will find out.
  }
  return true;
}

// Not too far ahead of the oldest job that is not done: its answers, and those after it, are held until then.
void Crew::give_out() {
  while (!again_.empty() && give(again_.back())) again_.pop_back();
  const size_t window = 4 * static_cast<size_t>(std::max(plan_.processes, 1));
  while (next_ < states_.size() && next_ < handed_over_ + window && give(next_)) ++next_;
}

// Each worker finds out for itself that a probe is unusable; it is said once.
void Crew::add(uint64_t job, Answer answer) {
  std::erase(states_[job].left, answer.probe);
  if (!answer.unusable || unusable_.insert(answer.probe).second)
    states_[job].answers.push_back(std::move(answer));
}

void Crew::hear(Worker& worker, const std::string& text) {
  MessageReader message(text);
  const uint64_t job = worker.job;
  const auto probe = [&] { return plan_.jobs.at(job).probes.at(message.number()); };
  switch (static_cast<Tell>(message.number())) {
    case Tell::begins:
      worker.running = probe();
      worker.call = message.text();
      return;
    case Tell::answer: {
      Answer answer{probe()};
      answer.unusable = message.number() != 0;
      answer.error = message.text();
      answer.hint = message.text();
      answer.result.line = message.text();
      answer.result.data = message.bytes();
      worker.running = nullptr;
      add(job, std::move(answer));
      return;
    }
    case Tell::failed: {
      Answer answer;
      answer.error = message.text();
      answer.hint = message.text();
      add(job, std::move(answer));
      break;
    }
    case Tell::done:
      break;
  }
  states_[job].done = true;
  worker.job = no_job;
}

bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

// A worker that ended by itself: the fault of the probe that was running.
void Crew::bury(Worker& worker) {
  int status = 0;
  ::waitpid(worker.pid, &status, 0);
  worker.pid = -1;
  if (worker.job == no_job) return;
  const std::string ending = ending_text(status), &place = plan_.jobs[worker.job].place;
  Answer answer{worker.running};
  answer.hint = ending_advice(status);
  if (!worker.running) {
    answer.error = fmt::format("{}: the process that looked at it ended: {}", place, ending);
    add(worker.job, std::move(answer));
    states_[worker.job].done = true;
    return;
  }
  answer.unusable = worker.call == "fit";
  answer.error =
      fmt::format("probe {} {}, {}, {}: it crashed: {}", answer.probe->plugin, answer.probe->version,
                  worker.call, answer.unusable ? "its reference" : place, ending);
  if (!killed(status)) answer.hint += "\n  to see where: " + debugger_command();
  add(worker.job, std::move(answer));
  again_.push_back(worker.job);
}

void Crew::listen() {
  std::vector<pollfd> waiting;
  for (const Worker& worker : workers_) waiting.push_back({worker.socket.get(), POLLIN, 0});
  if (::poll(waiting.data(), waiting.size(), 200) < 0) {
    if (errno == EINTR) return;
    throw Error(fmt::format("cannot listen to worker processes: {}", std::strerror(errno)));
  }
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i].revents == 0) continue;
    if (const auto text = receive(workers_[i].socket.get()))
      hear(workers_[i], *text);
    else
      bury(workers_[i]);
  }
  std::erase_if(workers_, [](const Worker& worker) { return worker.pid < 0; });
}

void Crew::hand_over() {
  for (; handed_over_ < states_.size() && states_[handed_over_].done; ++handed_over_) {
    plan_.done(handed_over_, states_[handed_over_].answers);
    states_[handed_over_].answers = {};
  }
}

void Crew::run() {
  while (handed_over_ < states_.size() && !plan_.stop()) {
    give_out();
    hand_over();
    if (handed_over_ < states_.size()) listen();
  }
}

}  // namespace

void run_in_workers(const WorkPlan& plan) { Crew(plan).run(); }

}  // namespace orrery::engine
