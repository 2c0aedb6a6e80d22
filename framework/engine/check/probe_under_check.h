// A probe and the fixtures it can be checked on.
#pragma once

#include <orrery/probe.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/check/check.h"
#include "engine/check/fixture.h"

namespace orrery::engine::checks {

struct ProbeSource {
  std::string name;
  std::function<std::unique_ptr<Probe>()> make;
};

/// The tasks and models to try a probe on.
struct ProbeFixtures {
  std::vector<TaskSource> tasks;   ///< the smaller ones are tried first
  std::vector<Values> given = {};  ///< parameters of each task; empty: every task is made small
  std::vector<SmallModel> models;
};

/// Wraps a probe: reports each call to `note` and remembers whether the probe refused.
class InstrumentedProbe final : public Probe {
 public:
  InstrumentedProbe(std::unique_ptr<Probe> probe, Note note)
      : probe_(std::move(probe)), note_(std::move(note)) {}
  Needs needs() const override { return probe_->needs(); }
  void fit(const Observation& reference) override;
  void measure(const Observation& observation, Recorder& recorder) override;
  void conclude(const History& history, Recorder& recorder) override;
  /// Whether the last call threw orrery::UsageError, which is how a probe refuses.
  bool refused() const { return refused_; }

 private:
  template <class Call>
  void instrument(const std::string& what, Call&& call);
  std::unique_ptr<Probe> probe_;
  Note note_;
  bool refused_ = false;
};

/// How the probe fared on one fixture at the first try.
struct FixtureTrial {
  enum class Outcome { measured, refused, failed } outcome;
  const Fixture* fixture;
  std::string message = {}, hint = {};
};

/// What a measurement left behind, in words; "" where it left nothing.
struct Traces {
  std::string model, shown, torch;
};

class ProbeUnderCheck {
 public:
  ProbeUnderCheck(ProbeSource source, ProbeFixtures candidates, Note note);
  ~ProbeUnderCheck();

  std::unique_ptr<InstrumentedProbe> make() const;
  Needs needs() const { return make()->needs(); }

  /// Every fixture on which a run would accept the probe, with the outcome of measuring random weights when
  /// the probe is given all activations. Computed on first use.
  const std::vector<FixtureTrial>& trials();
  /// Those that it measured: as few as include each task and each model once.
  std::vector<const Fixture*> fixtures();
  /// The tasks and models of fixtures(), for display.
  std::string fixtures_text();

  /// The label under which it is measured.
  const std::string& label() const { return source_.name; }
  ProbeInRun in_run(Probe& probe) const;
  /// Measures `model` as step `step` of a run, without other probes. A probe that needs a reference is fitted
  /// to the last checkpoint of the fixture. Throws what the probe throws.
  Record measure(const Fixture& fixture, Model& model, int64_t step) const;
  /// What it records at each checkpoint of the fixture, measured as above on first use: many checks look at
  /// the same records, and some probes take their time.
  const std::vector<Record>& records(const Fixture& fixture);
  /// What measuring the last checkpoint leaves behind, on first use (probe_traces.cpp).
  const Traces& traces(const Fixture& fixture);

  void note(const std::string& what) const { note_(what); }

 private:
  void try_fixture(const Variant& task, const std::string& task_name, const SmallModel& model);
  const std::list<std::pair<std::string, Variant>>& tasks();

  ProbeSource source_;
  ProbeFixtures candidates_;
  Note note_;
  std::list<std::pair<std::string, Variant>> tasks_;
  std::list<Fixture> kept_;
  std::vector<FixtureTrial> trials_;
  std::map<const Fixture*, std::vector<Record>> records_;
  std::map<const Fixture*, Traces> traces_;
  bool tried_ = false;
};

/// The record of an outcome. Throws its error, as orrery::UsageError if the probe refused.
const Record& record_of(const Outcome& outcome, const InstrumentedProbe& probe);

/// A decoy that requests every activation, so that the probe under test shares its forward pass.
class DecoyProbe final : public Probe {
 public:
  using Callback = std::function<void(const Observation&)>;
  DecoyProbe(Needs needs, Callback callback = {})
      : needs_(std::move(needs)), callback_(std::move(callback)) {}
  Needs needs() const override { return needs_; }
  void fit(const Observation& reference) override;
  void measure(const Observation& observation, Recorder&) override;

 private:
  Needs needs_;
  Callback callback_;
};

}  // namespace orrery::engine::checks
