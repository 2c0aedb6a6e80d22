// Attention entropy (Clark et al. 2019): does a head attend to one token, or to all of them?
// A head's pattern is the distribution of each position's attention over itself and all earlier positions.
// Its entropy is 0 if all attention goes to one position, and log(m) nats if m positions share it equally:
//   [0 1 0 0] -> 0    [1/2 1/2 0 0] -> log 2 = 0.69    [1/4 1/4 1/4 1/4] -> log 4 = 1.39
// The probe records the mean over inputs and output positions, for each head. A head that learns what to
// attend to falls from the entropy of random weights, close to the maximum, towards 0.
#include <orrery/plugin.h>
#include <orrery/probe.h>

namespace {

// The members hold the defaults; `orrery describe attention_entropy` lists what fields() declares.
struct Params {
  std::string inputs = "test";

  static void fields(orrery::Fields<Params>& f) {
    f.add("inputs", &Params::inputs, "which inputs the mean is over").one_of({"test", "train", "grid"});
  }
};

class AttentionEntropy final : public orrery::Probe {
 public:
  explicit AttentionEntropy(Params params) : params_(std::move(params)) {}

  // A run whose model has no such hook points refuses the probe before step 0.
  orrery::Needs needs() const override {
    return {.inputs = inputs(), .activations = {"blocks.*.attn.hook_pattern"}};
  }

  void measure(const orrery::Observation& seen, orrery::Recorder& recorder) override {
    std::vector<torch::Tensor> layers;
    while (seen.cache.contains(hook_of(layers.size())))
      layers.push_back(entropy_of_heads(seen.cache[hook_of(layers.size())]));
    const auto entropy = torch::stack(layers);  // [n_layers, n_heads]
    recorder.headline("entropy/mean", entropy.mean().item<double>());
    for (int64_t layer = 0; layer < entropy.size(0); ++layer)
      for (int64_t head = 0; head < entropy.size(1); ++head)
        recorder.scalar("entropy/" + std::to_string(layer) + "." + std::to_string(head),
                        entropy[layer][head].item<double>());
    recorder.tensor("entropy", entropy);
    recorder.figure(figure(entropy));
    where_it_looks(seen, recorder);
  }

 private:
  // The mean attention of each head to each position, over inputs and output positions.
  static void where_it_looks(const orrery::Observation& seen, orrery::Recorder& recorder) {
    std::vector<torch::Tensor> layers;
    while (seen.cache.contains(hook_of(layers.size())))
      layers.push_back(
          seen.cache[hook_of(layers.size())].to(torch::kFloat64).mean(torch::IntArrayRef({0, 2})));
    const auto shares = torch::stack(layers);  // [n_layers, n_heads, n_ctx]
    orrery::Figure figure{.name = "attention",
                          .kind = orrery::Figure::Kind::heatmap,
                          .title = "Where each head looks",
                          .x_label = "position",
                          .y_label = "head",
                          .traces = {{"share of attention", {}, {}, shares.flatten(0, 1)}}};
    for (int64_t layer = 0; layer < shares.size(0); ++layer)
      for (int64_t head = 0; head < shares.size(1); ++head) {
        const std::string name = std::to_string(layer) + "." + std::to_string(head);
        figure.y_ticks.push_back(name);
        const auto row = shares[layer][head];
        const std::vector<double> of_head(row.data_ptr<double>(), row.data_ptr<double>() + row.numel());
        recorder.finding(
            {"head_" + name, "attention_shares", {{"layer", layer}, {"head", head}, {"shares", of_head}}});
      }
    recorder.figure(figure);
  }

  orrery::Inputs inputs() const {
    if (params_.inputs == "grid") return orrery::Inputs::grid;
    return params_.inputs == "train" ? orrery::Inputs::train : orrery::Inputs::test;
  }

  static std::string hook_of(size_t layer) {
    return "blocks." + std::to_string(layer) + ".attn.hook_pattern";
  }

  // pattern: [batch, n_heads, n_read, n_ctx] -> float64 [n_heads], in nats.
  static torch::Tensor entropy_of_heads(const torch::Tensor& pattern) {
    const auto share = pattern.to(torch::kFloat64);
    return -torch::xlogy(share, share).sum(-1).mean(torch::IntArrayRef({0, 2}));  // xlogy: 0 log 0 is 0
  }

  static orrery::Figure figure(const torch::Tensor& entropy) {
    orrery::Series layers;
    for (int64_t layer = 0; layer < entropy.size(0); ++layer)
      layers.emplace_back("layer " + std::to_string(layer), entropy[layer]);
    return orrery::Figure::bars("entropy", "Attention entropy", {"head"}, "entropy (nats)", layers);
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(AttentionEntropy, Params, "attention_entropy", "1.0.0", "How widely each attention head looks.")
