// Which representations of a group has the network learned? (Chughtai, Chan & Nanda 2023) A network that
// learns x, y -> x y embeds x and y as matrices rho(x), rho(y) of a few irreducible representations,
// multiplies them in its hidden layer, and reads z off the character: its logits are a sum of chi(x y z^-1) =
// trace of rho(x y z^-1), which is largest, the degree of rho, at z = x y. In S_5, "standard (4,1)" has
// degree 4: chi is 4 at z = x y, 2 where x y z^-1 is one swap, and -1 where it is a cycle of five. Over the
// integers mod n, chi is 2 cos w_k(x + y - z): the waves of fourier_basis.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/groups.h>
#include <orrery/operands.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace {

using orrery::Observation;
using orrery::Recorder;
using orrery::UsageError;
using torch::Tensor;

struct Params {
  std::string rule = "logits";
  double threshold = 0.01;
  std::vector<std::string> representations;
  std::string exclude = "character";

  static void fields(orrery::Fields<Params>& f) {
    f.add("rule", &Params::rule, "how key representations are told from the rest")
        .one_of({"logits", "given"});
    f.add("threshold", &Params::threshold,
          "rule logits: the share of the variance of the logits that makes a representation a key")
        .between(0, 1);
    f.add("representations", &Params::representations, "rule given: the names of the key representations");
    f.add("exclude", &Params::exclude, "what excluded loss takes out of the logits")
        .one_of({"character", "product"});
  }
};

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
std::vector<Functions> embeddings(const Observation& seen, const orrery::GroupView& view) {
  for (const std::string name : {"embed.W_E", "mlp.W_in"}) {
    std::vector<Functions> found;
    const std::string recorded = name.substr(name.find('.') + 1);
    const auto add = [&](const std::string& end, bool left) {
      if (!seen.model.find_weight(name + end) || seen.weight(name + end).size(0) != seen.spec.d_vocab) return;
      const auto weight = seen.weight(name + end);
      found.push_back({recorded + end, left ? view.left(weight) : view.right(weight)});
    };
    add("", true);
    add("_a", true);
    add("_b", false);
    if (!found.empty()) return found;
  }
  return {};
}

// The last maps: W_U, if it is learned, and the neuron-logit map W_L.
std::vector<Functions> answers(const Observation& seen, const orrery::GroupView& view) {
  std::vector<Functions> found;
  const auto W_U = orrery::unembedding(seen);
  const bool is_learned = seen.model.find_weight("unembed.W_U") || seen.model.find_weight("embed.W_E");
  if (W_U.defined() && is_learned) found.push_back({"W_U", view.classes(W_U).t()});
  if (!orrery::has_one_neuron_layer(seen.model)) return found;
  if (W_U.defined())
    found.push_back({"W_L", view.classes(orrery::neurons_to_logits(seen, torch::kFloat64)).t()});
  else if (const auto W_out = orrery::neurons_to_logits(seen); W_out.size(1) == seen.spec.d_vocab_out)
    found.push_back({"W_out", view.classes(W_out).t()});
  return found;
}

double sum_over(const std::vector<int64_t>& keys, const Tensor& values) {
  double sum = 0;
  for (const int64_t key : keys) sum += values[key].item<double>();
  return sum;
}

class GroupRepresentations final : public orrery::Probe {
 public:
  explicit GroupRepresentations(Params params) : params_(std::move(params)) {
    if (params_.rule == "given" && params_.representations.empty())
      throw UsageError("rule \"given\" needs the key representations",
                       "set representations, for example [\"standard (4,1)\"]");
    if (params_.rule != "given" && !params_.representations.empty())
      throw UsageError("representations are given, but rule \"" + params_.rule + "\" finds its own",
                       "set rule = \"given\", or leave representations out");
  }

  orrery::Needs needs() const override {
    return {.structure_any = {orrery::Capability::group, orrery::Capability::cyclic},
            .activations = {"*mlp.hook_post"},
            .reference = true,
            .refusal = orrery::refuse_other_losses};
  }

  void fit(const Observation& reference) override {
    look_up(reference.structure);
    const orrery::GroupView view(reference, of_->group);
    const auto shares =
        orrery::fit_characters(view.classes(view.logits()), of_->group, of_->all).similarity.square();
    keys_ = params_.rule == "given" ? given() : above_threshold(shares);
    key_shares_.clear();
    for (const int64_t key : keys_) key_shares_.push_back(shares[key].item<double>());
  }

  void measure(const Observation& observation, Recorder& recorder) override {
    look_up(observation.structure);
    const orrery::GroupView view(observation, of_->group);
    const auto fit = orrery::fit_characters(view.classes(view.logits()), of_->group, of_->all);
    facts(recorder);
    logits(fit, recorder);
    losses(view, fit, recorder);
    weights(observation, view, fit, recorder);
    for (const std::string& name : observation.cache.names())
      if (orrery::matches("*mlp.hook_post", name))
        neurons(name, view.inputs(observation.cache[name].select(1, 0)), recorder);
  }

 private:
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

  std::vector<int64_t> above_threshold(const Tensor& shares) const {
    std::vector<int64_t> keys;
    for (int64_t r = 1; r < shares.size(0); ++r)
      if (shares[r].item<double>() >= params_.threshold) keys.push_back(r);
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

  // The part of the logits along the characters of `representations`: [n*n, classes].
  Tensor characters(const std::vector<int64_t>& representations, const orrery::GroupView& view,
                    const orrery::CharacterFit& fit) const {
    auto coefficients = torch::zeros_like(fit.coefficients);
    for (const int64_t r : representations) coefficients[r] = fit.coefficients[r];
    return view.to_classes(orrery::character_logits(coefficients, of_->group, of_->all));
  }

  Tensor excluded(const std::vector<int64_t>& representations, const orrery::GroupView& view,
                  const orrery::CharacterFit& fit) const {
    if (params_.exclude == "character") return view.logits() - characters(representations, view, fit);
    auto rest = view.logits().clone();
    for (const int64_t r : representations)
      rest -= orrery::project_on_product(view.logits(), of_->group, of_->all[r]);
    return rest;
  }

  void losses(const orrery::GroupView& view, const orrery::CharacterFit& fit, Recorder& recorder) const {
    const auto bias = view.logits().mean(0);
    for (const auto& [inputs, loss] : view.losses(characters(keys_, view, fit) + bias))
      if (inputs == "test")
        recorder.headline("restricted_loss/" + inputs, loss);
      else
        recorder.scalar("restricted_loss/" + inputs, loss);
    for (const auto& [inputs, loss] : view.losses(excluded(keys_, view, fit)))
      if (inputs == "train")
        recorder.headline("excluded_loss/" + inputs, loss);
      else
        recorder.scalar("excluded_loss/" + inputs, loss);
    const auto plain = view.losses(view.logits());
    for (const int64_t key : keys_) {
      const auto without = view.losses(excluded({key}, view, fit));
      for (size_t set = 0; set < without.size(); ++set) {
        const auto& [inputs, loss] = without[set];
        recorder.scalar("excluded_loss/" + name_of(key) + "/" + inputs, loss);
        recorder.finding(orrery::ablation_finding("the representation " + name_of(key), "exclude", inputs,
                                                  plain[set].second, loss));
      }
    }
  }

  void weights(const Observation& observation, const orrery::GroupView& view, const orrery::CharacterFit& fit,
               Recorder& recorder) const {
    auto matrices = embeddings(observation, view);
    for (auto& answer : answers(observation, view)) matrices.push_back(std::move(answer));
    orrery::Series traces{{"logits", fit.similarity.square()}};
    for (const auto& [name, values] : matrices) {
      const auto shares = orrery::representation_shares(values, of_->all);
      recorder.panel(name, "What each representation explains of " + name, "share of the variance");
      recorder.scalar("explained/" + name, sum_over(keys_, shares));
      for (const int64_t key : keys_) recorder.scalar(name + "/" + name_of(key), shares[key].item<double>());
      recorder.tensor("shares/" + name, shares);
      traces.emplace_back(name, shares);
    }
    std::vector<double> chance;
    for (const auto& rho : of_->all)
      chance.push_back(double(rho.basis.size(0)) / double(std::max<int64_t>(of_->group.order() - 1, 1)));
    chance.front() = 0;
    traces.emplace_back("random weights", torch::tensor(chance, torch::kFloat64));
    recorder.figure(bars("shares", "Irreps: what each representation explains of logits and weights",
                         "share of the variance", traces));
  }

  void neurons(const std::string& hook, const Tensor& post, Recorder& recorder) const {
    const auto energies = orrery::pair_energies(post, of_->group, of_->all);
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

ORRERY_PROBE(GroupRepresentations, Params, "group_representations", "1.2.0",
             "The representations of a group in weights, neurons and logits.")
