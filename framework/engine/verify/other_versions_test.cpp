#include "engine/verify/other_versions.h"

#include "tests/support/small_run.h"

namespace orrery::testing {
namespace {

namespace fs = std::filesystem;

void measure(const fs::path& run, const std::string& label, const std::string& probe,
             const std::string& version) {
  fs::create_directories(run / "probes" / label);
  const Record record{};
  Provenance provenance;
  provenance.probe = probe;
  provenance.version = version;
  std::ofstream(run / "probes" / label / "results.jsonl")
      << pack_result(result_line(0, "checkpoints/x", {{label, &record}}, provenance), record).line << "\n";
}

TEST(OtherVersions, AreSaidOnceWithTheWayToMeasureAgain) {
  const Registry& here = built_in_plugins();
  const std::string now = here.find(PluginKind::probe, "weight_structure").version;
  const TestFolder folder;
  const fs::path a = folder.path() / "a", b = folder.path() / "b";
  measure(a, "w", "weight_structure", now);
  measure(b, "w", "weight_structure", now);
  measure(b, "gone", "no_such_probe", "1.0.0");
  CollectingReporter quiet;
  warn_of_other_versions({a, b}, "runs/*", here, quiet);
  EXPECT_TRUE(quiet.warnings.empty());

  measure(a, "w", "weight_structure", "0.0.9");
  std::ofstream(b / "probes" / "w" / "results.jsonl") << "{damaged";
  CollectingReporter told;
  warn_of_other_versions({a, b}, "runs/*", here, told);
  EXPECT_EQ(told.warnings, std::vector<std::string>{"weight_structure is version " + now +
                                                    " here, and measured 1 of 2 runs as version 0.0.9\n"
                                                    "measure again: orrery probe runs/*"});
}

}  // namespace
}  // namespace orrery::testing
