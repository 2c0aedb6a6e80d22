// How large is the gradient that the next update starts from, where does it point, and how much of what Adam
// remembers is signal? Seen at every checkpoint: the training loss of the next batch, its gradient, and the
// moments of the optimiser (Kingma and Ba 2015, arXiv 1412.6980, section 2.1, read exp_avg / sqrt(exp_avg_sq)
// as a signal-to-noise ratio). A gradient against the weights only shrinks them, one along them only scales
// the logits. A weight (3, 4) with gradient (-3, 4): norm 5, cosine of minus the gradient and the weight
// (9 - 16) / 25 = -0.28.
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <cmath>
#include <map>
#include <string>

namespace {

using torch::Tensor;
using Tensors = std::map<std::string, Tensor>;

struct Params {
  bool by_weight = true;

  static void fields(orrery::Fields<Params>& f) {
    f.add("by_weight", &Params::by_weight, "whether the norm of the gradient is recorded for each weight");
  }
};

double inner_product(const Tensor& a, const Tensor& b) {
  return (a.to(torch::kFloat64) * b.to(torch::kFloat64)).sum().item<double>();
}

// Sums over all weights together.
struct Sums {
  double squares_a = 0, squares_b = 0, product = 0;

  void add(const Tensor& a, const Tensor& b) {
    squares_a += inner_product(a, a);
    squares_b += inner_product(b, b);
    product += inner_product(a, b);
  }
  double cosine() const { return product / std::sqrt(squares_a * squares_b); }  // NaN if one is zero
};

// Those of `moments` under "MOMENT/WEIGHT", by weight.
Tensors moment_of(const Tensors& moments, const std::string& moment) {
  Tensors found;
  const std::string prefix = moment + "/";
  for (const auto& [name, tensor] : moments)
    if (name.starts_with(prefix)) found[name.substr(prefix.size())] = tensor;
  return found;
}

// The mean over all parameters of mean^2 / mean of squares, in which Adam's decay rates and the correction of
// its start are left as they are: 1 for a gradient that never changes, about 0 for one that is noise.
// Parameters whose gradient has always been 0 are left out.
double signal_share(const Tensors& mean, const Tensors& mean_of_squares) {
  double sum = 0, count = 0;
  for (const auto& [name, m] : mean) {
    const Tensor squares = mean_of_squares.at(name).to(torch::kFloat64);
    const Tensor moved = squares > 0;
    sum +=
        (m.to(torch::kFloat64).square() / squares).masked_fill(moved.logical_not(), 0).sum().item<double>();
    count += moved.sum().item<double>();
  }
  return sum / count;
}

class TrainingGradients final : public orrery::Probe {
 public:
  explicit TrainingGradients(Params params) : params_(params) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = orrery::Inputs::none;
    needs.weights = {"*"};
    needs.training = true;
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    const orrery::TrainingState& training = *observation.training;
    recorder.panel("batch_loss", "Training loss of the next batch", "training loss");
    recorder.panel("norm", "Norm of the gradient of the next update", "L2 norm");
    recorder.panel("cosine", "Where the gradient points", "cosine");
    recorder.panel("signal_share", "Share of signal in what Adam remembers", "share");
    recorder.scalar("batch_loss", training.loss);
    record_gradient(observation, recorder);
    record_moments(training, recorder);
  }

 private:
  void record_gradient(const orrery::Observation& observation, orrery::Recorder& recorder) const {
    Sums with_weights;
    for (const auto& [name, gradient] : observation.training->gradients) {
      with_weights.add(-gradient, observation.weight(name));
      if (params_.by_weight) recorder.scalar("norm/" + name, std::sqrt(inner_product(gradient, gradient)));
    }
    recorder.headline("norm", std::sqrt(with_weights.squares_a));
    recorder.scalar("cosine/weights", with_weights.cosine());
  }

  // Adam's running mean, or the momentum of SGD; all zero before the first update.
  static void record_moments(const orrery::TrainingState& training, orrery::Recorder& recorder) {
    Tensors mean = moment_of(training.moments, "exp_avg");
    if (mean.empty()) mean = moment_of(training.moments, "momentum");
    Sums with_mean;
    for (const auto& [name, m] : mean)
      if (training.gradients.contains(name)) with_mean.add(training.gradients.at(name), m);
    if (with_mean.squares_b == 0) return;
    recorder.scalar("cosine/moment", with_mean.cosine());
    const Tensors squares = moment_of(training.moments, "exp_avg_sq");
    if (!squares.empty()) recorder.scalar("signal_share", signal_share(mean, squares));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(TrainingGradients, Params, "training_gradients", "1.0.0",
             "The gradient that the next update starts from, and the optimiser's moments.")
