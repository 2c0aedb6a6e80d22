// How published networks name and lay out their weights, and how ours come out of them.
#pragma once

#include <orrery/fields.h>
#include <orrery/model.h>

#include <filesystem>
#include <string>
#include <vector>

#include "engine/import/axes.h"
#include "engine/import/networks.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

/// Where one weight of ours comes from. "{layer}" in a name stands for the number of the layer.
struct WeightRule {
  std::string name;  ///< ours: "blocks.{layer}.attn.W_Q"
  std::string from;  ///< the file's
  std::string axes;  ///< the file's (import/axes.h); empty: ours. "a b -> b a" where ours have no names
  int64_t part = 0;  ///< which of the equal parts of an axis; see Axes
  double factor = 1;
  static void fields(Fields<WeightRule>& f);
};

struct Layout {
  std::string name;
  std::vector<WeightRule> rules;
  std::vector<std::string> ignored;  ///< names in the file, by glob: masks and other buffers
  /// What each layer does to the residual stream x: residual_factor x + attention(x).
  double residual_factor = 1;
  int64_t n_heads =
      0;  ///< for axes that hold heads and more; 0: it is seen from other tensors, or not needed
};

/// "transformer_lens", "progress_measures", "progress_measures_induction", "as_is".
std::vector<std::string> layout_names();
/// Throws orrery::UsageError, naming the nearest, if there is none of this name.
Layout find_layout(const std::string& name);
/// The layout that the names and shapes of a file speak for. Throws orrery::UsageError, opening with `where`,
/// if none does.
Layout detect_layout(const StoredTensors& tensors, const std::string& where);
/// A layout from a TOML file; the rules it lists replace those of the layout it is based on.
///     based_on = "transformer_lens"   ignore = ["*.mask"]   residual_factor = 1   n_heads = 4
///     [[weight]]
///     name = "blocks.{layer}.attn.W_Q"
///     from = "layers.{layer}.q_proj.weight"
///     axes = "(n_heads d_head) d_model"   part = 0   factor = 1
/// Throws orrery::UsageError, with the place, for what is wrong with it.
Layout read_layout(const std::filesystem::path& file);

/// The parameters of TransformerConfig that the shapes of a transformer's tensors say, by name: n_layers,
/// d_model, n_heads, d_head, d_mlp, attn_only, biases. Nothing where the tensors are not a transformer's.
Values transformer_of(const StoredTensors& tensors, const Layout& layout);

struct Converted {
  NamedTensors weights;  ///< all of the model's, under their names
  /// Columns of unembed.W_U and unembed.b_U for tokens that are no classes of the task, which the model has
  /// not.
  NamedTensors unused;
  std::vector<std::string> notes;  ///< what was left out or added, for people
};

/// The weights of `model`, out of the tensors of a file. What is left out changes nothing that the model
/// computes: ignored names, biases that are all zero, output columns of tokens that are no classes (d_vocab
/// is the task's number of tokens; the network's other logits do not depend on them). Biases the file lacks
/// are zero. A residual_factor c is folded into the weights: with y_l = x_l / c^l the layers read x_{l+1} =
/// x_l + attention, which scales W_Q, W_K and W_V of layer l by c^l, W_O and b_O by 1/c^(l+1), and W_U by
/// c^n_layers; for a power of two no bit is lost. Throws orrery::UsageError, opening with `where`, that lists
/// every tensor which is missing, unexpected or of another shape, and where residual_factor cannot be folded:
/// where the network has MLPs or normalises.
Converted convert(const StoredTensors& tensors, const Layout& layout, const Model& model, int64_t d_vocab,
                  bool normalises, const std::string& where);

}  // namespace orrery::engine
