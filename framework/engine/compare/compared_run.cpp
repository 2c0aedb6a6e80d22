#include "engine/compare/compared_run.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/experiment/loaded_run.h"
#include "engine/run/origin.h"
#include "engine/training/run_files.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

using json = nlohmann::ordered_json;

constexpr double grokked_accuracy = 0.99;

std::optional<double> value_of(const MetricsRow& row, const std::string& name) {
  for (const auto& [known, value] : row.values)
    if (known == name) return value;
  return std::nullopt;
}

CheckpointFile grokked_checkpoint(const RunDirectory& run, const std::vector<MetricsRow>& metrics) {
  double best = 0;
  for (const MetricsRow& row : metrics) {
    const double accuracy = value_of(row, "test/accuracy").value_or(0);
    best = std::max(best, accuracy);
    if (accuracy < grokked_accuracy) continue;
    for (const CheckpointFile& checkpoint : run.checkpoints())
      if (checkpoint.step >= row.step) return checkpoint;
    throw UsageError(fmt::format("{}: it reaches 99 % test accuracy at step {}, and no checkpoint is later",
                                 run.root().string(), row.step));
  }
  throw UsageError(fmt::format("{}: it never reaches 99 % test accuracy; the most is {:.2f} %",
                               run.root().string(), 100 * best),
                   "leave this run out, or compare all of them at --step last");
}

// A probe that was fitted to the trained network names the keys of that one, whatever it looks at.
void drop_borrowed_keys(const Signature& trained, Signature& null) {
  std::erase_if(null.features, [&](const Feature& feature) {
    if (!feature.group.starts_with("key ")) return false;
    const Feature* same = counterpart(feature, null, trained);
    return same && same->value == feature.value && same->parts == feature.parts && feature.value != 0;
  });
}

}  // namespace

std::string question_of(const std::string& origin) {
  const json object = json::parse(origin, nullptr, false);
  if (!object.is_object()) return origin;
  const std::string reference = object.value("reference", "last");
  // Sorted keys: the parameters may have been written in another order.
  const nlohmann::json parameters = nlohmann::json::parse(object.value("parameters", json::object()).dump());
  return fmt::format("{} {}{}", object.value("probe", ""), parameters.dump(),
                     reference.empty() || reference == "last" ? "" : ", reference " + reference);
}

ComparedRun::ComparedRun(const Registry& registry, const std::string& path, const std::string& which)
    : registry_(registry),
      path_(path),
      name_(std::filesystem::absolute(path).lexically_normal().filename().string()),
      run_(RunDirectory::open(path, RunDirectory::Access::read)),
      metrics_(run_.read_metrics()) {
  if (name_.empty()) name_ = std::filesystem::absolute(path).parent_path().filename().string();
  checkpoint_ =
      which == "grokked" ? grokked_checkpoint(run_, metrics_) : choose_checkpoint(run_, "--step", which);
  last_step_ = std::max(checkpoint_.step, metrics_.empty() ? 0 : metrics_.back().step);
  Settings settings = read_settings(run_, registry, {});
  settings.init.from.clear();  // the weights come from the checkpoint
  experiment_ = std::make_unique<Experiment>(registry, std::move(settings), torch::kCPU);
  load_weights(experiment_->model(), read_tensors(checkpoint_.path).tensors);
}

std::optional<double> ComparedRun::metric(const std::string& name) const {
  std::optional<double> found;
  for (const MetricsRow& row : metrics_)
    if (row.step <= checkpoint_.step)
      if (const auto value = value_of(row, name)) found = value;
  return found;
}

std::string ComparedRun::question_asked_by(const ProbeChoice& choice) const {
  return question_of(to_json(Origin{"", choice.plugin, "", choice.parameters, choice.reference, "", ""}));
}

// Results from before there were origins are those of the config.
std::string ComparedRun::origin_of(const ProbeResult& result, const std::string& label) const {
  if (!result.origin.empty()) return question_of(result.origin);
  for (const ProbeChoice& choice : experiment_->settings().probes)
    if (choice.label == label) return question_asked_by(choice);
  return label;
}

void ComparedRun::add(const ProbeResult& result, const ProbeResult* null, const std::string& label) {
  const Source source{label, origin_of(result, label)};
  add_evidence(result.record, null ? &null->record : nullptr, source, signature_);
  if (null) {
    add_evidence(null->record, &result.record, source, null_);
    drop_borrowed_keys(signature_, null_);
  }
  if (const auto keys = key_frequencies_of(result.record)) keys_.emplace(source.question, *keys);
}

void ComparedRun::read_results() {
  const TaskSpec& spec = experiment_->spec();
  const double guessing =
      spec.loss == Loss::hinge ? 1 : std::log(std::max<double>(2, static_cast<double>(spec.d_vocab_out)));
  signature_ = null_ = {guessing, {}, {}};
  keys_.clear();
  elsewhere_.clear();
  constexpr auto numbers_only = RunDirectory::ProbeData::leave_out;
  for (const std::string& label : run_.probe_labels()) {
    const auto null = run_.read_aside(label, Aside::null, numbers_only);
    std::vector<int64_t> steps;
    bool found = false;
    for (const ProbeResult& result : run_.read_probe_results(label, numbers_only)) {
      steps.push_back(result.step);
      if (result.step != checkpoint_.step) continue;
      add(result, null ? &*null : nullptr, label);
      found = true;
    }
    if (const auto conclusion = run_.read_aside(label, Aside::conclusion, numbers_only)) {
      add(*conclusion, nullptr, label);
      found = true;
    }
    if (!found) elsewhere_.emplace(label, std::move(steps));
  }
}

}  // namespace orrery::engine
