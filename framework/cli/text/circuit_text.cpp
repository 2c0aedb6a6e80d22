#include "cli/text/circuit_text.h"

#include <fmt/format.h>

#include "cli/text/table.h"
#include "engine/reporter/numbers.h"
#include "engine/run/json_write.h"

namespace orrery::cli {
namespace {

std::string agreement_text(const std::string& name, const CircuitAgreement& how) {
  return fmt::format("{:<7} correlation {:.4f}, of ranks {:.4f}, largest error {}\n", name, how.correlation,
                     how.rank_correlation, compact(how.largest));
}

std::string circuit_summary(const RunCircuit& circuit, const CircuitRequest& request, size_t width) {
  const FoundCircuit& found = circuit.found;
  const size_t n = found.circuit.edges.size();
  const bool acdc = request.search.method == CircuitSearch::Method::acdc;
  std::string text = wrapped(
      fmt::format("{}: {} of {} edges; alone {:.1f}% of the metric (random sets of {}: {:.1f}%), the rest "
                  "without it {:.1f}%",
                  acdc ? "ACDC's circuit" : "smallest circuit", n, circuit.edges.size(),
                  100 * found.circuit.faithfulness, n, 100 * found.random_faithfulness,
                  100 * found.circuit.completeness),
      2, width);
  text += "\n" + wrapped(fmt::format("area under faithfulness by edges kept: {:.3f}, in random order {:.3f}",
                                     found.curve.area, found.random_area),
                         2, width);
  text += "\n";
  if (!request.search.estimates) return text;
  text += "estimates against measured scores:\n  " + agreement_text("EAP", found.eap);
  return text + "  " + agreement_text("EAP-IG", found.eap_ig);
}

Json agreement_json(const CircuitAgreement& how) {
  return {{"correlation", json_real(how.correlation)},
          {"rank_correlation", json_real(how.rank_correlation)},
          {"largest", json_real(how.largest)}};
}

}  // namespace

std::string circuit_text(const RunCircuit& circuit, const CircuitRequest& request, size_t least,
                         size_t width) {
  Table table({{Align::left, 0, 20}, {Align::right}, {Align::right}, {Align::left}});
  table.add({"edge", "fall", "share", ""});
  size_t left_out = 0;
  for (size_t i = 0; i < circuit.edges.size(); ++i) {
    const ScoredEdge& edge = circuit.edges[i];
    if (i >= least && !edge.in_circuit) {
      ++left_out;
      continue;
    }
    table.add({edge.name, compact(edge.score), fmt::format("{:.1f}%", 100 * edge.share),
               edge.in_circuit ? "in the circuit" : ""});
  }
  std::string text = table.text(width);
  if (left_out > 0) text += fmt::format("and {} others with smaller scores\n", left_out);
  return text + "\n" + circuit_summary(circuit, request, width);
}

std::string circuit_json(const RunCircuit& circuit, const CircuitRequest& request) {
  const FoundCircuit& found = circuit.found;
  Json first{{"edge", nullptr},
             {"metric", name_of(request.metric)},
             {"method", name_of(request.search.method)},
             {"examples", circuit.examples},
             {"whole", json_real(found.bounds.whole)},
             {"empty", json_real(found.bounds.empty)},
             {"n_edges", circuit.edges.size()},
             {"circuit", found.circuit.edges.size()},
             {"faithfulness", json_real(found.circuit.faithfulness)},
             {"completeness", json_real(found.circuit.completeness)},
             {"random_faithfulness", json_real(found.random_faithfulness)},
             {"area", json_real(found.curve.area)},
             {"random_area", json_real(found.random_area)}};
  if (request.search.estimates) {
    first["eap"] = agreement_json(found.eap);
    first["eap_ig"] = agreement_json(found.eap_ig);
  }
  std::string out = first.dump() + "\n";
  for (const ScoredEdge& edge : circuit.edges)
    out += Json{{"edge", edge.name},
                {"score", json_real(edge.score)},
                {"share", json_real(edge.share)},
                {"in_circuit", edge.in_circuit}}
               .dump() +
           "\n";
  return out;
}

}  // namespace orrery::cli
