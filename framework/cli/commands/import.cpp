// orrery import FILE: makes a run from a published network.
#include "engine/import/import_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/json_lines.h"
#include "cli/text/terminal.h"
#include "engine/experiment/experiment.h"
#include "engine/import/layout.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"

namespace orrery::cli {
namespace {

struct ImportArguments {
  ImportRequest request;
  std::vector<std::string> files;
  bool json = false;
};

int import(const ImportArguments& options) {
  const auto registry = load_plugins(options.files);
  catch_interrupts();
  const auto path = import_run(*registry, options.request, terminal());
  if (!path) {
    note("stopped; nothing was imported");
    return 130;
  }
  if (options.json) {
    const RunDirectory run = RunDirectory::open(*path, RunDirectory::Access::read);
    for (const MetricsRow& row : run.read_metrics()) print_json(metrics_of(path->string(), row));
  }
  const bool probes = !read_run_json(*path).probes().empty();
  note(fmt::format("imported into {}; go on with: orrery probe {}{}", path->string(), path->string(),
                   probes ? "" : " --probe NAME (`orrery plugins` lists them)"));
  return 0;
}

}  // namespace

Command add_import(CLI::App& program) {
  auto options = std::make_shared<ImportArguments>();
  CLI::App* command = program.add_subcommand("import", "Make a run from a published network");
  command
      ->add_option(
          "file", options->request.files,
          "The network: a file of torch.save (.pt, .pth, .ckpt), .safetensors, .npz; or several, or a "
          "folder, each a checkpoint of one run")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--config", options->request.config,
                   "The config with the network's [task]; [model] may omit what the file tells")
      ->required()
      ->type_name("CONFIG");
  command->add_option("--out", options->request.out, "The run's directory; by default runs/NAME-TIME")
      ->type_name("RUN");
  command->add_option("--key", options->request.key,
                      "Which of the file's networks, e.g. model or state_dicts[12]");
  command->add_option("--steps-key", options->request.steps_key,
                      "The place in the file of the steps of its networks");
  command->add_option("--step", options->request.step, "The step of the network, if the file does not tell")
      ->check(at_least(0))
      ->default_str("");
  command->add_option(
      "--layout", options->request.layout,
      fmt::format("The names and layout of the weights in the file, by default detected: one of {}",
                  fmt::join(layout_names(), ", ")));
  command->add_option("--map", options->request.map, "A TOML file that says which weight is which")
      ->type_name("FILE");
  command
      ->add_option("--set", options->request.overrides,
                   "Override a key of the config, e.g. task.p=97; as for train")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option(
          "--expect", options->request.expectations,
          "Import only if a metric of the (last) network is this number, to its last digit: test/loss=0.0072")
      ->type_name("METRIC=NUMBER")
      ->allow_extra_args(false);
  command->add_flag("--json", options->json,
                    "Print a line of JSON per network: run, step, metrics {name: value}");
  add_plugin_option(*command, options->files);
  command->footer(
      R"(Nothing in the file is executed. Each network of a list, and each of several files, becomes a checkpoint.
docs/importing.md says what is read.
A map:
  based_on = "transformer_lens"
  ignore = ["*.mask"]
  [[weight]]
  name = "blocks.{layer}.attn.W_Q"
  from = "layers.{layer}.self_attn.in_proj_weight"
  axes = "(3 n_heads d_head) d_model"     # in the file
  part = 0
Examples:
  orrery import published.pth --config configs/nanda_lieberum_2022/modular_addition.toml --out runs/published
  orrery import full_run_data.pth --config configs/nanda_lieberum_2022/modular_addition.toml --key "state_dicts[12]"
  orrery import their_checkpoints/ --config configs/nanda_lieberum_2022/modular_addition.toml --set model.n_heads=4
  orrery import theirs.safetensors --config configs/nanda_lieberum_2022/induction.toml --map theirs.toml)");
  return {command, [options] { return import(*options); }};
}

}  // namespace orrery::cli
