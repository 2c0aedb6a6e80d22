// Checks that a probe gives the same numbers for the same network, whenever it runs and beside whichever
// other probes.
#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>

#include "engine/check/bitwise.h"
#include "engine/check/probe_checks.h"

namespace orrery::engine::checks {
namespace {

// Decoys that ask for everything other probes could ask for.
std::list<DecoyProbe> decoys(const Needs& needs) {
  std::list<DecoyProbe> all;
  for (const Inputs inputs : {needs.inputs, Inputs::train, Inputs::test})
    if (inputs != Inputs::none) all.emplace_back(Needs{.inputs = inputs, .activations = {"*"}});
  return all;
}

// As during training: one instance and one model for all checkpoints, beside other probes, and, if the probe
// needs a reference, provisional answers first. Returns what a run would keep.
std::vector<Record> online(ProbeUnderCheck& under_check, const Fixture& fixture) {
  const auto probe = under_check.make();
  const ProbeInRun in_run = under_check.in_run(*probe);
  std::list<DecoyProbe> others = decoys(in_run.needs);
  std::list<ProbeInRun> runs;
  for (DecoyProbe& other : others) runs.push_back(under_check.in_run(other));
  std::vector<const ProbeInRun*> together;
  for (const ProbeInRun& run : runs) together.push_back(&run);
  together.insert(together.begin() + 1, &in_run);
  const auto model = fixture.fresh();
  const Split split = copy(fixture.split());
  const ProbeHost host = fixture.host_of(split, *model);
  const auto pass = [&](Reference reference) {
    std::vector<Record> records;
    for (const KeptWeights& checkpoint : fixture.checkpoints()) {
      load_weights(*model, checkpoint.weights);
      records.push_back(record_of(host.measure(checkpoint.step, together, reference)[1], *probe));
    }
    return records;
  };
  std::vector<Record> records = pass(Reference::this_checkpoint);
  if (!in_run.waits()) return records;
  record_of(host.fit(fixture.checkpoints().back().step, together)[1], *probe);
  return pass(Reference::fitted);
}

Result differ(const Fixture& fixture, const KeptWeights& checkpoint, const std::string& how,
              const std::string& difference, const std::string& advice) {
  return failed(fmt::format("{}, step {}: {}: {}", fixture.name(), checkpoint.step, how, difference), advice);
}

std::string twice_fault(ProbeUnderCheck& under_check, const Fixture& fixture, const KeptWeights& checkpoint) {
  const auto probe = under_check.make();
  const ProbeInRun in_run = under_check.in_run(*probe);
  const auto measured = [&] {  // on a network that no earlier measurement has touched
    const auto model = fixture.at(checkpoint);
    const Split split = copy(fixture.split());
    const ProbeHost host = fixture.host_of(split, *model);
    return record_of(host.measure(checkpoint.step, {&in_run}, Reference::this_checkpoint)[0], *probe);
  };
  const Record first = measured();
  return difference(first, measured());
}

// The first name that only `a` has, or "".
std::string missing(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (const std::string& name : a)
    if (std::find(b.begin(), b.end(), name) == b.end()) return name;
  return "";
}

bool is_found(const std::string& name) { return name.find('=') != std::string::npos; }

}  // namespace

std::vector<std::string> stable_names(const Record& record) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& kind, const std::string& name) {
    if (!is_found(name)) names.push_back(fmt::format("{} \"{}\"", kind, name));
  };
  for (const auto& [name, value] : record.scalars) add("scalar", name);
  for (const std::string& name : record.headlines) add("headline", name);
  for (const auto& [name, value] : record.tensors) add("tensor", name);
  for (const Figure& figure : record.figures) add("figure", figure.name);
  return names;
}

Result same_numbers_twice(ProbeUnderCheck& probe) {
  for (const Fixture* fixture : probe.fixtures()) {
    probe.note(fixture->name());
    // Of the other checkpoints, online_and_offline compares two measurements.
    const KeptWeights& checkpoint = fixture->checkpoints().back();
    if (const std::string found = twice_fault(probe, *fixture, checkpoint); !found.empty())
      return differ(*fixture, checkpoint, "measured twice", found,
                    "keep nothing from one measurement to the next, and draw from a new generator each time");
  }
  return ok();
}

Result online_and_offline(ProbeUnderCheck& probe) {
  for (const Fixture* fixture : probe.fixtures()) {
    probe.note(fixture->name() + ", online");
    const std::vector<Record> records = online(probe, *fixture);
    probe.note(fixture->name() + ", offline");
    const std::vector<Record>& alone = probe.records(*fixture);
    for (size_t i = 0; i < records.size(); ++i) {
      if (const std::string found = difference(records[i], alone[i]); !found.empty())
        return differ(*fixture, fixture->checkpoints()[i],
                      "measured in a run beside other probes, and then alone", found,
                      "read from the cache only what needs() names, and keep nothing between checkpoints "
                      "except what fit() saw");
    }
  }
  return ok();
}

Result names_stable(ProbeUnderCheck& probe) {
  int64_t count = 0;
  for (const Fixture* fixture : probe.fixtures()) {
    probe.note(fixture->name());
    const std::vector<Record>& records = probe.records(*fixture);
    const std::vector<std::string> names = stable_names(records.front());
    for (size_t i = 0; i < records.size(); ++i) {
      const std::vector<std::string> now = stable_names(records[i]);
      const std::string gone = missing(names, now), come = missing(now, names);
      const int64_t first = fixture->checkpoints().front().step, step = fixture->checkpoints()[i].step;
      if (!gone.empty() || !come.empty())
        return failed(
            fmt::format("{}: {} is recorded at step {}, but not at step {}", fixture->name(),
                        gone.empty() ? come : gone, gone.empty() ? step : first, gone.empty() ? first : step),
            "record the same names at every checkpoint, with NaN for a missing value; put a part "
            "KEY=VALUE into the names of things found, as in \"neurons/k=14\"");
      count = static_cast<int64_t>(now.size());
    }
  }
  return ok(counted(count, "name"));
}

}  // namespace orrery::engine::checks
