// The circuit of a network, as text and as JSON.
#pragma once

#include <cstddef>
#include <string>

#include "engine/circuit/run_circuit.h"

namespace orrery::cli {

using namespace engine;

/// The edges of the circuit, at least the `least` with the largest scores, and what the circuit does without
/// the rest, beside random sets of edges. In lines of at most `width` characters.
std::string circuit_text(const RunCircuit& circuit, const CircuitRequest& request, size_t least,
                         size_t width);
/// {"edge": "embed -> head 0.1 q", "score": 4.2, "share": 0.3, "in_circuit": true}, a line per edge; the
/// first, with edge null, has the metric, the circuit and its null.
std::string circuit_json(const RunCircuit& circuit, const CircuitRequest& request);

}  // namespace orrery::cli
