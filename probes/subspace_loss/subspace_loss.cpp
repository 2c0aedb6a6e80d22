// How well does the network predict with a subspace alone, or without it? Restricted and excluded loss (Nanda
// et al. 2023, section 5.1) in the published variants, and for your own subspaces. A cut names the subspace,
// the site (the logits, the neurons, any hook point), and whether the subspace is kept or removed; the rest
// of the network is computed from the result, then the cross-entropy. With p = 113 and keys {14, 35, 41},
// preset "demo_restricted" keeps of each neuron, a function of the pair (a, b), its components along the 6
// functions cos w_k(a + b) and sin w_k(a + b), w_k = 2 pi k / p, and unembeds that.
#include <orrery/error.h>
#include <orrery/findings.h>
#include <orrery/fourier.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace {

using orrery::Losses;

// The settings of the published variants. The parameter of the same name overrides a setting.
struct Preset {
  std::string name, site, part, bias, of, inputs;
};
const std::array<Preset, 6> presets{{
    {"nanda_restricted", "logits", "keep", "logits", "sum", "test"},
    {"nanda_excluded", "logits", "remove", "none", "sum", "train"},
    {"demo_restricted", "neurons", "keep", "logits", "sum", "test"},
    {"demo_excluded", "neurons", "remove", "none", "sum", "train"},
    {"chughtai_restricted", "*mlp.hook_pre", "keep", "none", "operands", "all"},
    {"chughtai_excluded", "*mlp.hook_pre", "remove", "none", "operands", "all"},
}};

struct Params : orrery::KeyFrequencyParams {
  std::string preset = "nanda_restricted";
  std::string site = "preset", part = "preset", bias = "preset", of = "preset", inputs = "preset";
  std::string subspace = "key_frequencies";
  std::string file = "", tensor = "";
  std::string positions = "read_out";

  static void fields(orrery::Fields<Params>& f) {
    f.add("preset", &Params::preset, "a variant in use: it decides what is left at \"preset\"")
        .one_of({"nanda_restricted", "nanda_excluded", "demo_restricted", "demo_excluded",
                 "chughtai_restricted", "chughtai_excluded"});
    f.add("subspace", &Params::subspace, "waves of frequencies, or the rows of a tensor in a file")
        .one_of({"key_frequencies", "all_frequencies", "inputs_file", "features_file"});
    f.add("file", &Params::file, "subspace ..._file: a safetensors file");
    f.add("tensor", &Params::tensor,
          "subspace ..._file: the tensor's name; may be empty if it is the only one");
    f.add("of", &Params::of, "what functions on the group are functions of: the sum i + j, or i and j each")
        .one_of({"preset", "sum", "operands"});
    f.add("site", &Params::site,
          "logits, neurons (through W_out W_U), or hook points, by glob; preset: the preset's");
    f.add("positions", &Params::positions, "site a hook point: the positions of the context that are cut")
        .one_of({"read_out", "all"});
    f.add("part", &Params::part, "whether the subspace is kept, and nothing else, or removed")
        .one_of({"preset", "keep", "remove"});
    f.add("bias", &Params::bias,
          "the mean over inputs: cut as the rest is, kept at the site, or of the logits")
        .one_of({"preset", "none", "site", "logits"});
    f.add("inputs", &Params::inputs, "the pairs whose loss is the headline")
        .one_of({"preset", "train", "test", "all"});
    orrery::KeyFrequencyParams::fields(f);
  }

  bool has_keys() const { return subspace == "key_frequencies"; }
  bool has_file() const { return subspace == "inputs_file" || subspace == "features_file"; }

  // Replaces "preset" by the preset's settings.
  Params resolved() const {
    const auto found = std::find_if(presets.begin(), presets.end(),
                                    [&](const Preset& candidate) { return candidate.name == preset; });
    const Preset& given = *found;  // one_of has seen to it that there is one
    Params all = *this;
    const auto settle = [](std::string& value, const std::string& as_preset) {
      if (value == "preset") value = as_preset;
    };
    settle(all.site, given.site);
    settle(all.part, given.part);
    settle(all.bias, given.bias);
    settle(all.of, given.of);
    settle(all.inputs, given.inputs);
    return all;
  }

  void check() const {
    orrery::KeyFrequencyParams::check();
    if (!has_keys() && rule == "given")
      throw orrery::UsageError("frequencies are given, but the subspace is \"" + subspace + "\"",
                               "set subspace = \"key_frequencies\", or leave rule and frequencies out");
    if (has_file() && file.empty())
      throw orrery::UsageError("subspace \"" + subspace + "\" needs file",
                               "set file to a safetensors file with the rows that span the subspace");
    if (!has_file() && !(file.empty() && tensor.empty()))
      throw orrery::UsageError("a file or tensor is given, but the subspace is \"" + subspace + "\"",
                               "set subspace = \"inputs_file\" or \"features_file\"");
  }
};

orrery::Bias bias_of(const std::string& name) {
  if (name == "site") return orrery::Bias::site;
  return name == "logits" ? orrery::Bias::logits : orrery::Bias::none;
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
    if (params_.has_file()) rows_ = orrery::read_tensor(params_.file, params_.tensor);
  }

  orrery::Needs needs() const override {
    orrery::Needs needs;
    needs.structure = {orrery::Capability::cyclic};
    needs.reference = params_.has_keys();
    needs.refusal = orrery::refuse_other_losses;
    if (params_.has_keys()) params_.add_to(needs);
    // Declares the hook point, so that a run whose model does not have it refuses the probe at once.
    if (params_.site != "logits")
      needs.activations.push_back(params_.site == "neurons" ? "*mlp.hook_post" : params_.site);
    return needs;
  }

  void fit(const orrery::Observation& reference) override {
    keys_ = orrery::find_key_frequencies(params_, orrery::CyclicView(reference));
  }

  void measure(const orrery::Observation& observation, orrery::Recorder& recorder) override {
    const orrery::CyclicView view(observation);
    const auto inputs = orrery::laid_out(view);
    const auto losses_of = [&](orrery::Subspace subspace) {
      const orrery::SubspaceCut how{
          std::move(subspace), params_.part == "keep" ? orrery::Part::keep : orrery::Part::remove,
          bias_of(params_.bias), params_.site,
          params_.positions == "all" ? orrery::Positions::all : orrery::Positions::read_out};
      return view.losses(orrery::cut_logits(how, inputs, observation));
    };
    const double plain = at(view.losses(view.logits()), params_.inputs);
    const orrery::Subspace subspace = make_subspace(view.order());
    const Losses losses = losses_of(subspace);
    together(subspace, plain, losses, recorder);
    if (!params_.has_keys()) return;
    recorder.finding(orrery::key_frequencies_finding(view.order(), keys_.frequencies, keys_.shares));
    if (params_.part == "remove")
      one_by_one(view.order(), plain, at(losses, params_.inputs), losses_of, recorder);
  }

 private:
  orrery::OverInputs of_functions(const torch::Tensor& functions) const {
    return params_.of == "sum" ? orrery::functions_of_sum(functions)
                               : orrery::functions_of_operands(functions);
  }

  orrery::Subspace make_subspace(int64_t n) const {
    if (params_.has_keys()) return of_functions(orrery::wave_functions(n, keys_.frequencies));
    if (params_.subspace == "all_frequencies")
      return of_functions(orrery::wave_functions(n, orrery::all_frequencies(n)));
    const auto rows = orrery::orthonormal_rows(rows_);
    if (params_.subspace == "features_file") return orrery::OverFeatures(rows);
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
    for (const auto& [set, loss] : losses) {
      if (set == params_.inputs)
        recorder.headline("loss/" + set, loss);
      else
        recorder.scalar("loss/" + set, loss);
    }
    const std::string what = params_.part == "keep" ? "with nothing but " : "without ";
    recorder.panel("loss", "Loss " + what + subspace_name(), "loss (nats)");
    for (const std::string set : {"all", "train", "test"})
      recorder.panel(set, "Loss without one key frequency, pairs: " + set, "loss (nats)");
    recorder.panel("dimensions", "Dimension of the subspace", "dimensions (count)");
    const auto dimension = [](const auto& space) { return space.dimension(); };
    recorder.scalar("dimensions", static_cast<double>(std::visit(dimension, subspace)));
    record_ablation(name(), plain, at(losses, params_.inputs), recorder);
  }

  // Each frequency removed alone, drawn between the plain loss and that without any of them.
  template <class LossesOf>
  void one_by_one(int64_t n, double plain, double without_all, const LossesOf& losses_of,
                  orrery::Recorder& recorder) const {
    std::vector<std::pair<std::string, Losses>> drawn;
    const auto add = [&](const std::string& removed, double loss) {
      drawn.push_back({removed, {{params_.inputs, loss}}});
    };
    add("nothing", plain);
    for (const int64_t k : keys_.frequencies) {
      const auto losses = losses_of(of_functions(orrery::wave_functions(n, {k})));
      for (const auto& [set, loss] : losses) recorder.scalar("k=" + std::to_string(k) + "/" + set, loss);
      add("k=" + std::to_string(k), at(losses, params_.inputs));
      record_ablation("frequency " + std::to_string(k), plain, at(losses, params_.inputs), recorder);
    }
    add("all keys", without_all);
    recorder.figure(orrery::loss_without_each("Loss without each key frequency alone, and without all",
                                              "what is removed",
                                              "cross-entropy, pairs: " + params_.inputs + " (nats)", drawn));
  }

  std::string subspace_name() const {
    if (params_.has_file()) return params_.file.substr(params_.file.find_last_of('/') + 1);
    return params_.subspace == "all_frequencies" ? "all frequencies" : "the key frequencies";
  }

  std::string name() const { return (params_.part == "keep" ? "all but " : "") + subspace_name(); }

  void record_ablation(const std::string& component, double before, double after,
                       orrery::Recorder& recorder) const {
    if (std::isnan(before) || std::isnan(after)) return;
    recorder.finding(orrery::ablation_finding(component, params_.bias == "site" ? "mean" : "exclude",
                                              params_.inputs, before, after));
  }

  Params params_;
  torch::Tensor rows_;
  orrery::KeyFrequencies keys_;
};

}  // namespace

ORRERY_PROBE(SubspaceLoss, Params, "subspace_loss", "1.1.0",
             "The loss with a subspace of the logits or activations alone, or without it.")
