// How large are the logits of the generalising and of the memorising circuit, and at what parameter norm?
// (Varma et al. 2023, "Explaining grokking through circuit efficiency", appendix B) All logits together, over
// pairs (a, b) and classes c, are one vector. Its projection on the waves cos w_k(a + b - c), w_k = 2 pi k /
// p, over all frequencies k, is what the trigonometric algorithm adds; the rest counts as memorised. C_gen
// and C_mem are the correct class's logit in each part. A network whose logit is 10 cos w_5(a + b - c) has
// C_gen = 10, C_mem = 0. One that has memorised 30 % of the pairs, with 10 on their correct class and 0
// elsewhere, has C_gen = 3 (1 - 1/p): the waves fit the mean over pairs. So C_mem is 7 + 3/p on the pairs
// that it knows and -3 (1 - 1/p) on the others.
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>

#include <cmath>

namespace {

using torch::Tensor;

enum class Waves { cosines, functions_of_sum };
orrery::Names<Waves> names_of(Waves) {
  return {{"cosines", Waves::cosines}, {"functions_of_sum", Waves::functions_of_sum}};
}

struct Params {
  Waves subspace = Waves::cosines;

  static void fields(orrery::Fields<Params>& f) {
    f.add("subspace", &Params::subspace,
          "what generalises: the waves cos w_k(a + b - c), or all waves of a + b for each class");
  }
};

// Entries of `rows` of the grid, laid out: [n*n] bool.
Tensor members(const orrery::CyclicView& view, const orrery::Observation& observation, const Tensor& rows) {
  const auto all = torch::zeros({observation.split.grid->size()}, torch::kBool);
  return view.inputs(all.index_fill_(0, rows.to(torch::kCPU), true));
}

// The logit of class i + j for each pair (i, j): [n*n], of classes by index.
Tensor correct(const Tensor& logits) {
  const auto i = torch::arange(logits.size(1), torch::kInt64);
  const auto label = torch::remainder(i.unsqueeze(1) + i, logits.size(1)).flatten();
  return logits.gather(1, label.unsqueeze(1)).squeeze(1);
}

// The contribution of each frequency to the correct class's logit, which is the same for all pairs if the
// subspace is that of the cosines, and else a mean over them: [floor(n/2) + 1].
Tensor by_frequency(const orrery::CyclicView& view) {
  const int64_t n = view.order();
  auto height = torch::full({n / 2 + 1}, std::sqrt(2 / std::pow(static_cast<double>(n), 3)), torch::kFloat64);
  if (n % 2 == 0) height[n / 2] = std::pow(static_cast<double>(n), -1.5);
  height[0] = 0;
  return view.logit_coefficients() * height;
}

// Logits [n*n, n] float64 and the part of them that generalises: the correct class's logit, and the norms.
struct Parts {
  Tensor c_gen, c_mem;  // [n*n]
  double gen_norm = 0, norm = 0;
};

// Appendix B.
Parts on_cosines(const orrery::CyclicView& view) {
  const auto logits = view.classes(view.logits()).to(torch::kFloat64);
  const auto c_gen = by_frequency(view).sum().expand({logits.size(0)});
  return {c_gen, correct(logits) - c_gen, view.logit_coefficients().slice(0, 1).norm().item<double>(),
          logits.norm().item<double>()};
}

// All functions of a + b, class by class, of the logits about their mean over classes.
Parts on_functions_of_sum(const orrery::CyclicView& view) {
  const int64_t n = view.order();
  const auto raw = view.classes(view.logits()).to(torch::kFloat64);
  const auto logits = raw - raw.mean(-1, /*keepdim=*/true);
  const auto waves = orrery::functions_of_sum(orrery::wave_functions(n, orrery::all_frequencies(n)));
  const auto generalising = waves.project(logits);  // centred too: projecting mixes no classes
  return {correct(generalising), correct(logits - generalising), generalising.norm().item<double>(),
          logits.norm().item<double>()};
}

class CircuitEfficiency final : public orrery::Probe {
 public:
  explicit CircuitEfficiency(Params params) : subspace_(params.subspace) {}

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.structure = {orrery::Capability::cyclic};
    return needs;
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    panels(recorder);
    const orrery::CyclicView view(observation);
    const Parts parts = subspace_ == Waves::cosines ? on_cosines(view) : on_functions_of_sum(view);

    const double norm = observation.model.parameter_norm();
    const auto on = [&](const char* inputs, const Tensor& rows) {
      const auto chosen = members(view, observation, rows);
      if (!chosen.any().item<bool>()) return;
      record(inputs, parts.c_gen.masked_select(chosen).mean().item<double>(),
             parts.c_mem.masked_select(chosen).mean().item<double>(), norm, recorder);
    };
    on("train", observation.split.train_rows);
    on("test", observation.split.test_rows);
    recorder.scalar("parameter_norm", norm);
    recorder.scalar("trig_norm_share", parts.norm > 0 ? parts.gen_norm / parts.norm : 0);
    recorder.figure(frequencies(by_frequency(view)));
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    recorder.panel("c_gen", "Logit of the right answer from the generalising circuit", "logit (nats)");
    recorder.panel("c_mem", "Logit of the right answer from the memorising circuit", "logit (nats)");
    recorder.panel("parameter_norm", "Norm of all parameters", "L2 norm");
    recorder.panel("trig_norm_share", "Logits that are waves of a + b: the generalising circuit's share",
                   "share of the norm");
  }

  // Memorisation concerns the training pairs, so they give the headlines.
  static void record(const std::string& inputs, double c_gen, double c_mem, double norm,
                     orrery::Recorder& recorder) {
    if (inputs == "train") {
      recorder.headline("c_gen", c_gen);
      recorder.headline("c_mem", c_mem);
      recorder.finding(orrery::circuit_efficiency_finding(c_gen, c_mem, norm));
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

  Waves subspace_;
};

}  // namespace

ORRERY_PROBE(CircuitEfficiency, Params, "circuit_efficiency", "2.0.0",
             "The logits of the generalising and the memorising circuit, against the parameter norm.")
