// Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
// kellerjordan.github.io/posts/muon): SGD with Nesterov momentum whose step is made orthogonal. Of the
// momentum's singular value decomposition U S V^T it takes about U V^T: all directions move alike, rare ones
// too. A quintic Newton-Schulz iteration gets there without a decomposition,
//   X <- a X + b (X X^T) X + c (X X^T)^2 X,    a, b, c = 3.4445, -4.7750, 2.0315,
// from X = G / |G|; five steps bring singular values from 1/600 on to between 0.68 and 1.21.
// Weights with leading dimensions, as attn.W_Q [n_heads, d_model, d_head], are as many matrices. Differs from
// the authors' code: it computes in the weights' own precision, theirs in bfloat16.
#include <orrery/plugin.h>
#include <orrery/update.h>

#include <cmath>

namespace {

struct Params {
  enum class Scale { aspect, rms, none };
  double momentum = 0.95;
  bool nesterov = true;
  int64_t ns_steps = 5;
  Scale scale = Scale::aspect;
  double eps = 1e-7;

  static void fields(orrery::Fields<Params>& f) {
    f.add("momentum", &Params::momentum, "share of the momentum that each step keeps").between(0, 1);
    f.add("nesterov", &Params::nesterov, "whether the step looks ahead along the momentum");
    f.add("ns_steps", &Params::ns_steps, "Newton-Schulz iterations").between(1, 100);
    f.add("scale", &Params::scale, "factor of the learning rate by shape, see below");
    f.add("eps", &Params::eps, "added to the norm that a momentum is divided by").at_least(0);
  }
  friend orrery::Names<Scale> names_of(Scale) {
    return {{"aspect", Scale::aspect}, {"rms", Scale::rms}, {"none", Scale::none}};
  }
};

// of: [n, rows, cols] -> the same shape.
torch::Tensor orthogonal(const torch::Tensor& of, int64_t steps, double eps) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  const bool tall = of.size(1) > of.size(2);  // X X^T is then the larger of the two Gram matrices
  torch::Tensor x = tall ? of.transpose(1, 2) : of;
  x = x / (x.norm(2, torch::IntArrayRef({1, 2}), true) + eps);
  for (int64_t i = 0; i < steps; ++i) {
    const torch::Tensor gram = torch::bmm(x, x.transpose(1, 2));
    x = torch::baddbmm(x, torch::baddbmm(gram, gram, gram, b, c), x, a, 1);
  }
  return tall ? x.transpose(1, 2) : x;
}

class Muon final : public orrery::Update {
 public:
  explicit Muon(Params params) : params_(params) {
    if (params.momentum == 1)
      throw orrery::UsageError("a momentum of 1 never takes a gradient in",
                               "choose it below 1, for example 0.95");
    if (static_cast<float>(params.eps) <= 0)
      throw orrery::UsageError(
          "eps is 0 in single precision, and the step of a weight without a gradient is "
          "divided by it",
          "choose a small number above 0, for example 1e-7");
  }

  Stage stage() const override { return Stage::optimizer; }

  // The biases of attention are [n_heads, d_head], a vector for each head.
  std::string refusal(const std::string& name, const torch::Tensor& weight) const override {
    const bool is_bias = name.substr(name.rfind('.') + 1).starts_with("b_");
    return weight.dim() < 2 || is_bias ? "it makes steps of matrices orthogonal, and this is a vector" : "";
  }

  void step(const orrery::UpdateStep& step) override {
    for (const orrery::UpdatedWeight& weight : step.weights) {
      const torch::Tensor momentum = weight.state("momentum"), gradient = weight.gradient();
      const torch::Tensor value = weight.value();
      momentum.lerp_(gradient, 1 - params_.momentum);
      const torch::Tensor along =
          params_.nesterov ? torch::lerp(gradient, momentum, params_.momentum) : momentum;
      const torch::Tensor matrices = along.reshape({-1, value.size(-2), value.size(-1)});
      const torch::Tensor direction = orthogonal(matrices, params_.ns_steps, params_.eps);
      if (weight.weight_decay > 0) value.mul_(1 - weight.lr * weight.weight_decay);
      value.sub_(direction.reshape(value.sizes()), weight.lr * factor(value));
    }
  }

 private:
  // Weights are [..., in, out] here, those of torch.nn.Linear [out, in].
  double factor(const torch::Tensor& weight) const {
    const auto in = static_cast<double>(weight.size(-2)), out = static_cast<double>(weight.size(-1));
    switch (params_.scale) {
      case Params::Scale::aspect:
        return std::sqrt(std::max(1.0, out / in));
      case Params::Scale::rms:
        return 0.2 * std::sqrt(std::max(in, out));
      case Params::Scale::none:
        return 1;
    }
    return 1;
  }

  Params params_;
};

}  // namespace

ORRERY_UPDATE(Muon, Params, "muon", "1.0.0", "Momentum whose steps are made orthogonal.")
