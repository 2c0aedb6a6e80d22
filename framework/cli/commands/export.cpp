// orrery export RUN: a checkpoint or the curves in other formats, or the figures of its report as images.
#include <fmt/format.h>
#include <orrery/error.h>

#include <filesystem>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/text/json_lines.h"
#include "cli/text/terminal.h"
#include "engine/experiment/open_run.h"
#include "engine/export/export_curves.h"
#include "engine/export/export_figures.h"
#include "engine/export/export_network.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;

struct ExportArguments {
  std::string run, format, out, figures, steps, step = "last", names = "orrery";
  std::vector<std::string> files;
  bool all_outputs = false, tensorboard = false, json = false;
};

NetworkFormat choose_format(const ExportArguments& options) {
  const std::string ending = fs::path(options.out).extension().string();
  const std::string& format = options.format;
  if (format == "safetensors" || (format.empty() && ending == ".safetensors"))
    return NetworkFormat::safetensors;
  if (format == "pytorch" || ending == ".pth" || ending == ".pt") return NetworkFormat::pytorch;
  throw UsageError(fmt::format("--out {}: its ending does not say which format to write", options.out),
                   "name it .pth or .safetensors, or add --format pytorch or --format safetensors");
}

// Works on finished runs and on runs in training: exports what there is.
int export_curves_of(const ExportArguments& options) {
  if (!options.format.empty() || options.step != "last" || options.all_outputs)
    throw UsageError("--tensorboard cannot be used with --format, --step or --all-outputs",
                     "it writes the curves of the whole run");
  const RunDirectory run = RunDirectory::open(options.run, RunDirectory::Access::read);
  const fs::path folder = export_curves(run, options.out, terminal());
  if (options.json)
    print_json({{"run", options.run}, {"folder", folder.string()}, {"format", "tensorboard"}});
  return 0;
}

int export_run(const ExportArguments& options) {
  if (options.tensorboard && !options.figures.empty())
    throw UsageError("--tensorboard and --figures cannot be used together", "ask for one after the other");
  if (options.tensorboard) return export_curves_of(options);
  if (!options.figures.empty()) {
    const auto files = export_figures({options.run, options.figures, options.out, options.steps},
                                      *load_plugins(options.files), terminal());
    for (const fs::path& file : files)
      if (options.json)
        print_json({{"run", options.run}, {"file", file.string()}, {"format", options.figures}});
    return 0;
  }
  if (options.out.empty())
    throw UsageError(
        "--out is missing: the file to write",
        "name it .pth or .safetensors; or ask for --figures png|svg, or for the curves by --tensorboard");
  const RunDirectory run = RunDirectory::open(options.run, RunDirectory::Access::read);
  const WeightNames names = options.names == "transformer_lens" ? WeightNames::transformer_lens
                            : options.names == "nanogpt"        ? WeightNames::nanogpt
                                                                : WeightNames::orrery;
  const NetworkExport wanted{choose_checkpoint(run, options.step), options.out, choose_format(options),
                             options.all_outputs, names};
  export_network(*load_plugins(options.files), run, wanted, terminal());
  if (options.json)
    print_json({{"run", options.run},
                {"step", wanted.checkpoint.step},
                {"file", options.out},
                {"format", to_string(wanted.format)}});
  return 0;
}

}  // namespace

Command add_export(CLI::App& program) {
  auto options = std::make_shared<ExportArguments>();
  CLI::App* command = program.add_subcommand(
      "export",
      "Write a checkpoint for PyTorch or as safetensors, the curves for TensorBoard, or figures as images");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  command
      ->add_option("--out", options->out,
                   "The file to write; with --tensorboard or --figures a folder, by default tensorboard/ or "
                   "figures/ in the run")
      ->type_name("PATH");
  command->add_option("--format", options->format, "The format; by default that of the file's extension")
      ->check(CLI::IsMember({"pytorch", "safetensors"}));
  command
      ->add_option(
          "--names", options->names,
          "Whose names the weights get: orrery; transformer_lens, every weight that HookedTransformer "
          "loads, and its config beside it as .json; nanogpt")
      ->check(CLI::IsMember({"orrery", "transformer_lens", "nanogpt"}))
      ->capture_default_str();
  command->add_option("--step", options->step,
                      "The checkpoint: first, last, a step, or grokked (the first with 99 % test accuracy)");
  command->add_flag(
      "--all-outputs", options->all_outputs,
      "Also write the output columns that an import dropped, those of tokens that are not classes");
  command->add_flag("--tensorboard", options->tensorboard,
                    "Instead write an event file with every metric and every scalar of probes");
  command
      ->add_option("--figures", options->figures,
                   "Instead write the figures of its report as images, drawn by Chromium")
      ->check(CLI::IsMember({"png", "svg"}));
  command->add_option(
      "--steps", options->steps,
      "With --figures: the steps: all, \"every N\", or a list such as 0,1000,grokked,last; by default last");
  command->add_flag("--json", options->json, "Print a line of JSON per file: run, step, file, format");
  add_plugin_option(*command, options->files);
  command->footer(R"(Weights have TransformerLens's names and shapes, unless --names says otherwise.
Examples:
  orrery export runs/quickstart-... --out quickstart.pth
  orrery export runs/quickstart-... --tensorboard
  orrery export runs/quickstart-... --step 1000 --format safetensors --out early.safetensors
  orrery export runs/quickstart-... --figures svg --steps 0,1000,3000 --out paper/figures
  orrery export runs/quickstart-... --names transformer_lens --out hooked.pth
In Python:
  torch.load("quickstart.pth")                        a dict of tensors by name
  safetensors.torch.load_file("early.safetensors")
  config = HookedTransformerConfig(**json.load(open("hooked.json")))
  model = HookedTransformer(config)
  model.load_state_dict(torch.load("hooked.pth")))");
  return {command, [options] { return export_run(*options); }};
}

}  // namespace orrery::cli
