#include "cli/text/verdict_table.h"

#include "engine/run/json_write.h"

namespace orrery::cli {

std::string verdict_table(const std::vector<Verdict>& verdicts, size_t width) {
  Table table({{Align::left, 0, 16, true}, {Align::left, 0, 16, true}, {Align::left, 0, 12, true}});
  table.add({"expected", "got", "source", "verdict"});
  for (const Verdict& each : verdicts)
    table.add({sentence(*each.expectation), each.got,
               cited(each.expectation->source, each.expectation->claim), each.passed ? "ok" : "FAILED"});
  return table.text(width);
}

std::string verdict_json(const std::string& config, const std::string& run,
                         const std::vector<Verdict>& verdicts) {
  std::string out;
  for (const Verdict& each : verdicts) {
    const Expectation& expectation = *each.expectation;
    out += Json{{"config", config},
                {"run", run},
                {"metric", expectation.metric},
                {"when", expectation.when},
                {"of", expectation.of},
                {"bound", expectation.bound},
                {"claim", expectation.claim},
                {"source", expectation.source},
                {"got", each.got},
                {"passed", each.passed}}
               .dump(-1, ' ', false, Json::error_handler_t::replace) +
           "\n";
  }
  return out;
}

}  // namespace orrery::cli
