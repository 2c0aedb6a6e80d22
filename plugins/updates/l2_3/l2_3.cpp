// The L_{2,3} regulariser (Morwani et al. 2024, "Feature emergence via margin maximization: case studies in
// algebraic tasks", arXiv 2311.07568): adds to the gradients those of
//   lambda sum_i n_i^3,    n_i^2 = |input weights of neuron i|^2 + |output weights of neuron i|^2,
// the cube of the norm |W|_{2,3}. It is the penalty that suits neurons of degree 3 in their weights: a
// network with one hidden layer and x^2 for activation function, which has the same margin whether one neuron
// does the work or several share it, and whose largest margin in this norm has a closed form.
// Neuron i is column i of mlp.W_in, or of mlp.W_in_a and mlp.W_in_b, and row i of mlp.W_out. A transformer
// may be given its blocks.N.mlp.W_in and W_out, each layer for itself, which the paper does not treat.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/update.h>

#include <map>

namespace {

struct Params {
  double lambda = 1e-4;

  static void fields(orrery::Fields<Params>& f) {
    f.add("lambda", &Params::lambda, "factor of the penalty").at_least(0);
  }
};

enum class Side { input, output, none };

Side side_of(const std::string& name) {
  for (const char* input : {"mlp.W_in", "mlp.W_in_a", "mlp.W_in_b"})
    if (name == input || name.ends_with(std::string(".") + input)) return Side::input;
  return name == "mlp.W_out" || name.ends_with(".mlp.W_out") ? Side::output : Side::none;
}

// "blocks.0." of "blocks.0.mlp.W_in".
std::string layer_of(const std::string& name) { return name.substr(0, name.rfind("mlp.")); }

struct Layer {
  std::vector<const orrery::UpdatedWeight*> input;
  const orrery::UpdatedWeight* output = nullptr;
};

class L23 final : public orrery::Update {
 public:
  explicit L23(Params params) : params_(params) {}

  Stage stage() const override { return Stage::gradients; }

  std::string refusal(const std::string& name, const torch::Tensor&) const override {
    return side_of(name) == Side::none ? "it knows neurons by mlp.W_in, mlp.W_in_a, mlp.W_in_b and mlp.W_out"
                                       : "";
  }

  void step(const orrery::UpdateStep& step) override {
    std::map<std::string, Layer> layers;
    for (const orrery::UpdatedWeight& weight : step.weights) {
      Layer& layer = layers[layer_of(weight.name())];
      if (side_of(weight.name()) == Side::output)
        layer.output = &weight;
      else
        layer.input.push_back(&weight);
    }
    for (const auto& [name, layer] : layers) penalise(name, layer);
  }

 private:
  void penalise(const std::string& name, const Layer& layer) const {
    if (!layer.output || layer.input.empty())
      throw orrery::UsageError(
          "it was given only one side of the neurons of " + name +
              "mlp: " + (layer.output ? layer.output->name() : layer.input.front()->name()),
          "name both: weights = [\"*mlp.W_in*\", \"*mlp.W_out\"]; neither may be frozen");
    torch::Tensor squares = layer.output->value().square().sum(1);  // [d_mlp]
    for (const orrery::UpdatedWeight* weight : layer.input) squares += weight->value().square().sum(0);
    const torch::Tensor slope = 3 * params_.lambda * squares.sqrt();
    for (const orrery::UpdatedWeight* weight : layer.input)
      weight->gradient().addcmul_(weight->value(), slope);
    layer.output->gradient().addcmul_(layer.output->value(), slope.unsqueeze(1));
  }

  Params params_;
};

}  // namespace

ORRERY_UPDATE(L23, Params, "l2_3", "1.0.0", "Penalty on the cubes of the norms of neurons.")
