// A probe, and the settings that it can be looked at in.
#pragma once

#include <orrery/probe.h>

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/check/check.h"
#include "engine/check/setting.h"

namespace orrery::engine::checks {

struct ProbeSource {
  std::string name;
  std::function<std::unique_ptr<Probe>()> make;
};

/// What a probe may be looked at on.
struct ProbeGround {
  std::vector<TaskSource> tasks;   ///< tried in this order, smaller ones first
  std::vector<Values> given = {};  ///< parameters of each task; none: all of them are made small
  std::vector<SmallModel> models;
};

/// Stands in for a probe: tells what it is asked, and remembers whether it refused or failed.
class Attended final : public Probe {
 public:
  Attended(std::unique_ptr<Probe> probe, Note note) : probe_(std::move(probe)), note_(std::move(note)) {}
  Needs needs() const override { return probe_->needs(); }
  void fit(const Observation& reference) override;
  void measure(const Observation& observation, Recorder& recorder) override;
  void conclude(const std::vector<Curve>& curves, Recorder& recorder) override;
  /// Whether the last call ended with an orrery::UsageError: it was asked for what it does not do.
  bool refused() const { return refused_; }

 private:
  template <class Call>
  void attend(const std::string& what, Call&& call);
  std::unique_ptr<Probe> probe_;
  Note note_;
  bool refused_ = false;
};

/// How one setting went at first sight.
struct Trial {
  enum class Outcome { measured, refused, failed } outcome;
  const Setting* setting;
  std::string message = {}, hint = {};
};

class ProbeUnderCheck {
 public:
  ProbeUnderCheck(ProbeSource source, ProbeGround ground, Note note);
  ~ProbeUnderCheck();

  std::unique_ptr<Attended> make() const;
  Needs needs() const { return make()->needs(); }

  /// Every setting that a run of would let the probe into, with how it measures random weights when it is
  /// given all activations. Made when first asked for.
  const std::vector<Trial>& trials();
  /// Those that it measured, only as many as it takes to have each task and each model once.
  std::vector<const Setting*> settings();
  /// The tasks and models of settings(), for people.
  std::string settings_text();

  ProbeInRun in_run(Probe& probe) const;
  /// Measures `model` as a run's `step` alone, with a reference, if one is needed, from the last checkpoint
  /// of the setting. Throws what the probe throws.
  Record measure(const Setting& setting, Model& model, int64_t step) const;

  void note(const std::string& what) const { note_(what); }

 private:
  void try_setting(const Variant& task, const std::string& task_name, const SmallModel& model);
  const std::list<std::pair<std::string, Variant>>& tasks();

  ProbeSource source_;
  ProbeGround ground_;
  Note note_;
  std::list<std::pair<std::string, Variant>> tasks_;
  std::list<Setting> kept_;
  std::vector<Trial> trials_;
  bool tried_ = false;
};

/// Throws the failure of an outcome, as an orrery::UsageError where the probe refused.
const Record& record_of(const Outcome& outcome, const Attended& probe);

/// Looks at every activation of the inputs that others look at; for company.
class Companion final : public Probe {
 public:
  using Look = std::function<void(const Observation&)>;
  Companion(Needs needs, Look look = {}) : needs_(std::move(needs)), look_(std::move(look)) {}
  Needs needs() const override { return needs_; }
  void fit(const Observation& reference) override;
  void measure(const Observation& observation, Recorder&) override;

 private:
  Needs needs_;
  Look look_;
};

}  // namespace orrery::engine::checks
