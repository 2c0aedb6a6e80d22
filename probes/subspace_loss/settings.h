// The parameters of subspace_loss, and the published variants that settle what they leave open.
#pragma once

#include <orrery/error.h>
#include <orrery/fourier.h>

#include <algorithm>
#include <string>
#include <vector>

namespace subspace_loss {

// What a parameter can be; `preset` is what the preset says.
enum class Of { preset, sum, operands };
enum class PartOf { preset, keep, remove };
enum class BiasAt { preset, none, site, logits };
enum class Headline { preset, train, test, all };
enum class Rows {
  preset,
  key_frequencies,
  all_frequencies,
  own_frequency,
  key_representations,
  inputs_file,
  features_file
};
enum class Cut { read_out, all };

inline orrery::Names<Of> names_of(Of) {
  return {{"preset", Of::preset}, {"sum", Of::sum}, {"operands", Of::operands}};
}
inline orrery::Names<PartOf> names_of(PartOf) {
  return {{"preset", PartOf::preset}, {"keep", PartOf::keep}, {"remove", PartOf::remove}};
}
inline orrery::Names<BiasAt> names_of(BiasAt) {
  return {
      {"preset", BiasAt::preset}, {"none", BiasAt::none}, {"site", BiasAt::site}, {"logits", BiasAt::logits}};
}
inline orrery::Names<Headline> names_of(Headline) {
  return {{"preset", Headline::preset},
          {"train", Headline::train},
          {"test", Headline::test},
          {"all", Headline::all}};
}
inline orrery::Names<Rows> names_of(Rows) {
  return {{"preset", Rows::preset},
          {"key_frequencies", Rows::key_frequencies},
          {"all_frequencies", Rows::all_frequencies},
          {"own_frequency", Rows::own_frequency},
          {"key_representations", Rows::key_representations},
          {"inputs_file", Rows::inputs_file},
          {"features_file", Rows::features_file}};
}
inline orrery::Names<Cut> names_of(Cut) { return {{"read_out", Cut::read_out}, {"all", Cut::all}}; }

// The settings of a published variant. The parameter of the same name overrides a setting.
struct Variant {
  Rows subspace;
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
inline orrery::Names<Preset> names_of(Preset) {
  return {
      {"nanda_restricted", Preset::nanda_restricted},       {"nanda_excluded", Preset::nanda_excluded},
      {"demo_restricted", Preset::demo_restricted},         {"demo_excluded", Preset::demo_excluded},
      {"chughtai_restricted", Preset::chughtai_restricted}, {"chughtai_excluded", Preset::chughtai_excluded}};
}
constexpr const char* kAlone = "neurons_alone";
inline Variant variant(Preset preset) {
  switch (preset) {
    case Preset::nanda_restricted:
      return {Rows::key_frequencies, "logits", PartOf::keep, BiasAt::logits, Of::sum, Headline::test};
    case Preset::nanda_excluded:
      return {Rows::key_frequencies, "logits", PartOf::remove, BiasAt::none, Of::sum, Headline::train};
    case Preset::demo_restricted:
      return {Rows::key_frequencies, "neurons", PartOf::keep, BiasAt::logits, Of::sum, Headline::test};
    case Preset::demo_excluded:
      return {Rows::key_frequencies, "neurons", PartOf::remove, BiasAt::none, Of::sum, Headline::train};
    case Preset::chughtai_restricted:
      return {Rows::key_representations, kAlone, PartOf::keep, BiasAt::none, Of::sum, Headline::all};
    case Preset::chughtai_excluded:
      return {Rows::key_representations, kAlone, PartOf::remove, BiasAt::none, Of::sum, Headline::train};
  }
  throw orrery::Error("no such preset");
}
// What subspace "own_frequency" leaves no choice of, or has another default for: its neurons are at hook
// points, and the nine functions hold the mean.
constexpr const char* kNeurons = "*mlp.hook_post";
constexpr const char* kLastNeurons = "neurons";          // those of the last layer
constexpr const char* kEveryNeuron = "*mlp.hook_post*";  // a second hidden layer's, too
inline Variant own_frequency_variant() {
  return {Rows::own_frequency, kLastNeurons, PartOf::keep, BiasAt::none, Of::sum, Headline::test};
}

struct Params : orrery::KeyFrequencyParams {
  Preset preset = Preset::nanda_restricted;
  std::string site = "preset";
  PartOf part = PartOf::preset;
  BiasAt bias = BiasAt::preset;
  Of of = Of::preset;
  Headline inputs = Headline::preset;
  Rows subspace = Rows::preset;
  std::string file = "", tensor = "";
  std::vector<std::string> representations;
  Cut positions = Cut::read_out;

  static void fields(orrery::Fields<Params>& f) {
    f.add("preset", &Params::preset, "a variant in use: it decides what is left at \"preset\"");
    f.add(
        "subspace", &Params::subspace,
        "waves of frequencies (for all, or of each neuron's own), entries of representations, or the rows of "
        "a tensor in a file");
    f.add("file", &Params::file, "subspace ..._file: a safetensors file");
    f.add("tensor", &Params::tensor,
          "subspace ..._file: the tensor's name; may be empty if it is the only one");
    f.add("of", &Params::of,
          "what functions on the group are functions of: the sum i + j (the product x y), or i and j each");
    f.add(
        "site", &Params::site,
        "logits, neurons (through W_out W_U), neurons_alone, or hook points, by glob; preset: the preset's");
    f.add("positions", &Params::positions, "site a hook point: the positions of the context that are cut");
    f.add("part", &Params::part, "whether the subspace is kept, and nothing else, or removed");
    f.add("bias", &Params::bias,
          "the mean over inputs: cut as the rest is, kept at the site, or of the logits");
    f.add("inputs", &Params::inputs, "the pairs whose loss is the headline");
    orrery::KeyFrequencyParams::fields(f);
    f.add("representations", &Params::representations,
          "subspace key_representations: their names, or \"all\"; empty: those whose character is in the "
          "logits");
  }

  bool has_keys() const { return subspace == Rows::key_frequencies; }
  bool has_representations() const { return subspace == Rows::key_representations; }
  bool is_linear() const { return site == "logits" || site == "neurons" || site == kAlone; }
  // Whether means over pairs say everything, so that the grid is seen in pieces.
  bool in_pieces() const { return has_representations() && of == Of::sum && is_linear(); }
  bool has_own() const { return subspace == Rows::own_frequency; }
  bool has_file() const { return subspace == Rows::inputs_file || subspace == Rows::features_file; }

  // Replaces what is left at "preset".
  Params resolved() const {
    const Variant given = has_own() ? own_frequency_variant() : variant(preset);
    Params all = *this;
    if (subspace == Rows::preset) all.subspace = given.subspace;
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
                               has_representations()
                                   ? "set representations, for example [\"k=2\"], or subspace = "
                                     "\"key_frequencies\""
                                   : "set subspace = \"key_frequencies\", or leave rule and frequencies out");
    check_representations(is);
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

  void check_representations(const std::string& is) const {
    if (!representations.empty() && !has_representations())
      throw orrery::UsageError("representations are given, but " + is,
                               "set subspace = \"key_representations\", or leave representations out");
    const bool has_constant =
        std::any_of(representations.begin(), representations.end(),
                    [](const std::string& name) { return name == "all" || name == "trivial"; });
    if (has_constant && bias == BiasAt::site)
      throw orrery::UsageError(
          "the mean over inputs cannot be kept at the site: the trivial representation holds it",
          "name the others, or set the bias to none");
  }
};

}  // namespace subspace_loss
