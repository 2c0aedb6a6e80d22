#include "make_sweep.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>

#include "engine/run/run_directory.h"
#include "engine/sweep/sweep_plan.h"
#include "engine/sweep/swept_log.h"

namespace {

using namespace orrery;
using namespace orrery::engine;

constexpr const char* text = R"(base = "base.toml"
seeds = 4
[grid]
train.weight_decay = [10, 0.1, 1]
task.p = [7, 11]
[[reading]]
name = "grok_step"
metric = "test/accuracy"
of = "first step >= 0.99"
[[reading]]
name = "test_loss"
metric = "test/loss"
[[reading]]
name = "norm"
metric = "weights/norm"
[[class]]
name = "groks"
if = "grok_step >= 0"
[[class]]
name = "fails"
[[expect]]
share = "groks"
bound = ">= 0.5"
source = "a paper"
[[expect]]
share = "groks"
bound = ">= 0.5"
source = "another paper"
where.train.weight_decay = [0.1]
[[expect]]
median = "grok_step"
bound = "<= 300"
source = "a third"
where.train.weight_decay = [10]
where.task.p = [7]
)";

constexpr const char* about = R"({{"orrery": "0.3.0", "config": {},
  "sessions": [{{"from": 0, "to": {}, "ended": "{}"}}]}})";

// The folder of a run is named for it.
Json config_of(size_t i) {
  return {{"name", "set"}, {"task", {{"name", "t"}}}, {"train", {{"steps", 400 + i}}}};
}

void make_one(const SweepPlan& plan, size_t i) {
  const auto folder = plan.run_folder(plan.runs[i]);
  const bool stopped = i == 9, diverged = i == plan.runs.size() - 2;
  const bool never = i / 8 == 1;  // the second decay
  const int64_t last = stopped || diverged ? 200 : 400;
  RunDirectory run = RunDirectory::create(folder);
  run.write_run_json(fmt::format(about, config_of(i).dump(), last,
                                 stopped    ? "interrupted"
                                 : diverged ? "diverged"
                                            : "finished"));
  const double at = static_cast<double>(i);
  for (int64_t step = 0; step <= last; step += 10) {
    const bool grokked = !never && step >= 100 + 10 * static_cast<int64_t>(i);
    run.metrics().append(metrics_line(step, {{"train/loss", std::exp(-static_cast<double>(step) / 50)},
                                             {"test/loss", grokked ? 1 / (at + 1) : 5},
                                             {"test/accuracy", grokked ? 1 : 0.1},
                                             {"weights/norm", 20 + at - static_cast<double>(step) / 40}}));
  }
  if (!stopped && !diverged) SweptLog(folder).done();
  if (i == 8) std::ofstream(folder / "report.html") << "a report";
}

}  // namespace

void make_sweep(const std::filesystem::path& folder) {
  SweepPlan plan{read_sweep_text(text, "set.toml", ReadBase::no), folder / "set", {}, 24};
  for (SweepPoint& point : expand(plan.file))
    plan.runs.push_back({earlier_identity_of(config_of(plan.runs.size()), {}), std::move(point), nullptr});
  write_plan(plan);
  for (size_t i = 0; i + 1 < plan.runs.size(); ++i) make_one(plan, i);
}
