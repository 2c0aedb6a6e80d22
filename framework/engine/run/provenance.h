// What a result was computed from. Equal provenances mean equal results, so that nothing is computed twice.
#pragma once

#include <orrery/fields.h>

#include <string>

namespace orrery::engine {

struct Provenance {
  std::string of;  ///< SHA-256 of the checkpoint file; of a null, "random weights, seed -1"; of the curves
  std::string probe, version;  ///< the plugin
  Values parameters;
  std::string reference;         ///< "last", "self" or "step:N", for a probe that has one; else ""
  std::string reference_sha256;  ///< of the checkpoint it was fitted to, where that is not the measured one
  std::string setting;           ///< SHA-256 of what does not change in a run: the model's kind, the data
};

/// `{"of": "9f86...", "probe": "trig_loss", "version": "1.0.0", "parameters": {"rule": "neurons"},
/// "reference": "last", "reference_sha256": "60303a...", "setting": "fd61..."}`; what is empty is left out.
std::string to_json(const Provenance& provenance);

/// Whether two such texts are of the same probe with the same parameters and reference, whatever its version
/// and whatever it looked at.
bool same_identity(const std::string& a, const std::string& b);

/// The provenance "was computed with ..." in an error: `trig_loss {"rule": "neurons"}, reference "last"`.
std::string identity_text(const std::string& provenance);

}  // namespace orrery::engine
