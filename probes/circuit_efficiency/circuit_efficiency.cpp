// How large are the logits of the generalising and of the memorising circuit, and at what price in parameter
// norm? (Varma et al. 2023, "Explaining grokking through circuit efficiency", appendix B) The logits of each
// class are functions of the pair (a, b). Their projection on the span of cos w_k(a + b) and sin w_k(a + b),
// w_k = 2 pi k / p, over all frequencies k, can come from an algorithm for a + b; the rest counts as
// memorised. C_gen and C_mem are the correct class's logit in each part, above the mean over classes. A
// network whose logit is 10 cos w_5(a + b - c) has C_gen = 10, C_mem = 0. One that has memorised 30 % of the
// pairs, with 10 on their correct class, has C_mem = 7 on these: its mean over pairs of one sum is 3.
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>

#include <cmath>

namespace {

using torch::Tensor;

struct Params {
  static void fields(orrery::Fields<Params>&) {}
};

// Entries of `rows` of the grid, laid out: [n*n] bool.
Tensor members(const orrery::CyclicView& view, const orrery::Observation& observation, const Tensor& rows) {
  const auto all = torch::zeros({observation.split.grid->size()}, torch::kBool);
  return view.inputs(all.index_fill_(0, rows.to(torch::kCPU), true));
}

Tensor centred(const Tensor& logits) { return logits - logits.mean(-1, /*keepdim=*/true); }

// The logit of class i + j for each pair (i, j): [n*n], of classes by index.
Tensor correct(const Tensor& logits) {
  const auto i = torch::arange(logits.size(1), torch::kInt64);
  const auto label = torch::remainder(i.unsqueeze(1) + i, logits.size(1)).flatten();
  return logits.gather(1, label.unsqueeze(1)).squeeze(1);
}

// The contribution of each frequency to the correct class's logit, a mean over all pairs: [floor(n/2) + 1].
Tensor by_frequency(const orrery::CyclicView& view) {
  const int64_t n = view.order();
  auto height = torch::full({n / 2 + 1}, std::sqrt(2 / std::pow(static_cast<double>(n), 3)), torch::kFloat64);
  if (n % 2 == 0) height[n / 2] = std::pow(static_cast<double>(n), -1.5);
  height[0] = 0;
  return view.logit_coefficients() * height;
}

class CircuitEfficiency final : public orrery::Probe {
 public:
  explicit CircuitEfficiency(Params) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.structure = {orrery::Capability::cyclic};
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    const orrery::CyclicView view(observation);
    const int64_t n = view.order();
    const auto logits = centred(view.classes(view.logits()));
    const auto waves = orrery::functions_of_sum(orrery::wave_functions(n, orrery::all_frequencies(n)));
    const auto generalising = waves.project(logits);  // centred too: projecting mixes no classes
    const auto c_gen = correct(generalising), c_mem = correct(logits - generalising);

    const double norm = parameter_norm(observation.model);
    const auto on = [&](const char* inputs, const Tensor& rows) {
      const auto chosen = members(view, observation, rows);
      if (!chosen.any().item<bool>()) return;
      record(inputs, c_gen.masked_select(chosen).mean().item<double>(),
             c_mem.masked_select(chosen).mean().item<double>(), norm, recorder);
    };
    on("train", observation.split.train_rows);
    on("test", observation.split.test_rows);
    recorder.scalar("parameter_norm", norm);
    const double total = logits.square().sum().item<double>();
    recorder.scalar("trig_share", total > 0 ? generalising.square().sum().item<double>() / total : 0);
    recorder.figure(frequencies(by_frequency(view)));
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    for (const char* circuit : {"c_gen", "c_mem"})
      recorder.panel(circuit, "Logit of the right answer from each circuit: generalising and memorising",
                     "logit about the mean (nats)");
    recorder.panel("efficiency", "Efficiency: logit of each circuit by parameter norm",
                   "logit / norm (nats)");
    recorder.panel("parameter_norm", "Norm of all parameters", "L2 norm");
    recorder.panel("trig_share", "Logits that are waves of a + b: the generalising circuit's share",
                   "share of the sum of squares");
  }

  static double parameter_norm(const orrery::Model& model) {
    double squares = 0;
    for (const auto& weight : model.weights())
      squares += weight.value.detach().to(torch::kFloat64).square().sum().item<double>();
    return std::sqrt(squares);
  }

  // Memorisation concerns the training pairs, so they give the headlines.
  static void record(const std::string& inputs, double c_gen, double c_mem, double norm,
                     orrery::Recorder& recorder) {
    if (inputs == "train") {
      recorder.headline("c_gen", c_gen);
      recorder.headline("c_mem", c_mem);
      recorder.finding(orrery::circuit_efficiency_finding(c_gen, c_mem, norm));
      if (norm > 0) recorder.scalar("efficiency/c_gen", c_gen / norm);
      if (norm > 0) recorder.scalar("efficiency/c_mem", c_mem / norm);
    }
    recorder.scalar("c_gen/" + inputs, c_gen);
    recorder.scalar("c_mem/" + inputs, c_mem);
  }

  static orrery::Figure frequencies(const Tensor& logit) {
    const int64_t waves = logit.size(0) - 1;
    return orrery::Figure::bars("c_gen_by_frequency", "C_gen over all pairs, by frequency",
                                {"frequency k", {}, torch::arange(1, waves + 1, torch::kInt64)},
                                "correct-class logit (nats)",
                                {{"C_gen", logit.narrow(0, 1, waves).to(torch::kFloat32)}});
  }
};

}  // namespace

ORRERY_PROBE(CircuitEfficiency, Params, "circuit_efficiency", "1.0.0",
             "The logits of the generalising and the memorising circuit, against the parameter norm.")
