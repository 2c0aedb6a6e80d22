#include "engine/run/history.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <optional>
#include <set>

#include "engine/run/curves.h"
#include "engine/run/json_write.h"
#include "sdk/files/safetensors.h"
#include "sdk/files/sha256.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {
namespace {

constexpr std::string_view of_probes = "probe/";

// A glob without "probe/" is of the probe's own names, even if it would match others.
bool asks_for(const std::string& glob, const std::string& name) {
  return glob.starts_with(of_probes) == name.starts_with(of_probes) && matches(glob, name);
}

// The probes whose records `glob` names: "trig_*" of "probe/trig_*/keys".
std::string label_glob(const std::string& glob, const std::string& own) {
  if (!glob.starts_with(of_probes)) return own;
  const std::string rest = glob.substr(of_probes.size());
  return rest.substr(0, rest.find('/'));
}

// The names under which a record `name` of the probe `label` is asked for: "probe/LABEL/NAME", and NAME alone
// if the probe that asks is the same.
std::vector<std::string> names_of(const std::string& label, const std::string& name, const std::string& own) {
  std::vector<std::string> names{fmt::format("{}{}/{}", of_probes, label, name)};
  if (label == own && !name.starts_with(of_probes)) names.push_back(name);
  return names;
}

// Calls `take` with each asked name, the name in the record, and the step, for what `names_at` lists there.
template <class NamesAt, class Take>
void each_asked(const RunHistory& all, const std::vector<std::string>& globs, const std::string& own,
                const NamesAt& names_at, const Take& take) {
  for (const auto& [label, steps] : all.records)
    for (const RecordedStep& step : steps)
      for (const std::string& name : names_at(step))
        for (const std::string& asked : names_of(label, name, own))
          if (std::any_of(globs.begin(), globs.end(), [&](auto& glob) { return asks_for(glob, asked); }))
            take(asked, name, step);
}

std::vector<std::string> finding_names(const RecordedStep& step) {
  std::vector<std::string> names;
  for (const Finding& finding : step.findings) names.push_back(finding.name);
  return names;
}

const Finding& finding_at(const RecordedStep& step, const std::string& name) {
  return *std::find_if(step.findings.begin(), step.findings.end(),
                       [&](const Finding& finding) { return finding.name == name; });
}

// A tensor under the name by which it is asked for, and the files that hold it.
struct StoredSeries {
  std::string name;                                           // in the files
  std::vector<std::pair<int64_t, std::filesystem::path>> at;  // by step, ascending
};
using StoredTensors = std::map<std::string, StoredSeries>;  // by the asked name

StoredTensors stored_tensors(const RunHistory& all, const Needs& needs, const std::string& own) {
  StoredTensors found;
  each_asked(
      all, needs.tensors, own, [](const RecordedStep& step) { return step.tensors; },
      [&](const std::string& asked, const std::string& name, const RecordedStep& step) {
        found[asked].name = name;
        found[asked].at.emplace_back(step.step, step.data);
      });
  return found;
}

torch::Tensor read_stored(const StoredSeries& series, int64_t step) {
  const auto at =
      std::find_if(series.at.begin(), series.at.end(), [&](auto& known) { return known.first == step; });
  if (at == series.at.end())
    throw Error(fmt::format("the tensor \"{}\" was not recorded at step {}", series.name, step));
  for (const auto& [name, tensor] : read_tensors(at->second).tensors)
    if (name == "tensor/" + series.name) return tensor;
  throw Error(fmt::format("{}: it lacks the tensor \"{}\", which the results of step {} say it holds",
                          at->second.string(), series.name, step),
              "measure this step again: orrery probe --again");
}

std::vector<TensorSeries> choose_tensors(const RunHistory& all, const Needs& needs, const std::string& own) {
  std::vector<TensorSeries> chosen;
  for (const auto& [asked, series] : stored_tensors(all, needs, own)) {
    TensorSeries one{asked, {}, [series = series](int64_t step) { return read_stored(series, step); }};
    for (const auto& [step, file] : series.at) one.steps.push_back(step);
    chosen.push_back(std::move(one));
  }
  for (const std::string& glob : needs.tensors) {
    if (std::any_of(chosen.begin(), chosen.end(), [&](auto& one) { return asks_for(glob, one.name); }))
      continue;
    std::set<std::string> there;
    for (const auto& [label, steps] : all.records)
      for (const RecordedStep& step : steps)
        for (const std::string& name : step.tensors) there.insert(names_of(label, name, own).back());
    const std::vector<std::string> names(there.begin(), there.end());
    throw Error(fmt::format("probe \"{}\" concludes from the tensor \"{}\", but no probe of the run recorded "
                            "one{}",
                            own, glob, did_you_mean(glob, names)),
                names.empty() ? "measure the checkpoints of the run first"
                              : fmt::format("recorded were: {}", fmt::join(names, ", ")));
  }
  return chosen;
}

std::vector<FindingSeries> choose_findings(const RunHistory& all, const Needs& needs,
                                           const std::string& own) {
  std::map<std::string, FindingSeries> chosen;
  each_asked(all, needs.findings, own, finding_names,
             [&](const std::string& asked, const std::string& name, const RecordedStep& step) {
               FindingSeries& series = chosen[asked];
               series.name = asked;
               series.steps.push_back(step.step);
               series.findings.push_back(finding_at(step, name));
             });
  std::vector<std::string> labels;
  for (const auto& [label, steps] : all.records)
    if (!steps.empty()) labels.push_back(label);
  for (const std::string& glob : needs.findings) {
    const std::string wanted = label_glob(glob, own);
    if (std::any_of(labels.begin(), labels.end(), [&](auto& label) { return matches(wanted, label); }))
      continue;
    throw Error(
        fmt::format("probe \"{}\" concludes from the findings \"{}\", but the run has no results of a "
                    "probe \"{}\"{}",
                    own, glob, wanted, did_you_mean(wanted, labels)),
        labels.empty() ? "measure the checkpoints of the run first"
                       : fmt::format("it has results of: {}", fmt::join(labels, ", ")));
  }
  std::vector<FindingSeries> list;
  for (auto& [name, series] : chosen) list.push_back(std::move(series));
  return list;
}

// The checksum that a file of results has in its header. Reads no data.
std::string checksum_in(const std::filesystem::path& file) {
  try {
    const safetensors::Metadata metadata = safetensors::read_metadata(file);
    const auto found = metadata.find(safetensors::checksum_key);
    return found == metadata.end() ? sha256_of_file(file) : found->second;
  } catch (const Error& error) {
    return error.what();
  }
}

void add_findings(Sha256& hash, const std::vector<FindingSeries>& findings) {
  for (const FindingSeries& series : findings)
    for (size_t i = 0; i < series.steps.size(); ++i) {
      hash.add(fmt::format("finding {} {} {}\n", series.name, series.steps[i], series.findings[i].kind));
      for (const auto& [field, value] : series.findings[i].fields)
        hash.add(fmt::format("{} {}\n", field, json_value(value).dump()));
    }
}

}  // namespace

std::vector<std::string> labels_read(const Needs& needs, const std::string& own,
                                     const std::vector<std::string>& all) {
  std::vector<std::string> globs;
  for (const auto* list : {&needs.tensors, &needs.findings})
    for (const std::string& glob : *list) globs.push_back(label_glob(glob, own));
  std::vector<std::string> read;
  for (const std::string& label : all)
    if (std::any_of(globs.begin(), globs.end(), [&](auto& glob) { return matches(glob, label); }))
      read.push_back(label);
  return read;
}

RecordedStep recorded_step(const ProbeResult& result, std::filesystem::path data) {
  return {result.step, result.record.findings, result.tensor_names, std::move(data)};
}

std::vector<RecordedStep> read_records(const RunDirectory& run, const std::string& label) {
  std::vector<RecordedStep> records;
  for (const ProbeResult& result : run.read_probe_results(label, RunDirectory::ProbeData::leave_out))
    records.push_back(recorded_step(result, run.probe_data_path(label, result.step)));
  return records;
}

History choose_history(const RunHistory& all, const Needs& needs, const std::string& own) {
  return {choose_curves(all.curves, needs.curves, own), choose_tensors(all, needs, own),
          choose_findings(all, needs, own)};
}

int64_t last_step(const History& history) {
  int64_t last = 0;
  const auto look = [&](const auto& series) {
    for (const auto& one : series)
      if (!one.steps.empty()) last = std::max(last, one.steps.back());
  };
  look(history.curves);
  look(history.tensors);
  look(history.findings);
  return last;
}

std::string sha256_of(const RunHistory& all, const Needs& needs, const std::string& own) {
  const std::string of_curves = sha256_of(choose_curves(all.curves, needs.curves, own));
  if (needs.tensors.empty() && needs.findings.empty()) return of_curves;
  Sha256 hash;
  hash.add(of_curves);
  std::map<std::filesystem::path, std::string> checksums;  // a file may hold several tensors
  for (const auto& [asked, series] : stored_tensors(all, needs, own))
    for (const auto& [step, file] : series.at) {
      auto known = checksums.find(file);
      if (known == checksums.end()) known = checksums.emplace(file, checksum_in(file)).first;
      hash.add(fmt::format("tensor {} {} {}\n", asked, step, known->second));
    }
  add_findings(hash, choose_findings(all, needs, own));
  return hash.digest();
}

}  // namespace orrery::engine
