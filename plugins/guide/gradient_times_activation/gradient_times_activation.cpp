// Which heads lower the loss, and at which positions? Gradient times activation: give a head's output z a
// factor f, and the derivative of the mean loss with respect to f at f = 1 is the sum of the entries of
// (dloss/dz) z. Less that is what taking the head out (f = 0) would add to the loss if the loss were linear
// in f. Its absolute value, averaged over inputs, is the head importance of Michel et al. 2019, "Are sixteen
// heads really better than one?", arXiv 1905.10650. A head with z = (2, 0) and the gradient (-0.1, 5) has 0.2
// nats: it helps.
#include <orrery/gradients.h>
#include <orrery/loss.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

namespace {

struct Params {
  static void fields(orrery::Fields<Params>&) {}
};

class GradientTimesActivation final : public orrery::Probe {
 public:
  explicit GradientTimesActivation(Params) {}

  // A model without heads is refused before step 0.
  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::test, .activations = {"blocks.*.attn.hook_z"}};
  }

  void measure(const orrery::Observation& seen, orrery::Recorder& recorder) override {
    const orrery::Batch inputs = seen.inputs.to(seen.model.device());
    const auto mean_loss = [&](const torch::Tensor& logits) {  // [batch, n_read, d_vocab_out] -> a scalar
      return orrery::mean_over_labels(seen.losses(logits.to(torch::kFloat64), inputs), inputs);
    };
    const orrery::Gradients found = orrery::gradients(seen.model, inputs.tokens, seen.spec.read_out,
                                                      mean_loss, {.activations = {"blocks.*.attn.hook_z"}});
    std::vector<torch::Tensor> heads;  // of each layer: [n_heads, n_ctx]
    while (found.activations.contains(hook_of(heads.size()))) {
      // [batch, n_ctx, n_heads, d_head], on the model's device
      const auto z = found.activations[hook_of(heads.size())].to(torch::kFloat64);
      const auto gradient = found.of_activations[hook_of(heads.size())].to(torch::kFloat64);
      heads.push_back(-(gradient * z).sum(torch::IntArrayRef({0, 3})).t().to(torch::kCPU));
    }
    record(torch::stack(heads), recorder);
  }

 private:
  static std::string hook_of(size_t layer) { return "blocks." + std::to_string(layer) + ".attn.hook_z"; }

  // lost: [n_layers, n_heads, n_ctx], in nats.
  static void record(const torch::Tensor& lost, orrery::Recorder& recorder) {
    std::vector<std::string> names;
    for (int64_t layer = 0; layer < lost.size(0); ++layer)
      for (int64_t head = 0; head < lost.size(1); ++head) {
        names.push_back(std::to_string(layer) + "." + std::to_string(head));
        recorder.scalar("head/" + names.back(), lost[layer][head].sum().item<double>());
      }
    recorder.headline("heads", lost.sum().item<double>());
    recorder.tensor("lost", lost);
    recorder.figure(orrery::Figure::heatmap("lost", "What each head takes off the loss, to first order",
                                            {"position"}, {"head", names}, "loss (nats)",
                                            lost.flatten(0, 1)));
  }
};

}  // namespace

ORRERY_PROBE(GradientTimesActivation, Params, "gradient_times_activation", "1.0.0",
             "What each head takes off the loss at each position, by gradient times activation.")
