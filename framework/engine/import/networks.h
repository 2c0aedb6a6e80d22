// Finds the networks in a file: one, or the checkpoints of a training run. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/import/pickle.h"

namespace orrery::engine {

/// Tensors by name, in the order of the file.
using StoredTensors = std::vector<std::pair<std::string, pickle::StoredTensor>>;

/// A state dict: tensors by name.
struct FoundNetwork {
  std::string key;  ///< its place in the file: "model", "state_dicts[12]"; "" if the file is the network
  int64_t step = 0;
  pickle::Ref dict = nullptr;

  /// The tensors; for a repeated name, the last. Strips "module." and "_orig_mod." (of DataParallel and
  /// torch.compile) if every name has them.
  StoredTensors tensors() const;
};

struct FoundNetworks {
  std::vector<FoundNetwork> networks;  ///< ascending by step
  std::string steps_from;              ///< the key of their steps; "" if they are numbered from 0
  std::vector<std::string> others;     ///< the keys of further networks, not taken
};

/// The networks at `key` ("model", "state_dicts[12]", "runs.a"); if that is empty, the only network or the
/// only list of networks in the file, not counting optimiser states. A list, or a dict with steps for keys,
/// gives one network per checkpoint. Takes the steps from `steps_key`; if that is empty, from a usual name
/// ("epochs", "step", ...) beside the networks. Throws orrery::UsageError that opens with `where` and lists
/// what there is.
FoundNetworks find_networks(pickle::Ref root, const std::string& key, const std::string& steps_key,
                            const std::string& where);

}  // namespace orrery::engine
