// orrery verify CONFIG...: checks whether published results reproduce, by one run or by a sweep.
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "cli/commands/commands.h"
#include "cli/text/gallery_text.h"
#include "cli/text/sweep_text.h"
#include "cli/text/terminal.h"
#include "cli/text/verdict_table.h"
#include "engine/config/config_files.h"
#include "engine/experiment/experiment.h"
#include "engine/gallery/make_gallery.h"
#include "engine/sweep/judge_sweep.h"
#include "engine/sweep/sweep_run.h"
#include "engine/verify/other_versions.h"
#include "engine/verify/train_ahead.h"
#include "engine/verify/verify_config.h"
#include "sdk/files/atomic_file.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct VerifyArguments {
  std::vector<std::string> configs, files;
  std::string tier, runs, configs_folder, out;
  bool json = false, gallery = false;
  int jobs = 1;
};

const std::vector<std::string> tiers = {"quick", "standard", "full"};

// The tier of a config or a sweep; "" if it has nothing to verify.
std::string tier_of(const fs::path& file, const ParametersOf& parameters) {
  const Document document = Document::load(file);
  if (is_sweep(document)) {
    const SweepFile sweep = read_sweep_file(file);
    return sweep.claims.empty() ? "" : sweep.verify.tier;
  }
  const Settings settings = resolve(document, parameters);
  return settings.expectations.empty() ? "" : settings.verify.tier;
}

// The configs and sweeps of a tier and of quicker ones, by name.
std::vector<std::string> configs_of_tier(const VerifyArguments& options, const ParametersOf& parameters) {
  std::vector<std::string> chosen;
  const std::string wanted = options.tier.empty() ? tiers.back() : options.tier;
  const auto rank = [](const std::string& tier) { return std::find(tiers.begin(), tiers.end(), tier); };
  const fs::path folder =
      options.configs_folder.empty() ? configs_folder() : fs::path(options.configs_folder);
  for (const fs::path& file : configs_below(folder)) {
    const std::string tier = tier_of(file, parameters);
    if (!tier.empty() && rank(tier) <= rank(wanted)) chosen.push_back(file.string());
  }
  return chosen;
}

// The verdicts of one config or sweep; `none`: interrupted.
enum class Judged { good, bad, none };

Judged judge(const SweepPlan& plan, const std::string& file, const VerifyArguments& options,
             const Registry& registry) {
  const std::vector<SweepRow> rows = read_rows(plan);
  std::vector<fs::path> done;
  for (const SweepRow& row : rows)
    if (row.status.state == SweptState::done) done.push_back(plan.run_folder(*row.run));
  warn_of_other_versions(done, (plan.folder / "runs" / "*").string(), registry, terminal());
  const std::vector<SweepVerdict> verdicts = judge_sweep(plan, rows);
  std::cout << (options.json ? sweep_verdict_json(file, verdicts)
                             : file + "\n" + sweep_verdict_table(verdicts, line_limit()) + "\n")
            << std::flush;
  const bool good = std::all_of(verdicts.begin(), verdicts.end(), [](auto& each) { return each.passed; });
  return good ? Judged::good : Judged::bad;
}

void refuse_without_claims(const SweepPlan& plan, const std::string& file) {
  if (plan.file.claims.empty())
    throw UsageError(fmt::format("{}: it has no [[expect]] entry, so there is nothing to verify", file));
}

// A sweep where it is, as it is: nothing is trained.
bool verify_folders(const std::vector<std::string>& folders, const VerifyArguments& options,
                    const Registry& registry) {
  bool good = true;
  for (const std::string& folder : folders) {
    if (fs::exists(fs::path(folder) / "run.json"))
      throw UsageError(fmt::format("{}: is the folder of a run; this needs its config", folder),
                       "orrery verify CONFIG --runs DIR looks for its run in DIR");
    const SweepPlan plan = read_plan(folder);
    refuse_without_claims(plan, folder);
    std::error_code ignored;
    if (fs::is_regular_file(plan.file.origin, ignored) && read_file(plan.file.origin) != plan.file.text)
      note(fmt::format("{}: judged as it was planned; {} has changed since", folder, plan.file.origin));
    good = judge(plan, folder, options, registry) == Judged::good && good;
  }
  return good;
}

Judged verify_sweep(const std::string& file, const VerifyArguments& options, const Registry& registry) {
  SweepPlan plan = plan_sweep(file, parameters_from(registry));
  if (!options.runs.empty()) plan.folder = fs::path(options.runs) / plan.file.name;
  refuse_without_claims(plan, file);
  if (run_sweep(registry, plan, {options.jobs}, terminal()).interrupted) return Judged::none;
  return judge(plan, file, options, registry);
}

fs::path run_of(const Settings& settings, const VerifyArguments& options) {
  return fs::path(options.runs.empty() ? "runs/verify" : options.runs) / settings.name;
}

// With --jobs, single runs are trained side by side before they are judged one by one.
bool train_side_by_side(const std::vector<std::string>& configs, const VerifyArguments& options,
                        const Registry& registry) {
  if (options.jobs < 2) return true;
  std::vector<AheadConfig> ahead;
  for (const std::string& config : configs) {
    try {
      Settings settings = resolve(Document::load(config), parameters_from(registry));
      if (settings.expectations.empty()) continue;
      const fs::path path = run_of(settings, options);
      ahead.push_back({std::move(settings), path});
    } catch (const Error&) {
      // Said in its turn, as is that there is nothing to verify.
    }
  }
  return train_ahead(registry, ahead, options.jobs, terminal());
}

Judged verify_one(const std::string& config, const VerifyArguments& options, const Registry& registry) {
  const Document document = Document::load(config);
  if (is_sweep(document)) return verify_sweep(config, options, registry);
  const Settings settings = resolve(document, parameters_from(registry));
  if (settings.expectations.empty())
    throw UsageError(fmt::format("{}: it has no [[expect]] entry, so there is nothing to verify", config));
  const fs::path path = run_of(settings, options);
  const auto verdicts = verify_config(registry, settings, path, terminal());
  if (!verdicts) return Judged::none;
  warn_of_other_versions({path}, path.string(), registry, terminal());
  std::cout << (options.json ? verdict_json(config, path.string(), *verdicts)
                             : config + "\n" + verdict_table(*verdicts, line_limit()) + "\n")
            << std::flush;
  return all_passed(*verdicts) ? Judged::good : Judged::bad;
}

// Of what is finished; trains nothing.
int show_gallery(const VerifyArguments& options) {
  if (!options.configs.empty() && !options.tier.empty())
    throw UsageError("--gallery takes configs or --tier, not both", "without either it looks at all configs");
  const auto registry = load_plugins(options.files);
  const auto chosen =
      options.configs.empty() ? configs_of_tier(options, parameters_from(*registry)) : options.configs;
  const GalleryRequest request{{chosen.begin(), chosen.end()},
                               options.runs,
                               options.out.empty() ? "docs" : options.out,
                               options.out.empty()};
  refuse_same_names(request.configs);
  catch_interrupts();
  const Gallery gallery = make_gallery(*registry, request, terminal());
  if (gallery.interrupted) return 130;
  std::cout << (options.json ? gallery_json(gallery) : gallery_text(gallery, line_limit())) << std::flush;
  if (gallery.empty)
    throw Error("nothing is finished here, so there is nothing to show",
                "train it first: orrery verify CONFIG, or --tier quick");
  note(fmt::format("{}: {} files written", request.out.string(), gallery.written.size()));
  return gallery.all_passed ? 0 : 1;
}

int verify(const VerifyArguments& options) {
  if (options.gallery) return show_gallery(options);
  const auto registry = load_plugins(options.files);
  const ParametersOf parameters = parameters_from(*registry);
  if (options.configs.empty() == options.tier.empty())
    throw UsageError("give configs, or --tier quick, standard or full",
                     "for example: orrery verify --tier quick");
  auto configs = options.tier.empty() ? options.configs : configs_of_tier(options, parameters);
  const auto files = std::stable_partition(
      configs.begin(), configs.end(), [](const std::string& config) { return fs::is_directory(config); });
  bool good = verify_folders({configs.begin(), files}, options, *registry);
  configs.erase(configs.begin(), files);
  refuse_same_names({configs.begin(), configs.end()});
  catch_interrupts();
  const auto interrupted = [&] {
    note(fmt::format("stopped; the runs so far are kept{} and used next time",
                     options.runs.empty() ? "" : " in " + options.runs));
    return 130;
  };
  // Sweeps fork, which a process must do before a training begins threads.
  const auto single = std::stable_partition(configs.begin(), configs.end(), [](const std::string& config) {
    return is_sweep(Document::load(config));
  });
  int code = 0;
  for (auto config = configs.begin(); config != configs.end(); ++config) {
    if (config == single && !train_side_by_side({single, configs.end()}, options, *registry))
      return interrupted();
    try {
      const Judged judged = verify_one(*config, options, *registry);
      if (judged == Judged::none) return interrupted();
      good = good && judged == Judged::good;
    } catch (const Error& error) {
      // One that cannot be verified costs only itself.
      if (configs.size() == 1) throw;
      complain("error", error.what(), error.hint());
      code = std::max(code, dynamic_cast<const UsageError*>(&error) ? 2 : 1);
    }
  }
  return std::max(code, good ? 0 : 1);
}

}  // namespace

Command add_verify(CLI::App& program) {
  auto options = std::make_shared<VerifyArguments>();
  CLI::App* command =
      program.add_subcommand("verify", "Train configs of published experiments and check their expectations");
  command
      ->add_option("config", options->configs,
                   "Configs or sweeps with [[expect]] entries, or the folder of a sweep to judge as it is")
      ->type_name("CONFIG");
  command->add_option("--tier", options->tier, "Verify all configs of this tier and of quicker ones")
      ->check(CLI::IsMember(tiers));
  command
      ->add_option("--configs", options->configs_folder,
                   "The folder of the configs for --tier, and the folders in it; by default configs here, or "
                   "the installed one")
      ->type_name("DIR");
  command
      ->add_option(
          "--runs", options->runs,
          "The folder for the runs, by default runs/verify, for a sweep runs/sweeps; finished runs are "
          "not trained again")
      ->type_name("DIR");
  command->add_flag("--json", options->json,
                    "Print a line of JSON per expectation: config, run, metric, when, of, bound, claim, "
                    "source, got, passed");
  command
      ->add_option("--jobs", options->jobs,
                   "How many runs to train at a time, of a sweep or of several configs")
      ->check(CLI::Range(1, 1024));
  CLI::Option* gallery = command->add_flag(
      "--gallery", options->gallery,
      "Train nothing: write a page of all that is finished, with pictures; of all configs if none is given");
  command
      ->add_option("--out", options->out,
                   "With --gallery: the folder for reproductions.md, its record and its pictures; by default "
                   "docs, and "
                   "then the tables in the README.md of the configs' folders are written too")
      ->type_name("DIR")
      ->needs(gallery);
  add_plugin_option(*command, options->files);
  command->footer(R"(Exits with 1 if an expectation fails.
Examples:
  orrery verify configs/quickstart.toml
  orrery verify configs/sweeps/quickstart.toml --jobs 2
  orrery verify runs/sweeps/quickstart        # the runs of a sweep as they are; trains nothing
  orrery verify --tier quick
  orrery verify --gallery)");
  return {command, [options] { return verify(*options); }};
}

}  // namespace orrery::cli
