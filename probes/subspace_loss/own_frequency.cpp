#include "own_frequency.h"

#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/hooks.h>

#include <cmath>

namespace subspace_loss {
namespace {

using torch::Tensor;

int64_t order_of(const Tensor& neurons) {
  return static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(neurons.size(0)))));
}

// Of functions [n*n, m] of the pair, as fourier_2d() wants them.
Tensor by_pair(const Tensor& neurons) {
  const int64_t n = order_of(neurons);
  return neurons.to(torch::kFloat64).reshape({n, n, neurons.size(1)});
}

// The inverse of fourier_2d: components [n, n, m] to values.
Tensor from_components(const Tensor& components) {
  const int64_t n = components.size(0), m = components.size(2);
  const Tensor basis = orrery::fourier_basis(n);
  const Tensor first = basis.t().matmul(components.reshape({n, n * m})).view({n, n, m});
  return torch::bmm(basis.t().expand({n, n, n}), first);
}

// Whether a row of the basis is the constant or has the frequency of the neuron: [n, m].
Tensor is_own(int64_t n, const Tensor& frequency) {
  const Tensor of_row = torch::div(torch::arange(1, n + 1, torch::kInt64), 2, "floor").unsqueeze(1);
  return torch::logical_or(of_row == 0, of_row == frequency);
}

class Replacing {
 public:
  Replacing(const Replacement& how, int64_t read_out) : how_(how), read_out_(read_out) {}

  Tensor operator()(const orrery::HookPoint& point, const Tensor& activation) {
    const bool all = point.position_dim() < 0 || how_.positions == orrery::Positions::all;
    if (all) return replaced(activation).to(activation.scalar_type());
    Tensor result = activation.clone(at::MemoryFormat::Contiguous);
    result.select(point.position_dim(), read_out_)
        .copy_(replaced(activation.select(point.position_dim(), read_out_)));
    return result;
  }

  OwnFrequencies own() const { return {torch::cat(frequencies_), torch::cat(shares_)}; }

 private:
  Tensor replaced(const Tensor& activation) {
    const Tensor x = activation.to(torch::kCPU, torch::kFloat64).reshape({activation.size(0), -1});
    const OwnFrequencies own = own_frequencies(x);
    frequencies_.push_back(own.frequency);
    shares_.push_back(own.share);
    const Tensor part = at_frequencies(
        x, how_.other_frequency ? other_frequencies(own.frequency, order_of(x)) : own.frequency);
    Tensor left = how_.part == orrery::Part::keep ? part : x - part;
    if (how_.part == orrery::Part::remove && how_.bias == orrery::Bias::site) left = left + x.mean(0);
    return left.view(activation.sizes()).to(activation.device());
  }

  const Replacement& how_;
  const int64_t read_out_;
  std::vector<Tensor> frequencies_, shares_;
};

}  // namespace

OwnFrequencies own_frequencies(const Tensor& neurons) {
  const auto spectrum = orrery::neuron_spectrum(by_pair(neurons));
  return {spectrum.frequency, spectrum.share};
}

Tensor other_frequencies(const Tensor& own, int64_t n) {
  const Tensor others =
      torch::randint(1, n / 2, own.sizes(), orrery::make_generator(0), torch::kInt64);  // 1..n/2 - 1
  return others + (others >= own).to(torch::kInt64);
}

Tensor at_frequencies(const Tensor& neurons, const Tensor& frequency) {
  const Tensor values = by_pair(neurons);
  const Tensor own = is_own(values.size(0), frequency).to(torch::kFloat64);
  const Tensor kept = orrery::fourier_2d(values) * own.unsqueeze(1) * own.unsqueeze(0);
  return from_components(kept).reshape(neurons.sizes());
}

Replaced replace_neurons(const Replacement& how, const orrery::LaidOutInputs& inputs,
                         const orrery::Observation& observation) {
  const torch::NoGradGuard no_grad;
  const int64_t read_out = observation.spec.read_out.at(0);
  Replacing replacing(how, read_out);
  std::vector<orrery::Hook> hooks;
  for (const std::string& name : how.hook_points)
    hooks.emplace_back(name, [&replacing, &point = *observation.model.find_hook_point(name)](
                                 const Tensor& activation) { return replacing(point, activation); });
  const Tensor tokens =
      observation.split.grid->tokens.index_select(0, inputs.rows).to(observation.model.device());
  const Tensor logits = orrery::run_with_hooks(observation.model, tokens, hooks)
                            .select(1, read_out)
                            .narrow(1, 0, inputs.logits.size(1))
                            .to(torch::kCPU, torch::kFloat64);
  if (how.bias != orrery::Bias::logits) return {logits, replacing.own()};
  return {logits + (inputs.logits - logits).mean(0), replacing.own()};
}

void record_accuracies(const std::string& prefix, const Tensor& logits, const orrery::OperandGrid& grid,
                       const orrery::Observation& observation, orrery::Recorder& recorder) {
  const Tensor labels = grid.inputs(observation.split.grid->labels.select(1, 0));
  const Tensor right = (logits.argmax(1) == labels).to(torch::kFloat64);
  const auto add = [&](const char* set, const Tensor& of) {
    if (of.numel() > 0) recorder.scalar(prefix + "/" + set, of.mean().item<double>());
  };
  const auto among = [&](const Tensor& rows) {
    const Tensor chosen =
        torch::zeros({observation.split.grid->size()}, torch::kBool).index_fill_(0, rows, true);
    return right.masked_select(grid.inputs(chosen));
  };
  add("train", among(observation.split.train_rows));
  add("test", among(observation.split.test_rows));
  add("all", right);
}

void record_shares(const OwnFrequencies& own, orrery::Recorder& recorder) {
  recorder.panel("variance_explained", "What its own frequency explains of each neuron",
                 "share: of the variance, of the neurons");
  const Tensor shares = std::get<0>(own.share.masked_select(own.frequency > 0).sort());
  const int64_t n = shares.size(0);
  const auto above = [&](double bound) {
    return (shares > bound).sum().item<double>() / double(n);
  };  // NaN if n = 0
  recorder.scalar("variance_explained/median",
                  n == 0 ? NAN : ((shares[(n - 1) / 2] + shares[n / 2]) / 2).item<double>());
  recorder.scalar("variance_explained/above_0.85", above(0.85));
  recorder.scalar("variance_explained/above_0.9", above(0.9));
  recorder.figure(orrery::Figure::histogram(
      "variance_explained", "What its own frequency explains of each neuron", "share of the variance",
      "neurons (count)", {{"neurons", shares.to(torch::kFloat32)}}));
}

}  // namespace subspace_loss
