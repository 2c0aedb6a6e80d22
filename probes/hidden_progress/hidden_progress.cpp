// What moves while the accuracy of a parity stands still? (Barak et al. 2022, "Hidden progress in deep
// learning", arXiv 2207.08799, definition 1 and appendix C) A neuron's weight on bit i is driven by E[y x_i
// sigma'(w x)]: a Fourier coefficient of sigma', of order k - 1 on the k relevant bits and k + 1 on the
// others. The gap between them moves the relevant weights, long before they are the largest and the network
// is right. For a majority neuron of 5 bits and k = 2: 3/16 on the relevant bits, 1/16 on the others, a gap
// of 1/8; the two lead soon. For k = 4 the gap is -1/8, and they do not.
#include <orrery/gradients.h>
#include <orrery/hooks.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using orrery::Observation;
using torch::Tensor;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Params {
  int64_t samples = 65536;

  static void fields(orrery::Fields<Params>& f) {
    f.add("samples", &Params::samples,
          "strings that Fourier coefficients are a mean over; all 2^n, each once, if that is no more")
        .between(1, 16777216);
  }
};

// Networks whose first layer is not that of an mlp on bits, or that have a second one.
std::string other_network(const orrery::Model& model, const orrery::TaskSpec& spec) {
  const orrery::NamedWeight* const in = model.find_weight("mlp.W_in");
  const bool reads_bits = in && model.find_hook_point("hook_input") && spec.d_vocab == 2 &&
                          (in->value.size(0) == spec.n_ctx || in->value.size(0) == spec.n_ctx + 1);
  if (!reads_bits || !model.find_weight("mlp.W_out"))
    return "it looks at the weights of an mlp with input = \"bits\", and the model is another";
  if (model.find_weight("mlp.W_hidden")) return "it looks at one hidden layer, and the model has two";
  if (spec.d_vocab_out > 2) return "it takes one logit or two for the parity, and the task has more classes";
  return "";
}

// The task: which of the n bits the label is the parity of.
struct Parity {
  int64_t n = 0;
  Tensor relevant, irrelevant;  // int64: positions

  Parity(int64_t bits, const std::vector<int64_t>& positions) : n(bits) {
    relevant = torch::tensor(positions, torch::kInt64);
    irrelevant = torch::ones({n}, torch::kBool).index_fill_(0, relevant, false).nonzero().flatten();
  }
  // Of as many positions that are irrelevant here, always the same ones; the task's own if there are too few.
  Parity other() const {
    const int64_t k = relevant.size(0);
    if (irrelevant.size(0) < k) return *this;
    const Tensor order = torch::randperm(irrelevant.size(0), orrery::make_generator(0), torch::kInt64);
    const Tensor chosen = irrelevant.index_select(0, order.narrow(0, 0, k)).contiguous();
    return {n, {chosen.data_ptr<int64_t>(), chosen.data_ptr<int64_t>() + k}};
  }
  // -1 and 1 of strings of -1 and 1.
  Tensor label(const Tensor& signs) const { return signs.index_select(1, relevant).prod(1); }
};

// Strings of bits, [rows, n] int64: all there are, or a sample.
class Strings {
 public:
  Strings(int64_t n, int64_t samples) : n_(n) {
    all_ = n < 62 && (int64_t{1} << n) <= samples;
    count_ = all_ ? int64_t{1} << n : samples;
  }
  int64_t count() const { return count_; }
  bool all() const { return all_; }
  // The rows from..from + rows - 1; a sample is drawn in order.
  Tensor draw(int64_t from, int64_t rows, torch::Generator& rng) const {
    if (!all_) return torch::randint(2, {rows, n_}, rng, torch::kInt64);
    const Tensor number = torch::arange(from, from + rows, torch::kInt64).unsqueeze(1);
    return number.bitwise_right_shift(torch::arange(n_, torch::kInt64)).bitwise_and(1);
  }

 private:
  int64_t n_ = 0, count_ = 0;
  bool all_ = false;
};

// By how much a logit for an odd number of ones grows with each neuron: [neurons] float64.
Tensor read_out_of(const Observation& observation) {
  const Tensor out = observation.weight("mlp.W_out").to(torch::kFloat64);
  return out.size(1) == 1 ? out.select(1, 0) : out.select(1, 1) - out.select(1, 0);
}

// E[y x_i sigma'(w x + b)] of each neuron, y being the label of `parity`: [n, neurons] float64. Backwards
// through the network, the gradient of sum y f at the neurons' input is y sigma' times their output weight;
// NaN for a neuron without one.
Tensor coefficients(const Observation& observation, const Parity& parity, const Strings& strings) {
  const auto device = observation.model.device();
  const Tensor out = read_out_of(observation);
  Tensor sum = torch::zeros({parity.n, out.size(0)}, torch::kFloat64);
  torch::Generator rng = orrery::make_generator(0);
  constexpr int64_t piece = 8192;
  for (int64_t from = 0; from < strings.count(); from += piece) {
    const Tensor bits = strings.draw(from, std::min(piece, strings.count() - from), rng);
    const Tensor signs = (2 * bits - 1).to(torch::kFloat64),
                 y = parity.label(signs).to(device, torch::kFloat32);
    const auto agreement = [&](const Tensor& logits) {
      const Tensor z = logits.select(1, 0);
      const Tensor f = z.size(1) == 1 ? z.select(1, 0) : z.select(1, 1) - z.select(1, 0);
      return (y * f).sum();
    };
    const auto found = orrery::gradients(observation.model, bits.to(device), observation.spec.read_out,
                                         agreement, {.activations = {"mlp.hook_pre"}});
    sum += signs.t().matmul(found.of_activations["mlp.hook_pre"].to(torch::kCPU, torch::kFloat64));
  }
  return sum / (out * double(strings.count()));
}

// The least coefficient of a relevant bit above the largest of an irrelevant one, in size: [neurons]. Without
// irrelevant bits, the least coefficient.
Tensor gaps_of(const Tensor& coefficient, const Parity& parity) {
  const Tensor size = coefficient.abs();
  const Tensor least = std::get<0>(size.index_select(0, parity.relevant).min(0));
  if (parity.irrelevant.numel() == 0) return least;
  return least - std::get<0>(size.index_select(0, parity.irrelevant).max(0));
}

double largest_of(const Tensor& x) { return x.numel() == 0 ? 0 : x.abs().max().item<double>(); }

class HiddenProgress final : public orrery::Probe {
 public:
  explicit HiddenProgress(Params params) : params_(params) {}

  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::none,
            .structure = {orrery::Capability::relevant_positions},
            .weights = {"mlp.W_in", "mlp.W_out"},
            .reference = true,
            .refusal = other_network};
  }

  void fit(const Observation& reference) override {
    // Movement is from the initial weights, and from nowhere else.
    start_ = reference.step == 0 ? weights_of(reference) : Tensor();
  }

  void measure(const Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    const Parity parity(observation.spec.n_ctx, observation.structure.relevant_positions->positions);
    const Tensor w = weights_of(observation);  // [n, neurons]
    weights(w, parity, recorder);
    movement(w, parity, recorder);
    fourier_gaps(observation, parity, recorder);
  }

 private:
  // Without a row of biases.
  static Tensor weights_of(const Observation& observation) {
    return observation.weight("mlp.W_in").narrow(0, 0, observation.spec.n_ctx).to(torch::kFloat64);
  }

  static void panels(orrery::Recorder& recorder) {
    recorder.panel("relevant_share", "Relevant bits: their share of the squared first-layer weights",
                   "share of the sum of squares");
    recorder.panel("leading_neurons", "Neurons whose relevant weights are larger than all others",
                   "neurons (count)");
    recorder.panel("largest", "Largest first-layer weight on relevant and on irrelevant bits",
                   "weight (absolute)");
    recorder.panel("movement", "Largest movement of a first-layer weight from initialisation",
                   "movement (units of the weights)");
    recorder.panel("fourier_gap", "Fourier gap of the neurons' population gradients",
                   "gap (Fourier coefficient)");
    recorder.panel("fourier_gap/positive", "Neurons with a Fourier gap above 0", "share of the neurons");
  }

  static void weights(const Tensor& w, const Parity& parity, orrery::Recorder& recorder) {
    const Tensor on = w.index_select(0, parity.relevant), off = w.index_select(0, parity.irrelevant);
    recorder.headline("relevant_share", on.square().sum().item<double>() / w.square().sum().item<double>());
    recorder.scalar("relevant_share/chance", double(parity.relevant.size(0)) / double(parity.n));
    const Tensor least = std::get<0>(on.abs().min(0));
    const Tensor leads = off.numel() == 0 ? least > 0 : least > std::get<0>(off.abs().max(0));
    recorder.headline("leading_neurons", double(leads.sum().item<int64_t>()));
    recorder.scalar("largest/relevant", largest_of(on));
    recorder.scalar("largest/irrelevant", largest_of(off));
  }

  void movement(const Tensor& w, const Parity& parity, orrery::Recorder& recorder) const {
    const auto largest = [&](const Tensor& positions) {
      if (!start_.defined() || start_.sizes() != w.sizes()) return kNone;
      return largest_of((w - start_).index_select(0, positions));
    };
    const double on = largest(parity.relevant), off = largest(parity.irrelevant);
    recorder.headline("movement", std::isnan(on) ? kNone : std::max(on, off));
    recorder.scalar("movement/relevant", on);
    recorder.scalar("movement/irrelevant", off);
  }

  void fourier_gaps(const Observation& observation, const Parity& parity, orrery::Recorder& recorder) const {
    const Strings strings(parity.n, params_.samples);
    const Tensor coefficient = coefficients(observation, parity, strings),
                 gaps = gaps_of(coefficient, parity);
    const Tensor known = gaps.isfinite(), of = gaps.masked_select(known);
    recorder.headline("fourier_gap", of.mean().item<double>());
    recorder.scalar("fourier_gap/largest", of.numel() == 0 ? kNone : of.max().item<double>());
    recorder.scalar("fourier_gap/positive", (of > 0).to(torch::kFloat64).mean().item<double>());
    const Parity other = parity.other();
    if (!torch::equal(other.relevant, parity.relevant)) {
      const Tensor control = gaps_of(coefficients(observation, other, strings), other);
      recorder.scalar("fourier_gap/other_bits",
                      control.masked_select(control.isfinite()).mean().item<double>());
    }
    recorder.scalar("fourier_gap/error", strings.all() ? 0 : 1 / std::sqrt(double(strings.count())));
    recorder.tensor("fourier_gap", gaps);
    const Tensor mean = coefficient.abs().index_select(1, known.nonzero().flatten()).mean(1);  // [n]
    const auto bars = [&](const Tensor& positions) {
      return torch::zeros_like(mean).index_copy_(0, positions, mean.index_select(0, positions));
    };
    recorder.figure(
        orrery::Figure::bars("coefficients", "Population gradient of the neurons by bit", {"bit"},
                             "mean size of the Fourier coefficient",
                             {{"relevant", bars(parity.relevant)}, {"irrelevant", bars(parity.irrelevant)}}));
  }

  Params params_;
  Tensor start_;  // [n, neurons] float64: the initial weights, undefined if the reference was not step 0
};

}  // namespace

ORRERY_PROBE(HiddenProgress, Params, "hidden_progress", "1.0.0",
             "What moves in a network that learns a parity before it is right.")
