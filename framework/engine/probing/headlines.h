// The headlines of probes, on one line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/experiment/probe_host.h"

namespace orrery::engine {

/// "trig_loss loss/test 0.0312  fourier_basis n_key_frequencies 5".
std::string headline_text(const std::vector<Outcome>& outcomes);

/// The scalar `name` of a record, or nothing.
std::optional<double> scalar_of(const Record& record, const std::string& name);

}  // namespace orrery::engine
