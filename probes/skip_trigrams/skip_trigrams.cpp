// Skip trigrams "c ... END -> c" (Elhage et al. 2021; the task of Nanda and Lieberum 2022). A one-layer
// attention-only transformer is a sum of tables. From END at the last position, source token s at position i
// has the attention score qk[END, s] + qk_position[END, i] and, given all attention, adds ov[s] +
// ov_position[i] to the logits; END itself adds direct[END]. For START 0 7 14 2 END -> 14 the head must
// prefer 14 to START, 0, 7, 2 and END (a large qk[END, 14]) and copy it (ov[14] is largest at 14). Softmax
// and tables together are the whole network, which is checked against its logits.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/hooks.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <cmath>

namespace {

using orrery::UsageError;
using torch::Tensor;

struct Params {
  int64_t destination = -1;
  int64_t class_offset = 0;
  double copying_threshold = 0.8;
  int64_t max_drawn = 64;

  static void fields(orrery::Fields<Params>& f) {
    f.add("destination", &Params::destination,
          "token that attends; -1: those at the last read-out position of the training inputs, averaged")
        .at_least(-1);
    f.add("class_offset", &Params::class_offset, "class c has the input token c + class_offset");
    f.add("copying_threshold", &Params::copying_threshold, "copying score from which a head is said to copy")
        .between(-1, 1);
    f.add("max_drawn", &Params::max_drawn, "tokens and classes in the heatmaps: the first").at_least(1);
  }
};

constexpr int64_t kListedClasses = 32;  // up to so many classes have scalars of their own

// The network as tables, float64, for a query at the last output position q.
struct Circuits {
  Tensor full_qk;      // [n_heads, d_vocab, d_vocab] W_E W_Q W_K^T W_E^T / sqrt(d_head): no positions
  Tensor qk;           // [n_heads, d_vocab, d_vocab] likewise, of a destination token that stands at q
  Tensor qk_position;  // [n_heads, d_vocab, q + 1]: what the source's position adds to its score
  Tensor ov;           // [n_heads, d_vocab, d_vocab_out]
  Tensor ov_position;  // [n_heads, q + 1, d_vocab_out]: what the source's position adds to the logits
  Tensor direct;       // [d_vocab, d_vocab_out]: the destination token at q, unattended, and all biases

  // tokens [batch, q + 1] -> the network's logits at q, [batch, d_vocab_out].
  Tensor logits(const Tensor& tokens) const { return paths(tokens, true); }
  // Likewise of the tables qk and ov alone: source positions and the direct path are left out.
  Tensor skip_trigram_logits(const Tensor& tokens) const { return paths(tokens, false); }

 private:
  Tensor paths(const Tensor& tokens, bool all) const {
    const Tensor destination = tokens.select(1, tokens.size(1) - 1);
    Tensor sum = direct.index_select(0, destination) * (all ? 1 : 0);
    for (int64_t head = 0; head < qk.size(0); ++head) {
      Tensor scores = qk[head].index_select(0, destination).gather(1, tokens);
      if (all) scores = scores + qk_position[head].index_select(0, destination);
      const Tensor pattern = torch::softmax(scores, 1);
      // The attention that each token gets, wherever it stands.
      const Tensor by_token =
          torch::zeros({tokens.size(0), ov.size(1)}, pattern.options()).scatter_add(1, tokens, pattern);
      sum = sum + by_token.matmul(ov[head]);
      if (all) sum = sum + pattern.matmul(ov_position[head]);
    }
    return sum;
  }
};

Tensor weight(const orrery::Observation& observation, const std::string& name) {
  return observation.weight(name).to(torch::kFloat64);
}

// 0 where the model has no such bias.
Tensor bias(const orrery::Observation& observation, const std::string& name) {
  return observation.model.find_weight(name) ? weight(observation, name) : torch::zeros({1}, torch::kFloat64);
}

Circuits circuits_at(int64_t q, const orrery::Observation& observation) {
  const auto of_head = [&](const char* name) {
    return weight(observation, std::string("blocks.0.attn.") + name);
  };
  const Tensor W_E = weight(observation, "embed.W_E"), W_U = weight(observation, "unembed.W_U");
  const Tensor W_pos = weight(observation, "pos_embed.W_pos").narrow(0, 0, q + 1);
  const Tensor W_Q = of_head("W_Q"), W_O = of_head("W_O");
  const Tensor at_q = W_E + W_pos[q];

  // b_K adds the same to every score, to which softmax is invariant. Attention sums to 1, so b_V adds a
  // constant.
  const Tensor W_K = of_head("W_K").transpose(1, 2) / std::sqrt(static_cast<double>(W_Q.size(2)));
  const Tensor b_Q = bias(observation, "blocks.0.attn.b_Q").unsqueeze(-2);
  const Tensor query = at_q.matmul(W_Q) + b_Q;
  const Tensor W_OU = W_O.matmul(W_U), W_VOU = of_head("W_V").matmul(W_OU);
  const Tensor b_V = bias(observation, "blocks.0.attn.b_V").unsqueeze(-1) * W_OU;  // [n_heads, d_head, out]
  const Tensor b_O = bias(observation, "blocks.0.attn.b_O") + torch::zeros({W_U.size(0)}, torch::kFloat64);

  Circuits c;
  c.full_qk = W_E.matmul(W_Q).matmul(W_K.matmul(W_E.t()));
  c.qk = query.matmul(W_K.matmul(W_E.t()));
  c.qk_position = query.matmul(W_K.matmul(W_pos.t()));
  c.ov = W_E.matmul(W_VOU);
  c.ov_position = W_pos.matmul(W_VOU);
  c.direct = (at_q + b_O).matmul(W_U) + b_V.sum(0).sum(0) + bias(observation, "unembed.b_U");
  return c;
}

// Which of 0..n-1 occur in x: int64, ascending.
Tensor occurring(const Tensor& x, int64_t n) {
  return torch::bincount(x.flatten(), {}, n).gt(0).nonzero().flatten();
}

// The examples of a batch whose label at the last output position counts in the loss mask: int64 [n].
Tensor scored_rows(const orrery::Batch& batch, const char* which) {
  const int64_t last = batch.labels.size(1) - 1;
  const Tensor rows = batch.scored.defined() ? batch.scored.select(1, last).nonzero().flatten()
                                             : torch::arange(batch.size(), torch::kInt64);
  if (rows.numel() == 0)
    throw UsageError(std::string("no label of the ") + which + " set counts at the last output position",
                     "skip_trigrams looks at that position only; leave the probe out for this task");
  return rows;
}

// What the training data say about tokens and classes.
struct Vocabulary {
  Tensor classes;       // [n] int64, ascending: the labels that occur
  Tensor class_tokens;  // [n] int64: their input tokens
  Tensor sources;       // int64, ascending: the tokens that occur up to the last read-out position
  Tensor others;        // int64, ascending: those of them that belong to no class
  Tensor destinations;  // [d_vocab] float64: how often each token is the destination, as a share
  double label_in_context = 0;
};

Tensor class_tokens(const Tensor& classes, int64_t offset, int64_t d_vocab) {
  const Tensor tokens = classes + offset;
  if (tokens.min().item<int64_t>() < 0 || tokens.max().item<int64_t>() >= d_vocab)
    throw UsageError("with class_offset = " + std::to_string(offset) + " the classes " +
                         std::to_string(classes.min().item<int64_t>()) + " to " +
                         std::to_string(classes.max().item<int64_t>()) + " have input tokens outside 0 to " +
                         std::to_string(d_vocab - 1),
                     "set class_offset so that class c has the input token c + class_offset");
  return tokens;
}

Tensor destination_shares(const Params& params, const Tensor& at_last, int64_t d_vocab) {
  if (params.destination < 0) {
    const Tensor counts = torch::bincount(at_last, {}, d_vocab).to(torch::kFloat64);
    return counts / counts.sum();
  }
  if (params.destination >= d_vocab)
    throw UsageError("destination = " + std::to_string(params.destination) + " is not a token",
                     "tokens run from 0 to " + std::to_string(d_vocab - 1) + "; -1 finds the destination");
  const Tensor shares = torch::zeros({d_vocab}, torch::kFloat64);
  shares[params.destination] = 1;
  return shares;
}

Vocabulary vocabulary_of(const Params& params, const orrery::Observation& observation, int64_t q) {
  const orrery::Batch train = observation.split.train.rows(scored_rows(observation.split.train, "training"));
  const Tensor labels = train.labels.select(1, train.labels.size(1) - 1);
  const Tensor tokens = train.tokens.narrow(1, 0, q + 1);
  const int64_t d_vocab = observation.spec.d_vocab;

  Vocabulary v;
  v.classes = occurring(labels, observation.spec.d_vocab_out);
  if (v.classes.numel() < 2)
    throw UsageError("only one class occurs among the training labels; expected at least two",
                     "leave skip_trigrams out for this task");
  v.class_tokens = class_tokens(v.classes, params.class_offset, d_vocab);
  v.sources = occurring(tokens, d_vocab);
  Tensor is_other = torch::zeros({d_vocab}, torch::kBool).index_fill(0, v.sources, 1);
  v.others = is_other.index_fill(0, v.class_tokens, 0).nonzero().flatten();
  v.destinations = destination_shares(params, tokens.select(1, q), d_vocab);
  const Tensor own = (labels + params.class_offset).unsqueeze(1);
  v.label_in_context = tokens.eq(own).any(1).to(torch::kFloat64).mean().item<double>();
  return v;
}

// x [n, n] relative to the mean of the other entries of the row: its diagonal, [n].
Tensor diagonal_above_others(const Tensor& x) {
  const auto n = static_cast<double>(x.size(0));
  return (x.diagonal() * n - x.sum(1)) / (n - 1);
}

// Elhage et al. 2021: sum of the eigenvalues over the sum of their moduli; 1 copies, -1 suppresses. Rows are
// taken about their means, to which softmax is invariant. 0 for a zero matrix.
double copying_score(const Tensor& ov) {
  const Tensor eigenvalues = at::linalg_eigvals(ov - ov.mean(1, /*keepdim=*/true));
  const double moduli = eigenvalues.abs().sum().item<double>();
  return moduli > 0 ? torch::real(eigenvalues).sum().item<double>() / moduli : 0;
}

double mean_of(const Tensor& x) { return x.to(torch::kFloat64).mean().item<double>(); }

// The mean of a loss [rows], weighted as in training.
double mean_loss(const Tensor& loss, const orrery::Batch& batch, const Tensor& rows) {
  if (!batch.weights.defined()) return mean_of(loss);
  const Tensor of_labels = batch.weights.reshape({batch.size(), -1});
  const Tensor weights = of_labels.select(1, of_labels.size(1) - 1).index_select(0, rows).to(torch::kFloat64);
  return ((loss * weights).sum() / weights.sum()).item<double>();
}

// Which models the tables do not describe, and why. LNPre and RMSPre have no weights; the check of the logits
// finds them.
std::string no_sum_of_tables(const orrery::Model& model, const orrery::TaskSpec& spec) {
  const std::string only = "skip_trigrams reads one-layer attention-only transformers without LayerNorm";
  for (const orrery::NamedWeight& named : model.weights()) {
    if (orrery::matches("blocks.1.*", named.name)) return only + "; this one has more layers";
    if (orrery::matches("*.mlp.*", named.name)) return only + "; this one has an MLP";
    if (orrery::matches("*ln*.w", named.name)) return only + "; this one has LayerNorm";
  }
  if (const std::string why = orrery::refuse_other_attention(model, spec); !why.empty()) return why;
  if (spec.d_vocab_out < 2) return "skip_trigrams needs at least two classes, and this task has one logit";
  return orrery::refuse_other_losses(model, spec);
}

class SkipTrigrams final : public orrery::Probe {
 public:
  explicit SkipTrigrams(Params params) : params_(params) {}

  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::test,
            .weights = {"embed.W_E", "pos_embed.W_pos", "blocks.0.attn.W_Q", "blocks.0.attn.W_K",
                        "blocks.0.attn.W_V", "blocks.0.attn.W_O", "unembed.W_U"},
            .refusal = no_sum_of_tables};
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    if (const std::string why = no_sum_of_tables(observation.model, observation.spec); !why.empty())
      throw UsageError(
          why,
          "set attn_only = true, n_layers = 1 and normalization_type = \"none\", or leave the probe out");
    const int64_t q = observation.spec.read_out.back();
    const Circuits circuits = circuits_at(q, observation);
    const Vocabulary vocabulary = vocabulary_of(params_, observation, q);
    predictions(circuits, observation, q, recorder);
    panels(recorder);
    recorder.scalar("label_in_context", vocabulary.label_in_context);

    // [n_heads, d_vocab] and [n_heads, q + 1]: attention scores of the destination
    const Tensor row = vocabulary.destinations.matmul(circuits.qk);
    const Tensor position = vocabulary.destinations.matmul(circuits.qk_position);
    for (int64_t head = 0; head < row.size(0); ++head) {
      attention(head, row[head], vocabulary, recorder);
      const Tensor here = position[head];
      recorder.scalar(name(head, "position_range"), (here.max() - here.min()).item<double>());
      copying(head, circuits.ov[head], vocabulary, recorder);
      full_qk(head, circuits.full_qk[head], vocabulary, recorder);
    }
    tables(circuits, vocabulary, row, position, recorder);
    figures(vocabulary, row, position, recorder);
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    const std::string share = "share of the classes";
    recorder.panel("label_in_context", "Sequences that hold their label", "share of the sequences");
    recorder.panel("position_range", "QK circuit: range of the scores by position", "attention score");
    recorder.panel("logit_error", "Logits that the QK and OV circuits miss", "largest error (logit)");
    recorder.panel("loss", "Loss of the circuits, and of the skip trigrams alone", "loss (nats)");
    recorder.panel("accuracy", "Accuracy of the circuits, and of the skip trigrams alone",
                   "share of the sequences");
    recorder.panel("margin", "QK circuit: score of the classes above other tokens", "attention score");
    recorder.panel("classes_won", "QK circuit: classes with a higher score than any other token", share);
    recorder.panel("qk", "QK circuit: score of each class about the mean of the others", "attention score");
    recorder.panel("copied", "OV circuit: classes that raise their own logit most", share);
    recorder.panel("copying_score", "Copying score: eigenvalues of the OV circuit", "score (-1 to 1)");
    recorder.panel("ov", "OV circuit: what each class adds to its own logit", "logit (nats)");
  }

  static std::string name(int64_t head, const std::string& what) {
    return "head_" + std::to_string(head) + "/" + what;
  }

  static void predictions(const Circuits& circuits, const orrery::Observation& observation, int64_t q,
                          orrery::Recorder& recorder) {
    const orrery::Batch& test = observation.inputs;
    const Tensor tokens = test.tokens.narrow(1, 0, q + 1);
    const int64_t last = test.labels.size(1) - 1;
    const Tensor labels = test.labels.select(1, last), rows = scored_rows(test, "test");
    const Tensor model = observation.logits.select(1, last).to(torch::kFloat64);
    const Tensor all = circuits.logits(tokens);
    const double error = (all - model).abs().max().item<double>();
    // Rounding to float32 changes a score s by about 1e-6 s, and logits by the same share: far less than this
    // bound, unless scores exceed a thousand. LayerNorm changes them by their own size.
    const double bound = 1e-2 * std::max(1.0, model.abs().max().item<double>());
    if (!(error <= bound))
      throw UsageError("the QK and OV circuits and the direct path miss the network's logits by " +
                           std::to_string(error) + ": it computes something else besides",
                       "set normalization_type = \"none\", or leave skip_trigrams out");
    recorder.scalar("logit_error", error);

    const auto record = [&](const std::string& which, const Tensor& logits, bool headline) {
      const Tensor scored = logits.index_select(0, rows), label = labels.index_select(0, rows);
      recorder.scalar("loss/" + which, mean_loss(orrery::cross_entropy(scored, label), test, rows));
      const double accuracy = mean_of(scored.argmax(1).eq(label));
      headline ? recorder.headline("accuracy/" + which, accuracy)
               : recorder.scalar("accuracy/" + which, accuracy);
    };
    record("circuits", all, false);
    record("skip_trigrams", circuits.skip_trigram_logits(tokens), true);
  }

  // row [d_vocab]: the scores that the head gives to each source token.
  static void attention(int64_t head, const Tensor& row, const Vocabulary& v, orrery::Recorder& recorder) {
    const Tensor own = row.index_select(0, v.class_tokens);
    if (v.others.numel() > 0) {
      const Tensor rest = row.index_select(0, v.others);
      recorder.scalar(name(head, "margin/mean"), mean_of(own) - mean_of(rest));
      recorder.scalar(name(head, "margin/min"), (own.min() - rest.max()).item<double>());
      recorder.scalar(name(head, "classes_won"), mean_of(own > rest.max()));
    }
    // Every class is a source, though perhaps not one that occurs in the training set.
    const Tensor sources = row.index_select(0, torch::cat({v.class_tokens, v.others}));
    const auto n = static_cast<double>(sources.numel());
    by_class(head, "qk", (own * n - sources.sum()) / (n - 1), v, recorder);
  }

  void copying(int64_t head, const Tensor& ov, const Vocabulary& v, orrery::Recorder& recorder) const {
    const Tensor of_classes = ov.index_select(0, v.class_tokens);
    const Tensor square = of_classes.index_select(1, v.classes);
    recorder.scalar(name(head, "copied"), mean_of(of_classes.argmax(1).eq(v.classes)));
    const double score = copying_score(square);
    recorder.scalar(name(head, "copying_score"), score);
    if (score > params_.copying_threshold)
      recorder.finding(orrery::head_role_finding(0, head, "copying", score));
    by_class(head, "ov", diagonal_above_others(square), v, recorder);

    const int64_t drawn = std::min(params_.max_drawn, square.size(0));
    const Tensor about_mean = square - square.mean(1, /*keepdim=*/true);
    recorder.figure(orrery::Figure::heatmap(
        "ov_head_" + std::to_string(head),
        "OV circuit of head 0." + std::to_string(head) +
            ": what attending to a class token adds to the logits",
        {"class", numbers(v.classes.narrow(0, 0, drawn))},
        {"source token", numbers(v.class_tokens.narrow(0, 0, drawn))}, "logit about the mean of the row",
        about_mean.narrow(0, 0, drawn).narrow(1, 0, drawn).to(torch::kFloat32)));
  }

  // Of the tokens that occur, destinations of every kind among them.
  void full_qk(int64_t head, const Tensor& qk, const Vocabulary& v, orrery::Recorder& recorder) const {
    const Tensor tokens = v.sources.slice(0, 0, params_.max_drawn);
    const Tensor scores = qk.index_select(0, tokens).index_select(1, v.sources);
    const Tensor about_mean = scores - scores.mean(1, /*keepdim=*/true);
    recorder.figure(orrery::Figure::heatmap(
        "qk_head_" + std::to_string(head),
        "QK circuit of head 0." + std::to_string(head) + ": which tokens each token attends to",
        {"source token", numbers(tokens)}, {"destination token", numbers(tokens)},
        "attention score about the mean of the row",
        about_mean.narrow(1, 0, tokens.size(0)).to(torch::kFloat32)));
  }

  // int64 [n], as the names of positions on an axis.
  static std::vector<std::string> numbers(const Tensor& x) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < x.size(0); ++i) names.push_back(std::to_string(x[i].item<int64_t>()));
    return names;
  }

  static void by_class(int64_t head, const std::string& what, const Tensor& values, const Vocabulary& v,
                       orrery::Recorder& recorder) {
    recorder.tensor(name(head, what), values.to(torch::kFloat32));
    if (values.size(0) > kListedClasses) return;
    for (int64_t i = 0; i < values.size(0); ++i)
      recorder.scalar(name(head, what + "/" + std::to_string(v.classes[i].item<int64_t>())),
                      values[i].item<double>());
  }

  static void tables(const Circuits& circuits, const Vocabulary& v, const Tensor& row, const Tensor& position,
                     orrery::Recorder& recorder) {
    recorder.tensor("classes", v.classes);
    recorder.tensor("full_qk", circuits.full_qk.to(torch::kFloat32));
    recorder.tensor("full_ov", circuits.ov.to(torch::kFloat32));
    recorder.tensor("ov_position", circuits.ov_position.to(torch::kFloat32));
    recorder.tensor("direct", v.destinations.matmul(circuits.direct).to(torch::kFloat32));
    recorder.tensor("qk_row", row.to(torch::kFloat32));
    recorder.tensor("qk_position", position.to(torch::kFloat32));
    recorder.tensor("ov_argmax", circuits.ov.argmax(2).to(torch::kInt32));
  }

  static void figures(const Vocabulary& v, const Tensor& row, const Tensor& position,
                      orrery::Recorder& recorder) {
    orrery::Series by_token, by_position;
    for (int64_t head = 0; head < row.size(0); ++head) {
      const std::string label = "head 0." + std::to_string(head);
      const Tensor here = row[head].index_select(0, v.sources), there = position[head];
      by_token.emplace_back(label, (here - here.mean()).to(torch::kFloat32));
      by_position.emplace_back(label, (there - there.mean()).to(torch::kFloat32));
    }
    recorder.figure(
        orrery::Figure::bars("qk_row", "QK circuit: which source tokens the destination attends to",
                             {"source token", {}, v.sources}, "attention score about its mean", by_token));
    recorder.figure(orrery::Figure::line(
        "qk_position", "QK circuit: which source positions the destination attends to, whatever stands there",
        {"source position"}, "attention score about its mean", by_position));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(SkipTrigrams, Params, "skip_trigrams", "1.1.0",
             "QK and OV circuits of a one-layer attention-only transformer.")
