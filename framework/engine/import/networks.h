// Which networks a file holds: one, or checkpoints of a training. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/import/pickle.h"

namespace orrery::engine {

/// Tensors by name, in the order of the file.
using StoredTensors = std::vector<std::pair<std::string, pickle::StoredTensor>>;

/// A state dict: names with tensors.
struct FoundNetwork {
  std::string
      key;  ///< where in the file it lies: "model", "state_dicts[12]"; "" where the file is the network
  int64_t step = 0;
  pickle::Ref dict = nullptr;

  /// The tensors; of a name that comes twice the last. "module." and "_orig_mod." (of DataParallel and
  /// torch.compile) are taken off where every name has them.
  StoredTensors tensors() const;
};

struct FoundNetworks {
  std::vector<FoundNetwork> networks;  ///< ascending by step
  std::string steps_from;              ///< the key of their steps; "" where they are numbered from 0
  std::vector<std::string> others;     ///< the keys of further networks that were not taken
};

/// The networks at `key` ("model", "state_dicts[12]", "runs.a"), or, where it is empty, the only one or the
/// only list of them that the file holds; optimiser states are none. A list, or a dict with steps for keys,
/// gives a network per checkpoint. Steps are those at `steps_key`, or, where it is empty, under a usual name
/// ("epochs", "step", ...) beside the networks. Throws orrery::UsageError, opening with `where` and listing
/// what there is.
FoundNetworks find_networks(pickle::Ref root, const std::string& key, const std::string& steps_key,
                            const std::string& where);

}  // namespace orrery::engine
