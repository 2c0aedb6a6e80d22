// How well does the network predict with a subspace alone, or without it? Restricted and excluded loss (Nanda
// et al. 2023, section 5.1) in the published variants, and for your own subspaces. A cut names the subspace,
// the site (the logits, the neurons, any hook point), and whether the subspace is kept or removed; the rest
// of the network is computed from the result, then the cross-entropy. With p = 113 and keys {14, 35, 41},
// preset "demo_restricted" keeps of each neuron, a function of the pair (a, b), its components along the 6
// functions cos w_k(a + b) and sin w_k(a + b), w_k = 2 pi k / p, and unembeds that.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/hooks.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "own_frequency.h"
#include "representations.h"
#include "settings.h"

namespace {

using orrery::Losses;
using namespace subspace_loss;

orrery::Bias bias_of(BiasAt bias) {
  if (bias == BiasAt::site) return orrery::Bias::site;
  return bias == BiasAt::logits ? orrery::Bias::logits : orrery::Bias::none;
}

double at(const Losses& losses, const std::string& inputs) {
  for (const auto& [name, loss] : losses)
    if (name == inputs) return loss;
  return std::numeric_limits<double>::quiet_NaN();  // a set without pairs
}

std::string refusal(const orrery::Model& model, const orrery::TaskSpec& spec) {
  if (spec.endless) return "it looks at every possible input, and the inputs of this task have no end";
  return orrery::refuse_other_losses(model, spec);
}

class SubspaceLoss final : public orrery::Probe {
 public:
  explicit SubspaceLoss(const Params& params) : params_(params.resolved()) {
    params_.check();
    inputs_ = orrery::name_of(params_.inputs);
    if (params_.has_file()) rows_ = orrery::read_tensor(params_.file, params_.tensor);
  }

  orrery::Needs needs() const override {
    orrery::Needs needs;
    if (params_.has_representations())
      needs.structure_any = {orrery::Capability::group, orrery::Capability::cyclic};
    else
      needs.structure = {orrery::Capability::cyclic};
    if (params_.in_pieces()) needs.inputs = orrery::Inputs::none;
    needs.reference = params_.has_keys() || params_.has_representations();
    // Of a gated MLP this is not all that neurons read.
    const bool cuts_inputs = params_.site == "*mlp.hook_pre";
    needs.refusal = [cuts_inputs](const orrery::Model& model, const orrery::TaskSpec& spec) {
      const std::string why = cuts_inputs ? orrery::refuse_gated_mlp(model, spec) : "";
      return why.empty() ? refusal(model, spec) : why;
    };
    if (params_.has_keys()) params_.add_to(needs);
    // Declares the hook point, so that a run whose model does not have it refuses the probe at once.
    if (params_.site != "logits")
      needs.activations.push_back(!params_.is_linear() ? params_.site
                                  : params_.has_own()  ? kEveryNeuron
                                                       : kNeurons);
    return needs;
  }

  void fit(const orrery::Observation& reference) override {
    if (params_.has_representations()) {
      look_up(reference.structure);
      // The same pass as in measure().
      const orrery::GridPieces grid(subspace_loss::indices_in(reference.structure), reference,
                                    needs().activations);
      representations_ = subspace_loss::find_key_representations(params_.representations, grid, *of_);
      return;
    }
    keys_ = orrery::find_key_frequencies(params_, orrery::CyclicView(reference));
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    if (params_.has_representations()) return representations(observation, recorder);
    const orrery::CyclicView view(observation);
    if (params_.has_own()) return own_frequencies(observation, view, recorder);
    const auto inputs = orrery::laid_out(view);
    const auto losses_of = [&](orrery::Subspace subspace) {
      const orrery::SubspaceCut how{std::move(subspace), part(), bias_of(params_.bias), params_.site,
                                    positions()};
      return view.losses(orrery::cut_logits(how, inputs, observation));
    };
    const double plain = at(view.losses(view.logits()), inputs_);
    const orrery::Subspace subspace = make_subspace(view.order());
    const Losses losses = losses_of(subspace);
    const auto dimension = [](const auto& space) { return space.dimension(); };
    together(std::visit(dimension, subspace), plain, losses, recorder);
    if (!params_.has_keys()) return;
    recorder.finding(orrery::key_frequencies_finding(view.order(), keys_.frequencies, keys_.shares));
    if (params_.part == PartOf::remove)
      one_by_one(view.order(), plain, at(losses, inputs_), losses_of, recorder);
  }

 private:
  bool keeps() const { return params_.part == PartOf::keep; }
  std::string what_is_key() const { return params_.has_representations() ? "representation" : "frequency"; }
  orrery::Part part() const { return keeps() ? orrery::Part::keep : orrery::Part::remove; }
  orrery::Positions positions() const {
    return params_.positions == Cut::all ? orrery::Positions::all : orrery::Positions::read_out;
  }

  void look_up(const orrery::Structure& structure) {
    auto now = orrery::group_of(structure);
    if (!of_ || !(of_->group == now)) of_ = subspace_loss::represented(structure);
  }

  // The losses as they are, with all key representations cut, then with each of them alone.
  std::vector<Losses> losses_of_representations(const orrery::Observation& observation) const {
    std::vector<std::vector<int64_t>> sets{representations_.keys};
    for (const int64_t key : representations_.keys) sets.push_back({key});
    const auto indices = subspace_loss::indices_in(observation.structure);
    if (params_.in_pieces()) {
      using Site = subspace_loss::LinearCut::Site;
      const Site site = params_.site == "logits"    ? Site::logits
                        : params_.site == "neurons" ? Site::neurons
                                                    : Site::neurons_alone;
      const orrery::GridPieces grid(indices, observation, needs().activations);
      return subspace_loss::losses_by_product({site, part(), bias_of(params_.bias)}, sets, grid, *of_,
                                              observation);
    }
    const orrery::OperandGrid grid(indices, observation);
    const auto inputs = orrery::laid_out(grid);
    std::vector<Losses> all{grid.losses(grid.logits())};
    for (const auto& keys : sets) {
      const auto entries = subspace_loss::entries_of(keys, *of_);
      const orrery::SubspaceCut how{params_.of == Of::sum ? subspace_loss::functions_of_product(entries, *of_)
                                                          : subspace_loss::functions_of_elements(entries),
                                    part(), bias_of(params_.bias), params_.site, positions()};
      all.push_back(grid.losses(orrery::cut_logits(how, inputs, observation)));
    }
    return all;
  }

  void representations(const orrery::Observation& observation, orrery::Recorder& recorder) {
    look_up(observation.structure);
    std::vector<std::string> names;
    int64_t dimensions = 0;
    for (const int64_t key : representations_.keys) {
      names.push_back(of_->all[key].name);
      dimensions += of_->all[key].basis.size(0) * (params_.of == Of::sum ? 1 : 2);
    }
    const auto losses = losses_of_representations(observation);
    const double plain = at(losses[0], inputs_), together_lost = at(losses[1], inputs_);
    together(dimensions, plain, losses[1], recorder);
    recorder.finding(
        orrery::key_representations_finding(of_->name, of_->group.order(), names, representations_.shares));
    for (size_t i = 0; i < names.size(); ++i)
      for (const auto& [set, loss] : losses[i + 2]) recorder.scalar(names[i] + "/" + set, loss);
    if (keeps()) return;
    std::vector<std::pair<std::string, double>> alone;
    for (size_t i = 0; i < names.size(); ++i) alone.emplace_back(names[i], at(losses[i + 2], inputs_));
    without_each(plain, alone, together_lost, recorder);
  }

  void own_frequencies(const orrery::Observation& observation, const orrery::CyclicView& view,
                       orrery::Recorder& recorder) const {
    subspace_loss::Replacement how{{}, part(), bias_of(params_.bias), positions()};
    const bool is_default = params_.site == kLastNeurons;
    for (const auto* point :
         orrery::find_hook_points(observation.model, is_default ? kEveryNeuron : params_.site))
      how.hook_points.push_back(point->name());
    if (is_default) how.hook_points = {how.hook_points.back()};
    const auto inputs = orrery::laid_out(view);
    const auto replaced = subspace_loss::replace_neurons(how, inputs, observation);
    const Losses plain = view.losses(view.logits()), losses = view.losses(replaced.logits);
    losses_of_all(plain, losses, recorder);
    subspace_loss::record_accuracies("accuracy", replaced.logits, view, observation, recorder);
    subspace_loss::record_shares(replaced.own, recorder);
    record_ablation(name(), at(plain, inputs_), at(losses, inputs_), recorder);
    if (view.order() < 4) return;  // there is but one frequency
    how.other_frequency = true;
    const auto other = subspace_loss::replace_neurons(how, inputs, observation);
    for (const auto& [set, loss] : view.losses(other.logits))
      recorder.scalar("other_frequency/loss/" + set, loss);
    subspace_loss::record_accuracies("other_frequency/accuracy", other.logits, view, observation, recorder);
  }

  void losses_of_all(const Losses& plain, const Losses& losses, orrery::Recorder& recorder) const {
    record_losses(losses, recorder);
    for (const auto& [set, loss] : losses) recorder.scalar("loss_change/" + set, loss - at(plain, set));
    recorder.panel("loss_change", "Loss " + what_is_left() + ", less the loss as it is", "loss (nats)");
    recorder.panel("other_frequency/loss", "Loss with each neuron at another frequency", "loss (nats)");
    for (const char* accuracy : {"accuracy", "other_frequency/accuracy"})
      recorder.panel(accuracy, "Accuracy with each neuron replaced: at its own frequency, at another",
                     "accuracy");
  }

  orrery::OverInputs of_functions(const torch::Tensor& functions) const {
    return params_.of == Of::sum ? orrery::functions_of_sum(functions)
                                 : orrery::functions_of_operands(functions);
  }

  orrery::Subspace make_subspace(int64_t n) const {
    if (params_.has_keys()) return of_functions(orrery::wave_functions(n, keys_.frequencies));
    if (params_.subspace == Rows::all_frequencies)
      return of_functions(orrery::wave_functions(n, orrery::all_frequencies(n)));
    const auto rows = orrery::orthonormal_rows(rows_);
    if (params_.subspace == Rows::features_file) return orrery::OverFeatures(rows);
    if (rows.size(1) == n) return of_functions(rows);
    if (rows.size(1) == n * n) return orrery::OverInputs(rows);
    throw orrery::UsageError(
        params_.file + ": expected functions [m, " + std::to_string(n) + "] of the group's elements or [m, " +
            std::to_string(n * n) + "] of the pairs (i, j), found " + std::to_string(rows.size(1)) +
            " columns",
        "set subspace = \"features_file\" if the rows are directions of the site's features");
  }

  void together(int64_t dimensions, double plain, const Losses& losses, orrery::Recorder& recorder) const {
    record_losses(losses, recorder);
    for (const std::string set : {"all", "train", "test"})
      recorder.panel(
          set,
          "Loss " + std::string(keeps() ? "of" : "without") + " one key " + what_is_key() + ", pairs: " + set,
          "loss (nats)");
    recorder.panel("dimensions", "Dimension of the subspace", "dimensions (count)");
    recorder.scalar("dimensions", static_cast<double>(dimensions));
    record_ablation(name(), plain, at(losses, inputs_), recorder);
  }

  void record_losses(const Losses& losses, orrery::Recorder& recorder) const {
    for (const auto& [set, loss] : losses) {
      if (set == inputs_)
        recorder.headline("loss/" + set, loss);
      else
        recorder.scalar("loss/" + set, loss);
    }
    recorder.panel("loss", "Loss " + what_is_left(), "loss (nats)");
  }

  // Each frequency removed alone.
  template <class LossesOf>
  void one_by_one(int64_t n, double plain, double without_all, const LossesOf& losses_of,
                  orrery::Recorder& recorder) const {
    std::vector<std::pair<std::string, double>> alone;
    for (const int64_t k : keys_.frequencies) {
      const auto losses = losses_of(of_functions(orrery::wave_functions(n, {k})));
      const std::string name = "k=" + std::to_string(k);
      for (const auto& [set, loss] : losses) recorder.scalar(name + "/" + set, loss);
      alone.emplace_back(name, at(losses, inputs_));
    }
    without_each(plain, alone, without_all, recorder);
  }

  // The losses without each key, drawn between the plain loss and that without any of them.
  void without_each(double plain, const std::vector<std::pair<std::string, double>>& alone,
                    double without_all, orrery::Recorder& recorder) const {
    std::vector<std::pair<std::string, Losses>> drawn;
    const auto add = [&](const std::string& removed, double loss) {
      drawn.push_back({removed, {{inputs_, loss}}});
    };
    add("nothing", plain);
    for (const auto& [name, loss] : alone) {
      add(name, loss);
      const bool is_wave = !params_.has_representations();
      record_ablation(is_wave ? "frequency " + name.substr(2) : "the representation " + name, plain, loss,
                      recorder);
    }
    add("all keys", without_all);
    recorder.figure(
        orrery::loss_without_each("Loss without each key " + what_is_key() + " alone, and without all",
                                  "what is removed", "cross-entropy, pairs: " + inputs_ + " (nats)", drawn));
  }

  std::string what_is_left() const {
    return (params_.part == PartOf::keep ? "with nothing but " : "without ") + subspace_name();
  }

  std::string subspace_name() const {
    if (params_.has_own()) return "each neuron's own frequency";
    if (params_.has_file()) return params_.file.substr(params_.file.find_last_of('/') + 1);
    if (params_.has_representations()) return "the key representations";
    return params_.subspace == Rows::all_frequencies ? "all frequencies" : "the key frequencies";
  }

  std::string name() const { return (params_.part == PartOf::keep ? "all but " : "") + subspace_name(); }

  void record_ablation(const std::string& component, double before, double after,
                       orrery::Recorder& recorder) const {
    if (std::isnan(before) || std::isnan(after)) return;
    recorder.finding(orrery::ablation_finding(component, params_.bias == BiasAt::site ? "mean" : "exclude",
                                              inputs_, before, after));
  }

  Params params_;
  std::string inputs_;
  torch::Tensor rows_;
  orrery::KeyFrequencies keys_;
  std::optional<subspace_loss::Represented> of_;
  subspace_loss::KeyRepresentations representations_;
};

}  // namespace

ORRERY_PROBE(SubspaceLoss, Params, "subspace_loss", "2.0.0",
             "The loss with a subspace of the logits or activations alone, or without it.")
