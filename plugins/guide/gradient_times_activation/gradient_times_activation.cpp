// Which heads lower the loss, and at which positions? Gradient times activation: give a head's output z a
// factor f, and the derivative of the mean loss with respect to f at f = 1 is the sum of the entries of
// (dloss/dz) z. Less that is what taking the head out (f = 0) would add to the loss if the loss were linear;
// its size is the head importance of Michel et al. 2019, "Are sixteen heads really better than one?", arXiv
// 1905.10650. A head with z = (2, 0) and the gradient (-0.1, 5) has 0.2 nats: it helps. One backward pass
// gives all heads and positions.
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
    std::vector<torch::Tensor> heads;
    std::vector<std::string> names;
    for (const std::string& hook : found.activations.names()) {
      const auto z = found.activations[hook].to(torch::kCPU,
                                                torch::kFloat64),  // [batch, n_ctx, n_heads, d_head]
          gradient = found.of_activations[hook].to(torch::kCPU, torch::kFloat64);
      heads.push_back(-(gradient * z).sum(torch::IntArrayRef({0, 3})).t());  // [n_heads, n_ctx]
      for (int64_t head = 0; head < z.size(2); ++head)
        names.push_back(hook.substr(7, hook.find('.', 7) - 7) + "." + std::to_string(head));
    }
    record(torch::cat(heads), names, recorder);
  }

 private:
  // lost: [heads, n_ctx], in nats.
  static void record(const torch::Tensor& lost, const std::vector<std::string>& names,
                     orrery::Recorder& recorder) {
    for (size_t i = 0; i < names.size(); ++i)
      recorder.scalar("head/" + names[i], lost[static_cast<int64_t>(i)].sum().item<double>());
    recorder.headline("heads", lost.sum().item<double>());
    recorder.tensor("lost", lost);
    recorder.figure(orrery::Figure::heatmap("lost", "What each head takes off the loss, to first order",
                                            {"position"}, {"head", names}, "loss (nats)", lost));
  }
};

}  // namespace

ORRERY_PROBE(GradientTimesActivation, Params, "gradient_times_activation", "1.0.0",
             "What each head takes off the loss at each position, by gradient times activation.")
