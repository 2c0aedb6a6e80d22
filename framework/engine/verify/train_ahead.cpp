#include "engine/verify/train_ahead.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>

#include "engine/verify/verify_config.h"
#include "loader/processes/messages.h"
#include "loader/processes/supervisor.h"

namespace orrery::engine {
namespace {

using Clock = std::chrono::steady_clock;

enum class News { step, warning };

// Steps and warnings go to the parent; anything from it means to stop.
class ToParent final : public Reporter {
 public:
  explicit ToParent(int socket) : socket_(socket) {}
  void warning(const std::string& what, const std::string& hint) override {
    send(socket_, Message().add(News::warning).add(what).add(hint));
  }
  std::unique_ptr<Progress> progress(int64_t, const std::string& unit) override {
    return std::make_unique<Steps>(unit == "steps" ? socket_ : -1);
  }
  bool stop_requested() const override {
    if (stop_ || Clock::now() - looked_ < std::chrono::milliseconds(20)) return stop_;
    looked_ = Clock::now();
    return stop_ = has_message(socket_);
  }

 private:
  class Steps final : public Progress {
   public:
    explicit Steps(int socket) : socket_(socket) {}
    void show(int64_t done, const std::string&, bool) override {
      if (!due()) return;
      last_ = Clock::now();
      send(socket_, Message().add(News::step).add(static_cast<uint64_t>(done)));
    }
    bool due() const override {
      return socket_ >= 0 && Clock::now() - last_ > std::chrono::milliseconds(200);
    }

   private:
    int socket_;
    Clock::time_point last_{};
  };

  int socket_;
  mutable bool stop_ = false;
  mutable Clock::time_point looked_{};
};

class Ahead {
 public:
  Ahead(const Registry& registry, std::deque<const AheadConfig*> queue, int jobs, Reporter& reporter)
      : registry_(registry),
        queue_(std::move(queue)),
        n_configs_(queue_.size()),
        jobs_(static_cast<size_t>(jobs)),
        reporter_(reporter),
        supervisor_({.on_message = [this](Supervisor::Id id, const std::string& text) { heard(id, text); },
                     .on_end = [this](Supervisor::Id id, int, bool) { ended(id); }}) {}

  bool run() {
    int64_t total = 0;
    for (const AheadConfig* config : queue_) total += config->settings.train.steps;
    progress_ = reporter_.progress(total, "steps");
    bool stopped = false;
    while (!queue_.empty() || supervisor_.running() > 0) {
      if (reporter_.stop_requested() && !stopped) {
        stopped = true;
        queue_.clear();
        for (const auto& [id, worker] : workers_) supervisor_.send(id, Message().add(uint64_t{0}));
      }
      while (!queue_.empty() && supervisor_.running() < jobs_) spawn();
      if (supervisor_.running() > 0) supervisor_.wait();
      show();
    }
    return !stopped;
  }

 private:
  struct Worker {
    const AheadConfig* config;
    int64_t step = 0;
  };

  void spawn() {
    const AheadConfig* const config = queue_.front();
    queue_.pop_front();
    const Supervisor::Id id = supervisor_.spawn([&](int socket) {
      ToParent reporter(socket);
      verify_config(registry_, config->settings, config->path, reporter);
    });
    workers_[id] = {config};
  }

  void heard(Supervisor::Id id, const std::string& text) {
    MessageReader message(text);
    if (static_cast<News>(message.number()) == News::step) {
      workers_.at(id).step = static_cast<int64_t>(message.number());
      return;
    }
    const std::string what = message.text();
    reporter_.warning(fmt::format("{}: {}", workers_.at(id).config->settings.name, what), message.text());
  }

  void ended(Supervisor::Id id) {
    const Worker worker = workers_.extract(id).mapped();
    steps_done_ += worker.config->settings.train.steps;
    ++n_ended_;
  }

  void show() {
    if (!progress_->due()) return;
    int64_t steps = steps_done_;
    std::string names;
    for (const auto& [id, worker] : workers_) {
      steps += worker.step;
      names += (names.empty() ? "" : ", ") + worker.config->settings.name;
    }
    progress_->show(steps, fmt::format("{} of {} configs trained; now {}", n_ended_, n_configs_, names));
  }

  const Registry& registry_;
  std::deque<const AheadConfig*> queue_;
  size_t n_configs_, jobs_, n_ended_ = 0;
  Reporter& reporter_;
  Supervisor supervisor_;
  std::map<Supervisor::Id, Worker> workers_;
  std::unique_ptr<Progress> progress_;
  int64_t steps_done_ = 0;
};

}  // namespace

bool train_ahead(const Registry& registry, const std::vector<AheadConfig>& configs, int jobs,
                 Reporter& reporter) {
  std::deque<const AheadConfig*> queue;
  for (const AheadConfig& config : configs) {
    try {
      const FoundRun found = find_run(config.path, config.settings, registry);
      if (found == FoundRun::nothing || found == FoundRun::unfinished) queue.push_back(&config);
    } catch (const Error&) {
      // verify_config() says it in its turn.
    }
  }
  if (queue.size() < 2) return true;  // nothing to gain
  std::stable_sort(queue.begin(), queue.end(), [](const AheadConfig* a, const AheadConfig* b) {
    return a->settings.train.steps > b->settings.train.steps;
  });
  return Ahead(registry, std::move(queue), jobs, reporter).run();
}

}  // namespace orrery::engine
