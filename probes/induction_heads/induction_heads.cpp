// Which heads complete a repetition? (Elhage et al. 2021; Olsson et al. 2022) In a random sequence that is
// repeated, only the first occurrence predicts the second. In BOS 7 2 8 7 2 8 a previous-token head tells
// position 3 that it follows a 2; at the second 2, an induction head looks for a token that follows a 2,
// finds position 3 (prefix matching) and raises the logit of the token there, 8 (copying). Recorded for each
// head: where it looks, the signs of the eigenvalues of W_E W_V W_O W_U, which earlier head's output it reads
// (composition), and the loss on the repeat with the head ablated.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/hooks.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <map>

#include "head_circuits.h"
#include "repeats.h"

namespace {

using orrery::Figure;
using orrery::Observation;
using orrery::Recorder;
using torch::Tensor;
using namespace induction_heads;

struct Params {
  int64_t n_sequences = 64;
  int64_t length = 0;
  int64_t seed = 0;
  double attention_threshold = 0.4;
  double copying_threshold = 0.4;
  std::string ablate = "found";
  int64_t max_drawn = 64;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_sequences", &Params::n_sequences, "random sequences looked at").at_least(1);
    f.add("length", &Params::length,
          "tokens in the stretch that comes twice; 0: as many as in training, or as fit")
        .at_least(0);
    f.add("seed", &Params::seed, "of the random tokens and of the baseline of composition").at_least(0);
    f.add("attention_threshold", &Params::attention_threshold,
          "score from which a head is a previous-token, duplicate-token or induction head")
        .between(0, 1);
    f.add("copying_threshold", &Params::copying_threshold,
          "score from which a head is a copying head; an induction head must be one")
        .between(-1, 1);
    f.add("ablate", &Params::ablate, "which heads are ablated, one by one: those with a role, or all")
        .one_of({"found", "all"});
    f.add("max_drawn", &Params::max_drawn, "tokens in the heatmaps of QK and OV circuits: the first")
        .at_least(1);
  }
};

const char* const kPreviousToken = "previous token";
const char* const kInduction = "induction";

struct Role {
  Head head;
  std::string name;
  double score;
};

/// [n_layers, n_heads], float64.
struct Scores {
  Tensor prefix_matching, previous_token, duplicate_token, copying;
};

double at(const Tensor& scores, const Head& head) { return scores[head.layer][head.head].item<double>(); }

std::vector<Head> all_heads(const Tensor& scores) {
  std::vector<Head> heads;
  for (int64_t layer = 0; layer < scores.size(0); ++layer)
    for (int64_t head = 0; head < scores.size(1); ++head) heads.push_back({layer, head});
  return heads;
}

Head strongest(const Tensor& scores) {
  const auto index = scores.argmax().item<int64_t>();
  return {index / scores.size(1), index % scores.size(1)};
}

using Names = std::vector<std::string>;

// `scale` labels the colours.
struct Heatmap {
  std::string name, title, x_label, y_label, scale;
  Names x_ticks, y_ticks;
};

void draw(const Heatmap& heatmap, const Tensor& z, Recorder& recorder) {
  recorder.figure(Figure::heatmap(heatmap.name, heatmap.title, {heatmap.x_label, heatmap.x_ticks},
                                  {heatmap.y_label, heatmap.y_ticks}, heatmap.scale, z.to(torch::kFloat32)));
}

// "head 0", "head 1", ...
Names numbered(const std::string& what, int64_t n) {
  Names names;
  for (int64_t i = 0; i < n; ++i) names.push_back(what + " " + std::to_string(i));
  return names;
}

// "1.0", "1.1", ... of `n_layers` layers from `first` on.
Names head_names(int64_t first, int64_t n_layers, int64_t n_heads) {
  Names names;
  for (int64_t layer = first; layer < first + n_layers; ++layer)
    for (int64_t head = 0; head < n_heads; ++head) names.push_back(to_string({layer, head}));
  return names;
}

Names token_names(const Tensor& tokens) {
  Names names;
  for (int64_t i = 0; i < tokens.size(0); ++i) names.push_back(std::to_string(tokens[i].item<int64_t>()));
  return names;
}

class InductionHeads final : public orrery::Probe {
 public:
  explicit InductionHeads(Params params) : params_(std::move(params)) {
    if (params_.length == 1)
      throw orrery::UsageError("length is 1: a repeat of length 1 cannot be predicted",
                               "set length to 2 or more, or to 0 for as many as fit");
  }

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::none;
    needs.activations = {"blocks.*.attn.hook_pattern", "blocks.*.attn.hook_z"};
    needs.weights = {"embed.W_E",         "unembed.W_U",       "blocks.*.attn.W_Q",
                     "blocks.*.attn.W_K", "blocks.*.attn.W_V", "blocks.*.attn.W_O"};
    needs.refusal = [](const orrery::Model& model, const orrery::TaskSpec& spec) {
      const std::string why = orrery::refuse_other_attention(model, spec);
      return why.empty() ? orrery::refuse_other_losses(model, spec) : why;
    };
    return needs;
  }

  void measure(const Observation& observation, Recorder& recorder) override {
    require_attention(observation.model);
    const auto bos = find_bos(observation.split.train.tokens);
    const Trained trained = trained_stretch(observation.structure, observation.split.train.tokens, bos);
    const int64_t length = params_.length > 0
                               ? params_.length
                               : std::min(trained.length, longest_stretch(observation.spec, bos));
    const Repeats repeats =
        draw_repeats(observation.spec, bos, length, params_.n_sequences, static_cast<uint64_t>(params_.seed));
    const RepeatScores plain = score_repeats(observation.model, repeats);
    const auto weights = all_weights(observation, plain.mean_z.size(0));
    const Scores scores{plain.prefix_matching, plain.previous_token, plain.duplicate_token,
                        copying(observation, weights, usable_tokens(observation.spec, bos))};
    record_stretch(repeats, trained, recorder);
    record_losses(plain, recorder);
    record_scores(scores, recorder);
    if (weights.size() > 1) record_composition(weights, recorder);
    record_circuits(observation, weights, scores,
                    usable_tokens(observation.spec, bos).slice(0, 0, params_.max_drawn), recorder);
    const std::vector<Role> roles = find_roles(scores);
    for (const Role& role : roles)
      recorder.finding(orrery::head_role_finding(role.head.layer, role.head.head, role.name, role.score));
    ablate_each(observation.model, repeats, plain, roles, recorder);
    ablate_together(observation.model, repeats, plain, roles, recorder);
    record_examples(observation.model, repeats, scores, recorder);
  }

 private:
  static void require_attention(const orrery::Model& model) {
    if (!model.find_hook_point("blocks.0.attn.hook_pattern"))
      throw orrery::UsageError(
          "induction_heads looks at attention heads, and this model has none: no hook "
          "point is called blocks.*.attn.hook_pattern",
          "leave the probe out, or use a transformer");
  }

  static std::vector<HeadWeights> all_weights(const Observation& observation, int64_t n_layers) {
    std::vector<HeadWeights> weights;
    for (int64_t layer = 0; layer < n_layers; ++layer) weights.push_back(head_weights(observation, layer));
    return weights;
  }

  static Tensor copying(const Observation& observation, const std::vector<HeadWeights>& weights,
                        const Tensor& tokens) {
    const Tensor W_E = token_embedding(observation, tokens), W_U = token_unembedding(observation, tokens);
    std::vector<Tensor> scores;
    for (const HeadWeights& heads : weights) scores.push_back(copying_scores(heads, W_E, W_U));
    return torch::stack(scores);
  }

  // Heads that look back by a fixed distance, or know positions from training, may do nothing beyond it.
  static void record_stretch(const Repeats& repeats, const Trained& trained, Recorder& recorder) {
    const bool beyond = trained.length > 0 && repeats.length > trained.length;
    recorder.panel("stretch", "Length of the stretch that comes twice, and in training (0: unknown)",
                   "tokens (count)");
    recorder.scalar("stretch/length", static_cast<double>(repeats.length));
    recorder.scalar("stretch/trained_length", static_cast<double>(trained.length));
    recorder.finding({"stretch",
                      "stretch",
                      {{"length", repeats.length},
                       {"trained_length", trained.length},
                       {"known_from", trained.known_from},
                       {"beyond_training", beyond}}});
  }

  static void record_losses(const RepeatScores& plain, Recorder& recorder) {
    recorder.panel("loss", "Loss on random tokens: the first time and repeated", "loss (nats)");
    recorder.panel("in_context_learning_score", "In-context learning: loss on repeats less that before",
                   "difference of losses (nats)");
    recorder.headline("loss/repeats", plain.loss_repeats);
    recorder.scalar("loss/first", plain.loss_first);
    recorder.headline("in_context_learning_score", plain.loss_repeats - plain.loss_first);
    recorder.figure(Figure::line(
        "loss_by_position", "Loss on random tokens, twice over",
        {"position of the predicted token", {}, torch::arange(1, plain.loss.size(0) + 1, torch::kInt64)},
        "loss (nats)", {{"mean over sequences", plain.loss.to(torch::kFloat32)}}));
  }

  static void record_scores(const Scores& scores, Recorder& recorder) {
    const std::vector<std::pair<std::string, Tensor>> named{{"prefix_matching", scores.prefix_matching},
                                                            {"previous_token", scores.previous_token},
                                                            {"duplicate_token", scores.duplicate_token},
                                                            {"copying", scores.copying}};
    const std::map<std::string, std::string> titles{
        {"prefix_matching",
         "Prefix matching: attention from a repeated token to the one after its first occurrence"},
        {"previous_token", "Previous-token score: attention to the token before"},
        {"duplicate_token", "Duplicate-token score: attention from a repeated token to its first occurrence"},
        {"copying", "Copying score: eigenvalues of W_E W_V W_O W_U, sum of Re over sum of moduli"}};
    recorder.headline("prefix_matching/max", scores.prefix_matching.max().item<double>());
    for (const auto& [name, values] : named) {
      recorder.panel(name, titles.at(name) + ", by head",
                     name == "copying" ? "score (-1 to 1)" : "attention");
      for (const Head& head : all_heads(values))
        recorder.scalar(name + "/" + to_string(head), at(values, head));
      recorder.tensor(name, values);
      draw({name, titles.at(name), "head", "layer", name == "copying" ? "score" : "attention",
            numbered("head", values.size(1)), numbered("layer", values.size(0))},
           values, recorder);
    }
  }

  // Every earlier with every later head; 0 unless the second head is in a later layer.
  void record_composition(const std::vector<HeadWeights>& weights, Recorder& recorder) const {
    const auto n_layers = static_cast<int64_t>(weights.size());
    const int64_t n_heads = weights[0].V.size(0);
    const std::vector<int64_t> shape{n_layers, n_heads, n_layers, n_heads};
    const auto zeros = [&] { return torch::zeros(shape, torch::kFloat64); };
    std::map<std::string, Tensor> all{{"q", zeros()}, {"k", zeros()}, {"v", zeros()}};
    for (int64_t from = 0; from < n_layers; ++from)
      for (int64_t to = from + 1; to < n_layers; ++to) {
        const Composition pair = composition(weights[from], weights[to]);
        all["q"].select(0, from).select(1, to).copy_(pair.q);
        all["k"].select(0, from).select(1, to).copy_(pair.k);
        all["v"].select(0, from).select(1, to).copy_(pair.v);
      }
    const Baseline baseline =
        random_composition(weights[0].V.size(1), weights[0].V.size(2), static_cast<uint64_t>(params_.seed));
    recorder.panel("composition_baseline", "Composition scores of random weights", "composition score");
    recorder.scalar("composition_baseline/mean", baseline.mean);
    recorder.scalar("composition_baseline/deviation", baseline.deviation);
    for (const auto& [letter, scores] : all) record_kind(letter, scores, baseline.mean, recorder);
  }

  // One kind of composition: "q", "k" or "v".
  static void record_kind(const std::string& letter, const Tensor& scores, double baseline,
                          Recorder& recorder) {
    const int64_t n_layers = scores.size(0), n_heads = scores.size(1);
    recorder.tensor(letter + "_composition", scores);
    const std::string capital(1, static_cast<char>(letter[0] - 'a' + 'A'));
    recorder.panel(letter + "_composition", "Strongest " + capital + "-composition of each head",
                   "composition score");
    const Tensor strongest = scores.amax({0, 1});
    for (const Head& head : all_heads(strongest))
      if (head.layer > 0) recorder.scalar(letter + "_composition/" + to_string(head), at(strongest, head));
    const int64_t side = (n_layers - 1) * n_heads;
    const Tensor pairs = scores.narrow(0, 0, n_layers - 1).narrow(2, 1, n_layers - 1).reshape({side, side});
    // Other pairs are drawn as 0, as at chance.
    const Tensor from = torch::arange(side, torch::kInt64), to = from + n_heads;
    const Tensor later = to.floor_divide(n_heads) > from.floor_divide(n_heads).unsqueeze(1);
    const Tensor above = torch::where(later, pairs - baseline, torch::zeros_like(pairs));
    draw({letter + "_composition", capital + "-composition of heads, above that of random weights",
          "later head", "earlier head", "composition", head_names(1, n_layers - 1, n_heads),
          head_names(0, n_layers - 1, n_heads)},
         above, recorder);
  }

  // The OV circuit of the head that is strongest in prefix matching. For the strongest after the first layer,
  // its QK circuit through the strongest previous-token head below it. tokens: int64, usable ones.
  static void record_circuits(const Observation& observation, const std::vector<HeadWeights>& weights,
                              const Scores& scores, const Tensor& tokens, Recorder& recorder) {
    const Tensor W_E = token_embedding(observation, tokens), W_U = token_unembedding(observation, tokens);
    const Head head = strongest(scores.prefix_matching);
    const Names names = token_names(tokens);
    draw({"ov_prefix_matching",
          "OV circuit of head " + to_string(head) +
              ", strongest in prefix matching: what attending to a token adds to the logits",
          "class", "token attended to", "logit about the mean of the row", names, names},
         ov_circuit(weights[head.layer], head.head, W_E, W_U), recorder);
    const int64_t n_layers = scores.prefix_matching.size(0);
    if (n_layers == 1) return;
    Head later = strongest(scores.prefix_matching.narrow(0, 1, n_layers - 1));
    ++later.layer;
    const Head before = strongest(scores.previous_token.narrow(0, 0, later.layer));
    draw({"qk_prefix_matching",
          "QK circuit of head " + to_string(later) + " by way of head " + to_string(before) +
              ", the strongest previous-token head (K-composition)",
          "token before the one attended to", "token that attends",
          "attention score about the mean of the row", names, names},
         k_composed_qk(weights[before.layer], before.head, weights[later.layer], later.head, W_E), recorder);
  }

  std::vector<Role> find_roles(const Scores& scores) const {
    std::vector<Role> roles;
    for (const Head& head : all_heads(scores.copying)) {
      const auto looks = [&](const Tensor& score) { return at(score, head) >= params_.attention_threshold; };
      const bool copies = at(scores.copying, head) >= params_.copying_threshold;
      const auto add = [&](const char* name, const Tensor& score) {
        roles.push_back({head, name, at(score, head)});
      };
      if (looks(scores.previous_token)) add(kPreviousToken, scores.previous_token);
      if (looks(scores.prefix_matching) && copies) add(kInduction, scores.prefix_matching);
      if (looks(scores.duplicate_token)) add("duplicate token", scores.duplicate_token);
      if (copies) add("copying", scores.copying);
    }
    return roles;
  }

  static std::vector<Head> with_role(const std::vector<Role>& roles, const std::string& name) {
    std::vector<Head> heads;
    for (const Role& role : roles)
      if (role.name == name) heads.push_back(role.head);
    return heads;
  }

  void ablate_each(orrery::Model& model, const Repeats& repeats, const RepeatScores& plain,
                   const std::vector<Role>& roles, Recorder& recorder) const {
    recorder.panel("loss_increase_without", "Loss on repeats with heads ablated, less the plain loss",
                   "difference of losses (nats)");
    recorder.panel("prefix_matching_without_previous_token",
                   "Prefix matching without the previous-token heads", "attention");
    for (const Head& head : all_heads(plain.prefix_matching)) {
      const bool found = std::any_of(roles.begin(), roles.end(), [&](const Role& role) {
        return role.head.layer == head.layer && role.head.head == head.head;
      });
      if (!found && params_.ablate == "found") continue;
      const RepeatScores without = score_repeats(model, repeats, {head}, plain.mean_z);
      recorder.scalar("loss_increase_without/head=" + to_string(head),
                      without.loss_repeats - plain.loss_repeats);
      recorder.finding(orrery::ablation_finding("head " + to_string(head), "mean", "repeats",
                                                plain.loss_repeats, without.loss_repeats));
    }
  }

  // Heads that share a role may replace each other, so they are also ablated together. Whether induction
  // heads still find their place without the output of previous-token heads tests K-composition.
  static void ablate_together(orrery::Model& model, const Repeats& repeats, const RepeatScores& plain,
                              const std::vector<Role>& roles, Recorder& recorder) {
    for (const std::string role : {kPreviousToken, kInduction}) {
      const std::vector<Head> heads = with_role(roles, role);
      const std::string name =
          std::string("loss_increase_without/all_") + (role == kInduction ? "induction" : "previous_token");
      if (heads.empty()) {
        recorder.scalar(name, 0);  // nothing to ablate
        continue;
      }
      const RepeatScores without = score_repeats(model, repeats, heads, plain.mean_z);
      recorder.scalar(name, without.loss_repeats - plain.loss_repeats);
      recorder.finding(orrery::ablation_finding("all " + role + " heads", "mean", "repeats",
                                                plain.loss_repeats, without.loss_repeats));
      if (role != kPreviousToken) continue;
      for (const Head& head : with_role(roles, kInduction))
        recorder.scalar("prefix_matching_without_previous_token/head=" + to_string(head),
                        at(without.prefix_matching, head));
    }
  }

  static void record_examples(orrery::Model& model, const Repeats& repeats, const Scores& scores,
                              Recorder& recorder) {
    const std::vector<std::pair<std::string, Tensor>> named{{"prefix_matching", scores.prefix_matching},
                                                            {"previous_token", scores.previous_token}};
    const Names tokens = token_names(repeats.tokens[0].narrow(0, 0, repeats.end()));
    for (const auto& [name, values] : named) {
      const Head head = strongest(values);
      draw({"pattern_" + name,
            "Attention pattern of head " + to_string(head) + ", strongest in " + name + ", on one sequence",
            "token attended to, by position", "token that attends, by position", "attention", tokens, tokens},
           example_pattern(model, repeats, head), recorder);
    }
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(InductionHeads, Params, "induction_heads", "1.2.0",
             "Which attention heads complete a repetition, and how.")
