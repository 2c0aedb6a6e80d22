// The weights that a training begins with, where the config says more than the model does.
#pragma once

#include <orrery/model.h>

#include <cstdint>
#include <vector>

#include "engine/config/train_settings.h"

namespace orrery::engine {

/// Draws the weights that each entry names, in the order of the entries and of Model::weights(), from a
/// generator with this seed; then multiplies them by its scale. Distributions of libraries:
///
///   pytorch           torch.nn.Linear: weights and biases uniform in +-1/sqrt(fan-in); torch.nn.Embedding:
///   normal;
///                     torch.nn.LayerNorm: ones and zeros
///   transformer_lens  HookedTransformer with init_mode "gpt2": W_... normal with standard deviation
///                     0.8/sqrt(d_model), biases zero, LayerNorm ones and zeros
///   haiku             hk.Linear: truncated normal with 1/sqrt(fan-in) before the cut, biases zero; hk.Embed:
///                     truncated normal with 1 before the cut; hk.LayerNorm: ones and zeros
///
/// The fan-in of a weight is its number of rows, [d_in, d_out] or [heads, d_in, d_out]; of W_O, which all
/// heads write with, heads times rows; of a bias, that of its weight. W_E, W_E_a, W_E_b and W_pos are
/// embeddings. Throws orrery::UsageError, with the entry's place, for a glob that matches nothing and a
/// weight that a distribution does not tell how to draw.
void redraw(Model& model, const std::vector<InitialDraw>& draws, int64_t seed);

/// Copies weights from the checkpoints that the entries name. Throws orrery::UsageError, with the entry's
/// place, if a checkpoint cannot be read, or a weight is missing in it or has another shape.
void transplant(Model& model, const std::vector<Transplant>& transplants);

}  // namespace orrery::engine
