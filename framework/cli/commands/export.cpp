// orrery export RUN: a checkpoint or the curves as others read them, or the figures of its report as images.
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <memory>

#include "cli/commands/commands.h"
#include "cli/commands/export_figures.h"
#include "cli/text/terminal.h"
#include "engine/experiment/experiment.h"
#include "engine/export/curve_events.h"
#include "engine/export/event_file.h"
#include "engine/import/weights_file.h"
#include "engine/training/run_files.h"
#include "sdk/files/safetensors.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;
using safetensors::TensorView;

struct Options {
  std::string run, format, out, figures, steps;
  std::vector<std::string> files;
  int64_t step = -1;
  bool all_outputs = false, tensorboard = false;
};

std::string choose_format(const Options& options) {
  if (!options.format.empty()) return options.format;
  const std::string ending = fs::path(options.out).extension().string();
  if (ending == ".safetensors") return "safetensors";
  if (ending == ".pth" || ending == ".pt") return "pytorch";
  throw UsageError(fmt::format("--out {}: its ending does not say which format to write", options.out),
                   "name it .pth or .safetensors, or add --format pytorch or --format safetensors");
}

CheckpointFile choose_checkpoint(const RunDirectory& run, int64_t step) {
  const std::vector<CheckpointFile> all = run.checkpoints();
  if (all.empty())
    throw UsageError(fmt::format("{}: the run has no checkpoints", run.root().string()), "train it first");
  if (step < 0) return all.back();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.step == step; });
  if (found != all.end()) return *found;
  throw UsageError(
      fmt::format("--step: there is no checkpoint of step {} in {}", step, run.root().string()),
      fmt::format("there are {}, from step {} to {}", all.size(), all.front().step, all.back().step));
}

// The rows of `left` and `right` joined one by one, along the last dimension.
std::vector<std::byte> join_rows(const TensorView& left, const TensorView& right) {
  const size_t width = left.shape.back() * size_of(left.dtype),
               more = right.shape.back() * size_of(right.dtype);
  std::vector<std::byte> joined;
  for (size_t row = 0; row * width < left.data.size(); ++row) {
    const auto a = left.data.subspan(row * width, width), b = right.data.subspan(row * more, more);
    joined.insert(joined.end(), a.begin(), a.end());
    joined.insert(joined.end(), b.begin(), b.end());
  }
  return joined;
}

// Puts back the output columns that an import set aside. `kept` owns the new data.
void add_outputs(std::vector<TensorView>& tensors, const fs::path& file,
                 std::vector<std::vector<std::byte>>& kept) {
  const safetensors::File set_aside(file);
  for (const TensorView& more : set_aside.tensors())
    for (TensorView& tensor : tensors) {
      if (tensor.name != more.name) continue;
      const bool fits = !more.shape.empty() && tensor.shape.size() == more.shape.size() &&
                        tensor.dtype == more.dtype && tensor.shape.back() > 0 &&
                        std::equal(tensor.shape.begin(), tensor.shape.end() - 1, more.shape.begin());
      if (!fits) throw Error(fmt::format("{}: {} does not fit the checkpoint's", file.string(), more.name));
      kept.push_back(join_rows(tensor, more));
      tensor.shape.back() += more.shape.back();
      tensor.data = kept.back();
    }
}

// Whole runs and runs that are still trained: what there is.
int export_curves(const Options& options) {
  if (!options.format.empty() || options.step >= 0 || options.all_outputs)
    throw UsageError("--tensorboard cannot be used with --format, --step or --all-outputs",
                     "it writes the curves of the whole run");
  const RunDirectory run = RunDirectory::open(options.run, RunDirectory::Access::read);
  const fs::path folder = options.out.empty() ? events_folder(run) : fs::path(options.out);
  if (tensorboard::has_event_files(folder))
    throw UsageError(
        folder.string() + ": there are event files here already, and TensorBoard would show points twice",
        "choose another --out, or delete them first");
  const std::string events = curve_events(run, [](const std::string&) { return true; });
  tensorboard::replace_event_file(folder, "export", events);
  note(fmt::format("the curves of {}; look at them with: tensorboard --logdir {}", options.run,
                   folder.string()));
  return 0;
}

int export_run(const Options& options) {
  if (options.tensorboard && !options.figures.empty())
    throw UsageError("--tensorboard and --figures cannot be used together", "ask for one after the other");
  if (options.tensorboard) return export_curves(options);
  if (!options.figures.empty())
    return export_figures({options.run, options.figures, options.out, options.steps},
                          *load_plugins(options.files));
  if (options.out.empty())
    throw UsageError(
        "--out is missing: the file to write",
        "name it .pth or .safetensors; or ask for --figures png|svg, or for the curves by --tensorboard");
  const std::string format = choose_format(options);
  const RunDirectory run = RunDirectory::open(options.run, RunDirectory::Access::read);
  const CheckpointFile checkpoint = choose_checkpoint(run, options.step);
  std::error_code ignored;
  if (fs::exists(options.out, ignored))
    throw UsageError(options.out + ": this is there already, and an export overwrites nothing",
                     "choose another --out, or delete it first");
  const safetensors::File file(checkpoint.path);
  std::vector<TensorView> tensors = file.tensors();
  std::vector<std::vector<std::byte>> kept;
  const fs::path set_aside = set_aside_path(run, checkpoint.step);
  const bool more = fs::exists(set_aside, ignored);
  if (options.all_outputs && more) add_outputs(tensors, set_aside, kept);

  const std::string where = checkpoint.path.string();
  write_file(options.out,
             format == "pytorch"
                 ? serialise_torch(tensors, where)
                 : safetensors::serialise(
                       tensors, {{"format", "pt"}, {"step", std::to_string(checkpoint.step)}}, where));
  note(fmt::format("{}: {} tensors of step {}, {}", options.out, tensors.size(), thousands(checkpoint.step),
                   format));
  if (more && !options.all_outputs)
    note("without the outputs that the import set aside; add them with --all-outputs");
  return 0;
}

}  // namespace

Command add_export(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand(
      "export",
      "Write a checkpoint for PyTorch or as safetensors, the curves for TensorBoard, or figures as images");
  command->add_option("run", options->run, "The run's directory")->required()->type_name("RUN");
  command
      ->add_option("--out", options->out,
                   "The file to write; with --tensorboard or --figures a folder, by default tensorboard/ or "
                   "figures/ in the run")
      ->type_name("PATH");
  command->add_option("--format", options->format, "By default as the file's ending says")
      ->check(CLI::IsMember({"pytorch", "safetensors"}));
  command->add_option("--step", options->step, "Which checkpoint; by default the last")
      ->check(CLI::NonNegativeNumber)
      ->default_str("");
  command->add_flag("--all-outputs", options->all_outputs,
                    "Also the output columns that an import set aside, of tokens that are no classes");
  command->add_flag("--tensorboard", options->tensorboard,
                    "Write an event file with every metric and every scalar of probes instead");
  command
      ->add_option("--figures", options->figures,
                   "The figures of its report instead, as images, drawn by Chromium")
      ->check(CLI::IsMember({"png", "svg"}));
  command->add_option(
      "--steps", options->steps,
      "Of figures: which steps: last (the default), all, \"every N\", or a list such as 0,1000");
  add_plugin_option(*command, options->files);
  command->footer(R"(Weights have TransformerLens's names and shapes.
Examples:
  orrery export runs/quickstart-... --out quickstart.pth
  orrery export runs/quickstart-... --tensorboard
  orrery export runs/quickstart-... --step 1000 --format safetensors --out early.safetensors
  orrery export runs/quickstart-... --figures svg --steps 0,1000,3000 --out paper/figures
In Python:
  torch.load("quickstart.pth")                        a dict of tensors by name
  safetensors.torch.load_file("early.safetensors"))");
  return {command, [options] { return export_run(*options); }};
}

}  // namespace orrery::cli
