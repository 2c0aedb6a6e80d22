// Tasks and networks with a known answer, for the tests of probes: hand-written cyclic tasks, and networks
// with given weights, neurons and logits.
#pragma once

#include <orrery/probe.h>
#include <orrery/task.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace orrery::testing {

/// A task with p numbers whose grid is split in two halves at random.
struct CyclicTask {
  TaskSpec spec;
  Structure structure;
  Split split;
};

/// c = a op b for numbers with an index, where the indices add up; 0 for the others. The rows of the grid are
/// in random order, because no result may depend on it.
inline CyclicTask cyclic_task(const CyclicStructure& cyclic, uint64_t seed = 1) {
  const auto p = static_cast<int64_t>(cyclic.left.size());
  std::vector<int64_t> tokens, labels;
  for (int64_t a = 0; a < p; ++a)
    for (int64_t b = 0; b < p; ++b) {
      int64_t label = 0;
      for (int64_t c = 0; c < p; ++c)
        if (cyclic.left[a] >= 0 && cyclic.right[b] >= 0 &&
            cyclic.result[c] == (cyclic.left[a] + cyclic.right[b]) % cyclic.order)
          label = c;
      tokens.insert(tokens.end(), {a, b, p});
      labels.push_back(label);
    }
  auto rng = make_generator(seed);
  const Batch grid{torch::tensor(tokens, torch::kInt64).view({-1, 3}),
                   torch::tensor(labels, torch::kInt64).view({-1, 1}),
                   {},
                   {}};
  const auto rows = torch::randperm(p * p, rng, torch::kInt64);
  return {{.d_vocab = p + 1, .d_vocab_out = p, .n_ctx = 3, .read_out = {2}, .groups = {}},
          {cyclic},
          Split::of_grid(grid.rows(torch::randperm(p * p, rng, torch::kInt64)), rows.narrow(0, 0, p * p / 2),
                         rows.narrow(0, p * p / 2, p * p - p * p / 2))};
}

inline CyclicTask addition(int64_t p) {
  CyclicStructure cyclic{.order = p, .left = {}, .right = {}, .result = {}};
  for (int64_t x = 0; x < p; ++x) cyclic.left.push_back(x);
  cyclic.right = cyclic.result = cyclic.left;
  return cyclic_task(cyclic);
}
inline CyclicTask subtraction(int64_t p) {
  CyclicStructure cyclic = *addition(p).structure.cyclic;
  for (int64_t x = 0; x < p; ++x) cyclic.right[x] = (p - x) % p;
  return cyclic_task(cyclic);
}
/// Modulo a prime p whose primitive root is g: indices are logarithms to base g, and 0 has none.
inline CyclicTask multiplication(int64_t p, int64_t g) {
  CyclicStructure cyclic{.order = p - 1, .left = std::vector<int64_t>(p, -1), .right = {}, .result = {}};
  int64_t x = 1;
  for (int64_t exponent = 0; exponent < p - 1; ++exponent, x = x * g % p) cyclic.left[x] = exponent;
  cyclic.right = cyclic.result = cyclic.left;
  return cyclic_task(cyclic);
}

/// A model with given weights, which computes nothing.
class GivenWeights final : public Model {
 public:
  torch::Tensor forward(const torch::Tensor&) override { return {}; }
  void give(const std::string& name, const torch::Tensor& value) { add_weight(name, value); }
};

/// The observation of one network at one checkpoint.
struct Network {
  explicit Network(CyclicTask of) : task(std::move(of)) {}
  CyclicTask task;
  GivenWeights model;
  torch::Tensor logits;  ///< [grid, 1, d_vocab_out] float32
  ActivationCache cache;

  Observation observe(int64_t step = 0) {
    return {step, task.spec, task.structure, task.split, *task.split.grid, model, logits, cache};
  }
  int64_t order() const { return task.structure.cyclic->order; }
};

/// The angle w_k x.
inline double angle(int64_t k, int64_t x, int64_t n) { return 2 * M_PI * double(k) * double(x) / double(n); }

/// The part of each column of x [n*n, m] (row i*n + j holds the pair (i, j)) along cos w_k(i + j) and sin
/// w_k(i
/// + j), k in `frequencies`, by its definition: inner products over all pairs. Returns [n*n, m] float64.
inline torch::Tensor project_on_sum(const torch::Tensor& x, const std::vector<int64_t>& frequencies) {
  const auto values = x.to(torch::kFloat64);
  const auto n = static_cast<int64_t>(std::lround(std::sqrt(double(x.size(0)))));
  auto sum = torch::zeros_like(values);
  const auto pair = torch::arange(n * n, torch::kInt64);
  const auto i_plus_j = torch::div(pair, n, "floor") + pair.remainder(n);
  for (const int64_t k : frequencies) {
    const auto phase = (i_plus_j * k).remainder(n).to(torch::kFloat64) * (2 * M_PI / double(n));
    for (const auto& wave : {phase.cos(), phase.sin()}) {
      const double squares = wave.square().sum().item<double>();
      if (squares < 1e-9) continue;  // the sine of n/2
      sum += wave.unsqueeze(1) * wave.unsqueeze(0).matmul(values) / squares;
    }
  }
  return sum;
}

/// Fills a network that computes only with the waves `frequencies`: logits are `height` times the
/// sum of cos w_k(i + j - c), -5 for classes and inputs without an index; neurons are 1 + cos(w_k i + f) +
/// cos(w_k j + f) at 3 phases f per frequency; W_E holds cos and sin of w_k i, W_out W_U those of w_k c.
inline void build_waves(Network& network, const std::vector<int64_t>& frequencies, double height) {
  const CyclicStructure& cyclic = *network.task.structure.cyclic;
  const int64_t n = cyclic.order, p = network.task.spec.d_vocab_out;
  const auto waves = static_cast<int64_t>(frequencies.size());
  const auto tokens = network.task.split.grid->tokens;
  network.logits = torch::full({tokens.size(0), 1, p}, -5.0);
  auto neurons = torch::zeros({tokens.size(0), 1, 3 * waves});
  auto logits_at = network.logits.accessor<float, 3>();
  auto neurons_at = neurons.accessor<float, 3>();
  for (int64_t row = 0; row < tokens.size(0); ++row) {
    const int64_t i = cyclic.left[tokens[row][0].item<int64_t>()];
    const int64_t j = cyclic.right[tokens[row][1].item<int64_t>()];
    if (i < 0 || j < 0) continue;
    for (int64_t f = 0; f < waves; ++f)
      for (int64_t phase = 0; phase < 3; ++phase)
        neurons_at[row][0][3 * f + phase] =
            static_cast<float>(1 + std::cos(angle(frequencies[f], i, n) + double(phase)) +
                               std::cos(angle(frequencies[f], j, n) + double(phase)));
    for (int64_t c = 0; c < p; ++c) {
      if (cyclic.result[c] < 0) continue;
      double sum = 0;
      for (const int64_t k : frequencies) sum += std::cos(angle(k, i + j - cyclic.result[c], n));
      logits_at[row][0][c] = static_cast<float>(height * sum);
    }
  }
  network.cache.put("blocks.0.mlp.hook_pre", neurons);
  network.cache.put("blocks.0.mlp.hook_post", neurons);

  auto W_E = torch::zeros({p + 1, 2 * waves}), W_U = torch::zeros({2 * waves, p});
  for (int64_t x = 0; x < p; ++x)
    for (int64_t f = 0; f < waves; ++f) {
      if (cyclic.left[x] < 0) continue;
      W_E[x][2 * f] = std::cos(angle(frequencies[f], cyclic.left[x], n));
      W_E[x][2 * f + 1] = std::sin(angle(frequencies[f], cyclic.left[x], n));
      W_U[2 * f][x] = std::cos(angle(frequencies[f], cyclic.result[x], n));
      W_U[2 * f + 1][x] = std::sin(angle(frequencies[f], cyclic.result[x], n));
    }
  network.model.give("embed.W_E", W_E);
  network.model.give("blocks.0.mlp.W_out", torch::eye(2 * waves).repeat({2, 1}));
  network.model.give("unembed.W_U", W_U);
}

/// Fills a network with noise.
inline void build_noise(Network& network, uint64_t seed, int64_t d_mlp = 64) {
  auto rng = make_generator(seed);
  const int64_t rows = network.task.split.grid->size(), p = network.task.spec.d_vocab_out;
  network.logits = torch::randn({rows, 1, p}, rng);
  const auto pre = torch::randn({rows, 1, d_mlp}, rng);
  network.cache.put("blocks.0.mlp.hook_pre", pre);
  network.cache.put("blocks.0.mlp.hook_post", pre.relu());
  network.model.give("embed.W_E", torch::randn({p + 1, 16}, rng));
  network.model.give("blocks.0.mlp.W_out", torch::randn({d_mlp, 16}, rng));
  network.model.give("unembed.W_U", torch::randn({16, p}, rng));
}

/// Mean cross-entropy of the logits on `rows` of the grid (float64), by its definition.
inline double plain_loss(const Network& network, const std::vector<int64_t>& rows) {
  const auto logits = network.logits.to(torch::kFloat64);
  double total = 0;
  for (const int64_t row : rows) {
    double sum = 0;
    for (int64_t c = 0; c < logits.size(2); ++c) sum += std::exp(logits[row][0][c].item<double>());
    total += std::log(sum) -
             logits[row][0][network.task.split.grid->labels[row][0].item<int64_t>()].item<double>();
  }
  return total / double(rows.size());
}

/// The entries of `rows` (int64 [n]) whose operands both have an index.
inline std::vector<int64_t> with_index(const CyclicTask& task, const torch::Tensor& rows) {
  const CyclicStructure& cyclic = *task.structure.cyclic;
  std::vector<int64_t> kept;
  for (int64_t r = 0; r < rows.size(0); ++r) {
    const auto row = rows[r].item<int64_t>();
    const auto tokens = task.split.grid->tokens[row];
    if (cyclic.left[tokens[0].item<int64_t>()] >= 0 && cyclic.right[tokens[1].item<int64_t>()] >= 0)
      kept.push_back(row);
  }
  return kept;
}

}  // namespace orrery::testing
