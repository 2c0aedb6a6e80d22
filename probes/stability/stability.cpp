// Is the network still learning, or only scaling what it says? (Prieto et al. 2025, "Grokking at the edge of
// numerical stability", arXiv 2501.04697) Past 100 % training accuracy a homogeneous network lowers its loss
// by scaling its weights: cos(-gradient, weights) nears 1 (naive loss minimisation). The logits grow until
// the softmax absorbs all classes but one (softmax collapse) and the gradient is gone: logits (20, 0, 0) sum
// to exp(0) + 2 exp(-20) = 1.000000004, which is exactly 1 in float32. What the scale leaves is the
// normalised margin, which for a + b mod p has a known maximum (Morwani et al. 2024, arXiv 2311.07568,
// theorem 7).
#include <orrery/gradients.h>
#include <orrery/loss.h>
#include <orrery/operand_grid.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace {

using orrery::Observation;
using torch::Tensor;

enum class Precision { float16, bfloat16, float32, float64 };
orrery::Names<Precision> names_of(Precision) {
  return {{"float16", Precision::float16},
          {"bfloat16", Precision::bfloat16},
          {"float32", Precision::float32},
          {"float64", Precision::float64}};
}

// What 1 absorbs: 1 + x, rounded to nearest, is 1 for 0 <= x <= 2^-b, b being the bits of the significand.
double absorbed(Precision precision) {
  if (precision == Precision::float16) return std::exp2(-11);
  if (precision == Precision::bfloat16) return std::exp2(-8);
  return std::exp2(precision == Precision::float32 ? -24 : -53);
}

struct Params {
  Precision precision = Precision::float32;

  static void fields(orrery::Fields<Params>& f) {
    f.add("precision", &Params::precision, "in which sum of exponentials the others are absorbed");
  }
};

// The labels that count: values [batch, n_read, ...] to [labels, ...].
Tensor counted(const Tensor& values, const orrery::Batch& batch) {
  const Tensor flat = values.flatten(0, 1);
  if (!batch.scored.defined()) return flat;
  return flat.index_select(0, batch.scored.flatten().nonzero().flatten());
}

double share(const Tensor& which) { return which.to(torch::kFloat64).mean().item<double>(); }

// A network f(a, b) = sum_i (u_i[a] + v_i[b])^2 w_i of the group of p elements, by index.
struct QuadraticNetwork {
  Tensor u, v, w;  // [p, neurons], [p, neurons], [neurons, p] float64

  int64_t order() const { return u.size(0); }
  Tensor logits(const Tensor& i, const Tensor& j) const {
    return (u.index_select(0, i) + v.index_select(0, j)).square().matmul(w);
  }
};

bool is_prime(int64_t n) {
  if (n < 2) return false;
  for (int64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

// Whether its logits are those of the network, up to float32.
bool computes_the_logits(const QuadraticNetwork& network, const orrery::OperandIndices& indices,
                         const Observation& observation) {
  const int64_t rows = std::min<int64_t>(observation.inputs.size(), 256);
  if (rows == 0) return false;
  const Tensor pairs = indices.pairs(observation.inputs.tokens.narrow(0, 0, rows));
  if (pairs.lt(0).any().item<bool>()) return false;
  const Tensor i = pairs.div(network.order(), "floor"), j = pairs.remainder(network.order());
  const Tensor found = network.logits(i, j);
  const Tensor terms =
      (network.u.index_select(0, i) + network.v.index_select(0, j)).square().matmul(network.w.abs());
  const Tensor said = indices.classes(observation.logits.narrow(0, 0, rows).select(1, 0).to(torch::kFloat64));
  return ((found - said).abs() <= 1e-4 * terms + 1e-30).all().item<bool>();
}

// The network in these terms, if it is one: addition in a group of prime order p > 2, one hidden layer of
// x^2, no biases, separate weights for the operands. No name tells the activation function, so the logits do.
std::optional<QuadraticNetwork> quadratic_network(const Observation& observation) {
  const auto& cyclic = observation.structure.cyclic;
  if (!cyclic || cyclic->order <= 2 || !is_prime(cyclic->order)) return std::nullopt;
  const orrery::Model& model = observation.model;
  const bool named = model.weights().size() == 3 && model.find_weight("mlp.W_in_a") &&
                     model.find_weight("mlp.W_in_b") && model.find_weight("mlp.W_out");
  if (!named || observation.spec.d_vocab_out != cyclic->order || observation.logits.size(1) != 1)
    return std::nullopt;
  const auto weight = [&](const char* name) { return observation.weight(name).to(torch::kFloat64); };
  const Tensor a = weight("mlp.W_in_a"), b = weight("mlp.W_in_b"), out = weight("mlp.W_out");
  if (a.size(0) != observation.spec.d_vocab || out.size(1) != cyclic->order) return std::nullopt;
  const orrery::OperandIndices indices(*cyclic);
  if (indices.left_position() != 0 || indices.right_position() != 1) return std::nullopt;
  const QuadraticNetwork network{indices.left(a), indices.right(b), indices.classes(out)};
  if (!computes_the_logits(network, indices, observation)) return std::nullopt;
  return network;
}

// The least over all pairs of the logit of i + j above the largest other one.
double least_margin(const QuadraticNetwork& network) {
  const int64_t p = network.order();
  const Tensor j = torch::arange(p, torch::kInt64);
  double least = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < p; ++i) {
    const Tensor logits = network.logits(torch::full({p}, i, torch::kInt64), j);
    const Tensor right = (j + i).remainder(p).unsqueeze(1);
    const Tensor others = logits.scatter(1, right, -std::numeric_limits<double>::infinity());
    const Tensor margin = logits.gather(1, right).squeeze(1) - std::get<0>(others.max(1));
    least = std::min(least, margin.min().item<double>());
  }
  return least;
}

// ||theta||_{2,3}^3: the network is homogeneous of degree 3, so the margin of theta / ||theta|| is that of
// theta over this.
double norm_cubed(const QuadraticNetwork& network) {
  const Tensor squares =
      network.u.square().sum(0) + network.v.square().sum(0) + network.w.square().sum(1);  // [neurons]
  return squares.pow(1.5).sum().item<double>();
}

// Theorem 7 of Morwani et al.
double largest_margin(int64_t p) {
  return std::sqrt(2.0 / 27.0) / (std::sqrt(static_cast<double>(p)) * static_cast<double>(p - 1));
}

class Stability final : public orrery::Probe {
 public:
  explicit Stability(Params params) : params_(params) {}

  orrery::Needs needs() const override { return {.inputs = orrery::Inputs::train, .weights = {"*"}}; }

  void measure(const Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    collapse(observation, recorder);
    alignment(observation, recorder);
    scale(observation, recorder);
    margin(observation, recorder);
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    recorder.panel("softmax_collapse", "Softmax collapse: training examples whose other classes are absorbed",
                   "share of the training labels");
    recorder.panel("zero_loss", "Training examples whose loss is exactly 0 in float32",
                   "share of the training labels");
    recorder.panel("nlm_cosine", "Naive loss minimisation: does the gradient scale the weights?",
                   "cosine of -gradient and weights");
    recorder.panel("gradient_norm", "Norm of the gradient of the training loss", "L2 norm");
    recorder.panel("logit_scale", "Scale of the logits on the training set", "root mean square (nats)");
    recorder.panel("margin", "Logit of the right answer above the next best: training set", "logit (nats)");
    recorder.panel("normalised_margin", "Margin at unit L_{2,3} norm, over all pairs", "normalised margin");
    recorder.panel("normalised_margin/of_maximum", "Margin at unit L_{2,3} norm: share of the maximum",
                   "share of the maximum");
  }

  void collapse(const Observation& observation, orrery::Recorder& recorder) const {
    const orrery::Batch& batch = observation.inputs;
    recorder.scalar("zero_loss", share(counted(observation.losses(observation.logits, batch), batch) == 0));
    if (observation.spec.d_vocab_out == 1) return;  // no sum of exponentials
    const Tensor logits = counted(observation.logits, batch).to(torch::kFloat64);
    const auto [largest, at] = logits.max(-1, /*keepdim=*/true);
    const Tensor others = (logits - largest).exp().scatter(-1, at, 0.0);
    const double most = absorbed(params_.precision);
    const Tensor collapsed = others.sum(-1) <= most;
    const Tensor right = at.squeeze(-1) == counted(batch.labels, batch);
    recorder.headline("softmax_collapse", share(collapsed));
    recorder.scalar("softmax_collapse/right", share(collapsed.logical_and(right)));
    recorder.scalar("softmax_collapse/one_by_one", share(std::get<0>(others.max(-1)) <= most));
  }

  static void alignment(const Observation& observation, orrery::Recorder& recorder) {
    const torch::Device device = observation.model.device();
    const orrery::Batch batch = observation.inputs.to(device);
    const auto loss = [&](const Tensor& logits) {
      return orrery::mean_over_labels(observation.losses(logits.to(torch::kFloat64), batch), batch);
    };
    const auto found = orrery::gradients(observation.model, batch.tokens, observation.spec.read_out, loss,
                                         {.weights = {"*"}});
    double dot = 0, of_gradient = 0, of_weights = 0;
    for (const std::string& name : observation.model.weight_names()) {
      const Tensor w = observation.weight(name).to(torch::kFloat64);
      const Tensor g = found.of_weights.at(name).to(torch::kCPU, torch::kFloat64);
      const double along = -(g * w).sum().item<double>(), gg = g.square().sum().item<double>(),
                   ww = w.square().sum().item<double>();
      recorder.scalar("nlm_cosine/" + name, along / std::sqrt(gg * ww));
      dot += along, of_gradient += gg, of_weights += ww;
    }
    recorder.headline("nlm_cosine", dot / std::sqrt(of_gradient * of_weights));
    recorder.scalar("gradient_norm", std::sqrt(of_gradient));
  }

  static void scale(const Observation& observation, orrery::Recorder& recorder) {
    const orrery::Batch& batch = observation.inputs;
    const Tensor logits = counted(observation.logits, batch).to(torch::kFloat64);
    const Tensor labels = counted(batch.labels, batch).unsqueeze(-1);  // [labels, 1]
    const bool one = observation.spec.d_vocab_out == 1;
    const Tensor about = one ? logits : logits - logits.mean(-1, true);
    recorder.scalar("logit_scale", about.square().mean().sqrt().item<double>());
    const Tensor right = one ? logits * (2 * labels - 1) : logits.gather(-1, labels);
    const Tensor rival = one ? torch::zeros_like(right)
                             : std::get<0>(logits.scatter(-1, labels, -INFINITY).max(-1, /*keepdim=*/true));
    recorder.scalar("margin/min", (right - rival).min().item<double>());
    recorder.scalar("margin/mean", (right - rival).mean().item<double>());
  }

  static void margin(const Observation& observation, orrery::Recorder& recorder) {
    const auto network = quadratic_network(observation);
    if (!network) return;
    const double normalised = least_margin(*network) / norm_cubed(*network);
    recorder.scalar("normalised_margin", normalised);
    recorder.headline("normalised_margin/of_maximum", normalised / largest_margin(network->order()));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(Stability, Params, "stability", "1.0.0",
             "Softmax collapse, gradients that only scale the weights, and the normalised margin.")
