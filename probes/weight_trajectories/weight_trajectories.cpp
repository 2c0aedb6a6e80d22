// Where does every weight go? (Pearce et al. 2023, "Do Machine Learning Models Memorize or Generalize?") In
// parity a network may seem to change all at once, when the test loss drops; its weights glide, and those of
// distracting inputs are pruned one by one. Keeps one weight matrix at
// each checkpoint, and draws every entry over the steps in the end. Three inputs of which the first is
// relevant, two neurons, weights 1, 2 | 0.5, 0 | 0.001, 0 at step 100: the distractors' largest is 0.5, a
// quarter of the relevant ones'.
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

using torch::Tensor;

struct Params {
  std::string weight = "mlp.W_in";
  double pruned_share = 0.01;
  int64_t max_drawn = 1000;

  static void fields(orrery::Fields<Params>& f) {
    f.add("weight", &Params::weight, "the weight that is kept, a matrix with a row for each input");
    f.add("pruned_share", &Params::pruned_share,
          "a weight is pruned if its modulus is at most this share of the largest at the same step")
        .between(0, 1);
    f.add("max_drawn", &Params::max_drawn,
          "entries that are drawn, those that were largest at any step first")
        .at_least(1);
  }
};

// What the rows of the matrix stand for. Distractors are inputs that the task does not declare relevant; a
// row beyond the inputs is that of a column of ones. All are one kind if the task does not say which
// positions are relevant, or the rows are no inputs.
const std::vector<std::string> kinds{"all", "relevant", "distractor", "ones"};

Tensor kinds_of_rows(int64_t n_rows,
                     const orrery::Observation& observation) {  // int32 [n_rows], indices of `kinds`
  Tensor kind = torch::zeros({n_rows}, torch::kInt32);
  const int64_t n_ctx = observation.spec.n_ctx;
  const bool reads_bits = observation.model.find_hook_point("hook_input");
  if (!observation.structure.relevant_positions || !reads_bits || n_rows < n_ctx || n_rows > n_ctx + 1)
    return kind;
  kind.narrow(0, 0, n_ctx).fill_(2);
  kind.narrow(0, n_ctx, n_rows - n_ctx).fill_(3);
  for (const int64_t position : observation.structure.relevant_positions->positions) kind[position] = 1;
  return kind;
}

class WeightTrajectories final : public orrery::Probe {
 public:
  explicit WeightTrajectories(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::none;
    needs.weights = {params_.weight};
    needs.tensors = {"weights", "kind"};
    needs.refusal = [name = params_.weight](const orrery::Model& model, const orrery::TaskSpec&) {
      const orrery::NamedWeight* weight = model.find_weight(name);
      return weight && weight->value.dim() != 2 ? name + " is no matrix" : std::string();
    };
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    recorder.panel("largest", "Largest weight of each kind of input", "modulus of the weight");
    recorder.panel("live", "Weights that are not pruned", "weights (count)");
    const Tensor weights = observation.weight(params_.weight);
    const Tensor kind = kinds_of_rows(weights.size(0), observation), moduli = weights.abs();
    const double least = moduli.max().item<double>() * params_.pruned_share;
    for (size_t k = 0; k < kinds.size(); ++k) {
      const Tensor of_kind = moduli.index_select(0, (kind == int64_t(k)).nonzero().flatten());
      if (of_kind.numel() == 0) continue;
      recorder.scalar("largest/" + kinds[k], of_kind.max().item<double>());
      recorder.scalar("live/" + kinds[k], (of_kind > least).sum().item<double>());
    }
    recorder.tensor("weights", weights);
    recorder.tensor("kind", kind);
  }

  void conclude(const orrery::History& history, orrery::Recorder& recorder) override {
    const orrery::TensorSeries& weights = history.tensor("weights");
    std::vector<Tensor> all;
    for (const int64_t step : weights.steps) all.push_back(weights.at(step).flatten());
    if (all.empty()) return;
    const int64_t n_columns = weights.at(weights.steps.front()).size(1);
    const Tensor over_steps = torch::stack(all);  // [steps, entries]
    const Tensor kind = history.tensor("kind").at(weights.steps.front()).repeat_interleave(n_columns);
    recorder.figure(drawn(over_steps, kind, weights.steps));
  }

 private:
  // One trace for each kind: its entries one after the other, with a gap between two.
  orrery::Figure drawn(const Tensor& over_steps, const Tensor& kind,
                       const std::vector<int64_t>& steps) const {
    const Tensor size = std::get<0>(over_steps.abs().max(0));
    const Tensor largest = size.argsort(0, /*descending=*/true).slice(0, 0, params_.max_drawn);
    const Tensor gap = torch::full({1}, std::numeric_limits<float>::quiet_NaN());
    std::vector<int64_t> at = steps;
    at.push_back(steps.back());  // of the gap
    const Tensor x = torch::tensor(at, torch::kInt64);
    orrery::Figure figure{"trajectories",
                          orrery::Figure::Kind::line,
                          "Weights of " + params_.weight + " over training",
                          "step",
                          "weight",
                          {}};
    for (const int64_t k : {0, 3, 2, 1}) {  // relevant ones last, on top
      const Tensor members = largest.masked_select(kind.index_select(0, largest) == k);
      if (members.numel() == 0) continue;
      const Tensor lines = over_steps.index_select(1, members).t();  // [members, steps]
      const Tensor y = torch::cat({lines, gap.expand({lines.size(0), 1})}, 1).flatten();
      figure.traces.push_back({kinds[k], x.repeat({lines.size(0)}), y.to(torch::kFloat32).contiguous(), {}});
    }
    return figure;
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(WeightTrajectories, Params, "weight_trajectories", "1.0.0",
             "Every entry of one weight matrix over training.")
