// Does the network memorise a pair (a, b), or both (a, b) and (b, a)? "There are at least two different
// memorisation algorithms: commutative memorisation (which predicts the same answer for (a, b) and (b, a))
// and non-commutative memorisation (which does not)" (Varma et al. 2023, appendix B, footnote 1). For a
// commutative task, test pairs whose mirror image is trained are held against test pairs whose mirror image
// is not. If 3 + 5 is trained and 5 + 3 is not, a network that memorises commutatively is right about 5 + 3
// all the same; of two pairs 4 + 6 and 6 + 4 in the test set it knows neither.
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <cmath>
#include <string>
#include <unordered_map>

namespace {

using torch::Tensor;

struct Params {
  static void fields(orrery::Fields<Params>&) {}
};

struct Positions {
  int64_t left = 0, right = 1;
};

Positions operands_of(const orrery::Structure& structure) {
  if (structure.cyclic) return {structure.cyclic->left_position, structure.cyclic->right_position};
  if (structure.group) return {structure.group->left_position, structure.group->right_position};
  return {};
}

// A token sequence as one text, for a look-up.
std::string key_of(const int64_t* tokens, int64_t n_ctx) {
  return {reinterpret_cast<const char*>(tokens), static_cast<size_t>(n_ctx) * sizeof(int64_t)};
}

// The row of the grid that holds each input with its operands swapped: [grid] int64, -1 for none.
Tensor mirrors_of(const Tensor& inputs, const Positions& at) {
  const Tensor tokens = inputs.to(torch::kInt64).contiguous();
  Tensor swapped = tokens.clone();
  swapped.select(1, at.left).copy_(tokens.select(1, at.right));
  swapped.select(1, at.right).copy_(tokens.select(1, at.left));
  const int64_t n = tokens.size(0), n_ctx = tokens.size(1);
  std::unordered_map<std::string, int64_t> row_of;
  for (int64_t row = 0; row < n; ++row) row_of[key_of(tokens.data_ptr<int64_t>() + row * n_ctx, n_ctx)] = row;
  Tensor mirror = torch::full({n}, -1, torch::kInt64);
  for (int64_t row = 0; row < n; ++row)
    if (const auto found = row_of.find(key_of(swapped.data_ptr<int64_t>() + row * n_ctx, n_ctx));
        found != row_of.end())
      mirror[row] = found->second;
  return mirror;
}

void check_commutes(const Tensor& labels, const Tensor& mirror, const Tensor& tokens, const Positions& at) {
  const Tensor has = mirror >= 0;
  const Tensor differ =
      torch::logical_and(has, labels != labels.index_select(0, mirror.clamp_min(0))).nonzero().flatten();
  if (differ.numel() == 0) return;
  const auto row = differ[0].item<int64_t>();
  const auto text = [&](const Tensor& x) { return std::to_string(x.item<int64_t>()); };
  const std::string a = text(tokens[row][at.left]), b = text(tokens[row][at.right]);
  throw orrery::UsageError("the task is not commutative: the answer to (" + a + ", " + b + ") is " +
                               text(labels[row]) + ", to (" + b + ", " + a + ") " +
                               text(labels[mirror[row].item<int64_t>()]),
                           "leave the probe out, or choose a task such as a + b");
}

class MirroredPairs final : public orrery::Probe {
 public:
  explicit MirroredPairs(const Params&) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.refusal = [](const orrery::Model& model, const orrery::TaskSpec& spec) -> std::string {
      if (spec.n_ctx < 2) return "the task's inputs have one token, so no operands to swap";
      if (spec.read_out.size() != 1) return "the task has more than one answer";
      return orrery::refuse_other_losses(model, spec);
    };
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    const orrery::Split& split = observation.split;
    if (!split.grid || !split.train_rows.defined() || !split.test_rows.defined())
      throw orrery::UsageError("the task does not list its whole grid of pairs", "leave the probe out");
    const Positions at = operands_of(observation.structure);
    const Tensor labels = split.grid->labels.select(1, 0), mirror = mirrors_of(split.grid->tokens, at);
    check_commutes(labels, mirror, split.grid->tokens, at);

    const Tensor logits = observation.logits.select(1, 0).to(torch::kFloat64), answer = logits.argmax(1);
    const Tensor rows = torch::arange(labels.size(0), torch::kInt64);
    const auto among = [&](const Tensor& chosen) {
      return torch::zeros({labels.size(0)}, torch::kBool).index_fill_(0, chosen, true);
    };
    const Tensor two = torch::logical_and(mirror >= 0, mirror != rows);  // (a, a) is its own mirror image
    const Tensor other = mirror.clamp_min(0), trained = among(split.train_rows);
    const Tensor tested = torch::logical_and(among(split.test_rows), two);
    const Tensor mirror_trained = trained.index_select(0, other);
    const Tensor mirrored = torch::logical_and(tested, mirror_trained);
    const Tensor unmirrored = torch::logical_and(tested, mirror_trained.logical_not());

    const Tensor right = (answer == labels).to(torch::kFloat64), loss = orrery::cross_entropy(logits, labels);
    compared("accuracy", right, mirrored, unmirrored, /*headline=*/true, recorder);
    compared("loss", loss, mirrored, unmirrored, /*headline=*/false, recorder);
    recorder.scalar("pairs/mirrored", mirrored.sum().item<double>());
    recorder.scalar("pairs/unmirrored", unmirrored.sum().item<double>());
    const Tensor unseen = torch::logical_and(two, torch::logical_or(trained, mirror_trained).logical_not());
    same_answers(answer, other, two, unseen, observation.logits.size(2), recorder);
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    recorder.panel("accuracy", "Accuracy on test pairs, by whether their mirror image is trained",
                   "accuracy");
    recorder.panel("accuracy/difference", "What a trained mirror image adds to the accuracy", "accuracy");
    recorder.panel("loss", "Loss on test pairs, by whether their mirror image is trained", "loss (nats)");
    recorder.panel("loss/difference", "What a trained mirror image adds to the loss", "loss (nats)");
    recorder.panel("pairs", "Test pairs, by whether their mirror image is trained", "pairs (count)");
    recorder.panel("same_answer", "Pairs (a, b) with the same answer as (b, a)", "share of the pairs");
  }

  static void compared(const std::string& name, const Tensor& values, const Tensor& mirrored,
                       const Tensor& unmirrored, bool headline, orrery::Recorder& recorder) {
    const auto mean = [&](const char* set, const Tensor& of) {
      const Tensor chosen = values.masked_select(of);
      const double value = chosen.numel() > 0 ? chosen.mean().item<double>() : NAN;
      if (chosen.numel() > 0) recorder.scalar(name + "/" + set, value);
      return value;
    };
    const double difference = mean("mirrored", mirrored) - mean("unmirrored", unmirrored);
    if (std::isnan(difference)) return;
    headline ? recorder.headline(name + "/difference", difference)
             : recorder.scalar(name + "/difference", difference);
  }

  // Whether the answers are the same, right or wrong; and how often two answers of this network are if they
  // are to any two pairs.
  static void same_answers(const Tensor& answer, const Tensor& other, const Tensor& two, const Tensor& unseen,
                           int64_t n_classes, orrery::Recorder& recorder) {
    const Tensor same = (answer == answer.index_select(0, other)).to(torch::kFloat64);
    const auto mean = [&](const std::string& name, const Tensor& of) {
      const Tensor chosen = same.masked_select(of);
      if (chosen.numel() > 0) recorder.scalar(name, chosen.mean().item<double>());
    };
    mean("same_answer", two);
    mean("same_answer/untrained", unseen);
    const Tensor given = torch::bincount(answer.masked_select(two), {}, n_classes).to(torch::kFloat64);
    const double total = given.sum().item<double>();
    if (total > 0) recorder.scalar("same_answer/permuted", (given / total).square().sum().item<double>());
  }
};

}  // namespace

ORRERY_PROBE(MirroredPairs, Params, "mirrored_pairs", "1.0.0",
             "Whether a network that memorises (a, b) knows (b, a): commutative memorisation.")
