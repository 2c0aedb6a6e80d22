// What a result was computed from. Equal provenances mean equal results, so that nothing is computed twice.
#pragma once

#include <orrery/fields.h>

#include <optional>
#include <string>

#include "engine/run/json_read.h"

namespace orrery::engine {

struct Provenance {
  std::string of;  ///< SHA-256 of the checkpoint file; of a null, "random weights, seed -1"; of the curves
  std::string probe, version;  ///< the plugin
  Values parameters;
  std::string reference;         ///< "last", "self" or "step:N", for a probe that has one; else ""
  std::string reference_sha256;  ///< of the checkpoint it was fitted to, where that is not the measured one
  std::string setting;           ///< SHA-256 of what does not change in a run: the model's kind, the data

  /// Parameters that are empty lists are equal whatever they are lists of, which JSON does not say.
  bool operator==(const Provenance& other) const;
};

/// As it stands on disk:
/// `{"of": "9f86...", "probe": "trig_loss", "version": "1.0.0", "parameters": {"rule": "neurons"},
/// "reference": "last", "reference_sha256": "60303a...", "setting": "fd61..."}`; what is empty is left out.
std::string to_json(const Provenance& provenance);
/// Reads such an object back; what is left out is empty. Nothing where a key or its type is not known here:
/// another version of Orrery may add keys, and then two results that look alike need not be.
std::optional<Provenance> read_provenance(const Json& object);

/// Whether both are of the same probe with the same parameters and reference, whatever its version and
/// whatever it looked at.
bool same_identity(const Provenance& a, const Provenance& b);

/// The provenance "was computed with ..." in an error: `trig_loss {"rule": "neurons"}, reference "last"`.
std::string identity_text(const Provenance& provenance);
/// The parameters as JSON: `{"rule":"neurons"}`.
std::string parameters_text(const Provenance& provenance);

}  // namespace orrery::engine
