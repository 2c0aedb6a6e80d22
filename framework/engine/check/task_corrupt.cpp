// Checks the corrupted partners that a task makes for interventions.
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/probe.h>

#include <algorithm>

#include "engine/check/bitwise.h"
#include "engine/check/task_checks.h"
#include "engine/experiment/check_split.h"

namespace orrery::engine::checks {
namespace {

constexpr int64_t most_partners = 64;

Batch corrupted(const Variant& variant, const Task& task, const Batch& clean) {
  const Batch own = task.corrupt(clean, make_generator(data_seed));
  return own.size() > 0
             ? own
             : corrupted_by_default(clean, variant.split, variant.structure, make_generator(data_seed));
}

// Of the partners: the label that the grid has for their tokens, where there is a grid.
std::string label_fault(const Batch& grid, const Batch& partners) {
  for (int64_t i = 0; i < partners.size(); ++i) {
    const torch::Tensor same_tokens = (grid.tokens == partners.tokens[i]).all(1).nonzero();
    if (same_tokens.numel() == 0) return fmt::format("partner {} is not in the grid", i);
    if (!partners.labels[i].equal(grid.labels[same_tokens[0][0].item<int64_t>()]))
      return fmt::format("partner {} has other labels than the grid has for its tokens", i);
  }
  return "";
}

// What is wrong, or "". Counts the partners with another answer.
std::string fault_of(const Variant& variant, const Task& other, int64_t& changed) {
  const Batch& train = variant.split.train;
  const Batch clean = train.rows(torch::arange(std::min(train.size(), most_partners), torch::kInt64));
  const Batch kept = copy(clean);
  const Batch partners = corrupted(variant, *variant.task, clean);
  check_corrupted(variant.spec, clean.size(), partners);
  if (const std::string wrote = difference("clean", kept, clean); !wrote.empty())
    return "corrupt() changed " + wrote;
  for (const Task* task : {static_cast<const Task*>(variant.task.get()), &other})
    if (const std::string differs = difference("partners", partners, corrupted(variant, *task, clean));
        !differs.empty())
      return fmt::format("made twice from one seed, they differ in {}", differs);
  if (partners.tokens.equal(clean.tokens)) return "every partner is its own example";
  changed += (partners.labels != clean.labels).any(1).sum().item<int64_t>();
  return variant.split.grid ? label_fault(*variant.split.grid, partners) : "";
}

}  // namespace

Result corrupts(TaskUnderCheck& task) {
  int64_t changed = 0, all = 0;
  for (const Variant& variant : task.variants()) {
    if (variant.split.train.size() < 2) continue;
    task.note(variant.at("corrupt"));
    const auto other = task.source().make(variant.values);
    all += std::min(variant.split.train.size(), most_partners);
    if (const std::string fault = fault_of(variant, *other, changed); !fault.empty())
      return failed(variant.at(fault),
                    "corrupt() gives each example a partner with its own labels, drawn from its generator");
  }
  if (all == 0) return not_applicable("it has fewer than two training examples");
  return ok(fmt::format("{} of {} partners have another answer", changed, all));
}

}  // namespace orrery::engine::checks
