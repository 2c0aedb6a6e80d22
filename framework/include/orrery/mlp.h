// The multilayer perceptrons of the toy-model literature: small enough to read neuron by neuron.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <orrery/model.h>
#include <orrery/task.h>

#include <cstdint>
#include <memory>
#include <string>

namespace orrery {

/// Sizes and options; the defaults are the main model of Pearce et al. 2023, "Do Machine Learning Models
/// Memorize or Generalize?".
struct ORRERY_API MlpConfig {
  enum class Input { embedding, bits, one_hot_sum };
  enum class Embedding { tied, input_tied, untied, circular };
  enum class Hidden { tied, untied };
  enum class Collapse { none, input, output, both };
  enum class ActFn { relu, square, gelu, identity };
  enum class BitValues { zero_one, signs };  ///< "0,1", "-1,1"
  enum class Init { normal, haiku, constructed };

  Input input = Input::embedding;
  Embedding embedding = Embedding::tied;
  Hidden hidden = Hidden::tied;
  Collapse collapse = Collapse::none;
  int64_t d_embed = 500;
  int64_t d_mlp = 24;
  int64_t n_hidden = 1;
  ActFn act_fn = ActFn::relu;
  bool bias = false;
  double circle_radius = 1;
  BitValues bit_values = BitValues::zero_one;
  bool bias_column = false;
  Init init = Init::normal;
  double init_scale = 1;
  std::vector<int64_t> frequencies = {1};
  static void fields(Fields<MlpConfig>& f);

  friend Names<Input> names_of(Input) {
    return {{"embedding", Input::embedding}, {"bits", Input::bits}, {"one_hot_sum", Input::one_hot_sum}};
  }
  friend Names<Embedding> names_of(Embedding) {
    return {{"tied", Embedding::tied},
            {"input_tied", Embedding::input_tied},
            {"untied", Embedding::untied},
            {"circular", Embedding::circular}};
  }
  friend Names<Hidden> names_of(Hidden) { return {{"tied", Hidden::tied}, {"untied", Hidden::untied}}; }
  friend Names<Collapse> names_of(Collapse) {
    return {{"none", Collapse::none},
            {"input", Collapse::input},
            {"output", Collapse::output},
            {"both", Collapse::both}};
  }
  friend Names<ActFn> names_of(ActFn) {
    return {{"relu", ActFn::relu},
            {"square", ActFn::square},
            {"gelu", ActFn::gelu},
            {"identity", ActFn::identity}};
  }
  friend Names<BitValues> names_of(BitValues) {
    return {{"0,1", BitValues::zero_one}, {"-1,1", BitValues::signs}};
  }
  friend Names<Init> names_of(Init) {
    return {{"normal", Init::normal}, {"haiku", Init::haiku}, {"constructed", Init::constructed}};
  }
};

/// One output for the whole input, the same at every position:
///
///     pre = x_a W_in + x_b W_in (+ b_in)    post = act_fn(pre)    logits = (post W_out (+ b_out)) W_U
///
/// act_fn: relu; square, x^2 (Gromov 2023); gelu, x Phi(x) by erf, not its approximation by tanh, as in a
/// transformer; identity, x, which leaves a linear network (Pearce et al. 2023, appendix A).
///
/// input = "embedding" (Pearce et al. 2023; Liu et al. 2022, whose decoder reads x_a + x_b: hidden "tied";
/// Gromov 2023: embedding "untied", collapse "both", act_fn "square"): x_a and x_b are the embeddings of the
/// tokens at positions 0 and 1; later tokens, such as "=", are not looked at.
///   embedding  tied        one W_E for both operands and, its first d_vocab_out rows transposed, for W_U
///              input_tied  one W_E for both operands; W_U is a weight
///              untied      embed.W_E_a, embed.W_E_b, and W_U
///              circular    fixed, not a weight: row i is circle_radius (cos, sin)(2 pi i / d_vocab_out);
///                          W_U is its transpose. d_embed is 2
///   hidden     tied        one W_in for both operands
///              untied      mlp.W_in_a, mlp.W_in_b
///   collapse   input       W_E W_in is one weight: mlp.W_in [d_vocab, d_mlp] (mlp.W_in_a and mlp.W_in_b
///                          where embedding or hidden is untied)
///              output      W_out W_U is one weight: mlp.W_out [d_mlp, d_vocab_out]
///              both        each of them
/// input = "bits" (Barak et al. 2022; Pearce et al. 2023): x W_in in place of x_a W_in + x_b W_in, x being
/// the n_ctx tokens as numbers and, with bias_column, a last column of ones; W_out as in collapse = "output".
/// input = "one_hot_sum": x W_in, x being the sum of the one-hot vectors of the tokens at positions 0 and 1;
/// W_out as in collapse = "output". embedding, hidden, collapse and d_embed say nothing for these two.
///
/// embed.W_E, W_E_a, W_E_b [d_vocab, d_embed]       unembed.W_U [d_embed, d_vocab_out]
/// mlp.W_in, W_in_a, W_in_b [d_embed, d_mlp]        mlp.W_out [d_mlp, d_embed], or [d_mlp, d_vocab_out]
///   (collapsed, one_hot_sum: [d_vocab, d_mlp]; bits: [n_ctx, d_mlp], [n_ctx + 1, d_mlp] with bias_column)
/// mlp.W_hidden [d_mlp, d_mlp] where n_hidden is 2  mlp.b_in, b_hidden [d_mlp], b_out like W_out, where bias
///
/// Hook points, all without a position dimension (-1): hook_embed [batch, 2, d_embed] (the two operands;
/// none where the input is collapsed); hook_input [batch, n_ctx or n_ctx + 1] for bits, [batch, d_vocab] for
/// one_hot_sum; mlp.hook_pre, mlp.hook_post [batch, d_mlp], and mlp.hook_pre_2, mlp.hook_post_2 of a second
/// hidden layer; hook_mlp_out [batch, d_embed] unless the output is collapsed.
///
/// Weights are drawn from `rng` in the order of Model::weights(), each of R rows (its fan-in) from a normal
/// distribution; biases start at zero. init_scale multiplies all.
///   init  normal  standard deviation 1/sqrt(R)
///         haiku   as in the notebooks of Pearce et al. 2023: cut off at two standard deviations, which are
///                 1/sqrt(R) before the cut (0.88/sqrt(R) after it); W_E, W_U and a collapsed W_in have
///                 sqrt(2/R) after the cut
///         constructed  not drawn: set_constructed_solution(), all weights times init_scale; for bits
///                      set_constructed_parity()
///
/// Throws orrery::UsageError for a combination that makes no sense, and where the task's shapes do not fit.
ORRERY_API std::unique_ptr<Model> make_mlp(const MlpConfig& config, const TaskSpec& spec,
                                           torch::Generator rng);

/// Writes a solution of a + b mod p into a model made by make_mlp for the task `spec`, p being d_vocab_out: N
/// = d_mlp neurons look in N evenly spaced directions, neuron i at theta_i = 2 pi i / N, and its output turns
/// twice as fast:
///
///     pre_i = cos(theta_i - 2 pi a/p) + cos(theta_i - 2 pi b/p)
///           = 2 cos(pi (a - b)/p) cos(theta_i - pi (a + b)/p)
///     logit_c = sum_i act_fn(pre_i) cos(2 theta_i - 2 pi c/p)
///
/// For odd p and act_fn "square" the largest logit is that of c = a + b for every pair, for N = 3 and every N
/// >= 5. With "relu" the sum points in the direction 2 pi (a + b)/p + d, where d comes from the harmonics
/// 2 + jN, j != 0, of relu(cos x); a pair is right where |d| < pi/p. At most |d| is 0.027 for N = 5 (every
/// pair is right up to p = 117), 0.0092 for N = 7, but 0.15 for N = 6 and 0.055 for N = 8: an odd number of
/// neurons, from 5 on, does as well as twice as many. For even p the pairs with a - b = p/2 leave all neurons
/// at 0.
/// With F `frequencies` k the neurons are F groups of N/F, in the order of the frequencies, each of which
/// does the same with 2 pi k/p in place of 2 pi/p, in an embedding of its own two dimensions: logit_c is the
/// sum over the groups. With a collapsed input and output the sum of squares of the weights is N p, whatever
/// the frequencies. Throws orrery::UsageError unless the model is an mlp with one hidden layer and operands
/// for input (not bits), whose embedding, if it has one, has d_embed >= 2 F, with d_vocab >= d_vocab_out;
/// unless the frequencies are different, 1 to (p - 1)/2, and F divides N; and where the embedding is circular
/// unless they are {1}.
ORRERY_API void set_constructed_solution(Model& model, const TaskSpec& spec,
                                         const std::vector<int64_t>& frequencies = {1});

/// Writes a solution of the parity of the first k = d_mlp - 1 bits into a model made by make_mlp for the task
/// `spec`, with input "bits": k + 1 ReLU neurons that see only the number s of ones among these bits, and see
/// it from different thresholds,
///
///     post_i = relu(s + 1 - i), i = 0..k    f(s) = sum_i w_i post_i    w = -1, 3, -4, 4, -4, ...
///
/// so that f goes from -1 to 1 and back: f(s) is 1 where s is odd, -1 where it is even. One logit is f; two
/// are -f/2 and f/2. Four neurons for k = 3, the number that Pearce et al. 2023 are left with, who point to
/// Merrill et al. 2023, "A Tale of Two Circuits", appendix D, for an explanation; these weights are ours.
/// Throws orrery::UsageError unless the model is an mlp with input "bits", act_fn "relu", one hidden layer, a
/// bias_column or bias, one or two logits, and from 2 to n_ctx + 1 neurons.
ORRERY_API void set_constructed_parity(Model& model, const TaskSpec& spec);

}  // namespace orrery
