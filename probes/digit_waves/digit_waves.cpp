// Does a network that adds numbers digit by digit add a digit of one to that of the other as waves, the way
// networks add modulo p (Nanda et al. 2023, arXiv 2301.05217)? In 13452 + 58321 = 071773, let the ones, 2 and
// 1, run through all 100 pairs (a, b): where the network predicts the last digit, its logits and neurons are
// functions of a and b. If it adds by waves, the logits are a sum of a few cos w_k(a + b - c), w_k = 2 pi k /
// 10, and neurons have one frequency k each. A network that looks up the 100 pairs in a table, or adds on a
// number line and then subtracts 10, needs all frequencies alike.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <string>

namespace {

using orrery::Observation;
using orrery::Recorder;
using torch::Tensor;

constexpr int64_t kBase = 10, kPairs = kBase * kBase;

struct Params {
  int64_t place = 0;
  int64_t n_contexts = 8;
  double threshold = 0.85;
  double min_neurons = 0.01;

  static void fields(orrery::Fields<Params>& f) {
    f.add("place", &Params::place, "which digit of the sum: 0 are the ones, 1 the tens").at_least(0);
    f.add("n_contexts", &Params::n_contexts, "test sums in which the two digits run through all pairs")
        .at_least(1);
    f.add("threshold", &Params::threshold, "share of a neuron's energy at one frequency that puts it there")
        .between(0, 1);
    f.add("min_neurons", &Params::min_neurons, "share of all neurons that makes their frequency a key")
        .between(0, 1);
  }
};

// Digits of both numbers, most significant first, "+" after the first, "=" after the second, then the sum,
// which has one digit more: 3 n + 3 tokens.
struct Layout {
  int64_t n = 0;
  int64_t left(int64_t place) const { return n - 1 - place; }
  int64_t right(int64_t place) const { return 2 * n - place; }
  int64_t sum(int64_t place) const { return 3 * n + 2 - place; }
};

Layout layout_of(const orrery::TaskSpec& spec) {
  const Layout layout{(spec.n_ctx - 3) / 3};
  const bool fits = layout.n >= 1 && spec.n_ctx == 3 * layout.n + 3 && spec.d_vocab >= kBase &&
                    spec.d_vocab_out == kBase && static_cast<int64_t>(spec.read_out.size()) == layout.n + 1 &&
                    spec.read_out.back() == layout.sum(0) - 1;
  // The groups name the digit at each output position: the last carry comes first.
  const bool reversed = !spec.groups.empty() && spec.groups.front() != "digit_" + std::to_string(layout.n);
  if (!fits || reversed)
    throw orrery::UsageError("digit_waves needs sums of two numbers, written digit by digit",
                             "use it with the task digit_addition, or one of the same layout");
  return layout;
}

int64_t carry_into(const int64_t* tokens, const Layout& layout, int64_t place) {
  int64_t carry = 0;
  for (int64_t p = 0; p < place; ++p)
    carry = (tokens[layout.left(p)] + tokens[layout.right(p)] + carry) / kBase;
  return carry;
}

void write_sum(int64_t* tokens, const Layout& layout) {
  int64_t carry = 0;
  for (int64_t p = 0; p < layout.n; ++p) {
    const int64_t sum = tokens[layout.left(p)] + tokens[layout.right(p)] + carry;
    tokens[layout.sum(p)] = sum % kBase;
    carry = sum / kBase;
  }
  tokens[layout.sum(layout.n)] = carry;
}

// The first test sums without a carry into the digit, each with all pairs of digits in its place: [contexts *
// 100, n_ctx], pair (a, b) in row a * 10 + b of its context.
Tensor all_pairs(const Tensor& test, const Layout& layout, int64_t place, int64_t n_contexts) {
  std::vector<Tensor> contexts;
  for (int64_t row = 0; row < test.size(0) && static_cast<int64_t>(contexts.size()) < n_contexts; ++row) {
    const Tensor one = test[row].contiguous();
    if (carry_into(one.data_ptr<int64_t>(), layout, place) > 0) continue;
    const Tensor pairs = one.repeat({kPairs, 1});
    for (int64_t pair = 0; pair < kPairs; ++pair) {
      int64_t* tokens = pairs.data_ptr<int64_t>() + pair * pairs.size(1);
      tokens[layout.left(place)] = pair / kBase;
      tokens[layout.right(place)] = pair % kBase;
      write_sum(tokens, layout);
    }
    contexts.push_back(pairs);
  }
  if (contexts.empty())
    throw orrery::Error("every test sum carries into the digit of place " + std::to_string(place));
  return torch::cat(contexts);
}

class DigitWaves final : public orrery::Probe {
 public:
  explicit DigitWaves(Params params) : params_(params) {}

  // The weights select the models that it supports; the inputs are its own.
  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::none,
            .weights = {"embed.W_E", "unembed.W_U", "blocks.0.mlp.W_in"},
            .refusal = orrery::refuse_other_losses};
  }

  void measure(const Observation& observation, Recorder& recorder) override {
    const Layout layout = layout_of(observation.spec);
    if (params_.place >= layout.n)
      throw orrery::UsageError("there is no place " + std::to_string(params_.place) + " in numbers of " +
                               std::to_string(layout.n) + " digits");
    const Tensor tokens = all_pairs(observation.split.test.tokens, layout, params_.place, params_.n_contexts);
    panels(recorder);
    const auto seen = orrery::run_with_cache(observation.model, tokens.to(observation.model.device()),
                                             {"blocks.*.mlp.hook_post"});
    const int64_t position = layout.sum(params_.place) - 1;
    const Tensor keys = neurons(seen.cache, position, recorder);
    logits(by_context(seen.logits, position).mean(0), keys, recorder);
    weights(observation, keys, recorder);
    interventions(observation, tokens, position, keys, recorder);
  }

 private:
  static void panels(Recorder& recorder) {
    recorder.panel("neurons", "Neurons with most of their variance in one frequency of the digits",
                   "neurons (count)");
    recorder.panel("neurons/explained_by_pair", "What the pair of digits explains of the neurons",
                   "share of the variance");
    recorder.panel("n_key_frequencies", "Number of key frequencies", "frequencies (count)");
    recorder.panel("logit_variance_explained", "What the key frequencies explain of the logits",
                   "share of the variance");
    recorder.panel("logits", "What each frequency explains of the logits", "share of the variance");
    for (const char* loss : {"loss", "restricted_loss", "excluded_loss"})
      recorder.panel(loss, "Loss on all pairs of digits: plain, of the key frequencies alone, without them",
                     "loss (nats)");
    recorder.panel("explained", "What the key frequencies explain of the digits' weights",
                   "share of the variance");
    for (const std::string name : {"W_E", "W_U"})
      recorder.panel(name, "What each frequency explains of " + name, "share of the variance");
    for (const char* loss : {"loss_without_in_W_E", "loss_of_keys_in_W_E"})
      recorder.panel(loss, "Loss with frequencies removed from the digits' embeddings", "loss (nats)");
  }

  // x [contexts * 100, n_ctx, d] at one position: [contexts, 100, d] float64.
  static Tensor by_context(const Tensor& x, int64_t position) {
    const Tensor here = x.select(1, position).to(torch::kCPU, torch::kFloat64);
    return here.reshape({-1, kPairs, here.size(1)});
  }

  // Records the finding and returns the key frequencies, int64. Neurons of all layers count together.
  Tensor neurons(const orrery::ActivationCache& cache, int64_t position, Recorder& recorder) const {
    std::vector<Tensor> layers;
    for (const std::string& name : cache.names()) layers.push_back(by_context(cache[name], position));
    const Tensor all = torch::cat(layers, 2), mean = all.mean(0);
    const auto energy = [](const Tensor& x) { return x.square().sum().item<double>(); };
    const double total = energy(all - all.mean(at::IntArrayRef{0, 1}));
    const double of_pair = energy(mean - mean.mean(0)) * static_cast<double>(all.size(0));
    recorder.scalar("neurons/explained_by_pair", total > 0 ? of_pair / total : 0);
    const auto spectrum = orrery::neuron_spectrum(mean.reshape({kBase, kBase, -1}));
    const Tensor clusters = spectrum.clusters(params_.threshold);
    const auto n_neurons = static_cast<double>(mean.size(1));
    std::vector<int64_t> keys;
    std::vector<double> shares;
    for (int64_t k = 1; k <= kBase / 2; ++k) {
      const double share = clusters[k].item<double>() / n_neurons;
      recorder.scalar("neurons/k=" + std::to_string(k), clusters[k].item<double>());
      if (share < params_.min_neurons || share == 0) continue;
      keys.push_back(k);
      shares.push_back(share);
    }
    recorder.headline("n_key_frequencies", static_cast<double>(keys.size()));
    recorder.finding(orrery::key_frequencies_finding(kBase, keys, shares));
    return torch::tensor(keys, torch::kInt64);
  }

  // mean: [100, 10], over the contexts.
  void logits(const Tensor& mean, const Tensor& keys, Recorder& recorder) const {
    const Tensor coefficients = orrery::cosine_coefficients(mean);  // [6]
    const double variance = (mean - mean.mean()).square().sum().item<double>();
    const Tensor shares = variance > 0 ? coefficients.square() / variance : torch::zeros_like(coefficients);
    recorder.headline("logit_variance_explained", shares.index_select(0, keys).sum().item<double>());
    for (int64_t k = 1; k <= kBase / 2; ++k)
      recorder.scalar("logits/k=" + std::to_string(k), shares[k].item<double>());
    const Tensor bias = mean.mean(0);
    const double before = loss(mean);
    recorder.scalar("loss", before);
    Tensor together = torch::zeros_like(mean);
    for (int64_t i = 0; i < keys.size(0); ++i) {
      const auto k = keys[i].item<int64_t>();
      const Tensor one = wave(k) * coefficients[k];
      together = together + one;
      recorder.finding(orrery::ablation_finding("frequency " + std::to_string(k), "exclude", "digit pairs",
                                                before, loss(mean - one)));
    }
    const double only_keys = loss(together + bias), no_keys = loss(mean - together);
    recorder.headline("restricted_loss", only_keys);
    recorder.headline("excluded_loss", no_keys);
    recorder.finding(
        orrery::ablation_finding("all but the key frequencies", "exclude", "digit pairs", before, only_keys));
    recorder.finding(
        orrery::ablation_finding("the key frequencies", "exclude", "digit pairs", before, no_keys));
    recorder.figure(orrery::Figure::bars("logit_shares", "cos w_k(a + b - c) in the logits of the digit",
                                         {"frequency k", {}, torch::arange(1, kBase / 2 + 1, torch::kInt64)},
                                         "share of the variance of the logits",
                                         {{"logits", shares.narrow(0, 1, kBase / 2)}}));
  }

  void weights(const Observation& observation, const Tensor& keys, Recorder& recorder) const {
    const Tensor W_E = observation.weight("embed.W_E").narrow(0, 0, kBase);
    const Tensor W_U = observation.weight("unembed.W_U").t();
    for (const auto& [name, rows] : {std::pair("W_E", W_E), std::pair("W_U", W_U)}) {
      const Tensor exact = rows.to(torch::kFloat64);
      const Tensor energy = orrery::fourier_norms(exact - exact.mean(0)).square();
      const Tensor shares = energy / energy.sum().clamp_min(1e-300);
      recorder.scalar("explained/" + std::string(name), shares.index_select(0, keys).sum().item<double>());
      for (int64_t k = 1; k <= kBase / 2; ++k)
        recorder.scalar(std::string(name) + "/k=" + std::to_string(k), shares[k].item<double>());
    }
  }

  // The network's loss over all contexts, with some frequencies removed from the digits' embeddings.
  void interventions(const Observation& observation, const Tensor& tokens, int64_t position,
                     const Tensor& keys, Recorder& recorder) const {
    const Tensor digits = observation.weight("embed.W_E").narrow(0, 0, kBase).to(torch::kFloat64);
    const auto device = observation.model.device();
    const Tensor labels = tokens.select(1, position + 1);
    const auto without = [&](const std::vector<int64_t>& frequencies) {
      Tensor lost = torch::zeros({observation.spec.d_vocab, digits.size(1)}, torch::kFloat64);
      const Tensor waves = orrery::wave_functions(kBase, frequencies);
      lost.narrow(0, 0, kBase).add_(waves.t().matmul(waves.matmul(digits)));
      const Tensor change = lost.to(torch::kFloat32).index_select(0, tokens.flatten());
      const Tensor at_tokens = change.reshape({tokens.size(0), tokens.size(1), -1}).to(device);
      const Tensor logits = orrery::run_with_hooks(
          observation.model, tokens.to(device),
          {{"hook_embed", [&](const Tensor& embedded) { return embedded - at_tokens; }}});
      return orrery::cross_entropy(logits.select(1, position).to(torch::kCPU), labels).mean().item<double>();
    };
    const double before = without({});
    std::vector<int64_t> others;
    for (int64_t k = 1; k <= kBase / 2; ++k) {
      const double after = without({k});
      recorder.scalar("loss_without_in_W_E/k=" + std::to_string(k), after);
      recorder.finding(orrery::ablation_finding("frequency " + std::to_string(k), "exclude", "digits' W_E",
                                                before, after));
      if (!(keys == k).any().item<bool>()) others.push_back(k);
    }
    recorder.scalar("loss_of_keys_in_W_E", without(others));
  }

  // cos w_k(a + b - c) for all pairs and digits, of norm 1: [100, 10].
  static Tensor wave(int64_t k) {
    const Tensor digit = torch::arange(kBase, torch::kInt64);
    const Tensor sum = (digit.unsqueeze(1) + digit).reshape({kPairs, 1});
    const Tensor angle = torch::remainder((sum - digit) * k, kBase).to(torch::kFloat64) * (2 * M_PI / kBase);
    const Tensor cosine = angle.cos();
    return cosine / cosine.square().sum().sqrt();
  }

  static double loss(const Tensor& logits) {
    const Tensor digit = torch::arange(kBase, torch::kInt64);
    const Tensor label = torch::remainder(digit.unsqueeze(1) + digit, kBase).reshape({kPairs});
    return orrery::cross_entropy(logits, label).mean().item<double>();
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(DigitWaves, Params, "digit_waves", "1.0.0", "Whether digits are added as waves modulo 10.")
