#include "cli/text/verdict_table.h"

#include "cli/text/table.h"

namespace orrery::cli {

std::string verdict_table(const std::vector<Verdict>& verdicts) {
  Table table;
  table.add({"expected", "got", "source", "verdict"});
  for (const Verdict& each : verdicts)
    table.add(
        {sentence(*each.expectation), each.got, each.expectation->source, each.passed ? "ok" : "FAILED"});
  return table.text();
}

}  // namespace orrery::cli
