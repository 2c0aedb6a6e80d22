// On how few waves, weights and directions does a network rest? The inverse participation ratio of a neuron
// says how many waves it reads and writes (Gromov 2023; Doshi et al. 2024, "To grok or not to grok", eqs. 3
// and 4): the sum of the squared shares of its energy, 1 for one wave, 1/2 for two equal ones, 2/h or so for
// noise over h of them. The effective rank of a matrix is exp of the entropy of its singular values (Roy &
// Vetterli 2007): values (3, 1) have shares 3/4 and 1/4, an entropy of 0.56 nats, an effective rank of 1.75.
#include <orrery/fourier.h>
#include <orrery/hooks.h>
#include <orrery/operand_grid.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace {

using orrery::Observation;
using torch::Tensor;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

enum class Examples { train, test };
orrery::Names<Examples> names_of(Examples) { return {{"train", Examples::train}, {"test", Examples::test}}; }

struct Params {
  Examples inputs = Examples::train;
  std::vector<std::string> activations = {"*mlp.hook_post*"};
  bool centred = false;

  static void fields(orrery::Fields<Params>& f) {
    f.add("inputs", &Params::inputs, "the examples whose activations are looked at");
    f.add("activations", &Params::activations, "hook points, by glob, of the effective rank of activations");
    f.add("centred", &Params::centred, "whether activations are taken about their mean over the examples");
  }
};

bool has_end(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// exp of the entropy of the singular values of x [rows, columns] as shares of their sum; NaN if x is zero or
// not finite.
double effective_rank(const Tensor& x) {
  Tensor matrix = x.to(torch::kCPU, torch::kFloat64);
  if (!matrix.isfinite().all().item<bool>()) return kNone;
  if (matrix.size(0) < matrix.size(1)) matrix = matrix.t();
  // R has the singular values of Q R, and far fewer rows.
  if (matrix.size(0) > 2 * matrix.size(1)) matrix = std::get<1>(at::linalg_qr(matrix, "r"));
  const Tensor values = at::linalg_svdvals(matrix);
  const double total = values.sum().item<double>();
  if (!(total > 0)) return kNone;
  const Tensor shares = values / total;
  return std::exp(-torch::xlogy(shares, shares).sum().item<double>());
}

// The inverse participation ratio of each column of energies [m, neurons], NaN for one without energy.
Tensor participation(const Tensor& energies) { return energies.square().sum(0) / energies.sum(0).square(); }

// The energy of each column of functions [n, neurons] at the frequencies 1..floor(n/2). The constant is no
// wave, and not a neuron's own: what is added to its input from a may be taken from its input from b, and the
// same for all classes changes no answer.
Tensor energies_of(const Tensor& functions) {
  const int64_t n = functions.size(0), half = n / 2;
  const Tensor squares = orrery::fourier_basis(n).matmul(functions).square();  // const, cos 1, sin 1, ...
  const Tensor frequency = torch::arange(1, n + 1, torch::kInt64).div(2, "floor");
  const Tensor energies = torch::zeros({half + 1, functions.size(1)}, torch::kFloat64)
                              .index_add_(0, frequency, squares)
                              .narrow(0, 1, half);
  // What rounding leaves of a constant is no wave.
  return energies.masked_fill(energies.sum(0) <= 1e-24 * functions.square().sum(0), 0);
}

// What neurons read of each operand and write for each class: [n, neurons] float64, by index.
struct NeuronFunctions {
  Tensor left, right, output;
};

// Whether `pairs` holds each of 0..n*n-1 once, besides those without an index.
bool complete(const Tensor& pairs, int64_t n) {
  const Tensor sorted = std::get<0>(pairs.masked_select(pairs >= 0).sort());
  return sorted.numel() == n * n && torch::equal(sorted, torch::arange(n * n, torch::kInt64));
}

const orrery::HookPoint* neuron_inputs(const orrery::Model& model) {
  for (const auto& point : model.hook_points())
    if (orrery::matches("*mlp.hook_pre", point->name())) return point.get();
  return nullptr;
}

// The mean over the other operand of the input of each neuron, over the grid of the task. Nothing where there
// is no such grid, no layer of neurons or several, or where the neurons have another input besides.
std::optional<NeuronFunctions> neuron_functions(const Observation& observation) {
  const auto& cyclic = observation.structure.cyclic;
  const auto& grid = observation.split.grid;
  if (!cyclic || !grid || observation.spec.read_out.size() != 1) return std::nullopt;
  const orrery::HookPoint* const before = neuron_inputs(observation.model);
  if (!before || !orrery::has_one_neuron_layer(observation.model)) return std::nullopt;
  for (const std::string& name : observation.model.weight_names())
    if (has_end(name, "mlp.W_gate")) return std::nullopt;
  const orrery::OperandIndices indices(*cyclic);
  const int64_t n = indices.order(), piece = 4096;
  const Tensor pairs = indices.pairs(grid->tokens);
  if (n < 3 || !complete(pairs, n)) return std::nullopt;

  const orrery::HookPoint& point = *before;
  const auto device = observation.model.device();
  NeuronFunctions functions;
  for (int64_t from = 0; from < pairs.size(0); from += piece) {
    const int64_t rows = std::min(piece, pairs.size(0) - from);
    const auto pass = orrery::read_out(observation.model, {grid->tokens.narrow(0, from, rows).to(device),
                                                           observation.spec.read_out,
                                                           {},
                                                           /*observed=*/true,
                                                           {point.name()}});
    pass->logits();
    const Tensor all = pass->activations().at(point.name()).select(1, 0).to(torch::kCPU, torch::kFloat64);
    const Tensor with = pairs.narrow(0, from, rows).ge(0).nonzero().flatten();
    const Tensor pair = pairs.narrow(0, from, rows).index_select(0, with), pre = all.index_select(0, with);
    if (!functions.left.defined()) {
      functions.left = torch::zeros({n, pre.size(1)}, torch::kFloat64);
      functions.right = torch::zeros_like(functions.left);
    }
    functions.left.index_add_(0, pair.div(n, "floor"), pre / double(n));
    functions.right.index_add_(0, pair.remainder(n), pre / double(n));
  }
  functions.output = indices.classes(orrery::neurons_to_logits(observation, torch::kFloat64)).t();
  return functions;
}

// The mean of `values` [n] over `which` [n] bool; NaN if there are none.
double mean_over(const Tensor& values, const Tensor& which) {
  return values.masked_select(which).mean().item<double>();
}

class Sparsity final : public orrery::Probe {
 public:
  explicit Sparsity(Params params) : params_(std::move(params)) {}

  orrery::Needs needs() const override {
    const bool train = params_.inputs == Examples::train;
    return {.inputs = train ? orrery::Inputs::train : orrery::Inputs::test,
            .activations = params_.activations,
            .weights = {"*"}};
  }

  void measure(const Observation& observation, orrery::Recorder& recorder) override {
    recorder.panel("ipr", "Inverse participation ratio of the neurons over waves: 1 is one wave each",
                   "mean inverse participation ratio");
    recorder.panel("weight_ipr", "Inverse participation ratio of the neurons over their weights",
                   "mean inverse participation ratio");
    recorder.panel("unused_neurons", "Neurons that read or write no wave at all", "neurons (count)");
    recorder.panel("effective_rank", "Effective rank: exp of the entropy of the singular values",
                   "effective rank (directions)");
    if (const auto functions = neuron_functions(observation)) waves(*functions, recorder);
    weights(observation, recorder);
    for (const std::string& name : observation.cache.names())  // other probes' activations among them
      if (asked_for(name)) activations(name, observation, recorder);
  }

 private:
  bool asked_for(const std::string& name) const {
    return std::any_of(params_.activations.begin(), params_.activations.end(),
                       [&](const std::string& glob) { return orrery::matches(glob, name); });
  }

  static void waves(const NeuronFunctions& functions, orrery::Recorder& recorder) {
    const Tensor left = energies_of(functions.left), right = energies_of(functions.right),
                 output = energies_of(functions.output);
    const Tensor used = (left.sum(0) > 0).logical_and(right.sum(0) > 0).logical_and(output.sum(0) > 0);
    const Tensor of_left = participation(left), of_right = participation(right),
                 of_output = participation(output);
    const Tensor of_neuron = (of_left + of_right + of_output) / 3;
    recorder.headline("ipr", mean_over(of_neuron, used));
    recorder.scalar("ipr/left", mean_over(of_left, used));
    recorder.scalar("ipr/right", mean_over(of_right, used));
    recorder.scalar("ipr/output", mean_over(of_output, used));
    const Tensor size = ((left.sum(0) + right.sum(0)) / 2 * output.sum(0)).sqrt().masked_select(used);
    recorder.scalar("ipr/by_size",
                    (of_neuron.masked_select(used) * size).sum().item<double>() / size.sum().item<double>());
    recorder.scalar("unused_neurons", double(used.logical_not().sum().item<int64_t>()));
    recorder.tensor("ipr", of_neuron);
    recorder.figure(orrery::Figure::histogram("ipr", "Inverse participation ratio of each neuron over waves",
                                              "inverse participation ratio", "neurons (count)",
                                              {{"neurons", of_neuron.masked_select(used)}}));
  }

  static void weights(const Observation& observation, orrery::Recorder& recorder) {
    for (const std::string& name : observation.model.weight_names()) {
      const Tensor w = observation.weight(name).to(torch::kFloat64);
      // [heads, rows, columns] in attention: a matrix for each head.
      const Tensor matrices = w.dim() == 2 ? w.unsqueeze(0) : w;
      if (matrices.dim() != 3 || std::min(matrices.size(1), matrices.size(2)) < 2) continue;
      double ranks = 0;
      for (int64_t head = 0; head < matrices.size(0); ++head) ranks += effective_rank(matrices[head]);
      recorder.scalar("effective_rank/" + name, ranks / double(matrices.size(0)));
      if (w.dim() != 2) continue;
      const bool in = name.find("mlp.W_in") != std::string::npos || has_end(name, "mlp.W_hidden");
      if (!in && !has_end(name, "mlp.W_out")) continue;
      const Tensor squares = (in ? w : w.t()).square();  // [weights, neurons]
      recorder.scalar("weight_ipr/" + name, mean_over(participation(squares), squares.sum(0) > 0));
    }
  }

  void activations(const std::string& name, const Observation& observation,
                   orrery::Recorder& recorder) const {
    const orrery::HookPoint* const point = observation.model.find_hook_point(name);
    const int64_t position = point && point->position_dim() >= 0 ? point->position_dim() : 1;
    Tensor x = observation.cache[name].to(torch::kFloat64);
    if (x.numel() == 0) return;
    // [examples x positions, features]: heads, operands and keys are features.
    x = x.movedim(position, 1).flatten(0, 1);
    x = x.reshape({x.size(0), -1});
    if (params_.centred) x = x - x.mean(0);
    recorder.headline("effective_rank/" + name, effective_rank(x));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(Sparsity, Params, "sparsity", "1.1.0",
             "How few waves and weights each neuron has, and directions each matrix.")
