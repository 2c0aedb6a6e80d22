// A hand-written two-layer attention-only transformer (make_transformer) that completes repetitions and whose
// attention scores are all known.
#pragma once

#include <orrery/probe.h>
#include <orrery/transformer.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>

namespace orrery::testing {

/// The circuit of Elhage et al. 2021. The residual stream holds, one-hot and side by side: the token, the
/// position, the token before (written by head 0.0), the token to come (written by head 1.0).
///
///   head 0.0  previous token: position p attends to p - 1, and copies its token to "the token before"
///   head 0.1  duplicate token: attends to the earlier occurrence of its token; writes nothing
///   head 1.0  induction: attends to the position whose "token before" is its token, and copies the token
///   there to
///             "the token to come"; if there is no such position, attends to BOS, which it copies as nothing
///   head 1.1  all zeros: attends uniformly; writes nothing
///
/// The position that a head attends to scores `sharpness`, BOS (head 1.0) half of that, and all others 0. The
/// logit of the copied token is `height`, all others are 0. Tokens 0 .. vocabulary - 1 are the classes; BOS
/// is the token after them. Without BOS, position 0 has no predecessor: head 0.0 copies its own token, so
/// head 1.0 splits its attention if that token is repeated.
struct InductionCircuit {
  int64_t vocabulary = 16;
  int64_t n_ctx = 33;
  bool bos = true;
  double sharpness = 40;
  double height = 20;

  int64_t d_vocab() const { return vocabulary + (bos ? 1 : 0); }
  int64_t token() const { return 0; }
  int64_t position() const { return d_vocab(); }
  int64_t before() const { return position() + n_ctx; }
  int64_t to_come() const { return before() + d_vocab(); }
  int64_t d_model() const { return to_come() + vocabulary; }
  int64_t d_head() const { return d_vocab() + n_ctx; }

  TaskSpec spec() const {
    TaskSpec spec;
    spec.d_vocab = d_vocab();
    spec.d_vocab_out = vocabulary;
    spec.n_ctx = n_ctx;
    for (int64_t p = 0; p + 1 < n_ctx; ++p) spec.read_out.push_back(p);
    return spec;
  }

  std::unique_ptr<Model> make() const {
    torch::NoGradGuard no_grad;
    TransformerConfig config;
    config.n_layers = 2;
    config.d_model = d_model();
    config.n_heads = 2;
    config.d_head = d_head();
    config.attn_only = true;
    config.biases = TransformerConfig::Biases::none;
    auto model = make_transformer(config, spec(), make_generator(0));
    for (NamedWeight& weight : model->weights()) weight.value.zero_();
    identity(model->weight("embed.W_E"), 0, token(), d_vocab());
    identity(model->weight("pos_embed.W_pos"), 0, position(), n_ctx);
    identity(model->weight("unembed.W_U"), to_come(), 0, vocabulary);
    previous_token(Head{*model, 0, 0});
    duplicate_token(Head{*model, 0, 1});
    induction(Head{*model, 1, 0});
    return model;
  }

 private:
  struct Head {
    Model& model;
    int64_t layer, head;
    torch::Tensor operator[](const std::string& name) const {
      return model.weight("blocks." + std::to_string(layer) + ".attn." + name)[head];
    }
  };

  // The weight of a query times that of its key; the model divides scores by sqrt(d_head).
  double sharp() const { return sharpness * std::sqrt(double(d_head())); }

  // W[row + i][column + i] = value for i < n.
  static void identity(torch::Tensor W, int64_t row, int64_t column, int64_t n, double value = 1) {
    W.narrow(0, row, n).narrow(1, column, n).copy_(value * torch::eye(n));
  }

  void previous_token(const Head& head) const {
    identity(head["W_Q"], position() + 1, 0, n_ctx - 1, sharp());
    identity(head["W_K"], position(), 0, n_ctx);
    identity(head["W_V"], token(), 0, d_vocab());
    identity(head["W_O"], 0, before(), d_vocab());
  }

  // A token would also find itself; the positions, with the opposite sign, prevent that.
  void duplicate_token(const Head& head) const {
    identity(head["W_Q"], token(), 0, d_vocab(), sharp());
    identity(head["W_K"], token(), 0, d_vocab());
    identity(head["W_Q"], position(), d_vocab(), n_ctx, -sharp());
    identity(head["W_K"], position(), d_vocab(), n_ctx);
  }

  void induction(const Head& head) const {
    identity(head["W_Q"], token(), 0, d_vocab(), sharp());
    identity(head["W_K"], before(), 0, d_vocab());
    if (bos) {
      head["W_Q"].narrow(0, position(), n_ctx).select(1, d_vocab()).fill_(sharp() / 2);
      head["W_K"][token() + vocabulary][d_vocab()] = 1;
    }
    identity(head["W_V"], token(), 0, vocabulary);
    identity(head["W_O"], 0, to_come(), vocabulary, height);
  }
};

/// The observation of a model for a probe with Inputs::none. The training inputs start with the token after
/// the classes (BOS) if there is one, and are otherwise noise.
struct Observed {
  TaskSpec spec;
  std::unique_ptr<Model> model;
  Structure structure = {};
  Split split = {};
  Batch nothing = {};
  torch::Tensor no_logits = {};
  ActivationCache no_cache = {};

  Observed(TaskSpec of, std::unique_ptr<Model> with) : spec(std::move(of)), model(std::move(with)) {
    split.train.tokens = torch::randint(spec.d_vocab_out, {50, spec.n_ctx}, make_generator(1), torch::kInt64);
    if (spec.d_vocab > spec.d_vocab_out) split.train.tokens.select(1, 0).fill_(spec.d_vocab_out);
  }
  Observation observe() { return {0, spec, structure, split, nothing, *model, no_logits, no_cache}; }
};

}  // namespace orrery::testing
