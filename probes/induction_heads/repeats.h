// Repeated random tokens, and a model's attention scores and loss on them.
#pragma once

#include <orrery/model.h>
#include <orrery/structure.h>
#include <orrery/task.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace induction_heads {

struct Head {
  int64_t layer, head;
};
/// "1.0": head 0 of layer 1.
std::string to_string(const Head& head);

/// The token that every input starts with, if it occurs nowhere else. tokens: [batch, n_ctx] int64.
std::optional<int64_t> find_bos(const torch::Tensor& tokens);

/// The tokens that are also classes, without `bos`: ascending, int64.
torch::Tensor usable_tokens(const orrery::TaskSpec& spec, std::optional<int64_t> bos);

/// Sequences [BOS] s_0 ... s_{length-1} s_0 ... s_{length-1} of distinct tokens s_i. They are filled up to
/// the n_ctx tokens that the model expects by further repetitions, where nothing is measured.
struct Repeats {
  torch::Tensor tokens;  ///< [n, n_ctx] int64, on the CPU
  int64_t start;         ///< the position of s_0: 1 after BOS, 0 without
  int64_t length;
  int64_t end() const { return start + 2 * length; }
};

/// The most tokens that a stretch may have: twice in the context, all different.
int64_t longest_stretch(const orrery::TaskSpec& spec, std::optional<int64_t> bos);

/// What is known of the stretches that a network was trained on.
struct Trained {
  int64_t length = 0;                  ///< 0: the task does not say, and its inputs have no common period
  std::string known_from = "nothing";  ///< "the task", "the training inputs"
};
/// From the structure, or from the training inputs if all of them repeat themselves with one period, BOS
/// aside. tokens: [batch, n_ctx] int64, possibly undefined.
Trained trained_stretch(const orrery::Structure& structure, const torch::Tensor& tokens,
                        std::optional<int64_t> bos);

/// `n` sequences, the same for the same arguments. length 0: as long as n_ctx and the number of usable tokens
/// allow. Throws orrery::UsageError if a stretch of two tokens, or of `length`, does not fit.
Repeats draw_repeats(const orrery::TaskSpec& spec, std::optional<int64_t> bos, int64_t length, int64_t n,
                     uint64_t seed);

/// The attention scores and losses of a model on repeats: means over all sequences; float64, on the CPU.
struct RepeatScores {
  /// [n_layers, n_heads]: the attention that a repeated token pays to the token after its first occurrence.
  torch::Tensor prefix_matching;
  torch::Tensor previous_token;   ///< the same for the attention of any token to the one before it
  torch::Tensor duplicate_token;  ///< the same for the attention of a repeated token to its first occurrence
  torch::Tensor mean_z;           ///< [n_layers, n_heads, d_head]: of hook_z, over sequences and positions
  torch::Tensor loss;             ///< [end - 1], nats: entry i belongs to the token at i + 1

  /// Over the tokens s_1 ... of the first occurrence, or of the repeat. Leaves out s_0, which cannot be
  /// predicted even in the repeat.
  double loss_first, loss_repeats;
};

/// Runs the model over the sequences, in pieces that bound the memory of its activations, with the heads
/// `ablated` mean-ablated: their z replaced by that of `mean_z` [n_layers, n_heads, d_head].
RepeatScores score_repeats(orrery::Model& model, const Repeats& repeats,
                           const std::vector<Head>& ablated = {}, const torch::Tensor& mean_z = {});

/// The attention pattern of one head on the first sequence, on the CPU: [end, end].
torch::Tensor example_pattern(orrery::Model& model, const Repeats& repeats, const Head& head);

}  // namespace induction_heads
