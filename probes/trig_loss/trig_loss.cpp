// Trig loss (restricted loss, Nanda et al. 2023): how well do the key frequencies alone predict? For a + b =
// c a grokked network's logits are waves in w_k(a + b), w_k = 2 pi k / p, for a handful of key k. Project the
// logits of each class, as functions of the pair (a, b), on cos w_k(a + b) and sin w_k(a + b) for the key
// frequencies k, restore the mean over pairs, and take the cross-entropy. With p = 113 and keys {14, 35, 41}
// that keeps 6 of 12,769 directions and a bias. It falls while the circuit forms, before the test loss does.
// For other operations a, b and c stand for their indices in the cyclic group.
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>

namespace {

struct Params : orrery::KeyFrequencyParams {};

class TrigLoss final : public orrery::Probe {
 public:
  explicit TrigLoss(Params params) : params_(std::move(params)) { params_.check(); }

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.structure = {orrery::Capability::cyclic};
    needs.reference = true;
    needs.refusal = orrery::refuse_other_losses;
    params_.add_to(needs);
    return needs;
  }

  void fit(const orrery::Observation& reference) override {
    keys_ = orrery::find_key_frequencies(params_, orrery::CyclicView(reference));
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    recorder.panel("loss", "Trig loss: of the key frequencies alone", "loss (nats)");
    const orrery::CyclicView view(observation);
    const orrery::SubspaceCut only_keys{
        .subspace = orrery::functions_of_sum(orrery::wave_functions(view.order(), keys_.frequencies)),
        .part = orrery::Part::keep,
        .bias = orrery::Bias::logits};
    const auto logits = orrery::cut_logits(only_keys, orrery::laid_out(view), observation);
    for (const auto& [inputs, loss] : view.losses(logits)) {
      if (inputs == "test")
        recorder.headline("loss/" + inputs, loss);
      else
        recorder.scalar("loss/" + inputs, loss);
    }
    recorder.finding(orrery::key_frequencies_finding(view.order(), keys_.frequencies, keys_.shares));
  }

 private:
  Params params_;
  orrery::KeyFrequencies keys_;
};

}  // namespace

ORRERY_PROBE(TrigLoss, Params, "trig_loss", "1.0.0", "The loss of the key frequencies alone.")
