#include "engine/import/import_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/experiment/experiment.h"
#include "engine/import/layout.h"
#include "engine/import/networks.h"
#include "engine/import/weights_file.h"
#include "engine/reporter/numbers.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_json.h"
#include "engine/train/hardware.h"
#include "engine/train/trainer.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

// A new run that appears under its name only once it is complete; if it never is, leaves nothing behind.
class RunInTheMaking {
 public:
  explicit RunInTheMaking(fs::path path) : path_(std::move(path)) {
    std::error_code ignored;
    if (fs::exists(path_, ignored) && !(fs::is_directory(path_, ignored) && fs::is_empty(path_, ignored)))
      throw UsageError(path_.string() + ": exists already, and a new run never overwrites",
                       "choose another --out");
    const fs::path clean = (path_ / "").parent_path();  // without a trailing slash
    temporary_ = clean.parent_path() / fmt::format(".{}.importing-{}", clean.filename().string(), ::getpid());
    fs::remove_all(temporary_, ignored);  // left by a killed process
    try {
      run_.emplace(RunDirectory::create(temporary_));
    } catch (...) {
      remove();
      throw;
    }
  }
  ~RunInTheMaking() {
    if (!done_) remove();
  }
  RunInTheMaking(const RunInTheMaking&) = delete;

  RunDirectory& run() { return *run_; }
  void finish() {
    std::error_code failure;
    fs::rename(temporary_, path_, failure);
    if (failure)
      throw Error(fmt::format("{}: cannot make this folder: {}", path_.string(), failure.message()));
    done_ = true;
    const fs::path parent = (path_ / "").parent_path().parent_path();
    sync_folder(parent.empty() ? "." : parent);
  }

 private:
  void remove() const {
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);
  }

  fs::path path_, temporary_;
  std::optional<RunDirectory> run_;
  bool done_ = false;
};

Layout choose_layout(const ImportRequest& request, const StoredTensors& tensors) {
  if (!request.layout.empty() && !request.map.empty())
    throw UsageError("--layout and --map cannot be used together",
                     "a map says itself which layout it is based on: based_on = \"" + request.layout + "\"");
  if (!request.map.empty()) return read_layout(request.map);
  return request.layout.empty() ? detect_layout(tensors, request.file) : find_layout(request.layout);
}

// The config, with what its [model] omits read off the network.
Settings read_config(const ImportRequest& request, const Registry& registry, const Values& shapes) {
  const Document document = Document::load(request.config, request.overrides);
  const Table model = document.root().table("model");
  const bool transformer =
      !model.has("kind") || required_text(model, "kind", "[model]", "the kind of model") == "transformer";
  std::vector<std::string> overrides = request.overrides;
  for (const auto& [name, value] : shapes)
    if (transformer && !model.has(name))
      overrides.push_back(fmt::format("model.{}={}", name, orrery::to_string(value)));
  return resolve(Document::load(request.config, overrides), parameters_from(registry));
}

bool normalises(const Settings& settings) {
  const auto found = settings.model.parameters.find("normalization_type");
  return found != settings.model.parameters.end() && found->second != Value(std::string("none"));
}

// The metrics that `orrery train` would have written, and the scores on every possible input, because a
// published network was not trained on our split.
class Scores {
 public:
  explicit Scores(Experiment& experiment)
      : model_(experiment.model()),
        task_metrics_([&experiment](const torch::Tensor& logits, const Batch& examples) {
          return experiment.task_metrics(logits, examples);
        }),
        train_(model_, experiment.spec(), experiment.split().train, task_metrics_),
        test_(model_, experiment.spec(), experiment.split().test, task_metrics_) {
    if (experiment.split().grid)
      grid_.emplace(model_, experiment.spec(), *experiment.split().grid, task_metrics_);
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
  TaskMetrics task_metrics_;
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

FoundNetworks choose_networks(const ImportRequest& request, const WeightsFile& file) {
  FoundNetworks found = find_networks(file.root(), request.key, request.steps_key, request.file);
  if (request.step < 0) return found;
  if (found.networks.size() > 1)
    throw UsageError(fmt::format("--step: {} holds {} networks, and each has a step of its own", request.file,
                                 found.networks.size()),
                     fmt::format("choose one: --key \"{}\"", found.networks.back().key));
  found.networks.front().step = request.step;
  found.steps_from = "--step";
  return found;
}

void note_networks(const ImportRequest& request, const FoundNetworks& found, const Layout& layout,
                   Reporter& reporter) {
  const FoundNetwork &first = found.networks.front(), &last = found.networks.back();
  const std::string where = found.networks.size() == 1 ? first.key.empty() ? "the file itself" : first.key
                                                       : fmt::format("{} to {}", first.key, last.key);
  reporter.note(fmt::format("{}: {}, layout {}", request.file, where, layout.name));
  if (!found.others.empty())
    reporter.note(fmt::format("not taken: {} (choose with --key)", fmt::join(found.others, ", ")));
  if (found.steps_from.empty())
    reporter.note("the file does not tell the steps of its networks, so they are numbered from 0");
}

void require_space(const fs::path& folder, size_t n_networks, int64_t n_parameters) {
  std::error_code failure;
  const fs::space_info space = fs::space(folder, failure);
  const double needed = static_cast<double>(n_networks) * static_cast<double>(n_parameters) * sizeof(float);
  if (!failure && needed > static_cast<double>(space.available))
    throw Error(fmt::format("{}: {} checkpoints of {} parameters take {:.1f} GB, but only {:.1f} GB are free",
                            folder.string(), n_networks, thousands(n_parameters), needed / 1e9,
                            static_cast<double>(space.available) / 1e9),
                "free some space, write to another disk, or choose a network: --key");
}

// Writes the weights of `network`, and separately those that have no place in the model.
Converted store(const FoundNetwork& network, const ImportRequest& request, const Layout& layout,
                Experiment& experiment, RunDirectory& run) {
  const std::string where =
      network.key.empty() ? request.file : fmt::format("{}: {}", request.file, network.key);
  Converted converted = convert(network.tensors(), layout, experiment.model(), experiment.spec().d_vocab,
                                normalises(experiment.settings()), where);
  load_weights(experiment.model(), converted.weights);
  write_tensors(run.checkpoint_path(network.step), weights_of(experiment.model()),
                {{"step", std::to_string(network.step)}});
  if (!converted.unused.empty()) {
    const fs::path dropped = dropped_outputs_path(run, network.step);
    fs::create_directories(dropped.parent_path());
    write_tensors(dropped, converted.unused);
  }
  return converted;
}

}  // namespace

std::optional<fs::path> import_run(const Registry& registry, const ImportRequest& request,
                                   Reporter& reporter) {
  const auto start = std::chrono::steady_clock::now();
  const WeightsFile file(request.file);
  const FoundNetworks found = choose_networks(request, file);
  const StoredTensors first = found.networks.front().tensors();
  const Layout layout = choose_layout(request, first);
  const Settings settings = read_config(request, registry, transformer_of(first, layout));
  prepare_processor(settings.train);
  Experiment experiment(registry, settings, torch::kCPU);
  experiment.add_probes(settings.probes);
  const Scores scores(experiment);
  const fs::path path = request.out.empty() ? new_run_path(settings.name) : fs::path(request.out);
  RunInTheMaking making(path);
  RunDirectory& run = making.run();
  require_space(run.root(), found.networks.size(), experiment.model().n_parameters());
  SessionRecord record(run, experiment.describe(), 0, settings.train.device, settings.train.threads);
  json networks = json::array(), notes = json::array();
  const auto progress = reporter.progress(static_cast<int64_t>(found.networks.size()), "networks");
  for (const FoundNetwork& network : found.networks) {
    if (reporter.stop_requested()) return std::nullopt;
    const Converted converted = store(network, request, layout, experiment, run);
    const Metrics metrics = scores.metrics();
    run.metrics().append(metrics_line(network.step, metrics));
    if (networks.empty()) {  // the notes on the first hold for all
      note_networks(request, found, layout, reporter);
      for (const std::string& text : converted.notes) reporter.note(text);
      notes = converted.notes;
    }
    networks.push_back({{"step", network.step}, {"key", network.key}});
    progress->show(static_cast<int64_t>(networks.size()),
                   fmt::format("step {}: {}", thousands(network.step), score_text(metrics)),
                   /*always=*/networks.size() == found.networks.size());
  }
  run.metrics().sync();
  record.add("import", {{"file", fs::absolute(request.file).string()},
                        {"size", fs::file_size(request.file)},
                        {"layout", layout.name},
                        {"networks", networks},
                        {"notes", notes}});
  record.end(found.networks.back().step, "imported",
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  making.finish();
  return path;
}

}  // namespace orrery::engine
