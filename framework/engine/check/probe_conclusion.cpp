// Checks that a probe's conclude() copes with every curve that a run may have.
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <limits>

#include "engine/check/probe_checks.h"

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

}  // namespace

Result concludes(ProbeUnderCheck& under_check) {
  const Needs needs = under_check.needs();
  if (needs.curves.empty()) return not_applicable("it asks for no curves");
  const char* advice = "leave out values that are not finite, and conclude nothing where there is too little";
  for (const Form& form : forms()) {
    const auto probe = under_check.make();
    const ProbeInRun in_run = under_check.in_run(*probe);
    under_check.note(fmt::format("curves {}", form.name));
    const Outcome outcome = conclude({&in_run}, curves_of(form, needs.curves))[0];
    if (!outcome.ok()) return failed(fmt::format("from curves {}: {}", form.name, outcome.error), advice);
    if (const std::string found = fault(outcome.record); !found.empty())
      return failed(fmt::format("from curves {}: {}", form.name, found),
                    "orrery/recorder.h says what it needs");
  }
  return ok(fmt::format("from {} kinds of curves", forms().size()));
}

}  // namespace orrery::engine::checks
