#include "engine/import/import_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/experiment/experiment.h"
#include "engine/import/layout.h"
#include "engine/import/model_of_file.h"
#include "engine/import/networks.h"
#include "engine/import/notes.h"
#include "engine/import/plausible.h"
#include "engine/import/run_in_the_making.h"
#include "engine/import/sources.h"
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

Layout choose_layout(const ImportRequest& request, const StoredTensors& tensors, const std::string& where) {
  if (!request.layout.empty() && !request.map.empty())
    throw UsageError("--layout and --map cannot be used together",
                     "a map says itself which layout it is based on: based_on = \"" + request.layout + "\"");
  if (!request.map.empty()) return read_layout(request.map, tensors, where);
  return request.layout.empty() ? detect_layout(tensors, where) : find_layout(request.layout);
}

// GPT-NeoX computes x + attention(ln1(x)) + mlp(ln2(x)).
void refuse_parallel(const Layout& layout, const FoundNetworks& told, const std::string& where) {
  const auto setting = told.settings.find("use_parallel_residual");
  if (!layout.parallel || (setting != told.settings.end() && setting->second == StoredSetting(false))) return;
  throw UsageError(where +
                       ": of GPT-NeoX, whose attention and MLP both read the stream before the block "
                       "(use_parallel_residual, true unless its configuration says otherwise); in Orrery's "
                       "transformer the "
                       "MLP reads what attention has written",
                   "if its configuration has use_parallel_residual = false, say so in a small file: --map "
                   "FILE, with based_on "
                   "= \"by_names\" and use_parallel_residual = false");
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

Sources choose_networks(const ImportRequest& request) {
  Sources sources = find_sources(request.files, request.key, request.steps_key);
  if (request.step < 0) return sources;
  if (sources.networks.size() > 1)
    throw UsageError(
        fmt::format("--step: there are {} networks, and each has a step of its own", sources.networks.size()),
        fmt::format("choose one: --key \"{}\"", sources.networks.back().key));
  sources.networks.front().step = request.step;
  sources.steps_from = "--step";
  return sources;
}

std::string place_of(const Source& source) {
  return source.key.empty() ? source.file.string() : fmt::format("{}: {}", source.file.string(), source.key);
}

void note_networks(const Sources& sources, const Layout& layout, Reporter& reporter) {
  const Source &first = sources.networks.front(), &last = sources.networks.back();
  if (first.file == last.file) {
    const std::string where = sources.networks.size() == 1 ? first.key.empty() ? "the file itself" : first.key
                                                           : fmt::format("{} to {}", first.key, last.key);
    reporter.note(fmt::format("{}: {}, layout {}", first.file.string(), where, layout.name));
  } else {
    reporter.note(fmt::format("{} to {}: {} networks, layout {}, steps from {}", first.file.string(),
                              last.file.string(), sources.networks.size(), layout.name, sources.steps_from));
  }
  if (!sources.skipped.empty()) reporter.note(fmt::format("not read: {}", fmt::join(sources.skipped, ", ")));
  if (!sources.others.empty())
    reporter.note(fmt::format("not taken: {} (choose with --key)", fmt::join(sources.others, ", ")));
  if (sources.steps_from.empty())
    reporter.note("the file does not tell the steps of its networks, so they are numbered from 0");
}

// The file that is being read: several checkpoints may be in one, and not all files fit into memory.
class OpenFile {
 public:
  explicit OpenFile(const ImportRequest& request) : request_(request) {}

  const FoundNetwork& network(const Source& source) {
    open(source);
    for (const FoundNetwork& network : found_.networks)
      if (network.key == source.key) return network;
    throw Error(place_of(source) + ": the file has changed while it was read");
  }
  const FoundNetworks& found() const { return found_; }

 private:
  void open(const Source& source) {
    if (file_ && file_->path() == source.file) return;
    found_ = {};
    file_.emplace(source.file);
    found_ = find_networks(file_->root(), request_.key, request_.steps_key, source.file.string());
  }

  const ImportRequest& request_;
  std::optional<WeightsFile> file_;
  FoundNetworks found_;
};

// What the tensors of all networks tell of the model: the biases of the first may still be zero, as they are
// before the first step of a training.
ModelShapes shapes_of_all(const Sources& sources, OpenFile& file, const Layout& layout) {
  const Source& first = sources.networks.front();
  ModelShapes shapes = model_of(file.network(first).tensors(), layout);
  // The last one is the likeliest to tell.
  for (size_t i = sources.networks.size(); i-- > 1 && shapes.zero_biases;)
    join_biases(shapes, model_of(file.network(sources.networks[i]).tensors(), layout));
  return shapes;
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

// A longer context than the task's is no mistake, but may be the sign of one.
std::optional<std::string> note_of_context(const Experiment& experiment) {
  const auto found = experiment.settings().model.parameters.find("n_ctx");
  const int64_t task = experiment.spec().n_ctx;
  if (found == experiment.settings().model.parameters.end() || std::get<int64_t>(found->second) <= task)
    return {};
  return fmt::format("its context has {} positions, of which the task uses the first {}",
                     std::get<int64_t>(found->second), task);
}

Notes notes_before(const SettingsOfFile& of_file, const Layout& layout, const Experiment& experiment) {
  Notes notes;
  for (const std::string& text : of_file.notes) notes.add(text);
  if (layout.residual_factor != 1)
    notes.add(fmt::format("its layers are taken to add the residual stream {} times, as in that code",
                          layout.residual_factor));
  for (const std::string& text : layout.assumptions) notes.add(text);
  if (const auto context = note_of_context(experiment)) notes.add(*context);
  return notes;
}

// Writes the weights of `network`, and separately those that have no place in the model.
Converted store(const Source& source, const FoundNetwork& network, const Layout& layout,
                Experiment& experiment, RunDirectory& run) {
  Converted converted = convert(network.tensors(), layout, experiment.model(), experiment.spec().d_vocab,
                                normalises(experiment.settings()), place_of(source));
  load_weights(experiment.model(), converted.weights);
  write_tensors(run.checkpoint_path(source.step), weights_of(experiment.model()),
                {{"step", std::to_string(source.step)}});
  if (!converted.unused.empty()) {
    const fs::path dropped = dropped_outputs_path(run, source.step);
    fs::create_directories(dropped.parent_path());
    write_tensors(dropped, converted.unused);
  }
  return converted;
}

void warn_of_infinite(const Source& source, const Model& model, Reporter& reporter) {
  for (const auto& [name, value] : weights_of(model)) {
    const int64_t bad = value.numel() - value.isfinite().sum().item<int64_t>();
    if (bad > 0)
      reporter.warning(fmt::format("{}: {} of the {} entries of {} are NaN or infinite", place_of(source),
                                   thousands(bad), thousands(value.numel()), name));
  }
}

// A path as JSON can hold it: names of files need not be UTF-8.
std::string absolute_text(const fs::path& path) {
  const std::string text =
      json(fs::absolute(path).string()).dump(-1, ' ', false, json::error_handler_t::replace);
  return json::parse(text).get<std::string>();
}

json about_sources(const ImportRequest& request, const Sources& sources) {
  const bool one = sources.networks.front().file == sources.networks.back().file;
  json networks = json::array();
  for (const Source& source : sources.networks) {
    networks.push_back({{"step", source.step}, {"key", source.key}});
    if (!one) networks.back()["file"] = absolute_text(source.file);
  }
  json about = {
      {"file", absolute_text(one ? sources.networks.front().file : fs::path(request.files.front()))}};
  if (one && fs::is_regular_file(sources.networks.front().file))
    about["size"] = fs::file_size(sources.networks.front().file);
  about["networks"] = std::move(networks);
  return about;
}

// Writes every network, its scores and what is to be said of it. The scores of the last; nothing if the
// reporter asked to stop.
std::optional<Metrics> import_networks(const Sources& sources, OpenFile& file, const Layout& layout,
                                       Experiment& experiment, RunDirectory& run, Notes& notes,
                                       Reporter& reporter) {
  const Scores scores(experiment);
  const auto n_networks = static_cast<int64_t>(sources.networks.size());
  const auto progress = reporter.progress(n_networks, "networks");
  int64_t done = 0;
  Metrics metrics;
  for (const Source& source : sources.networks) {
    if (reporter.stop_requested()) return std::nullopt;
    const FoundNetwork& network = file.network(source);
    const Converted converted = store(source, network, layout, experiment, run);
    metrics = scores.metrics();
    run.metrics().append(metrics_line(source.step, metrics));
    notes.add(converted.notes);
    if (const auto beside = network.left_out(); !beside.empty())
      notes.add({{"left out, because they are beside the network", beside}});
    if (done == 0) note_networks(sources, layout, reporter);
    if (++done == n_networks)
      for (const std::string& text : notes.texts(n_networks)) reporter.note(text);
    warn_of_infinite(source, experiment.model(), reporter);
    progress->show(done, fmt::format("step {}: {}", thousands(source.step), score_text(metrics)),
                   /*always=*/done == n_networks);
  }
  return metrics;
}

}  // namespace

std::optional<fs::path> import_run(const Registry& registry, const ImportRequest& request,
                                   Reporter& reporter) {
  const auto start = std::chrono::steady_clock::now();
  const Expectations expectations(request.expectations);
  const Sources sources = choose_networks(request);
  OpenFile file(request);
  const Source& first = sources.networks.front();
  const Layout layout = choose_layout(request, file.network(first).tensors(), first.file.string());
  FoundNetworks told = file.found();
  told.networks.clear();  // their tensors are those of the file that is open
  refuse_parallel(layout, told, first.file.string());
  const SettingsOfFile of_file =
      settings_of_file(request.config, request.overrides, parameters_from(registry),
                       shapes_of_all(sources, file, layout), told, first.file.string());
  const Settings& settings = of_file.settings;
  prepare_processor(settings.train);
  Experiment experiment(registry, settings, torch::kCPU);
  experiment.add_probes(settings.probes);
  const fs::path path = request.out.empty() ? new_run_path(settings.name) : fs::path(request.out);
  RunInTheMaking making(path);
  RunDirectory& run = making.run();
  require_space(run.root(), sources.networks.size(), experiment.model().n_parameters());
  SessionRecord record(run, experiment.describe(), 0, settings.train.device, settings.train.threads);
  Notes notes = notes_before(of_file, layout, experiment);
  const auto metrics = import_networks(sources, file, layout, experiment, run, notes, reporter);
  if (!metrics) return std::nullopt;
  expectations.check(*metrics, place_of(sources.networks.back()));
  warn_of_chance(experiment, *metrics, reporter);
  run.metrics().sync();
  json imported = about_sources(request, sources);
  imported["layout"] = layout.name;
  imported["notes"] = notes.texts(static_cast<int64_t>(sources.networks.size()));
  record.add("import", std::move(imported));
  record.end(sources.networks.back().step, "imported",
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  making.finish();
  return path;
}

}  // namespace orrery::engine
