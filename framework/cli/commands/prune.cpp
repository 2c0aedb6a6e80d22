// orrery prune RUN: deletes most of the checkpoints of a finished run.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <iostream>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/json_lines.h"
#include "cli/text/terminal.h"
#include "engine/prune/prune.h"
#include "engine/reporter/numbers.h"

namespace orrery::cli {
namespace {

struct PruneArguments {
  std::string run;
  int64_t keep_last = 0, every = 0;
  bool dry_run = false, force = false, json = false;
};

Json prune_json(const PruneArguments& options, const PrunePlan& plan) {
  Json needed = Json::array();
  for (const NeededElsewhere& each : plan.needed)
    needed.push_back({{"step", each.step}, {"by", each.by.string()}});
  Json damaged = Json::array();
  for (const DamagedCheckpoint& each : plan.damaged)
    damaged.push_back({{"step", each.step},
                       {"error", each.error},
                       {"instead", each.instead ? Json(*each.instead) : Json(nullptr)}});
  return {{"run", options.run},
          {"dry_run", options.dry_run},
          {"deleted", plan.gone},
          {"kept", plan.kept},
          {"bytes", plan.bytes},
          {"needed", needed},
          {"unmeasured", plan.unmeasured},
          {"damaged", damaged}};
}

// "0, 900, 1,000", or the first, the number between, and the last.
std::string kept_or_gone(const std::vector<int64_t>& steps) {
  constexpr size_t most = 8;
  if (steps.size() > most)
    return fmt::format("{} steps from {} to {}", thousands(static_cast<int64_t>(steps.size())),
                       thousands(steps.front()), thousands(steps.back()));
  std::vector<std::string> texts;
  for (const int64_t step : steps) texts.push_back(thousands(step));
  return fmt::format("{}", fmt::join(texts, "; "));
}

std::string prune_text(const PruneArguments& options, const PrunePlan& plan) {
  const size_t all = plan.gone.size() + plan.kept.size();
  if (plan.gone.empty()) return fmt::format("{}: all {} checkpoints stay\n", options.run, all);
  std::string out =
      fmt::format("{}: {} {} of {} checkpoints, {}\n  stay   {}\n  {}     {}\n", options.run,
                  options.dry_run ? "would delete" : "deleted", plan.gone.size(), all, bytes_text(plan.bytes),
                  kept_or_gone(plan.kept), options.dry_run ? "go" : "gone", kept_or_gone(plan.gone));
  for (const NeededElsewhere& each : plan.needed)
    out +=
        fmt::format("  step {} stays, because {} starts from it\n", thousands(each.step), each.by.string());
  return out;
}

// Before anything is deleted.
void look_at_unmeasured(const PruneArguments& options, const PrunePlan& plan) {
  for (const auto& [label, count] : plan.unmeasured) {
    const std::string what =
        fmt::format("probe {} has not measured {} of the checkpoints that would go", label, count);
    const std::string hint = "measure them first: orrery probe " + options.run;
    if (!options.dry_run && !options.force)
      throw UsageError(options.run + ": " + what, hint + "; or delete them all the same with --force");
    complain("warning", what, hint);
  }
}

// Before anything is deleted, too.
void tell_of_damage(const PrunePlan& plan) {
  for (const DamagedCheckpoint& each : plan.damaged)
    complain("warning",
             fmt::format("{}; step {} stays as it is{}", each.error, thousands(each.step),
                         each.instead ? fmt::format(", and so does {}, the nearest whole one that would go",
                                                    thousands(*each.instead))
                                      : ""),
             each.hint);
}

int prune_run(const PruneArguments& options) {
  const PruneChoices choices{options.keep_last > 0 ? std::optional(options.keep_last) : std::nullopt,
                             options.every};
  RunDirectory run = RunDirectory::open(
      options.run, options.dry_run ? RunDirectory::Access::read : RunDirectory::Access::write);
  const PrunePlan plan = plan_prune(run, choices);
  look_at_unmeasured(options, plan);
  tell_of_damage(plan);
  if (!options.dry_run) prune(run, plan);
  if (options.json)
    print_json(prune_json(options, plan));
  else
    std::cout << prune_text(options, plan) << std::flush;
  return 0;
}

}  // namespace

Command add_prune(CLI::App& program) {
  auto options = std::make_shared<PruneArguments>();
  CLI::App* command = program.add_subcommand("prune", "Delete most of the checkpoints of a finished run");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  command->add_option("--keep-last", options->keep_last, "Keep this many of the newest checkpoints")
      ->type_name("N")
      ->default_str("")
      ->check(at_least(1));
  command->add_option("--every", options->every, "Keep those whose step is a multiple of this")
      ->type_name("K")
      ->default_str("")
      ->check(at_least(1));
  command->add_flag("--dry-run", options->dry_run, "Delete nothing; say what would go");
  command->add_flag("--force", options->force, "Delete also what a probe of the run has not measured");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->footer(
      R"(Whatever the options, these stay: the first and the last checkpoint, those of checkpoints.per_decade, those that
the reference of a probe names, the first with 99 % test accuracy, and those that a run in the same folder names in
its [init] from (runs elsewhere are not looked at). All that stay are read first: where one is damaged, the nearest
whole one stays as well. What probes measured stays, and every command shows it; it cannot
be computed again. A prune that is killed leaves a whole run: prune again.

JSON: run, dry_run, deleted and kept (steps), bytes, needed [{step, by}], unmeasured {probe: number of deleted
checkpoints that it has not measured}, damaged [{step, error, instead}].

Examples:
  orrery prune runs/quickstart-... --keep-last 3 --dry-run
  orrery prune runs/quickstart-... --every 1000
To keep fewer from the start: checkpoints.keep_last = N in the config.)");
  return {command, [options] { return prune_run(*options); }};
}

}  // namespace orrery::cli
