// How published networks name and lay out their weights, and how to convert them to ours.
#pragma once

#include <orrery/fields.h>
#include <orrery/model.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/import/axes.h"
#include "engine/import/networks.h"
#include "engine/import/notes.h"
#include "sdk/files/tensors.h"

namespace orrery::engine {

/// The origin of one of our weights. "{layer}" in a name stands for the number of the layer.
struct WeightRule {
  std::string name;  ///< ours: "blocks.{layer}.attn.W_Q"
  std::string from;  ///< the file's
  std::string axes;  ///< the file's (import/axes.h); empty: ours. "a b -> b a" if ours have no names
  int64_t part = 0;  ///< the index among the equal parts of an axis; see Axes
  double factor = 1;
  /// The only layer it is of, where a map names that: "blocks.0.attn.W_Q", with the {layer} in `name` all the
  /// same. Goes before a rule for all layers. -1: of every layer.
  int64_t layer = -1;
  static void fields(Fields<WeightRule>& f);
};

/// What the tensors tell of the model that they are of.
struct ModelShapes {
  std::string kind = "transformer";  ///< of [model]
  /// Parameters by name: n_layers, d_model, n_heads, d_head, d_mlp, attn_only, biases, n_ctx,
  /// normalization_type and the like, as far as they follow from the tensors. Empty if they tell nothing.
  Values values;
  Values
      likely;  ///< what would explain tensors that are not there: an unembedding that is tied, no positions
  int64_t attention_width = 0;  ///< n_heads x d_head, where no tensor tells them apart; else 0
  /// Whether it has biases that are all zero, for which a model needs no place.
  bool zero_biases = false;
};

struct Layout {
  std::string name;
  std::vector<WeightRule> rules;
  std::vector<std::string> ignored;  ///< names in the file, by glob: masks and other buffers
  /// Each layer maps the residual stream x to residual_factor x + attention(x).
  double residual_factor = 1;
  int64_t n_heads = 0;  ///< for axes that hold heads and more; 0: other tensors tell, or it is not needed
  /// Of code whose attention and MLP read the same stream, unless its configuration has use_parallel_residual
  /// = false.
  bool parallel = false;
  /// Of a layout that was made for one network, which tells the model.
  std::optional<ModelShapes> shapes = {};
  std::vector<std::string> assumptions = {};  ///< what was taken for granted, for the user
};

/// "transformer_lens", "progress_measures", "progress_measures_induction", "rep_theory", "as_is".
std::vector<std::string> layout_names();
/// Throws orrery::UsageError, naming the nearest match, if there is none of this name.
Layout find_layout(const std::string& name);
/// Detects the layout from the names and shapes in a file. Throws orrery::UsageError, opening with `where`,
/// if none fits.
Layout detect_layout(const StoredTensors& tensors, const std::string& where);
/// Reads a layout from a TOML file, whose rules replace those of the layout it is based on.
///     based_on = "transformer_lens"   ignore = ["*.mask"]   residual_factor = 1   n_heads = 4
///     use_parallel_residual = false
/// ("by_names" reads the other tensors by their names, see layout_by_names.h. "blocks.0.attn.W_Q" is a rule
/// for layer 0 alone.)
///     [[weight]]
///     name = "blocks.{layer}.attn.W_Q"
///     from = "layers.{layer}.q_proj.weight"
///     axes = "(n_heads d_head) d_model"   part = 0   factor = 1
/// Throws orrery::UsageError, with the place, if it is malformed.
Layout read_layout(const std::filesystem::path& file, const StoredTensors& tensors = {},
                   const std::string& where = "");

ModelShapes model_of(const StoredTensors& tensors, const Layout& layout);
/// Gives `shapes` the biases of another checkpoint of the same network, too.
void join_biases(ModelShapes& shapes, const ModelShapes& other);

struct Converted {
  NamedTensors weights;  ///< all of the model's, under their names
  /// Columns of unembed.W_U and unembed.b_U for tokens that are not classes of the task and so have no column
  /// in the model.
  NamedTensors unused;
  std::vector<Note> notes;  ///< what was left out or added, for the user
};

/// Converts the tensors of a file to the weights of `model`. Leaves out only what does not change the model's
/// logits: ignored names, biases that are all zero, and output columns of tokens that are not classes
/// (d_vocab is the task's number of tokens; the network's other logits do not depend on them). Biases that
/// the file lacks are zero. Folds a residual_factor c into the weights: with y_l = x_l / c^l the layers
/// become y_{l+1} = y_l + attention / c^(l+1), which scales W_Q, W_K and W_V of layer l by c^l, W_O and b_O
/// by 1/c^(l+1), and W_U by c^n_layers; for a power of two this is exact. Throws orrery::UsageError, opening
/// with `where`, that lists every missing, unexpected or misshapen tensor, or because residual_factor cannot
/// be folded in a network that has MLPs or normalises.
Converted convert(const StoredTensors& tensors, const Layout& layout, const Model& model, int64_t d_vocab,
                  bool normalises, const std::string& where);

}  // namespace orrery::engine
