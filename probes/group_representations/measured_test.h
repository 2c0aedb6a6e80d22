// What the tests of this folder share.
#pragma once

#include <tests/support/groups.h>
#include <tests/support/plugin_under_test.h>

namespace orrery::testing {

/// What the probe records of a network, which is its own reference.
template <class AnyNetwork>
Recorder measured(AnyNetwork& network, const std::string& parameters = "{}") {
  const auto probe = make_probe(parameters);
  const auto observation = network.observe();
  Recorder recorder;
  probe->fit(observation);
  probe->measure(observation, recorder);
  return recorder;
}

// Everything but the logits is as good as nothing.
inline void give_zeros(GroupNetwork& network) {
  network.model.give("embed.W_E", torch::zeros({network.spec.d_vocab, 3}));
  network.cache.put("mlp.hook_post", torch::zeros({network.split.grid->size(), 1, 2}));
}

}  // namespace orrery::testing
