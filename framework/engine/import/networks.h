// Finds the networks in a file: one, or the checkpoints of a training run. Free of LibTorch.
#pragma once

#include <orrery/error.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/import/pickle.h"

namespace orrery::engine {

/// Tensors by name, in the order of the file.
using StoredTensors = std::vector<std::pair<std::string, pickle::StoredTensor>>;

/// A value of a configuration in the file.
using StoredSetting = std::variant<bool, int64_t, double, std::string>;

/// A file of something else: curves, a single array.
class NoNetwork : public UsageError {
 public:
  using UsageError::UsageError;
};

/// Tensors by name: a state dict, a list of (name, tensor), or a whole module with all below it.
struct FoundNetwork {
  std::string key;  ///< its place in the file: "model", "state_dicts[12]"; "" if the file is the network
  int64_t step = 0;
  pickle::Ref object = nullptr;

  /// The tensors. Those of a module have their names in its state_dict().
  /// Strips what wrappers put before every name, in any order: "module.", "_orig_mod.", "model.", ... Leaves
  /// out a few tensors beside the network, as a training has them beside its model ("loss.weight").
  StoredTensors tensors() const;
  std::vector<std::string> left_out() const;  ///< their names
};

struct FoundNetworks {
  std::vector<FoundNetwork> networks;  ///< ascending by step
  std::string steps_from;              ///< the key of their steps; "" if they are numbered from 0
  std::vector<std::string> others;     ///< the keys of further networks, not taken
  /// What a configuration beside the network, or in the module, says, by the last part of its name; of
  /// TransformerLens's HookedTransformerConfig under its names.
  std::map<std::string, StoredSetting> settings;
  std::string settings_from;  ///< "transformer_lens.HookedTransformerConfig", "config"; "" if there is none
};

/// The networks at `key` ("model", "state_dicts[12]", "runs.a"); if that is empty, the only network or the
/// only list of networks in the file, not counting optimiser states. One network per checkpoint come from a
/// list of networks, of (step, network), of records with a network and a step, and from a dict whose keys are
/// steps (100, "100", "step_100"). Takes the steps from `steps_key`; if that is empty, from a usual name
/// ("epochs", "step", ...) beside the networks. Throws NoNetwork if there is none in the whole file, and
/// orrery::UsageError for a name that comes twice in a list of (name, tensor) and for a place that is none.
/// Both open with `where` and list what there is.
FoundNetworks find_networks(pickle::Ref root, const std::string& key, const std::string& steps_key,
                            const std::string& where);

}  // namespace orrery::engine
