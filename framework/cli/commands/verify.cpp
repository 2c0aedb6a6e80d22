// orrery verify CONFIG...: checks whether published results reproduce.
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "cli/commands/commands.h"
#include "cli/text/terminal.h"
#include "cli/text/verdict_table.h"
#include "engine/experiment/experiment.h"
#include "engine/verify/verify_config.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct VerifyArguments {
  std::vector<std::string> configs, files;
  std::string tier, runs = "runs/verify", configs_folder;
  bool json = false;
};

const std::vector<std::string> tiers = {"quick", "standard", "full"};

// configs/ here, or else the installed one: PREFIX/share/orrery/configs, seen from
// PREFIX/lib/orrery/bin/orrery-core.
fs::path found_configs() {
  std::error_code failed;
  if (fs::is_directory("configs", failed)) return "configs";
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  const fs::path installed = program.parent_path() / "../../../share/orrery/configs";
  return fs::is_directory(installed, failed) ? fs::canonical(installed) : fs::path("configs");
}

// The configs of a tier and of quicker ones, by name.
std::vector<std::string> configs_of_tier(const VerifyArguments& options, const ParametersOf& parameters) {
  const fs::path folder = options.configs_folder.empty() ? found_configs() : fs::path(options.configs_folder);
  if (!fs::is_directory(folder))
    throw UsageError(fmt::format("{}: there is no such folder of configs", folder.string()),
                     "run it where configs/ lies, or give --configs DIR");
  std::vector<std::string> chosen;
  const auto rank = [](const std::string& tier) { return std::find(tiers.begin(), tiers.end(), tier); };
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".toml") continue;
    const Settings settings = resolve(Document::load(entry.path()), parameters);
    if (!settings.expectations.empty() && rank(settings.verify.tier) <= rank(options.tier))
      chosen.push_back(entry.path().string());
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

int verify(const VerifyArguments& options) {
  const auto registry = load_plugins(options.files);
  const ParametersOf parameters = parameters_from(*registry);
  if (options.configs.empty() == options.tier.empty())
    throw UsageError("give configs, or --tier quick, standard or full",
                     "for example: orrery verify --tier quick");
  const auto configs = options.tier.empty() ? options.configs : configs_of_tier(options, parameters);
  catch_interrupts();
  bool good = true;
  for (const std::string& config : configs) {
    const Settings settings = resolve(Document::load(config), parameters);
    if (settings.expectations.empty())
      throw UsageError(fmt::format("{}: it has no [[expect]] entry, so there is nothing to verify", config));
    const fs::path path = fs::path(options.runs) / settings.name;
    const auto verdicts = verify_config(*registry, settings, path, terminal());
    if (!verdicts) {
      note(fmt::format("stopped; the runs so far are kept in {} and used next time", options.runs));
      return 130;
    }
    good = good && all_passed(*verdicts);
    std::cout << (options.json ? verdict_json(config, path.string(), *verdicts)
                               : config + "\n" + verdict_table(*verdicts, line_limit()) + "\n")
              << std::flush;
  }
  return good ? 0 : 1;
}

}  // namespace

Command add_verify(CLI::App& program) {
  auto options = std::make_shared<VerifyArguments>();
  CLI::App* command =
      program.add_subcommand("verify", "Train configs of published experiments and check their expectations");
  command->add_option("config", options->configs, "Configs with [[expect]] entries")->type_name("CONFIG");
  command->add_option("--tier", options->tier, "Verify all configs of this tier and of quicker ones")
      ->check(CLI::IsMember(tiers));
  command
      ->add_option("--configs", options->configs_folder,
                   "The folder of the configs for --tier; by default configs here, or the installed one")
      ->type_name("DIR");
  command->add_option("--runs", options->runs, "The folder for the runs; finished runs are not trained again")
      ->type_name("DIR");
  command->add_flag(
      "--json", options->json,
      "Print a line of JSON per expectation: config, run, metric, when, of, bound, source, got, passed");
  add_plugin_option(*command, options->files);
  command->footer(R"(Exits with 1 if an expectation fails.
Examples:
  orrery verify configs/quickstart.toml
  orrery verify --tier quick)");
  return {command, [options] { return verify(*options); }};
}

}  // namespace orrery::cli
