// What the weights alone show: their size and sparsity; in parity, which inputs the network reads (Barak et
// al. 2022; Pearce et al. 2023); in modular arithmetic, whether numbers lie on circles (Liu et al. 2022;
// Nanda et al. 2023). Embed the number x mod 113 as (cos, sin)(2 pi 14 x / 113) in 128 dimensions: two
// principal components with share 1/2 each, both of frequency 14, circularity 1. Random embeddings have about
// 2 / 113 at every frequency. Needs no forward pass.
#include <orrery/fourier.h>
#include <orrery/operand_grid.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <cmath>

namespace {

using orrery::Figure;
using orrery::Observation;
using orrery::Recorder;
using torch::Tensor;

struct Params {
  double live_share = 0.01;
  int64_t n_components = 6;
  int64_t max_drawn = 64;

  static void fields(orrery::Fields<Params>& f) {
    f.add("live_share", &Params::live_share,
          "a neuron is live if the product of its input and output norm is above this share of the largest")
        .between(0, 1);
    f.add("n_components", &Params::n_components, "principal components that have scalars of their own")
        .at_least(1);
    f.add("max_drawn", &Params::max_drawn, "neurons in the heatmap of the weights by input: the largest")
        .at_least(1);
  }
};

// A weight in float64; undefined where the model has none of this name.
Tensor find_weight(const Observation& observation, const std::string& name) {
  return observation.model.find_weight(name) ? observation.weight(name).to(torch::kFloat64) : Tensor();
}

// (sqrt n - L1/L2) / (sqrt n - 1) of n numbers (Hoyer 2004): 0 if all have the same modulus, 1 if all but one
// are zero. 0 for zeros and for a single number.
double hoyer(const Tensor& x) {
  const double root = std::sqrt(static_cast<double>(x.numel()));
  const double L2 = x.square().sum().sqrt().item<double>();
  return x.numel() < 2 || L2 == 0 ? 0 : (root - x.abs().sum().item<double>() / L2) / (root - 1);
}

double share_of(double part, double whole) { return whole > 0 ? part / whole : 0; }

Tensor numbered_from(int64_t first, int64_t count) {
  return torch::arange(first, first + count, torch::kInt64);
}
Tensor small(const Tensor& x) { return x.to(torch::kFloat32); }

void sizes(const Observation& observation, Recorder& recorder) {
  recorder.panel("gini", "Sparsity of each weight matrix: Gini coefficient", "Gini coefficient");
  recorder.panel("hoyer", "Sparsity of each weight matrix: Hoyer's measure", "Hoyer sparsity");
  recorder.panel("sum_of_squares", "Sum of squares of each weight matrix", "sum of squares");
  recorder.panel("norm/L1", "L1 norm of all weights", "L1 norm");
  recorder.panel("norm/L2", "L2 norm of all weights", "L2 norm");
  recorder.panel("n_parameters", "Numbers that are trained", "numbers (count)");
  std::vector<Tensor> all, squares_of;
  const auto sparsity = [&](const std::string& name, const Tensor& x) {
    recorder.scalar("gini/" + name, orrery::gini(x.abs()));
    recorder.scalar("hoyer/" + name, hoyer(x));
  };
  for (const orrery::NamedWeight& named : observation.model.weights()) {
    const Tensor x = find_weight(observation, named.name).flatten();
    const Tensor squares = x.square().sum();
    recorder.scalar("sum_of_squares/" + named.name, squares.item<double>());
    sparsity(named.name, x);
    squares_of.push_back(small(squares));
    all.push_back(x);
  }
  const Tensor together = torch::cat(all);
  recorder.scalar("norm/L1", together.abs().sum().item<double>());
  recorder.headline("norm/L2", together.square().sum().sqrt().item<double>());
  recorder.scalar("n_parameters", static_cast<double>(together.numel()));
  sparsity("all", together);
  recorder.figure(Figure::bars("sum_of_squares", "Sum of squares of each weight matrix",
                               {"weight", observation.model.weight_names()}, "sum of squares",
                               {{"sum of squares", torch::stack(squares_of)}}));
}

// The product of input norm and output norm of each neuron, which is invariant under relu(s x) = s relu(x).
struct NeuronLayer {
  std::string name;
  Tensor product;  // [d_mlp]
};

// Norms of the columns of all of these weights together, biases included; names that the model lacks are
// left out.
Tensor column_norms(const Observation& observation, const std::vector<std::string>& names) {
  Tensor squares;
  for (const std::string& name : names) {
    const Tensor weight = find_weight(observation, name);
    if (!weight.defined()) continue;
    const Tensor here = weight.reshape({-1, weight.size(-1)}).square().sum(0);
    squares = squares.defined() ? squares + here : here;
  }
  return squares.sqrt();
}
Tensor row_norms(const Tensor& weight) { return weight.square().sum(1).sqrt(); }

std::vector<NeuronLayer> neuron_layers(const Observation& observation) {
  std::vector<NeuronLayer> layers;
  for (const orrery::NamedWeight& named : observation.model.weights()) {
    const std::string end = "mlp.W_out";
    if (named.name.size() < end.size() || named.name.compare(named.name.size() - end.size(), end.size(), end))
      continue;
    const std::string mlp = named.name.substr(0, named.name.size() - std::string(".W_out").size());
    const Tensor in = column_norms(
        observation, {mlp + ".W_in", mlp + ".W_in_a", mlp + ".W_in_b", mlp + ".b_in", mlp + ".W_gate"});
    const Tensor out = row_norms(find_weight(observation, named.name));
    const Tensor W_hidden = find_weight(observation, mlp + ".W_hidden");
    layers.push_back({mlp, in * (W_hidden.defined() ? row_norms(W_hidden) : out)});
    if (W_hidden.defined())
      layers.push_back({mlp + "_2", column_norms(observation, {mlp + ".W_hidden", mlp + ".b_hidden"}) * out});
  }
  return layers;
}

void neurons(const std::vector<NeuronLayer>& layers, double live_share, Recorder& recorder) {
  Figure figure{"neurons",
                Figure::Kind::line,
                "Live and dead neurons, by the product of their input and output norm",
                "rank of the neuron",
                "input norm x output norm",
                {}};
  figure.y_log = true;
  recorder.panel("live_neurons", "Live neurons in each layer", "neurons (count)");
  for (const NeuronLayer& layer : layers) {
    const Tensor least = layer.product.max() * live_share, live = layer.product > least;
    recorder.scalar("live_neurons/" + layer.name, live.sum().item<double>());
    recorder.tensor("neuron_norms/" + layer.name, small(layer.product));
    figure.traces.push_back({layer.name,
                             numbered_from(1, layer.product.size(0)),
                             small(std::get<0>(layer.product.sort(0, /*descending=*/true))),
                             {}});
    figure.traces.push_back({layer.name + ": live above",
                             torch::tensor({int64_t{1}, layer.product.size(0)}, torch::kInt64),
                             small(least).expand({2}).contiguous(),
                             {}});
  }
  if (!figure.traces.empty()) recorder.figure(std::move(figure));
}

// mlp.W_in [n_ctx, d_mlp], or with a last row for the column of ones; undefined where the inputs are no bits.
Tensor bit_weights(const Observation& observation) {
  const Tensor W_in = find_weight(observation, "mlp.W_in");
  if (!observation.model.find_hook_point("hook_input") || !W_in.defined()) return {};
  const int64_t rows = W_in.size(0), n_ctx = observation.spec.n_ctx;
  return rows == n_ctx || rows == n_ctx + 1 ? W_in : Tensor();
}

// The weights of the largest neurons, relevant inputs first.
void input_weights(const Tensor& W_in, const Tensor& relevant, const Tensor& distractors,
                   const NeuronLayer& layer, int64_t max_drawn, Recorder& recorder) {
  orrery::Axis x{"input position"}, y{"neuron, largest first"};
  const int64_t n_ctx = relevant.size(0) + distractors.size(0);
  const Tensor ones = numbered_from(n_ctx, W_in.size(0) - n_ctx);
  const Tensor columns = torch::cat({relevant, distractors, ones});
  const Tensor rows = layer.product.argsort(0, /*descending=*/true).slice(0, 0, max_drawn);
  for (int64_t i = 0; i < columns.size(0); ++i) {
    const std::string position = std::to_string(columns[i].item<int64_t>());
    x.ticks.push_back(i < relevant.size(0) ? position + " (relevant)" : i < n_ctx ? position : "ones");
  }
  for (int64_t i = 0; i < rows.size(0); ++i) y.ticks.push_back(std::to_string(rows[i].item<int64_t>()));
  recorder.figure(Figure::heatmap("input_weights", "Weights of the neurons by input, relevant inputs first",
                                  x, y, "weight",
                                  small(W_in.index_select(0, columns).t().index_select(0, rows))));
}

void inputs(const Observation& observation, const std::vector<NeuronLayer>& layers, int64_t max_drawn,
            Recorder& recorder) {
  const Tensor W_in = bit_weights(observation);
  if (!W_in.defined()) return;
  const int64_t n_ctx = observation.spec.n_ctx;
  const Tensor norms = row_norms(W_in), of_bits = norms.narrow(0, 0, n_ctx);
  Tensor is_relevant = torch::zeros({n_ctx}, torch::kBool);
  for (const int64_t position : observation.structure.relevant_positions->positions)
    is_relevant[position] = true;
  const Tensor relevant = is_relevant.nonzero().flatten();
  const Tensor distractors = is_relevant.logical_not().nonzero().flatten();

  const Tensor on_relevant = of_bits.index_select(0, relevant);
  const Tensor on_distractors = of_bits.index_select(0, distractors);
  recorder.tensor("input_norms", small(norms));
  const double mean_relevant = on_relevant.mean().item<double>();
  recorder.panel("inputs", "What the hidden layer reads: mean norm of an input's weights", "L2 norm");
  recorder.panel("inputs/relevant_share", "Weights of the relevant inputs", "share of the sum of squares");
  recorder.panel("inputs/ratio", "Mean norm of the relevant inputs' weights against the distractors'",
                 "ratio");
  recorder.scalar("inputs/relevant", mean_relevant);
  recorder.scalar("inputs/relevant_share",
                  share_of(on_relevant.square().sum().item<double>(), of_bits.square().sum().item<double>()));
  if (distractors.numel() > 0) {
    const double mean_distractor = on_distractors.mean().item<double>();
    recorder.scalar("inputs/distractor", mean_distractor);
    recorder.headline("inputs/ratio", mean_relevant / mean_distractor);
  }
  Figure figure{"input_norms",
                Figure::Kind::bar,
                "What the hidden layer reads: norm of each input's weights",
                "input position",
                "L2 norm of the row of W_in",
                {}};
  for (int64_t position = 0; position < n_ctx; ++position) figure.x_ticks.push_back(std::to_string(position));
  if (norms.size(0) > n_ctx) figure.x_ticks.push_back("ones");
  figure.traces.push_back({"relevant", relevant, small(on_relevant), {}});
  figure.traces.push_back({"distractor", distractors, small(on_distractors), {}});
  if (norms.size(0) > n_ctx)
    figure.traces.push_back({"ones", numbered_from(n_ctx, 1), small(norms.narrow(0, n_ctx, 1)), {}});
  recorder.figure(std::move(figure));
  if (!layers.empty()) input_weights(W_in, relevant, distractors, layers.front(), max_drawn, recorder);
}

// The embedding of the element with index i in row i: [n, d], about the mean row.
struct Embedding {
  std::string name;
  Tensor rows;
};

// The embedding of an operand: W_E, W_in for a collapsed input, or a fixed circle, which is no weight.
std::vector<Embedding> embeddings_of(const Observation& observation) {
  const orrery::OperandIndices indices(*observation.structure.cyclic);
  std::vector<Embedding> embeddings;
  for (const std::string matrix : {"embed.W_E", "mlp.W_in"}) {
    for (const std::string operand : {"", "_a", "_b"}) {
      const Tensor weight = find_weight(observation, matrix + operand);
      if (!weight.defined() || weight.dim() != 2 || weight.size(0) != observation.spec.d_vocab) continue;
      const Tensor rows = operand == "_b" ? indices.right(weight) : indices.left(weight);
      embeddings.push_back({matrix + operand, rows - rows.mean(0)});
    }
    if (!embeddings.empty()) return embeddings;
  }
  if (observation.model.find_hook_point("hook_embed") && orrery::has_one_neuron_layer(observation.model)) {
    const Tensor rows = indices.left(orrery::operand_embedding(observation, 0).to(torch::kFloat64));
    embeddings.push_back({"hook_embed", rows - rows.mean(0)});
  }
  return embeddings;
}

// Singular values and left singular vectors are the principal components as functions of the index.
void principal_components(const Embedding& embedding, int64_t n_components, orrery::Series& all_shares,
                          Recorder& recorder) {
  const auto [U, S, Vh] = at::linalg_svd(embedding.rows, /*full_matrices=*/false);
  const double total = S.square().sum().item<double>();
  const Tensor shares = total > 0 ? S.square() / total : torch::zeros_like(S);
  recorder.tensor("pca/" + embedding.name, small(shares));
  all_shares.emplace_back(embedding.name, small(shares));
  for (int64_t i = 0; i < std::min(n_components, S.size(0)); ++i) {
    const Tensor norms = orrery::fourier_norms(U.select(1, i));
    const Tensor energy = norms.narrow(0, 1, norms.size(0) - 1).square();  // without the constant
    const auto name = [&](const char* what) {
      return "pca/" + embedding.name + "/" + what + "_" + std::to_string(i + 1);
    };
    const std::string of = "Principal components of " + embedding.name;
    recorder.panel(name("share"), of + ": what each explains", "share of the variance");
    recorder.panel(name("frequency"), of + ": strongest frequency of each", "frequency k");
    recorder.panel(name("frequency_share"), of + ": what its strongest frequency explains of each",
                   "share of the sum of squares");
    recorder.scalar(name("share"), shares[i].item<double>());
    recorder.scalar(name("frequency"), static_cast<double>(energy.argmax().item<int64_t>() + 1));
    recorder.scalar(name("frequency_share"),
                    share_of(energy.max().item<double>(), norms.square().sum().item<double>()));
  }
}

constexpr int64_t kCircles = 5;        // drawn at most
constexpr double kCircleShare = 0.05;  // of the variance, for one that is drawn beside the largest

// x [d] as a vector of length 1; one that is shorter than `least`, rounding of float32, as 0.
Tensor direction(const Tensor& x, double least) {
  const Tensor length = x.square().sum().sqrt();
  return length.item<double>() > least ? x / length : torch::zeros_like(x);
}

// The elements in the planes of the largest frequencies, which, unlike principal components, do not rotate
// between checkpoints. pairs [frequencies, 2, d]: the parts of the embedding along cosine and sine; energy
// [frequencies].
void circles(const Embedding& embedding, const Tensor& pairs, const Tensor& energy, Recorder& recorder) {
  Figure figure{
      "circle_" + orrery::file_safe_name(embedding.name),
      Figure::Kind::scatter,
      "Circles: " + embedding.name + " in the planes of its largest frequencies, one point for each number",
      "along the cosine (units of the weights)",
      "across it, towards the sine (units of the weights)",
      {}};
  figure.equal_axes = true;
  const Tensor largest = energy.argsort(0, /*descending=*/true);
  const double smallest = kCircleShare * embedding.rows.square().sum().item<double>();
  for (int64_t i = 0; i < std::min(kCircles, largest.size(0)); ++i) {
    const auto at = largest[i].item<int64_t>();
    if (i > 0 && energy[at].item<double>() < smallest) break;
    const Tensor cosine = pairs[at][0], sine = pairs[at][1];
    const double least = 1e-5 * std::sqrt(energy[at].item<double>());
    const Tensor along = direction(cosine, least);
    const Tensor across = direction(sine - along * along.dot(sine), least);
    figure.traces.push_back({"k=" + std::to_string(at + 1),
                             small(embedding.rows.mv(along)),
                             small(embedding.rows.mv(across)),
                             {}});
  }
  recorder.figure(std::move(figure));
}

// The frequency k whose part, cos w_k i times a vector u plus sin w_k i times a vector v, has most of the
// variance: an ellipse in the plane of u and v. n/2 is left out, as it has no sine.
void circle(const Embedding& embedding, bool first, Recorder& recorder) {
  const int64_t n = embedding.rows.size(0), waves = (n - 1) / 2;
  const Tensor in_basis = orrery::fourier_basis(n).matmul(embedding.rows);
  const Tensor pairs = in_basis.narrow(0, 1, 2 * waves).view({waves, 2, -1});  // [k - 1, cos and sin, d]
  const Tensor energy = pairs.square().sum(2).sum(1);
  const auto best = energy.argmax().item<int64_t>();
  const auto [U, S, Vh] = at::linalg_svd(pairs[best], /*full_matrices=*/false);
  const double long_axis = S[0].item<double>(), short_axis = S.size(0) > 1 ? S[1].item<double>() : 0;

  const std::string& name = embedding.name;
  const double share = share_of(energy[best].item<double>(), embedding.rows.square().sum().item<double>());
  first ? recorder.headline("circularity/" + name, share) : recorder.scalar("circularity/" + name, share);
  recorder.scalar("circle_frequency/" + name, static_cast<double>(best + 1));
  recorder.scalar("roundness/" + name, share_of(short_axis, long_axis));
  if (S.size(0) > 1) circles(embedding, pairs, energy, recorder);
}

void cyclic_embeddings(const Observation& observation, int64_t n_components, Recorder& recorder) {
  if (observation.structure.cyclic->order < 3) return;  // no frequency has cosine and sine
  recorder.panel("circularity", "What the largest frequency explains of each embedding",
                 "share of the variance");
  recorder.panel("circle_frequency", "Largest frequency of each embedding", "frequency k");
  recorder.panel("roundness", "Roundness of the largest circle: short by long axis", "ratio");
  orrery::Series shares;
  const std::vector<Embedding> embeddings = embeddings_of(observation);
  for (const Embedding& embedding : embeddings) {
    principal_components(embedding, n_components, shares, recorder);
    circle(embedding, &embedding == &embeddings.front(), recorder);
  }
  if (embeddings.empty()) return;
  recorder.figure(Figure::bars("pca", "Principal components of the embedding of the numbers",
                               {"principal component", {}, numbered_from(1, observation.spec.d_vocab)},
                               "share of the variance", shares));
}

// The sums of squares of the weights that W_input, and W_output, are products of: rows of numbers only, as in
// the products. An embedding that is the unembedding too is a factor of both; a fixed circle is no weight.
struct Factors {
  double input = 0, output = 0;
};

Factors factors_of(const Observation& observation, const orrery::OperandIndices& indices,
                   bool has_embedding) {
  Factors factors;
  const auto squares = [](const Tensor& x) { return x.square().sum().item<double>(); };
  for (const std::string operand : {"", "_a", "_b"}) {
    const auto of_numbers = [&](const Tensor& x) {
      return operand == "_b" ? indices.right(x) : indices.left(x);
    };
    const Tensor W_E = find_weight(observation, "embed.W_E" + operand);
    const Tensor W_in = find_weight(observation, "mlp.W_in" + operand);
    if (W_E.defined()) factors.input += squares(of_numbers(W_E));
    if (W_in.defined()) factors.input += squares(has_embedding ? W_in : of_numbers(W_in));
  }
  factors.output = squares(find_weight(observation, "mlp.W_out"));
  const bool is_circle = observation.model.find_hook_point("hook_embed") &&
                         !observation.model.find_weight("unembed.W_U") &&
                         !observation.model.find_weight("embed.W_E");
  if (const Tensor W_U = orrery::unembedding(observation); W_U.defined() && !is_circle)
    factors.output += squares(W_U.to(torch::kFloat64));
  return factors;
}

// An mlp of operands as two matrices, W_input = W_E W_in and W_output = W_out W_U, whatever they are products
// of (Pearce et al. 2023: 2 x 24 x 67 numbers).
void collapsed(const Observation& observation, Recorder& recorder) {
  if (!orrery::has_one_neuron_layer(observation.model)) return;
  const orrery::OperandIndices indices(*observation.structure.cyclic);
  const bool has_embedding = observation.model.find_weight("embed.W_E") ||
                             observation.model.find_weight("embed.W_E_a") ||
                             observation.model.find_hook_point("hook_embed");
  std::vector<Tensor> matrices;
  for (const std::string operand : {"", "_a", "_b"}) {
    const Tensor W_in = find_weight(observation, "mlp.W_in" + operand);
    if (!W_in.defined()) continue;
    const bool is_right = operand == "_b";
    const Tensor rows =
        has_embedding ? orrery::operand_embedding(observation, is_right).to(torch::kFloat64).matmul(W_in)
                      : W_in;
    matrices.push_back(is_right ? indices.right(rows) : indices.left(rows));
  }
  if (matrices.empty()) return;  // a transformer
  matrices.push_back(orrery::neurons_to_logits(observation, torch::kFloat64));
  double n = 0, squares = 0;
  for (const Tensor& matrix : matrices) {
    n += static_cast<double>(matrix.numel());
    squares += matrix.square().sum().item<double>();
  }
  recorder.panel("collapsed/n_parameters", "Numbers in W_E W_in and W_out W_U", "numbers (count)");
  recorder.panel("collapsed/norm", "L2 norm of W_E W_in and W_out W_U together", "L2 norm");
  recorder.scalar("collapsed/n_parameters", n);
  recorder.scalar("collapsed/norm", std::sqrt(squares));
  const double output = matrices.back().square().sum().item<double>();
  const Factors factors = factors_of(observation, indices, has_embedding);
  recorder.panel("collapsed/norm_input", "L2 norm of W_E W_in, and of its factors", "L2 norm");
  recorder.panel("factors/norm_input", "L2 norm of W_E W_in, and of its factors", "L2 norm");
  recorder.panel("collapsed/norm_output", "L2 norm of W_out W_U, and of its factors", "L2 norm");
  recorder.panel("factors/norm_output", "L2 norm of W_out W_U, and of its factors", "L2 norm");
  recorder.scalar("collapsed/norm_input", std::sqrt(squares - output));
  recorder.scalar("collapsed/norm_output", std::sqrt(output));
  recorder.scalar("factors/norm_input", std::sqrt(factors.input));
  recorder.scalar("factors/norm_output", std::sqrt(factors.output));
}

class WeightStructure final : public orrery::Probe {
 public:
  explicit WeightStructure(Params params) : params_(params) {}

  orrery::Needs needs() const override { return {.inputs = orrery::Inputs::none}; }

  void measure(const Observation& observation, Recorder& recorder) override {
    sizes(observation, recorder);
    const std::vector<NeuronLayer> layers = neuron_layers(observation);
    neurons(layers, params_.live_share, recorder);
    if (observation.structure.relevant_positions) inputs(observation, layers, params_.max_drawn, recorder);
    if (!observation.structure.cyclic) return;
    cyclic_embeddings(observation, params_.n_components, recorder);
    collapsed(observation, recorder);
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_PROBE(WeightStructure, Params, "weight_structure", "1.3.0",
             "Size, sparsity and geometry of the weights.")
