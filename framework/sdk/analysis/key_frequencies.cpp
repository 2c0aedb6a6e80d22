#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>

namespace orrery {
namespace {

constexpr double kEmbeddingBound = 0.25;  // of the largest norm
constexpr double kLogitBound = 0.01;      // of the variance

// The frequencies k >= 1 where `is_key` [floor(n/2) + 1] holds, with their `shares`.
KeyFrequencies chosen(const torch::Tensor& is_key, const torch::Tensor& shares) {
  const auto key = is_key.to(torch::kCPU), share = shares.to(torch::kCPU, torch::kFloat64);
  KeyFrequencies keys;
  for (int64_t k = 1; k < key.size(0); ++k) {
    if (!key[k].item<bool>()) continue;
    keys.frequencies.push_back(k);
    keys.shares.push_back(share[k].item<double>());
  }
  return keys;
}

KeyFrequencies given(const std::vector<int64_t>& frequencies, const CyclicView& view) {
  auto is_key = torch::zeros({view.order() / 2 + 1}, torch::kBool);
  for (const int64_t k : frequencies) {
    if (k < 1 || k > view.order() / 2)
      throw UsageError(fmt::format("frequencies: {} does not exist; for order {} they run from 1 to {}", k,
                                   view.order(), view.order() / 2));
    if (is_key[k].item<bool>()) throw UsageError(fmt::format("frequencies: {} is listed twice", k));
    is_key[k] = true;
  }
  return chosen(is_key, view.logit_shares());
}

KeyFrequencies by_neurons(double threshold, const NeuronSpectrum& neurons) {
  const auto clusters = neurons.clusters(threshold);
  return chosen(clusters > 0, clusters.to(torch::kFloat64) / neurons.share.size(0));
}

KeyFrequencies by_embedding(torch::Tensor norms) {
  norms[0] = 0;
  const auto energy = norms.square();
  return chosen(norms > norms.max() * kEmbeddingBound, energy / energy.sum());
}

}  // namespace

void KeyFrequencyParams::check() const {
  if (rule == "given" && frequencies.empty())
    throw UsageError("rule \"given\" needs the key frequencies", "set frequencies, for example [14, 35, 41]");
  if (rule != "given" && !frequencies.empty())
    throw UsageError("frequencies are given, but rule \"" + rule + "\" finds its own",
                     "set rule = \"given\", or leave frequencies out");
}

void KeyFrequencyParams::add_to(Needs& needs) const {
  if (rule == "neurons") needs.activations.push_back("*mlp.hook_post");
  // Which weight that is depends on the model: operand_embedding finds it.
  if (rule == "embedding") needs.weights.push_back("*W_*");
}

KeyFrequencies find_key_frequencies(const KeyFrequencyParams& params, const CyclicView& view) {
  if (params.rule == "neurons") return by_neurons(params.threshold, view.neurons());
  if (params.rule == "embedding") return by_embedding(view.embedding_norms());
  if (params.rule == "given") return given(params.frequencies, view);
  const auto shares = view.logit_shares();
  return chosen(shares >= kLogitBound, shares);
}

}  // namespace orrery
