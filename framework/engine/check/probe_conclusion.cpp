// Checks that a probe's conclude() copes with every curve that a run may have, and reads its own tensors and
// findings as a run keeps them.
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <limits>

#include "engine/check/probe_checks.h"
#include "engine/run/history.h"
#include "sdk/files/temporary_folder.h"

namespace orrery::engine::checks {
namespace {

// Shapes that a run's curves may have; 40 rows unless the name says otherwise.
struct Form {
  const char* name;
  std::function<double(int64_t row)> value;
  int64_t rows = 40;
};

const std::vector<Form>& forms() {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  static const auto* all = new std::vector<Form>{
      {"that fall late",
       [](int64_t row) { return row < 20 ? 5.0 : 5.0 / static_cast<double>((row - 19) * (row - 19)); }},
      {"with NaN and infinities among their values",
       [=](int64_t row) {
         return row % 7 == 3 ? nan : row % 11 == 5 ? infinity : 3.0 / static_cast<double>(row + 1);
       }},
      {"of one row", [](int64_t) { return 1.0; }, 1},
      {"of two rows", [](int64_t row) { return 2.0 - static_cast<double>(row); }, 2},
      {"that are 0 throughout", [](int64_t) { return 0.0; }},
      {"that are NaN throughout", [=](int64_t) { return nan; }},
  };
  return *all;
}

// A name that matches the glob.
std::string name_for(std::string glob) {
  std::replace(glob.begin(), glob.end(), '*', '1');
  return glob;
}

std::vector<Curve> curves_of(const Form& form, const std::vector<std::string>& globs) {
  std::vector<Curve> curves;
  for (const std::string& glob : globs) {
    const std::string name = name_for(glob);
    if (std::any_of(curves.begin(), curves.end(), [&](const Curve& curve) { return curve.name == name; }))
      continue;
    Curve curve{name, {}, {}};
    for (int64_t row = 0; row < form.rows; ++row) {
      curve.steps.push_back(100 * row);
      curve.values.push_back(form.value(row));
    }
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::string fault(const Record& record) {
  for (const Figure& figure : record.figures)
    if (const std::string found = drawing_fault(figure); !found.empty()) return "figure " + found;
  for (const Finding& finding : record.findings)
    if (const std::string found = finding_fault(finding); !found.empty()) return "finding " + found;
  return "";
}

// The first glob that names the records of another probe, which are not here; or "".
std::string foreign(const Needs& needs) {
  for (const auto* globs : {&needs.tensors, &needs.findings})
    for (const std::string& glob : *globs)
      if (glob.starts_with("probe/")) return glob;
  return "";
}

// What the probe records at the checkpoints of its first fixture, written to `folder` as in a run.
std::vector<RecordedStep> own_records(ProbeUnderCheck& under_check, const std::string& label,
                                      const TemporaryFolder& folder) {
  std::vector<RecordedStep> records;
  const std::vector<const Fixture*> fixtures = under_check.fixtures();
  if (fixtures.empty()) return records;
  for (const KeptWeights& checkpoint : fixtures.front()->checkpoints()) {
    const auto model = fixtures.front()->at(checkpoint);
    const Record record = under_check.measure(*fixtures.front(), *model, checkpoint.step);
    const std::string line = result_line(checkpoint.step, "", {{label, &record}});
    const PackedResult packed = pack_result(line, record);
    const std::filesystem::path file = folder / fmt::format("{}.safetensors", checkpoint.step);
    if (!packed.data.empty()) write_file(file, packed.data);
    records.push_back(recorded_step(parse_result(packed.line, label, label), file));
  }
  return records;
}

// "from curves of one row: ...", or "from its records at 3 steps: ...".
std::string source_text(const Form& form, const Needs& needs, size_t n_records) {
  const std::string records =
      fmt::format("its records at {}", counted(static_cast<int64_t>(n_records), "step"));
  if (needs.curves.empty()) return "from " + records;
  const bool both = !needs.tensors.empty() || !needs.findings.empty();
  return fmt::format("from curves {}{}", form.name, both ? " and " + records : "");
}

}  // namespace

Result concludes(ProbeUnderCheck& under_check) {
  const Needs needs = under_check.needs();
  const bool reads_records = !needs.tensors.empty() || !needs.findings.empty();
  if (needs.curves.empty() && !reads_records)
    return not_applicable("it asks for no curves, tensors or findings");
  if (const std::string glob = foreign(needs); !glob.empty())
    return not_applicable(fmt::format("it asks for \"{}\", and no other probe is measured here", glob));
  const char* advice = "leave out values that are not finite, and conclude nothing where there is too little";
  const TemporaryFolder folder;
  const std::string label = under_check.label();
  const auto records = reads_records ? own_records(under_check, label, folder) : std::vector<RecordedStep>();
  if (reads_records && records.empty())
    return not_applicable("it asks for its own records, and measured nothing here");
  for (const Form& form : forms()) {
    RunHistory history{curves_of(form, needs.curves), {}};
    if (reads_records) history.records[label] = records;
    if (form.rows == 1 && reads_records) history.records[label].resize(1);
    const auto probe = under_check.make();
    const ProbeInRun in_run = under_check.in_run(*probe);
    const std::string from = source_text(form, needs, reads_records ? history.records[label].size() : 0);
    under_check.note(from);
    const Outcome outcome =
        conclude({&in_run}, [&](const ProbeInRun&) { return choose_history(history, needs, label); })[0];
    if (!outcome.ok()) return failed(fmt::format("{}: {}", from, outcome.error), advice);
    if (const std::string found = fault(outcome.record); !found.empty())
      return failed(fmt::format("{}: {}", from, found), "orrery/recorder.h says what it needs");
  }
  return ok(needs.curves.empty() ? fmt::format("from its records at {} steps", records.size())
                                 : fmt::format("from {} kinds of curves", forms().size()));
}

}  // namespace orrery::engine::checks
