// orrery import FILE: a run out of a published network.
#include "engine/import/layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/text/terminal.h"
#include "engine/import/networks.h"
#include "engine/import/weights_file.h"
#include "engine/train/trainer.h"
#include "engine/training/run_files.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::cli {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

struct Options {
  std::string file, config, out, key, steps_key, layout, map;
  std::vector<std::string> overrides, files;
  int64_t step = -1;
};

// A new run that appears under its name only when it is complete, and otherwise leaves nothing.
class RunInTheMaking {
 public:
  explicit RunInTheMaking(fs::path path) : path_(std::move(path)) {
    std::error_code ignored;
    if (fs::exists(path_, ignored) && !(fs::is_directory(path_, ignored) && fs::is_empty(path_, ignored)))
      throw UsageError(path_.string() + ": this is there already, and a new run overwrites nothing",
                       "choose another --out");
    const fs::path clean = (path_ / "").parent_path();  // without a slash at its end
    temporary_ = clean.parent_path() / fmt::format(".{}.importing-{}", clean.filename().string(), ::getpid());
    fs::remove_all(temporary_, ignored);  // of a process that was killed
    run_.emplace(RunDirectory::create(temporary_));
  }
  ~RunInTheMaking() {
    std::error_code ignored;
    if (!done_) fs::remove_all(temporary_, ignored);
  }
  RunInTheMaking(const RunInTheMaking&) = delete;

  RunDirectory& run() { return *run_; }
  void finish() {
    std::error_code failure;
    fs::rename(temporary_, path_, failure);
    if (failure)
      throw Error(fmt::format("{}: cannot make this folder: {}", path_.string(), failure.message()));
    done_ = true;
  }

 private:
  fs::path path_, temporary_;
  std::optional<RunDirectory> run_;
  bool done_ = false;
};

Layout choose_layout(const Options& options, const StoredTensors& tensors) {
  if (!options.layout.empty() && !options.map.empty())
    throw UsageError("--layout and --map cannot be used together",
                     "a map says itself which layout it is based on: based_on = \"" + options.layout + "\"");
  if (!options.map.empty()) return read_layout(options.map);
  return options.layout.empty() ? detect_layout(tensors, options.file) : find_layout(options.layout);
}

// The config; what its [model] leaves out is read off the network.
Settings read_config(const Options& options, const Registry& registry, const Values& shapes) {
  const Document document = Document::load(options.config, options.overrides);
  const Table model = document.root().table("model");
  const bool transformer =
      !model.has("kind") || required_text(model, "kind", "[model]", "the kind of model") == "transformer";
  std::vector<std::string> overrides = options.overrides;
  for (const auto& [name, value] : shapes)
    if (transformer && !model.has(name))
      overrides.push_back(fmt::format("model.{}={}", name, to_string(value)));
  return resolve(Document::load(options.config, overrides), parameters_from(registry));
}

bool normalises(const Settings& settings) {
  const auto found = settings.model.parameters.find("normalization_type");
  return found != settings.model.parameters.end() && found->second != Value(std::string("none"));
}

// What `orrery train` would have written of this moment, and the scores on every possible input: a published
// network was not trained on our split.
class Scores {
 public:
  explicit Scores(Experiment& experiment)
      : model_(experiment.model()),
        train_(model_, experiment.spec(), experiment.split().train),
        test_(model_, experiment.spec(), experiment.split().test) {
    if (experiment.split().grid) grid_.emplace(model_, experiment.spec(), *experiment.split().grid);
  }

  Metrics metrics() const {
    Metrics all = train_.score("train");
    const auto add = [&](const Metrics& more) { all.insert(all.end(), more.begin(), more.end()); };
    add(test_.score("test"));
    double squares = 0;
    for (const NamedWeight& weight : model_.weights())
      squares += weight.value.detach().to(torch::kFloat64).square().sum().item<double>();
    all.emplace_back("weights/norm", std::sqrt(squares));
    if (grid_) add(grid_->score("all"));
    return all;
  }

 private:
  Model& model_;
  ScoredSet train_, test_;
  std::optional<ScoredSet> grid_;
};

std::string score_text(const Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics)
    if (name.ends_with("/loss"))
      text += fmt::format("{}{} loss {}", text.empty() ? "" : ", ", name.substr(0, name.find('/')),
                          compact(value));
    else if (name.ends_with("/accuracy"))
      text += fmt::format(" accuracy {:.2f}%", 100 * value);
  return text;
}

FoundNetworks choose_networks(const Options& options, const WeightsFile& file) {
  FoundNetworks found = find_networks(file.root(), options.key, options.steps_key, options.file);
  if (options.step < 0) return found;
  if (found.networks.size() > 1)
    throw UsageError(fmt::format("--step: {} holds {} networks, and each has a step of its own", options.file,
                                 found.networks.size()),
                     fmt::format("choose one: --key \"{}\"", found.networks.back().key));
  found.networks.front().step = options.step;
  found.steps_from = "--step";
  return found;
}

void note_networks(const Options& options, const FoundNetworks& found, const Layout& layout) {
  const FoundNetwork &first = found.networks.front(), &last = found.networks.back();
  const std::string where = found.networks.size() == 1 ? first.key.empty() ? "the file itself" : first.key
                                                       : fmt::format("{} to {}", first.key, last.key);
  note(fmt::format("{}: {}, layout {}", options.file, where, layout.name));
  if (!found.others.empty())
    note(fmt::format("not taken: {} (choose with --key)", fmt::join(found.others, ", ")));
  if (found.steps_from.empty())
    note("the file does not say after which step its networks are; they are numbered from 0");
}

int import(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const auto registry = load_plugins(options.files);
  const WeightsFile file(options.file);
  const FoundNetworks found = choose_networks(options, file);
  const StoredTensors first = found.networks.front().tensors();
  const Layout layout = choose_layout(options, first);
  const Settings settings = read_config(options, *registry, transformer_of(first, layout));
  use_threads(settings.train.threads);
  Experiment experiment(*registry, settings, torch::kCPU);
  experiment.add_probes(settings.probes);
  const Scores scores(experiment);
  const fs::path path = options.out.empty() ? new_run_path(settings.name) : fs::path(options.out);
  RunInTheMaking making(path);
  RunDirectory& run = making.run();
  RunRecord record(run, experiment, 0);
  json networks = json::array(), notes = json::array();
  catch_interrupts();
  Progress progress(static_cast<int64_t>(found.networks.size()), "networks");
  for (const FoundNetwork& network : found.networks) {
    if (interrupted()) return 130;
    const std::string where =
        network.key.empty() ? options.file : fmt::format("{}: {}", options.file, network.key);
    const Converted converted = convert(network.tensors(), layout, experiment.model(),
                                        experiment.spec().d_vocab, normalises(settings), where);
    load_weights(experiment.model(), converted.weights);
    write_tensors(run.checkpoint_path(network.step), weights_of(experiment.model()),
                  {{"step", std::to_string(network.step)}});
    if (!converted.unused.empty()) {
      const fs::path aside = set_aside_path(run, network.step);
      fs::create_directories(aside.parent_path());
      write_tensors(aside, converted.unused);
    }
    const Metrics metrics = scores.metrics();
    run.metrics().append(metrics_line(network.step, metrics));
    if (networks.empty()) {  // what holds for the first holds for all
      note_networks(options, found, layout);
      for (const std::string& text : converted.notes) note(text);
      notes = converted.notes;
    }
    networks.push_back({{"step", network.step}, {"key", network.key}});
    progress.show(static_cast<int64_t>(networks.size()),
                  fmt::format("step {}: {}", thousands(network.step), score_text(metrics)),
                  /*always=*/networks.size() == found.networks.size());
  }
  run.metrics().sync();
  record.end(found.networks.back().step, "imported",
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  json about = json::parse(run.read_run_json());
  about["import"] = {{"file", fs::absolute(options.file).string()},
                     {"size", fs::file_size(options.file)},
                     {"layout", layout.name},
                     {"networks", networks},
                     {"notes", notes}};
  run.write_run_json(about.dump(2) + "\n");
  making.finish();
  note(fmt::format("imported into {}; go on with: orrery probe {}", path.string(), path.string()));
  return 0;
}

}  // namespace

Command add_import(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand("import", "Make a run out of a published network");
  command->add_option("file", options->file, "The network: .pth or .pt of torch.save, or .safetensors")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--config", options->config,
                   "The config with the network's [task]; [model] may leave out what shapes tell")
      ->required()
      ->type_name("CONFIG");
  command->add_option("--out", options->out, "The run's directory; by default runs/NAME-TIME")
      ->type_name("RUN");
  command->add_option("--key", options->key, "Which of the file's networks, e.g. model or state_dicts[12]");
  command->add_option("--steps-key", options->steps_key, "Where the file has the steps of its networks");
  command->add_option("--step", options->step, "The step of the network, where the file does not say")
      ->check(CLI::NonNegativeNumber)
      ->default_str("");
  command->add_option("--layout", options->layout,
                      fmt::format("How it names and lays out weights, by default as they look: {}",
                                  fmt::join(layout_names(), ", ")));
  command->add_option("--map", options->map, "A TOML file that says which weight is which")
      ->type_name("FILE");
  command->add_option("--set", options->overrides, "Override a key of the config, e.g. task.p=97")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add_plugin_option(*command, options->files);
  command->footer(R"(Nothing in the file is executed. Of lists of networks each becomes a checkpoint.
A map:
  based_on = "transformer_lens"
  ignore = ["*.mask"]
  [[weight]]
  name = "blocks.{layer}.attn.W_Q"
  from = "layers.{layer}.self_attn.in_proj_weight"
  axes = "(3 n_heads d_head) d_model"     # as the file has them
  part = 0
Examples:
  orrery import published.pth --config configs/modular_addition.toml --out runs/published
  orrery import full_run_data.pth --config configs/modular_addition.toml --key "state_dicts[12]"
  orrery import theirs.safetensors --config configs/induction.toml --map theirs.toml)");
  return {command, [options] { return import(*options); }};
}

}  // namespace orrery::cli
