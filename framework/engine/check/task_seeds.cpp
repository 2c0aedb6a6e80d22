// Checks that a task's data depend on the generator it is given and on nothing else.
#include <fmt/format.h>

#include "engine/check/bitwise.h"
#include "engine/check/heard_disturbances.h"
#include "engine/check/task_checks.h"

namespace orrery::engine::checks {
namespace {

constexpr int64_t batch_size = 64;

// Where data that must be the same differ, or "".
std::string difference_between(const Variant& variant, const Task& task, uint64_t seed) {
  const std::string in_split = difference(variant.split, task.split(make_generator(seed)));
  if (!in_split.empty() || !variant.spec.endless) return in_split;
  // The later step first: what a call remembers of another must not matter.
  const Batch late = task.sample(batch_size, final_step, make_generator(seed)),
              first = task.sample(batch_size, 0, make_generator(seed));
  const std::string in_first = difference("sample", variant.sample, first);
  return in_first.empty() ? difference("final_sample", variant.final_sample, late) : in_first;
}

bool draws(const std::function<void(torch::Generator)>& from) {
  const torch::Generator used = make_generator(data_seed), fresh = make_generator(data_seed);
  from(used);
  return !same(used.get_state(), fresh.get_state());
}

}  // namespace

Result same_seed_same_data(TaskUnderCheck& task) {
  for (const Variant& variant : task.variants()) {
    task.note(variant.at("split"));
    const char* advice = "draw from the generator that split() and sample() are given, and from nothing else";
    std::string differs = difference_between(variant, *variant.task, data_seed);
    if (!differs.empty()) return failed(variant.at("made twice, the data differ in " + differs), advice);
    differs = difference_between(variant, *task.source().make(variant.values), data_seed);
    if (!differs.empty())
      return failed(variant.at("made by two instances, the data differ in " + differs), advice);
  }
  return ok();
}

Result other_seed_other_data(TaskUnderCheck& task) {
  const char* advice = "draw from the generator that is given, without a seed of your own";
  for (const Variant& variant : task.variants()) {
    const auto same_sample = [&](const Batch& sample, int64_t step) {
      const torch::Generator other = make_generator(other_data_seed);
      return difference("sample", sample, variant.task->sample(batch_size, step, other)).empty();
    };
    // A curriculum may begin with a single example.
    if (variant.spec.endless && same_sample(variant.sample, 0) &&
        same_sample(variant.final_sample, final_step))
      return failed(variant.at("two seeds give the same sample"), advice);
    if (draws([&](torch::Generator rng) { variant.task->split(rng); }) &&
        difference(variant.split, variant.task->split(make_generator(other_data_seed))).empty())
      return failed(variant.at("split() draws from its generator, but two seeds give the same data"), advice);
  }
  const Variant& given = task.variants().front();
  if (!draws([&](torch::Generator rng) { given.task->split(rng); }))
    return not_applicable("split() draws nothing from its generator: it gives the same data for every seed");
  return ok();
}

Result draws_from_its_generator(TaskUnderCheck& task) {
  for (const Variant& variant : task.variants()) {
    seed_global_generator();
    HeardDisturbances heard;
    const auto made = task.source().make(variant.values);
    made->split(make_generator(data_seed));
    if (variant.spec.endless)
      for (const int64_t step : {int64_t{0}, final_step})
        made->sample(batch_size, step, make_generator(data_seed));
    if (const std::string drew = heard.first("generator"); !drew.empty())
      return failed(
          variant.at(drew),
          "pass the generator to torch::rand, torch::randint, torch::randperm; do not seed anything");
  }
  return ok();
}

}  // namespace orrery::engine::checks
