// How large is the logit of the right answer, and how large are the weights that make it? (Varma et al. 2023,
// "Explaining grokking through circuit efficiency", section 5.1 and figure 3) A circuit is efficient if it
// makes a large logit from a small parameter norm. In a network that holds one circuit alone, as after
// training on random labels, both belong to it: the mean logit of the correct class over the training set,
// and the norm of all weights. Networks of several seeds and weight decays then show the norm at equal logit.
// Two classes with logits (3, -1) and (2, 4), labels 0 and 1: correct logit (3 + 4) / 2 = 3.5, margin (4 + 2)
// / 2 = 3.
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <cmath>

namespace {

using torch::Tensor;

enum class Examples { train, test };
orrery::Names<Examples> names_of(Examples) { return {{"train", Examples::train}, {"test", Examples::test}}; }

struct Params {
  Examples inputs = Examples::train;

  static void fields(orrery::Fields<Params>& f) {
    f.add("inputs", &Params::inputs, "the examples that the logit is a mean over");
  }
};

struct CorrectLogits {
  Tensor correct, margin;  // [labels that count] float64
};

// One logit z stands for the pair (0, z): its margin is z or -z.
CorrectLogits of_single_logit(const Tensor& logits, const Tensor& labels) {
  const Tensor signed_logit = logits.squeeze(-1) * (2 * labels - 1);
  return {signed_logit, signed_logit};
}

CorrectLogits of_classes(const Tensor& logits, const Tensor& labels) {
  const Tensor at = labels.unsqueeze(-1), correct = logits.gather(-1, at).squeeze(-1);
  const Tensor others = logits.scatter(-1, at, -INFINITY);
  return {correct, correct - std::get<0>(others.max(-1))};
}

class CorrectLogit final : public orrery::Probe {
 public:
  explicit CorrectLogit(Params params) : inputs_(params.inputs) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.inputs = inputs_ == Examples::train ? orrery::Inputs::train : orrery::Inputs::test;
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    recorder.panel("correct_logit", "Logit of the right answer", "logit (nats)");
    recorder.panel("margin", "Logit of the right answer above the next best", "logit (nats)");
    recorder.panel("parameter_norm", "Norm of all parameters", "L2 norm");
    const orrery::Batch& inputs = observation.inputs;
    const Tensor logits = observation.logits.to(torch::kFloat64);
    const CorrectLogits found = observation.spec.d_vocab_out == 1 ? of_single_logit(logits, inputs.labels)
                                                                  : of_classes(logits, inputs.labels);
    const auto mean = [&](const Tensor& values) {
      const Tensor counted = inputs.scored.defined() ? values.masked_select(inputs.scored) : values;
      return counted.mean().item<double>();
    };
    recorder.headline("correct_logit", mean(found.correct));
    recorder.scalar("margin", mean(found.margin));
    recorder.headline("parameter_norm", observation.model.parameter_norm());
  }

 private:
  Examples inputs_;
};

}  // namespace

ORRERY_PROBE(CorrectLogit, Params, "correct_logit", "1.0.0",
             "The logit of the right answer, and the norm of the parameters that make it.")
