// How much of the final network's structure is there already, above all at the start? Key frequencies are
// said to be "whichever frequencies were highest at the time of random initialisation" (Varma et al. 2023,
// appendix B); the initial embedding, seen in the principal components of the final one, to look like a
// circle (Nanda & Lieberum 2022, footnote 5). Each checkpoint is compared with the last. If the final keys
// are 3 and 8 of 15 frequencies, and their norms in W_E the largest and the third largest now, their ranks
// are 14/14 and 12/14: key_rank is 0.93, where chance gives 0.5.
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

using torch::Tensor;

struct Params : orrery::KeyFrequencyParams {
  int64_t n_planes = 3;
  int64_t n_random = 200;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_planes", &Params::n_planes,
          "how many planes of final principal components: 1 and 2, 3 and 4, and so on")
        .at_least(1);
    f.add("n_random", &Params::n_random, "random planes, and random sets of frequencies, for comparison")
        .between(1, 1000000);
    orrery::KeyFrequencyParams::fields(f);
  }
};

// x [n, d] about its mean row.
Tensor centred(const Tensor& x) {
  const Tensor values = x.to(torch::kFloat64);
  return values - values.mean(0);
}

// The rank of each frequency 1..floor(n/2) by its norm in W_E [n, d]: the share of the other frequencies
// whose norm is smaller, those of equal norm counting half. The norm is that of one function, because n/2 has
// no sine.
Tensor ranks_of(const Tensor& W_E) {
  const int64_t n = W_E.size(0), half = n / 2;
  Tensor norms = orrery::fourier_norms(W_E).narrow(0, 1, half).clone();
  if (n % 2 == 0) norms[half - 1] *= std::sqrt(2.0);
  const Tensor above = (norms.unsqueeze(1) > norms).sum(1), equal = (norms.unsqueeze(1) == norms).sum(1) - 1;
  return (above.to(torch::kFloat64) + equal.to(torch::kFloat64) / 2) / std::max<double>(double(half) - 1, 1);
}

// How circular W_E is in planes: the largest share of the variance of the points there that is in the cosine
// and sine of one frequency. in_basis: fourier_basis(n) times W_E, [n, d]; planes: [N, d, 2], orthonormal
// pairs. Returns [N] float64.
Tensor circularity(const Tensor& in_basis, const Tensor& planes) {
  const int64_t n = in_basis.size(0), half = n / 2;
  const Tensor of_row = torch::div(torch::arange(1, n + 1, torch::kInt64), 2, "floor");  // 0, 1, 1, 2, 2, ...
  const Tensor squares = in_basis.matmul(planes).square().sum(2);                        // [N, n]
  const Tensor energy =
      torch::zeros({planes.size(0), half + 1}, torch::kFloat64).index_add_(1, of_row, squares);
  const Tensor waves = energy.narrow(1, 1, half);
  return std::get<0>(waves.max(1)) / waves.sum(1).clamp_min(std::numeric_limits<double>::min());
}

// N random planes of d dimensions: [N, d, 2]. Always the same.
Tensor random_planes(int64_t count, int64_t d) {
  const Tensor pairs = torch::randn({count, d, 2}, orrery::make_generator(0), torch::kFloat64);
  return std::get<0>(at::linalg_qr(pairs));
}

// Which share of `chance` [N] is `value` or more, the value itself counting as one of them.
double p_value(const Tensor& chance, double value) {
  return (1 + (chance >= value - 1e-12).sum().item<double>()) / (1 + double(chance.size(0)));
}

class FinalStructure final : public orrery::Probe {
 public:
  explicit FinalStructure(Params params) : params_(std::move(params)) { params_.check(); }

  orrery::Needs needs() const override {
    return {.structure = {orrery::Capability::cyclic}, .activations = {"*mlp.hook_post"}, .reference = true};
  }

  void fit(const orrery::Observation& reference) override {
    const orrery::CyclicView view(reference);
    keys_ = orrery::find_key_frequencies(params_, view);
    neuron_frequency_ = view.neurons().frequency.clone();
    clustered_ = view.neurons().share >= params_.threshold;
    components_ = std::get<2>(at::linalg_svd(centred(view.embedding()), /*full_matrices=*/false)).clone();
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    const orrery::CyclicView view(observation);
    const Tensor W_E = centred(view.embedding());
    recorder.finding(orrery::key_frequencies_finding(view.order(), keys_.frequencies, keys_.shares));
    ranks(ranks_of(W_E), recorder);
    neurons(view.neurons().frequency, recorder);
    planes(W_E, recorder);
  }

 private:
  void ranks(const Tensor& ranks, orrery::Recorder& recorder) const {
    recorder.panel("key_rank", "Rank of the final key frequencies by their norm in W_E: 0.5 by chance",
                   "share of the frequencies with a smaller norm");
    recorder.panel("key_rank/p_value", "Random sets of frequencies that rank as high as the final keys",
                   "share of the random sets");
    recorder.panel("keys_among_largest", "Final key frequencies that are among as many largest norms in W_E",
                   "share of the key frequencies");
    recorder.tensor("ranks", ranks);
    const auto m = static_cast<int64_t>(keys_.frequencies.size()), half = ranks.size(0);
    if (m == 0) return;
    const Tensor chosen = ranks.index_select(0, torch::tensor(keys_.frequencies, torch::kInt64) - 1);
    const double mean = chosen.mean().item<double>();
    recorder.headline("key_rank", mean);
    for (int64_t i = 0; i < m; ++i)
      recorder.scalar("key_rank/k=" + std::to_string(keys_.frequencies[i]), chosen[i].item<double>());
    // Random sets of m frequencies: the first of as many permutations.
    const Tensor order = torch::rand({params_.n_random, half}, orrery::make_generator(0));
    const Tensor sets = std::get<1>(order.sort(1, /*descending=*/false)).narrow(1, 0, m);
    const Tensor chance = ranks.index_select(0, sets.flatten()).view(sets.sizes()).mean(1);
    recorder.scalar("key_rank/p_value", p_value(chance, mean));
    const double least = std::get<0>(ranks.sort(0, /*descending=*/true))[m - 1].item<double>();
    recorder.scalar("keys_among_largest", (chosen >= least).to(torch::kFloat64).mean().item<double>());
  }

  // Of the neurons that end in a cluster: those that are at the frequency of that cluster now; and as many as
  // would be, on average, if the neurons of the two networks were paired at random.
  void neurons(const Tensor& frequency, orrery::Recorder& recorder) const {
    recorder.panel("same_frequency", "Neurons whose frequency is the one they end with",
                   "share of the clustered neurons");
    const Tensor then = neuron_frequency_.masked_select(clustered_),
                 now = frequency.masked_select(clustered_);
    const double count = double(then.size(0));
    if (count == 0) return;
    recorder.scalar("same_frequency", (then == now).sum().item<double>() / count);
    recorder.scalar("same_frequency/permuted",
                    (then.unsqueeze(1) == now).sum().item<double>() / (count * count));
  }

  void planes(const Tensor& W_E, orrery::Recorder& recorder) const {
    recorder.panel("circularity", "W_E in planes of final principal components: what one frequency explains",
                   "share of the variance");
    recorder.panel("circularity/p_value", "Random planes in which W_E is as circular as in the final ones",
                   "share of the random planes");
    const int64_t d = W_E.size(1), n_planes = std::min(params_.n_planes, components_.size(0) / 2);
    if (n_planes == 0) return;
    const Tensor final_planes =
        components_.narrow(0, 0, 2 * n_planes).view({n_planes, 2, d}).transpose(1, 2).contiguous();
    const Tensor in_basis = orrery::fourier_basis(W_E.size(0)).matmul(W_E);
    const Tensor found = circularity(in_basis, final_planes);
    for (int64_t i = 0; i < n_planes; ++i)
      recorder.scalar("circularity/components_" + components_name(i, "_"), found[i].item<double>());
    // What chance gives the mean over as many planes.
    const Tensor random = circularity(in_basis, random_planes(params_.n_random * n_planes, d))
                              .view({params_.n_random, n_planes})
                              .mean(1);
    recorder.headline("circularity", found.mean().item<double>());
    recorder.scalar("circularity/random", random.mean().item<double>());
    recorder.scalar("circularity/p_value", p_value(random, found.mean().item<double>()));
    draw(W_E, final_planes, recorder);
  }

  static std::string components_name(int64_t plane, const std::string& between) {
    return std::to_string(2 * plane + 1) + between + std::to_string(2 * plane + 2);
  }

  static void draw(const Tensor& W_E, const Tensor& planes, orrery::Recorder& recorder) {
    orrery::Figure figure{"final_components",
                          orrery::Figure::Kind::scatter,
                          "W_E in the principal components of the final W_E, one point for each number",
                          "first component (units of the weights)",
                          "second component (units of the weights)",
                          {}};
    figure.equal_axes = true;
    for (int64_t i = 0; i < planes.size(0); ++i) {
      const Tensor points = W_E.matmul(planes[i]).to(torch::kFloat32);
      const std::string name = "components " + components_name(i, " and ");
      figure.traces.push_back(
          {name, points.select(1, 0).contiguous(), points.select(1, 1).contiguous(), {}, {}, {}, name});
    }
    recorder.figure(std::move(figure));
  }

  Params params_;
  orrery::KeyFrequencies keys_;
  Tensor neuron_frequency_, clustered_;  // [d_mlp] int64, bool
  Tensor components_;                    // [min(n, d), d] float64: final principal components
};

}  // namespace

ORRERY_PROBE(FinalStructure, Params, "final_structure", "1.0.0",
             "How much of the final network's frequencies and circles is there already.")
