// The provenance of a result: everything it was computed from. Equal provenances mean equal results, so
// nothing is computed twice.
#pragma once

#include <orrery/fields.h>

#include <optional>
#include <string>

#include "engine/run/json_read.h"

namespace orrery::engine {

struct Provenance {
  std::string of;  ///< SHA-256 of the checkpoint file or of the curves; for a null, "random weights, seed -1"
  std::string probe, version;  ///< the plugin
  Values parameters;
  std::string reference;          ///< "last", "self" or "step:N", for a probe that needs one; else ""
  std::string reference_sha256;   ///< of the checkpoint it was fitted to, unless that is the measured one
  std::string setting;            ///< SHA-256 of what stays the same in a run: the model's kind, the data
  std::string task_version = {};  ///< of the task's plugin; "" in results of earlier versions
  std::string build = {};         ///< of the probe's library; says nothing about what the numbers mean

  /// Empty lists are equal whatever their type, because JSON does not preserve it. Any version of the task
  /// equals an unknown one, and builds are not compared.
  bool operator==(const Provenance& other) const;
};

/// In the format on disk:
/// `{"of": "9f86...", "probe": "trig_loss", "version": "1.0.0", "parameters": {"rule": "neurons"},
/// "reference": "last", "reference_sha256": "60303a...", "setting": "fd61..."}`, without empty members.
std::string to_json(const Provenance& provenance);
/// Parses such an object; missing members are empty. Nothing if it has an unknown key or type: another
/// version of Orrery may have added a key in which results that look alike differ.
std::optional<Provenance> read_provenance(const Json& object);

/// Whether both have the same probe, parameters and reference, whatever the version and whatever was
/// measured. Of two versions only the parameters count that both have: a later one may have more, and what it
/// is asked for is then measured anew.
bool same_identity(const Provenance& a, const Provenance& b);

/// For an error, "was computed with ...": `trig_loss {"rule": "neurons"}, reference "last"`.
std::string identity_text(const Provenance& provenance);
/// The parameters as JSON: `{"rule":"neurons"}`.
std::string parameters_text(const Provenance& provenance);

}  // namespace orrery::engine
