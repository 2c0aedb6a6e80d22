// Which frequencies has the network learned? (Nanda et al. 2023) A network that groks a + b mod p computes
// with waves cos w_k a, sin w_k a, w_k = 2 pi k / p, for a handful of key frequencies k. In the orthonormal
// basis const, cos 1, sin 1, cos 2, ... its embedding has large norms at these k only; each neuron, as a
// function of (a, b), has one frequency k; and the logits are close to a weighted sum of cos w_k(a + b - c).
// With p = 113, a neuron that is 1 + cos w_14 a + cos w_14 b has share 1 at k = 14. For other operations a, b
// and c stand for their indices in the cyclic group.
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>

namespace {

using torch::Tensor;

struct Params : orrery::KeyFrequencyParams {};

// Entries 1..floor(n/2) of a tensor over frequencies: all but the constant.
Tensor waves(const Tensor& over_frequencies) {
  return over_frequencies.narrow(0, 1, over_frequencies.size(0) - 1);
}

// Bars over k = 1, 2, ..., in float32; traces may end at different k.
orrery::Figure bars(const std::string& name, const std::string& title, const std::string& y_label,
                    orrery::Series over_k) {
  int64_t most = 0;
  for (auto& [label, y] : over_k) {
    y = y.to(torch::kFloat32);
    most = std::max(most, y.size(0));
  }
  return orrery::Figure::bars(name, title, {"frequency k", {}, torch::arange(1, most + 1, torch::kInt64)},
                              y_label, over_k);
}

// The norms over all trailing dimensions of the components of x [n, ...] along each cos k and each sin k.
orrery::Figure component_norms(const std::string& name, const std::string& title, const Tensor& x) {
  const int64_t n = x.size(0);
  const auto values = x.to(torch::kFloat64).reshape({n, -1});
  const auto norms = orrery::fourier_basis(n).matmul(values).square().sum(1).sqrt();
  return bars(name, title, "norm (units of the weights)",
              {{"cos k", norms.slice(0, 1, n, 2)}, {"sin k", norms.slice(0, 2, n, 2)}});
}

// The two-dimensional transform of functions of the pair: components [n, n], a root mean square over pairs
// and functions, without const x const, the mean.
orrery::Figure transform_2d(const std::string& name, const std::string& title, const std::string& scale,
                            const Tensor& components) {
  const int64_t n = components.size(0);
  const auto names = orrery::fourier_names(n);
  const auto axis = torch::arange(n, torch::kInt32);
  return orrery::Figure::heatmap(name, title, {"wave of b", names, axis}, {"wave of a", names, axis}, scale,
                                 components.to(torch::kFloat32));
}

// x [inputs, ...] by the pairs of operands; not a copy of it where it is that already.
Tensor by_pair(const orrery::CyclicView& view, const Tensor& x) {
  return view.rows().equal(torch::arange(x.size(0), torch::kInt64)) ? x : view.inputs(x);
}

// The same of x [n*n, m], m functions of the pair.
Tensor components_of(const Tensor& x, int64_t n) {
  return orrery::neuron_spectrum(x.view({n, n, x.size(1)})).components;
}

// Of each column of x [inputs, m] float32: its variance, in float64, and whether it is above 0 everywhere.
struct OfNeurons {
  std::vector<double> variance;
  int64_t always_on = 0;
};

OfNeurons of_neurons(const Tensor& x) {
  const int64_t inputs = x.size(0), m = x.size(1);
  const auto values = x.to(torch::kFloat32).contiguous();
  const float* const from = values.data_ptr<float>();
  std::vector<double> mean(m, 0.0), squares(m, 0.0);
  std::vector<char> on(m, 1);
  for (int64_t i = 0; i < inputs; ++i)
    for (int64_t j = 0; j < m; ++j) {
      mean[j] += from[i * m + j];
      on[j] &= from[i * m + j] > 0;
    }
  for (double& sum : mean) sum /= static_cast<double>(inputs);
  for (int64_t i = 0; i < inputs; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const double about = from[i * m + j] - mean[j];
      squares[j] += about * about;
    }
  for (double& sum : squares) sum /= static_cast<double>(inputs);
  return {squares, std::count(on.begin(), on.end(), 1)};
}

// Where the energy of components [n, n] lies: in products of two waves of one frequency, which are waves of
// the sum and of the difference; and in waves of one operand alone, the top row and the left column.
struct Places {
  double same_frequency = 0, one_operand = 0;  // shares
};

Places places_of(const Tensor& components) {
  const int64_t n = components.size(0);
  const auto energy = components.square();
  const auto frequency =
      torch::div(torch::arange(1, n + 1, torch::kInt64), 2, "floor");  // of each basis function
  const auto same = torch::logical_and(frequency.unsqueeze(1) == frequency, frequency > 0);
  const double total = energy.sum().item<double>();
  if (total == 0) return {};
  return {energy.masked_select(same).sum().item<double>() / total,
          (energy[0].sum() + energy.select(1, 0).sum()).item<double>() / total};  // const x const is 0
}

void record(const std::string& figure, const Tensor& components, orrery::Recorder& recorder) {
  const Places places = places_of(components);
  recorder.scalar(figure + "/same_frequency", places.same_frequency);
  recorder.scalar(figure + "/one_operand", places.one_operand);
}

class FourierBasis final : public orrery::Probe {
 public:
  explicit FourierBasis(Params params) : params_(std::move(params)) { params_.check(); }

  orrery::Needs needs() const override {
    return {.structure = {orrery::Capability::cyclic},
            .activations = {"*mlp.hook_pre", "*mlp.hook_post"},
            .weights = {"*mlp.W_out"}};
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    const orrery::CyclicView view(observation);
    const auto keys = orrery::find_key_frequencies(params_, view);
    recorder.headline("n_key_frequencies", static_cast<double>(keys.frequencies.size()));
    recorder.finding(orrery::key_frequencies_finding(view.order(), keys.frequencies, keys.shares));
    logits(view, keys, recorder);
    weights(observation, view, recorder);
    neurons(observation, view, recorder);
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    recorder.panel("n_key_frequencies", "Number of key frequencies", "frequencies (count)");
    recorder.panel("logit_variance_explained", "What the key frequencies explain of the logits",
                   "share of the variance");
    recorder.panel("logit_coefficient", "Waves in the logits: coefficient of cos w_k(a + b - c)",
                   "coefficient (logit)");
    recorder.panel("gini", "Sparsity in the Fourier basis: Gini coefficient of the norms by frequency",
                   "Gini coefficient");
    recorder.panel("sum_of_squares", "Sum of squares of each weight matrix", "sum of squares");
    for (const auto& [name, of] : {std::pair("logits_2d", "logits"), std::pair("neurons_2d", "neurons"),
                                   std::pair("pre_activations_2d", "neurons before their non-linearity")})
      recorder.panel(name,
                     std::string("2-D DFT of the ") + of +
                         ": waves of a and b of one frequency, and of one of them alone",
                     "share of the energy");
    recorder.panel("neuron_variance_explained", "What its own frequency explains of a neuron",
                   "share of the variance");
    recorder.panel("neurons", "Neurons with most of their variance in one frequency", "neurons (count)");
  }

  static void logits(const orrery::CyclicView& view, const orrery::KeyFrequencies& keys,
                     orrery::Recorder& recorder) {
    const auto shares = view.logit_shares();
    const auto& coefficients = view.logit_coefficients();
    double explained = 0;
    for (const int64_t k : keys.frequencies) {
      explained += shares[k].item<double>();
      recorder.scalar("logit_coefficient/k=" + std::to_string(k), coefficients[k].item<double>());
    }
    recorder.headline("logit_variance_explained", explained);
    recorder.tensor("logit_coefficients", waves(coefficients));
    recorder.figure(bars("logit_coefficients", "Waves in the logits: height of cos w_k(a + b - c)",
                         "height (logit)", {{"logits", waves(coefficients * unit_height(view.order()))}}));
    const auto logits = view.classes(view.logits().to(torch::kFloat32));
    const auto components = components_of(logits - logits.mean(1, true), view.order());
    record("logits_2d", components, recorder);
    recorder.figure(transform_2d("logits_2d", "2-D DFT of the logits: waves of a x waves of b",
                                 "root mean square (logit)", components));
  }

  // The height of a function cos w_k(a + b - c) of norm 1 over all (a, b, c): [floor(n/2) + 1].
  static Tensor unit_height(int64_t n) {
    const double triples = std::pow(static_cast<double>(n), 3);
    auto height = torch::full({n / 2 + 1}, std::sqrt(2 / triples), torch::kFloat64);
    if (n % 2 == 0) height[n / 2] = std::sqrt(1 / triples);
    return height;
  }

  static void weights(const orrery::Observation& observation, const orrery::CyclicView& view,
                      orrery::Recorder& recorder) {
    const auto W_L = view.classes(orrery::neurons_to_logits(observation)).t();
    const auto W_E = view.embedding_norms(), W_L_norms = orrery::fourier_norms(W_L);
    recorder.tensor("norms/W_E", W_E);
    recorder.tensor("norms/W_L", W_L_norms);
    recorder.scalar("gini/W_E", orrery::gini(waves(W_E)));
    recorder.scalar("gini/W_L", orrery::gini(waves(W_L_norms)));
    recorder.figure(component_norms("norms_w_e", "Fourier norms of the embedding W_E", view.embedding()));
    recorder.figure(
        component_norms("norms_w_l", "Fourier norms of the neuron-logit map W_L = W_out W_U", W_L));
    for (const auto& [name, weight] : observation.model.weights())
      recorder.scalar("sum_of_squares/" + name,
                      weight.detach().to(torch::kFloat64).square().sum().item<double>());
  }

  void neurons(const orrery::Observation& observation, const orrery::CyclicView& view,
               orrery::Recorder& recorder) const {
    const auto& spectrum = view.neurons();
    const auto sizes = spectrum.clusters(params_.threshold).to(torch::kCPU);
    std::vector<int64_t> frequencies, counts;
    for (int64_t k = 1; k < sizes.size(0); ++k) {
      if (sizes[k].item<int64_t>() == 0) continue;
      frequencies.push_back(k);
      counts.push_back(sizes[k].item<int64_t>());
      recorder.scalar("neurons/k=" + std::to_string(k), static_cast<double>(counts.back()));
    }
    recorder.scalar("neurons/clustered", sizes.sum().item<double>());
    auto post = orrery::neuron_activations(observation, "hook_post").select(1, 0);
    if (view.rows().size(0) != post.size(0))
      post = view.inputs(post);  // otherwise another order of the same inputs
    const OfNeurons each = of_neurons(post);
    recorder.scalar("neurons/always_on", static_cast<double>(each.always_on));
    const auto variance = torch::tensor(each.variance, torch::kFloat64);
    const double total = variance.sum().item<double>();
    recorder.scalar("neuron_variance_explained",
                    total > 0 ? (variance * spectrum.share.to(torch::kCPU)).sum().item<double>() / total : 0);
    record("neurons_2d", spectrum.components.to(torch::kCPU), recorder);
    const auto pre = by_pair(view, orrery::neuron_activations(observation, "hook_pre").select(1, 0));
    record("pre_activations_2d", components_of(pre.to(torch::kFloat32), view.order()), recorder);
    recorder.finding({"neuron_clusters",
                      "neuron_clusters",
                      {{"order", view.order()}, {"frequencies", frequencies}, {"sizes", counts}}});
    recorder.tensor("neuron_frequency", spectrum.frequency.to(torch::kInt32));
    recorder.tensor("neuron_share", spectrum.share.to(torch::kFloat32));
    recorder.tensor("neuron_energy", spectrum.energy.to(torch::kFloat32));
    recorder.figure(transform_2d("neurons_2d", "2-D DFT of the neurons: waves of a x waves of b",
                                 "root mean square (activation)", spectrum.components));
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(FourierBasis, Params, "fourier_basis", "1.3.0",
             "Fourier structure of weights, neurons and logits.")
