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

#include "own_frequency.h"

namespace {

using orrery::Losses;

// What a parameter can be; `preset` is what the preset says.
enum class Of { preset, sum, operands };
enum class PartOf { preset, keep, remove };
enum class BiasAt { preset, none, site, logits };
enum class Headline { preset, train, test, all };
enum class Rows { key_frequencies, all_frequencies, own_frequency, inputs_file, features_file };
enum class Cut { read_out, all };

orrery::Names<Of> names_of(Of) {
  return {{"preset", Of::preset}, {"sum", Of::sum}, {"operands", Of::operands}};
}
orrery::Names<PartOf> names_of(PartOf) {
  return {{"preset", PartOf::preset}, {"keep", PartOf::keep}, {"remove", PartOf::remove}};
}
orrery::Names<BiasAt> names_of(BiasAt) {
  return {
      {"preset", BiasAt::preset}, {"none", BiasAt::none}, {"site", BiasAt::site}, {"logits", BiasAt::logits}};
}
orrery::Names<Headline> names_of(Headline) {
  return {{"preset", Headline::preset},
          {"train", Headline::train},
          {"test", Headline::test},
          {"all", Headline::all}};
}
orrery::Names<Rows> names_of(Rows) {
  return {{"key_frequencies", Rows::key_frequencies},
          {"all_frequencies", Rows::all_frequencies},
          {"own_frequency", Rows::own_frequency},
          {"inputs_file", Rows::inputs_file},
          {"features_file", Rows::features_file}};
}
orrery::Names<Cut> names_of(Cut) { return {{"read_out", Cut::read_out}, {"all", Cut::all}}; }

// The settings of a published variant. The parameter of the same name overrides a setting.
struct Variant {
  std::string site;
  PartOf part;
  BiasAt bias;
  Of of;
  Headline inputs;
};
enum class Preset {
  nanda_restricted,
  nanda_excluded,
  demo_restricted,
  demo_excluded,
  chughtai_restricted,
  chughtai_excluded
};
orrery::Names<Preset> names_of(Preset) {
  return {
      {"nanda_restricted", Preset::nanda_restricted},       {"nanda_excluded", Preset::nanda_excluded},
      {"demo_restricted", Preset::demo_restricted},         {"demo_excluded", Preset::demo_excluded},
      {"chughtai_restricted", Preset::chughtai_restricted}, {"chughtai_excluded", Preset::chughtai_excluded}};
}
Variant variant(Preset preset) {
  switch (preset) {
    case Preset::nanda_restricted:
      return {"logits", PartOf::keep, BiasAt::logits, Of::sum, Headline::test};
    case Preset::nanda_excluded:
      return {"logits", PartOf::remove, BiasAt::none, Of::sum, Headline::train};
    case Preset::demo_restricted:
      return {"neurons", PartOf::keep, BiasAt::logits, Of::sum, Headline::test};
    case Preset::demo_excluded:
      return {"neurons", PartOf::remove, BiasAt::none, Of::sum, Headline::train};
    case Preset::chughtai_restricted:
      return {"*mlp.hook_pre", PartOf::keep, BiasAt::none, Of::operands, Headline::all};
    case Preset::chughtai_excluded:
      return {"*mlp.hook_pre", PartOf::remove, BiasAt::none, Of::operands, Headline::all};
  }
  throw orrery::Error("no such preset");
}
// What subspace "own_frequency" leaves no choice of, or has another default for: its neurons are at hook
// points, and the nine functions hold the mean.
constexpr const char* kLastNeurons = "neurons";          // those of the last layer
constexpr const char* kEveryNeuron = "*mlp.hook_post*";  // a second hidden layer's, too
Variant own_frequency_variant() {
  return {kLastNeurons, PartOf::keep, BiasAt::none, Of::sum, Headline::test};
}

struct Params : orrery::KeyFrequencyParams {
  Preset preset = Preset::nanda_restricted;
  std::string site = "preset";
  PartOf part = PartOf::preset;
  BiasAt bias = BiasAt::preset;
  Of of = Of::preset;
  Headline inputs = Headline::preset;
  Rows subspace = Rows::key_frequencies;
  std::string file = "", tensor = "";
  Cut positions = Cut::read_out;

  static void fields(orrery::Fields<Params>& f) {
    f.add("preset", &Params::preset, "a variant in use: it decides what is left at \"preset\"");
    f.add("subspace", &Params::subspace,
          "waves of frequencies (for all, or of each neuron's own), or the rows of a tensor in a file");
    f.add("file", &Params::file, "subspace ..._file: a safetensors file");
    f.add("tensor", &Params::tensor,
          "subspace ..._file: the tensor's name; may be empty if it is the only one");
    f.add("of", &Params::of, "what functions on the group are functions of: the sum i + j, or i and j each");
    f.add("site", &Params::site,
          "logits, neurons (through W_out W_U), or hook points, by glob; preset: the preset's");
    f.add("positions", &Params::positions, "site a hook point: the positions of the context that are cut");
    f.add("part", &Params::part, "whether the subspace is kept, and nothing else, or removed");
    f.add("bias", &Params::bias,
          "the mean over inputs: cut as the rest is, kept at the site, or of the logits");
    f.add("inputs", &Params::inputs, "the pairs whose loss is the headline");
    orrery::KeyFrequencyParams::fields(f);
  }

  bool has_keys() const { return subspace == Rows::key_frequencies; }
  bool has_own() const { return subspace == Rows::own_frequency; }
  bool has_file() const { return subspace == Rows::inputs_file || subspace == Rows::features_file; }

  // Replaces what is left at "preset".
  Params resolved() const {
    const Variant given = has_own() ? own_frequency_variant() : variant(preset);
    Params all = *this;
    if (site == "preset") all.site = given.site;
    if (part == PartOf::preset) all.part = given.part;
    if (bias == BiasAt::preset) all.bias = given.bias;
    if (of == Of::preset) all.of = given.of;
    if (inputs == Headline::preset) all.inputs = given.inputs;
    return all;
  }

  void check() const {
    orrery::KeyFrequencyParams::check();
    const std::string is = "the subspace is \"" + orrery::name_of(subspace) + "\"";
    if (!has_keys() && rule == "given")
      throw orrery::UsageError("frequencies are given, but " + is,
                               "set subspace = \"key_frequencies\", or leave rule and frequencies out");
    if (has_own() && (preset != Preset::nanda_restricted || site == "logits"))
      throw orrery::UsageError(
          is + ", which replaces neurons and is no part of " +
              (site == "logits" ? "the logits" : "preset \"" + orrery::name_of(preset) + "\""),
          "leave preset and site out, or set site to a hook point of neurons");
    if (has_file() && file.empty())
      throw orrery::UsageError("subspace \"" + orrery::name_of(subspace) + "\" needs file",
                               "set file to a safetensors file with the rows that span the subspace");
    if (!has_file() && !(file.empty() && tensor.empty()))
      throw orrery::UsageError("a file or tensor is given, but " + is,
                               "set subspace = \"inputs_file\" or \"features_file\"");
  }
};

orrery::Bias bias_of(BiasAt bias) {
  if (bias == BiasAt::site) return orrery::Bias::site;
  return bias == BiasAt::logits ? orrery::Bias::logits : orrery::Bias::none;
}

double at(const Losses& losses, const std::string& inputs) {
  for (const auto& [name, loss] : losses)
    if (name == inputs) return loss;
  return std::numeric_limits<double>::quiet_NaN();  // a set without pairs
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
    needs.structure = {orrery::Capability::cyclic};
    needs.reference = params_.has_keys();
    // The presets of Chughtai et al. cut all that neurons read.
    const bool cuts_inputs = params_.site == "*mlp.hook_pre";
    needs.refusal = [cuts_inputs](const orrery::Model& model, const orrery::TaskSpec& spec) {
      const std::string why = cuts_inputs ? orrery::refuse_gated_mlp(model, spec) : "";
      return why.empty() ? orrery::refuse_other_losses(model, spec) : why;
    };
    if (params_.has_keys()) params_.add_to(needs);
    // Declares the hook point, so that a run whose model does not have it refuses the probe at once.
    if (params_.site != "logits")
      needs.activations.push_back(params_.site != "neurons" ? params_.site
                                  : params_.has_own()       ? kEveryNeuron
                                                            : "*mlp.hook_post");
    return needs;
  }

  void fit(const orrery::Observation& reference) override {
    keys_ = orrery::find_key_frequencies(params_, orrery::CyclicView(reference));
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
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
    together(subspace, plain, losses, recorder);
    if (!params_.has_keys()) return;
    recorder.finding(orrery::key_frequencies_finding(view.order(), keys_.frequencies, keys_.shares));
    if (params_.part == PartOf::remove)
      one_by_one(view.order(), plain, at(losses, inputs_), losses_of, recorder);
  }

 private:
  orrery::Part part() const {
    return params_.part == PartOf::keep ? orrery::Part::keep : orrery::Part::remove;
  }
  orrery::Positions positions() const {
    return params_.positions == Cut::all ? orrery::Positions::all : orrery::Positions::read_out;
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

  void together(const orrery::Subspace& subspace, double plain, const Losses& losses,
                orrery::Recorder& recorder) const {
    record_losses(losses, recorder);
    for (const std::string set : {"all", "train", "test"})
      recorder.panel(set, "Loss without one key frequency, pairs: " + set, "loss (nats)");
    recorder.panel("dimensions", "Dimension of the subspace", "dimensions (count)");
    const auto dimension = [](const auto& space) { return space.dimension(); };
    recorder.scalar("dimensions", static_cast<double>(std::visit(dimension, subspace)));
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

  // Each frequency removed alone, drawn between the plain loss and that without any of them.
  template <class LossesOf>
  void one_by_one(int64_t n, double plain, double without_all, const LossesOf& losses_of,
                  orrery::Recorder& recorder) const {
    std::vector<std::pair<std::string, Losses>> drawn;
    const auto add = [&](const std::string& removed, double loss) {
      drawn.push_back({removed, {{inputs_, loss}}});
    };
    add("nothing", plain);
    for (const int64_t k : keys_.frequencies) {
      const auto losses = losses_of(of_functions(orrery::wave_functions(n, {k})));
      for (const auto& [set, loss] : losses) recorder.scalar("k=" + std::to_string(k) + "/" + set, loss);
      add("k=" + std::to_string(k), at(losses, inputs_));
      record_ablation("frequency " + std::to_string(k), plain, at(losses, inputs_), recorder);
    }
    add("all keys", without_all);
    recorder.figure(orrery::loss_without_each("Loss without each key frequency alone, and without all",
                                              "what is removed",
                                              "cross-entropy, pairs: " + inputs_ + " (nats)", drawn));
  }

  std::string what_is_left() const {
    return (params_.part == PartOf::keep ? "with nothing but " : "without ") + subspace_name();
  }

  std::string subspace_name() const {
    if (params_.has_own()) return "each neuron's own frequency";
    if (params_.has_file()) return params_.file.substr(params_.file.find_last_of('/') + 1);
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
};

}  // namespace

ORRERY_PROBE(SubspaceLoss, Params, "subspace_loss", "1.2.0",
             "The loss with a subspace of the logits or activations alone, or without it.")
