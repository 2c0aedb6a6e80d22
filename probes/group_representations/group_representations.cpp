// Which representations of a group has the network learned? (Chughtai, Chan & Nanda 2023) A network that
// learns x, y -> x y embeds x and y as matrices rho(x), rho(y) of a few irreducible representations,
// multiplies them in its hidden layer, and reads z off the character: its logits are a sum of chi(x y z^-1) =
// trace of rho(x y z^-1), which is largest, the degree of rho, at z = x y. In S_5, "standard (4,1)" has
// degree 4: chi is 4 at z = x y, 2 where x y z^-1 is one swap, and -1 where it is a cycle of five. Over the
// integers mod n, chi is 2 cos w_k(x + y - z): the waves of fourier_basis.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/grid_pieces.h>
#include <orrery/groups.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "settings.h"

namespace {

using group_representations::Params;
using orrery::Observation;
using orrery::Recorder;
using orrery::UsageError;
using torch::Tensor;

// Rule chughtai: the cosine of its character with the logits above which a representation is a key.
constexpr double kChughtaiCosine = 0.005;

// A group with its representations.
struct Represented {
  orrery::FiniteGroup group;
  std::string name;
  std::vector<orrery::Representation> all;
};

// Functions of an element, [n, m], under the name they are recorded by.
struct Functions {
  std::string name;
  Tensor values;
};

std::vector<std::string> names_of(const Represented& of) {
  std::vector<std::string> names;
  for (const auto& rho : of.all) names.push_back(rho.name);
  return names;
}

// The first map of the operands: the embedding, or the input weights of neurons that read tokens. None if it
// is fixed.
std::vector<Functions> embeddings(const Observation& seen, const orrery::OperandIndices& indices) {
  for (const std::string name : {"embed.W_E", "mlp.W_in"}) {
    std::vector<Functions> found;
    const std::string recorded = name.substr(name.find('.') + 1);
    const auto add = [&](const std::string& end, bool left) {
      if (!seen.model.find_weight(name + end) || seen.weight(name + end).size(0) != seen.spec.d_vocab) return;
      const auto weight = seen.weight(name + end);
      found.push_back({recorded + end, left ? indices.left(weight) : indices.right(weight)});
    };
    add("", true);
    add("_a", true);
    add("_b", false);
    if (!found.empty()) return found;
  }
  return {};
}

// What the embedding of each operand adds to the neurons of an mlp, W_E W_in ("W_x W"; in a network without
// that product, as a transformer is, the embedding).
std::vector<Functions> embeddings_in_neurons(const Observation& seen, const orrery::OperandIndices& indices) {
  const auto one_of = [&](const std::string& name, const std::string& end) {
    return seen.model.find_weight(name) ? name : seen.model.find_weight(name + end) ? name + end : "";
  };
  std::vector<Functions> found;
  for (const std::string end : {"_a", "_b"}) {
    const std::string W_E = one_of("embed.W_E", end), W_in = one_of("mlp.W_in", end);
    if (W_E.empty() || W_in.empty()) return embeddings(seen, indices);
    const auto product = seen.weight(W_E).to(torch::kFloat64).matmul(seen.weight(W_in).to(torch::kFloat64));
    const std::string name = W_E.substr(W_E.find('.') + 1) + " " + W_in.substr(W_in.find('.') + 1);
    if (!found.empty() && found.front().name == name) break;  // both operands have the same
    found.push_back({name, end == "_a" ? indices.left(product) : indices.right(product)});
  }
  return found;
}

// The last maps: W_U, if it is learned, and the neuron-logit map W_L.
std::vector<Functions> answers(const Observation& seen, const orrery::OperandIndices& indices) {
  std::vector<Functions> found;
  const auto W_U = orrery::unembedding(seen);
  const bool is_learned = seen.model.find_weight("unembed.W_U") || seen.model.find_weight("embed.W_E");
  if (W_U.defined() && is_learned) found.push_back({"W_U", indices.classes(W_U).t()});
  if (!orrery::has_one_neuron_layer(seen.model)) return found;
  if (W_U.defined())
    found.push_back({"W_L", indices.classes(orrery::neurons_to_logits(seen, torch::kFloat64)).t()});
  else if (const auto W_out = orrery::neurons_to_logits(seen); W_out.size(1) == seen.spec.d_vocab_out)
    found.push_back({"W_out", indices.classes(W_out).t()});
  return found;
}

double sum_over(const std::vector<int64_t>& keys, const Tensor& values) {
  double sum = 0;
  for (const int64_t key : keys) sum += values[key].item<double>();
  return sum;
}

// What is known of a network once every pair was seen.
struct Sums {
  orrery::PairSums logits;  // of all classes
  double about_inputs = 0;  // of squares: the logits of elements, about the mean of each pair
  std::map<std::string, orrery::PairSums> neurons = {};
};

Sums sums_of(const orrery::GridPieces& grid, const orrery::FiniteGroup& group, bool with_neurons) {
  Sums sums{orrery::PairSums(group, /*operands=*/false)};
  grid.each([&](const orrery::GridPiece& piece) {
    sums.logits.add(piece.pairs, piece.logits);
    const auto elements = grid.indices().classes(piece.logits);
    sums.about_inputs += (elements - elements.mean(1, /*keepdim=*/true)).square().sum().item<double>();
    for (const std::string& name : with_neurons ? piece.cache.names() : std::vector<std::string>{})
      sums.neurons.try_emplace(name, group).first->second.add(piece.pairs, piece.cache[name]);
  });
  return sums;
}

// The sum of squares of the logits of all elements about the mean that characters do not see.
double energy_of(const Sums& sums, const orrery::OperandIndices& indices, bool about_inputs) {
  const auto mean = indices.classes(sums.logits.mean()), energy = indices.classes(sums.logits.energy());
  const auto pairs = static_cast<double>(indices.order() * indices.order());
  const double about_all =
      energy.sum().item<double>() + pairs * (mean - mean.mean()).square().sum().item<double>();
  const double squares = about_all + pairs * mean.square().sum().item<double>();
  const double found = about_inputs ? sums.about_inputs : about_all;
  // That of equal logits is rounding noise.
  const double rounding = 16 * std::numeric_limits<double>::epsilon();
  return found > squares * rounding * rounding ? found : 0;
}

// The share of each representation in the sum of squares of x [n, m], the trivial one included.
Tensor shares_about_zero(const Tensor& x, const std::vector<orrery::Representation>& all) {
  const auto values = x.to(torch::kFloat64);
  std::vector<Tensor> energies;
  for (const auto& rho : all) energies.push_back(rho.basis.matmul(values).square().sum());
  return torch::stack(energies) / values.square().sum().clamp_min(std::numeric_limits<double>::min());
}

std::string refusal(const orrery::Model& model, const orrery::TaskSpec& spec) {
  if (spec.endless) return "it looks at every possible input, and the inputs of this task have no end";
  return orrery::refuse_other_losses(model, spec);
}

class GroupRepresentations final : public orrery::Probe {
 public:
  explicit GroupRepresentations(const Params& params) : params_(params.resolved()) {
    if (params_.rule == "given" && params_.representations.empty())
      throw UsageError("rule \"given\" needs the key representations",
                       "set representations, for example [\"standard (4,1)\"]");
    if (params_.rule != "given" && !params_.representations.empty())
      throw UsageError("representations are given, but rule \"" + params_.rule + "\" finds its own",
                       "set rule = \"given\", or leave representations out");
  }

  // It runs the model itself, in pieces: the logits of all pairs of a large group are not held.
  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::none,
            .structure_any = {orrery::Capability::group, orrery::Capability::cyclic},
            .activations = {kNeurons},
            .reference = true,
            .refusal = refusal};
  }

  void fit(const Observation& reference) override {
    look_up(reference.structure);
    const orrery::GridPieces grid(indices_in(reference.structure), reference, {kNeurons});
    const Sums sums = sums_of(grid, of_->group, /*with_neurons=*/false);
    const auto shares = fit_of(sums, grid, params_.logits_about == "inputs").similarity.square();
    if (params_.rule == "given")
      keys_ = given();
    else if (params_.rule == "chughtai")
      keys_ = above(fit_of(sums, grid, /*about_inputs=*/true).similarity > kChughtaiCosine);
    else
      keys_ = above(params_.rule == "all" ? torch::ones_like(shares) > 0 : shares >= params_.threshold);
    key_shares_.clear();
    for (const int64_t key : keys_) key_shares_.push_back(shares[key].item<double>());
  }

  void measure(const Observation& observation, Recorder& recorder) override {
    look_up(observation.structure);
    const orrery::GridPieces grid(indices_in(observation.structure), observation, {kNeurons});
    const Sums sums = sums_of(grid, of_->group, /*with_neurons=*/true);
    const auto fit = fit_of(sums, grid, params_.logits_about == "inputs");
    facts(recorder);
    logits(fit, recorder);
    losses(grid, sums, fit, recorder);
    weights(observation, grid.indices(), fit, recorder);
    for (const auto& [name, of_layer] : sums.neurons) neurons(name, of_layer, recorder);
  }

 private:
  static constexpr const char* kNeurons = "*mlp.hook_post";

  static orrery::OperandIndices indices_in(const orrery::Structure& structure) {
    return structure.group ? orrery::OperandIndices(*structure.group)
                           : orrery::OperandIndices(*structure.cyclic);
  }

  orrery::CharacterFit fit_of(const Sums& sums, const orrery::GridPieces& grid, bool about_inputs) const {
    return orrery::fit_characters(grid.indices().classes(sums.logits.by_product()),
                                  energy_of(sums, grid.indices(), about_inputs), of_->group, of_->all);
  }

  void look_up(const orrery::Structure& structure) {
    auto group = orrery::group_of(structure);
    if (of_ && of_->group == group) return;
    auto all = orrery::irreducible_representations(group);
    auto name = orrery::name_of(group);
    of_ = Represented{std::move(group), std::move(name), std::move(all)};
  }

  std::vector<int64_t> given() const {
    const auto names = names_of(*of_);
    std::string list;
    for (size_t i = 1; i < names.size(); ++i) list += (i > 1 ? ", \"" : "\"") + names[i] + "\"";
    std::vector<int64_t> keys;
    for (const std::string& name : params_.representations) {
      const auto at = std::find(names.begin() + 1, names.end(), name) - names.begin();
      if (at == static_cast<int64_t>(names.size()))
        throw UsageError("representations: \"" + name + "\" is not a nontrivial representation of " +
                             of_->name + orrery::did_you_mean(name, names),
                         "choose from " + list);
      if (std::count(keys.begin(), keys.end(), at) > 0)
        throw UsageError("representations: \"" + name + "\" is listed twice", "list each once");
      keys.push_back(at);
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }

  // The nontrivial representations where `is_key` holds.
  static std::vector<int64_t> above(const Tensor& is_key) {
    std::vector<int64_t> keys;
    for (int64_t r = 1; r < is_key.size(0); ++r)
      if (is_key[r].item<bool>()) keys.push_back(r);
    return keys;
  }

  const std::string& name_of(int64_t key) const { return of_->all[key].name; }

  static void panels(Recorder& recorder) {
    recorder.panel("n_key_representations", "Number of key representations", "representations (count)");
    recorder.panel("logit_variance_explained", "What the key representations explain of the logits",
                   "share of the variance");
    recorder.panel("logits", "What the characters of each representation explain of the logits",
                   "share of the variance");
    recorder.panel("similarity", "Logits as characters: similarity to chi(x y z^-1)", "cosine");
    recorder.panel("restricted_loss", "Restricted loss: of the key representations alone", "loss (nats)");
    recorder.panel("excluded_loss", "Excluded loss: without key representations", "loss (nats)");
    recorder.panel("explained", "What the key representations explain of weights and neurons",
                   "share of the variance");
  }

  void facts(Recorder& recorder) const {
    const auto names = names_of(*of_);
    std::vector<std::string> key_names;
    for (const int64_t key : keys_) key_names.push_back(name_of(key));
    std::vector<int64_t> degrees;
    for (const auto& rho : of_->all) degrees.push_back(rho.degree());
    panels(recorder);
    recorder.scalar("n_key_representations", static_cast<double>(keys_.size()));
    recorder.finding(
        orrery::key_representations_finding(of_->name, of_->group.order(), key_names, key_shares_));
    recorder.finding({"representations",
                      "representations",
                      {{"group", of_->name},
                       {"order", of_->group.order()},
                       {"representations", names},
                       {"degrees", degrees}}});
  }

  void logits(const orrery::CharacterFit& fit, Recorder& recorder) const {
    const auto shares = fit.similarity.square();
    recorder.headline("logit_variance_explained", sum_over(keys_, shares));
    for (const int64_t key : keys_) {
      recorder.scalar("logits/" + name_of(key), shares[key].item<double>());
      recorder.scalar("similarity/" + name_of(key), fit.similarity[key].item<double>());
    }
    recorder.tensor("shares/logits", shares);
    recorder.tensor("similarity", fit.similarity);
    recorder.figure(bars("similarity", "Logits as characters: similarity to chi(x y z^-1)", "cosine",
                         {{"logits", fit.similarity}}));
  }

  // The part of the logits along the characters of `representations`, by product: [n, classes].
  Tensor characters(const std::vector<int64_t>& representations, const orrery::GridPieces& grid,
                    const orrery::CharacterFit& fit) const {
    auto coefficients = torch::zeros_like(fit.coefficients);
    for (const int64_t r : representations) coefficients[r] = fit.coefficients[r];
    return grid.indices().to_classes(orrery::characters_by_product(coefficients, of_->group, of_->all));
  }

  // What excluded loss takes out of the logits: likewise.
  Tensor excluded(const std::vector<int64_t>& representations, const orrery::GridPieces& grid,
                  const Sums& sums, const orrery::CharacterFit& fit) const {
    if (params_.exclude == "character") return characters(representations, grid, fit);
    const auto by_product = sums.logits.by_product();
    auto part = torch::zeros_like(by_product);
    for (const int64_t r : representations) {
      const auto& basis = of_->all[r].basis;
      part += basis.t().matmul(basis.matmul(by_product));
    }
    return part;
  }

  void losses(const orrery::GridPieces& grid, const Sums& sums, const orrery::CharacterFit& fit,
              Recorder& recorder) const {
    const auto products = of_->group.products();
    const auto restricted = [&](const std::vector<int64_t>& to) {
      auto table = characters(to, grid, fit);
      if (params_.class_means == "added") table = table + sums.logits.mean();
      return grid.losses(grid.cross_entropies(table, products));
    };
    for (const auto& [inputs, loss] : restricted(keys_))
      if (inputs == "test")
        recorder.headline("restricted_loss/" + inputs, loss);
      else
        recorder.scalar("restricted_loss/" + inputs, loss);
    for (const int64_t key : keys_)
      for (const auto& [inputs, loss] : restricted({key}))
        recorder.scalar("restricted_loss/" + name_of(key) + "/" + inputs, loss);

    std::vector<Tensor> without{Tensor(), excluded(keys_, grid, sums, fit)};
    for (const int64_t key : keys_) without.push_back(excluded({key}, grid, sums, fit));
    const auto left = grid.cross_entropies_less(without, products,
                                                [](const orrery::GridPiece& piece) { return piece.logits; });
    const auto plain = grid.losses(left[0]);
    for (const auto& [inputs, loss] : grid.losses(left[1]))
      if (inputs == "train")
        recorder.headline("excluded_loss/" + inputs, loss);
      else
        recorder.scalar("excluded_loss/" + inputs, loss);
    for (size_t i = 0; i < keys_.size(); ++i)
      without_one(name_of(keys_[i]), plain, grid.losses(left[i + 2]), recorder);
  }

  static void without_one(const std::string& name, const orrery::Losses& plain, const orrery::Losses& without,
                          Recorder& recorder) {
    for (size_t set = 0; set < without.size(); ++set) {
      const auto& [inputs, loss] = without[set];
      recorder.scalar("excluded_loss/" + name + "/" + inputs, loss);
      recorder.finding(
          orrery::ablation_finding("the representation " + name, "exclude", inputs, plain[set].second, loss));
    }
  }

  void weights(const Observation& observation, const orrery::OperandIndices& indices,
               const orrery::CharacterFit& fit, Recorder& recorder) const {
    const bool about_zero = params_.weights_about == "zero";
    auto matrices = params_.embedding == "neurons" ? embeddings_in_neurons(observation, indices)
                                                   : embeddings(observation, indices);
    for (auto& answer : answers(observation, indices)) matrices.push_back(std::move(answer));
    orrery::Series traces{{"logits", fit.similarity.square()}};
    for (const auto& [name, values] : matrices) {
      const auto shares =
          about_zero ? shares_about_zero(values, of_->all) : orrery::representation_shares(values, of_->all);
      recorder.panel(name, "What each representation explains of " + name, "share of the variance");
      recorder.scalar("explained/" + name, sum_over(keys_, shares));
      for (const int64_t key : keys_) recorder.scalar(name + "/" + name_of(key), shares[key].item<double>());
      recorder.tensor("shares/" + name, shares);
      traces.emplace_back(name, shares);
    }
    const int64_t dimensions = of_->group.order() - (about_zero ? 0 : 1);
    std::vector<double> chance;
    for (const auto& rho : of_->all)
      chance.push_back(double(rho.basis.size(0)) / double(std::max<int64_t>(dimensions, 1)));
    if (!about_zero) chance.front() = 0;
    traces.emplace_back("random weights", torch::tensor(chance, torch::kFloat64));
    recorder.figure(bars("shares", "Irreps: what each representation explains of logits and weights",
                         "share of the variance", traces));
  }

  void neurons(const std::string& hook, const orrery::PairSums& sums, Recorder& recorder) const {
    const auto energies = orrery::pair_energies(sums, of_->all);
    const double everything =
        std::max(energies.total.sum().item<double>(), std::numeric_limits<double>::min());
    recorder.panel(hook, "What each representation explains of " + hook, "share of the variance");
    orrery::Series traces;
    for (const auto& [name, energy] : {std::pair<std::string, Tensor>{"rho(x)", energies.left},
                                       {"rho(y)", energies.right},
                                       {"rho(xy)", energies.product}}) {
      const auto shares = energy.sum(1) / everything;
      recorder.scalar("explained/" + hook + "/" + name, sum_over(keys_, shares));
      for (const int64_t key : keys_)
        recorder.scalar(hook + "/" + name + "/" + name_of(key), shares[key].item<double>());
      recorder.tensor("shares/" + hook + "/" + name, shares);
      traces.emplace_back(name, shares);
    }
    const auto own = energies.left + energies.right + energies.product;
    const auto [largest, at] = own.max(0);
    const auto alive = energies.total > 0;
    recorder.tensor("neuron_representation/" + hook, (at * alive).to(torch::kInt32));
    recorder.tensor(
        "neuron_share/" + hook,
        torch::where(alive, largest / energies.total, torch::zeros_like(largest)).to(torch::kFloat32));
    recorder.figure(bars("neurons_" + orrery::file_safe_name(hook),
                         "Irreps: what each representation explains of " + hook, "share of the variance",
                         traces));
  }

  // One bar for each representation except the trivial one; those of a cyclic group are placed at their
  // frequencies.
  orrery::Figure bars(const std::string& name, const std::string& title, const std::string& y_label,
                      orrery::Series series) const {
    const auto names = names_of(*of_);
    const bool waves = names.back().rfind("k=", 0) == 0;
    const auto others = static_cast<int64_t>(names.size()) - 1;
    orrery::Axis x{waves ? "frequency k" : "representation"};
    if (waves)
      x.at = torch::arange(1, 1 + others, torch::kInt64);
    else
      x.ticks.assign(names.begin() + 1, names.end());
    for (auto& [label, y] : series) y = y.narrow(0, 1, others).to(torch::kFloat32);
    return orrery::Figure::bars(name, title, x, y_label, series);
  }

  Params params_;
  std::optional<Represented> of_;
  std::vector<int64_t> keys_;  // positions in of_->all, ascending
  std::vector<double> key_shares_;
};

}  // namespace

ORRERY_PROBE(GroupRepresentations, Params, "group_representations", "1.3.0",
             "The representations of a group in weights, neurons and logits.")
