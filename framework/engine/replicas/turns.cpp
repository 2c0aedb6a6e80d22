#include "engine/replicas/turns.h"

#include <malloc.h>

#include <thread>

namespace orrery::engine {

void Turns::run(std::vector<std::function<void()>> pieces) {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 1);  // one thread at a time: no use for a heap of its own in each
#endif
  std::vector<std::thread> threads;
  for (size_t i = 0; i < pieces.size(); ++i) places_.push_back(std::make_unique<Place>());
  since_ = Clock::now();
  for (size_t i = 0; i < pieces.size(); ++i) threads.emplace_back([&, i] { body(i, pieces[i]); });
  for (std::thread& thread : threads) thread.join();
}

void Turns::body(size_t place, const std::function<void()>& piece) {
  {
    std::unique_lock lock(mutex_);
    places_[place]->woken.wait(lock, [&] { return current_ == place; });
  }
  piece();
  std::unique_lock lock(mutex_);
  pass(lock, /*ended=*/true);
}

// Hands the turn to the next piece that has not ended, and waits for the next turn of this one unless it has.
void Turns::pass(std::unique_lock<std::mutex>& lock, bool ended) {
  const size_t mine = current_;
  places_[mine]->ended = ended;
  size_t next = mine;
  for (size_t i = 1; i <= places_.size(); ++i) {
    next = (mine + i) % places_.size();
    if (!places_[next]->ended) break;
  }
  current_ = next;
  since_ = Clock::now();
  if (next == mine) return;
  places_[next]->woken.notify_one();
  if (!ended) places_[mine]->woken.wait(lock, [&] { return current_ == mine; });
}

void Turns::pass_if_due() {
  if (places_.size() < 2 || Clock::now() - since_ < turn_) return;
  std::unique_lock lock(mutex_);
  pass(lock, /*ended=*/false);
}

}  // namespace orrery::engine
