#include "engine/compare/compared_run.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cmath>
#include <set>

#include "engine/experiment/open_run.h"
#include "engine/run/provenance.h"
#include "engine/run/run_json.h"
#include "engine/training/checkpoints.h"
#include "sdk/files/named_tensors.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

std::optional<double> value_of(const MetricsRow& row, const std::string& name) {
  for (const auto& [known, value] : row.values)
    if (known == name) return value;
  return std::nullopt;
}

// The loss of the best guess that does not depend on the input, for classes of equal share. Label smoothing
// does not change it.
double loss_of_guessing(const TaskSpec& spec) {
  const double n = std::max<double>(2, static_cast<double>(spec.d_vocab_out));
  if (spec.loss == Loss::hinge) return 1;
  return spec.loss == Loss::mse_one_hot ? (n - 1) / (n * n) : std::log(n);
}

// A probe that was fitted to the trained network reports the keys of that network, even for random weights.
void drop_borrowed_keys(const Signature& trained, Signature& null) {
  std::erase_if(null.features, [&](const Feature& feature) {
    if (!feature.group.starts_with("key ")) return false;
    const Feature* same = counterpart(feature, null, trained);
    return same && same->value == feature.value && same->parts == feature.parts && feature.value != 0;
  });
}

}  // namespace

std::string probe_identity(const Provenance& provenance) {
  const std::string& reference = provenance.reference;
  return fmt::format("{} {}{}", provenance.probe, parameters_text(provenance),
                     reference.empty() || reference == "last" ? "" : ", reference " + reference);
}

ComparedRun::ComparedRun(const Registry& registry, const std::string& path, const std::string& which)
    : path_(path),
      name_(std::filesystem::absolute(path).lexically_normal().filename().string()),
      network_(registry, path, which),
      metrics_(network_.run().read_metrics()),
      last_step_(std::max(step(), metrics_.empty() ? 0 : metrics_.back().step)) {
  if (name_.empty()) name_ = std::filesystem::absolute(path).parent_path().filename().string();
}

std::optional<double> ComparedRun::metric(const std::string& name) const {
  std::optional<double> found;
  for (const MetricsRow& row : metrics_)
    if (row.step <= step())
      if (const auto value = value_of(row, name)) found = value;
  return found;
}

std::string ComparedRun::identity_of_choice(const ProbeChoice& choice) const {
  return probe_identity({"", choice.plugin, "", choice.parameters, choice.reference, "", ""});
}

// Results older than provenances are taken to be those of the config.
std::string ComparedRun::identity_of(const ProbeResult& result, const std::string& label) const {
  if (result.provenance) return probe_identity(*result.provenance);
  for (const ProbeChoice& choice : experiment().settings().probes)
    if (choice.label == label) return identity_of_choice(choice);
  return label;
}

void ComparedRun::add(const ProbeResult& result, const ProbeResult* null, const std::string& label) {
  const RecordSource source{label, identity_of(result, label)};
  add_evidence(result.record, null ? &null->record : nullptr, source, signature_);
  if (null) {
    with_null_.insert(source.question);
    add_evidence(null->record, &result.record, source, null_);
    drop_borrowed_keys(signature_, null_);
  }
  if (const auto keys = key_frequencies_of(result.record)) keys_.emplace(source.question, *keys);
  if (const auto edges = edges_of(result.record)) edges_.emplace(source.question, *edges);
  if (const auto carried = carried_of(result.record)) carried_.emplace(source.question, *carried);
}

void ComparedRun::read_results() {
  signature_ = null_ = {loss_of_guessing(experiment().spec()), {}, {}};
  keys_.clear();
  edges_.clear();
  carried_.clear();
  partly_concluded_.clear();
  with_null_.clear();
  constexpr auto numbers_only = RunDirectory::ProbeData::leave_out;
  std::set<std::string> asked;
  for (const ConfiguredProbe& probe : read_run_json(network_.run().root()).probes())
    asked.insert(probe.label);
  for (const std::string& label : network_.run().probe_labels()) {
    const auto null = network_.run().read_run_level(label, RunLevelResult::null, numbers_only);
    for (const ProbeResult& result : network_.run().read_probe_results(label, numbers_only))
      if (result.step == step()) add(result, null ? &*null : nullptr, label);
    const auto conclusion = network_.run().read_run_level(label, RunLevelResult::conclusion, numbers_only);
    // That of a probe which the run no longer asks, and which looked at fewer steps, says nothing of this
    // one.
    if (conclusion && (asked.contains(label) || conclusion->until.value_or(step()) >= step())) {
      add(*conclusion, nullptr, label);
      if (null) with_null_.insert(identity_of(*conclusion, label));
      if (conclusion->partly) partly_concluded_.emplace(label, *conclusion->partly);
    }
  }
}

}  // namespace orrery::engine
