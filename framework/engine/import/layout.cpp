#include "engine/import/layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <set>

#include "engine/config/document.h"
#include "engine/import/layout_by_names.h"
#include "engine/import/layout_names.h"
#include "engine/import/perceptron_by_names.h"
#include "engine/import/rotary_of_file.h"
#include "engine/import/stored.h"

namespace orrery::engine {
namespace {

// The rules of a transformer whose names or axes differ in the file.
Layout changed(std::string name, std::vector<WeightRule> changes) {
  Layout layout{std::move(name),
                transformer_rules(),
                {"*.attn.mask", "*.attn.IGNORE", "*.attn.rotary_sin", "*.attn.rotary_cos"}};
  for (WeightRule& change : changes)
    for (WeightRule& rule : layout.rules)
      if (rule.name == change.name) rule = change;
  return layout;
}

// The code of Nanda et al. 2023 (progress-measures-paper, transformers.py).
std::vector<WeightRule> progress_measures(const std::string& attn) {
  return {{"embed.W_E", "embed.W_E", "d_model d_vocab"},
          {"blocks.{layer}.attn.W_Q", attn + "W_Q", "n_heads d_head d_model"},
          {"blocks.{layer}.attn.W_K", attn + "W_K", "n_heads d_head d_model"},
          {"blocks.{layer}.attn.W_V", attn + "W_V", "n_heads d_head d_model"},
          {"blocks.{layer}.attn.W_O", attn + "W_O", "d_model (n_heads d_head)"},
          {"blocks.{layer}.mlp.W_in", "blocks.{layer}.mlp.W_in", "d_mlp d_model"},
          {"blocks.{layer}.mlp.W_out", "blocks.{layer}.mlp.W_out", "d_model d_mlp"}};
}

// The same code's induction heads: layers without MLPs, each of which adds the residual stream twice.
Layout induction(const std::string& attn) {
  Layout layout = changed("progress_measures_induction", progress_measures(attn));
  layout.ignored.push_back("attn_blocks.*.mask");
  layout.residual_factor = 2;
  return layout;
}

// The perceptron of Chughtai et al. 2023 (rep-theory-mech-interp, models.py, OneLayerMLP), which reads both
// embeddings side by side: the rows of W are those of the left operand, then of the right one.
Layout rep_theory() {
  const std::string halves = "(2 d_embed) d_mlp -> d_embed d_mlp";
  return {"rep_theory",
          {{"embed.W_E_a", "W_x", "d_vocab d_embed -> d_vocab d_embed", 0, 1},
           {"embed.W_E_b", "W_y", "d_vocab d_embed -> d_vocab d_embed", 0, 1},
           {"mlp.W_in_a", "W", halves, 0, 1},
           {"mlp.W_in_b", "W", halves, 1, 1},
           {"mlp.W_out", "W_U", "d_mlp d_vocab_out -> d_mlp d_vocab_out", 0, 1}},
          {}};
}

const StoredTensors::value_type* first_like(const StoredTensors& tensors, const std::string& pattern) {
  for (const auto& entry : tensors)
    if (layer_in(pattern, entry.first)) return &entry;
  return nullptr;
}

// "by_names": as a file without a map is read, but for the names in the map.
std::vector<std::string> layouts_of_maps() {
  std::vector<std::string> names = layout_names();
  names.push_back("by_names");
  return names;
}

struct MapSettings {
  std::string based_on = "transformer_lens";
  std::vector<std::string> ignore;
  double residual_factor = 1;
  int64_t n_heads = 0;
  bool use_parallel_residual = true;
  static void fields(Fields<MapSettings>& f) {
    f.add("based_on", &MapSettings::based_on, "the layout whose rules hold for weights that are not listed")
        .one_of(layouts_of_maps());
    f.add("ignore", &MapSettings::ignore, "names in the file to leave out, by glob");
    f.add("residual_factor", &MapSettings::residual_factor,
          "each layer makes of x: residual_factor x + attention");
    f.add("n_heads", &MapSettings::n_heads, "attention heads, where no tensor's shape says how many")
        .at_least(0);
    f.add("use_parallel_residual", &MapSettings::use_parallel_residual,
          "GPT-NeoX, by names: false if its configuration says so");
  }
};

// "blocks.3.attn.W_Q" as a rule for layer 3.
void take_layer(WeightRule& rule) {
  for (const WeightRule& known : transformer_rules())
    if (const auto layer = layer_in(known.name, rule.name); layer && *layer >= 0) {
      rule.name = known.name;
      rule.layer = *layer;
      return;
    }
}

WeightRule read_rule(const Table& table) {
  WeightRule rule =
      fields_of<WeightRule>().make(bind_fields(table, fields_of<WeightRule>().list(), "[[weight]]"));
  if (rule.name.empty())
    rule.name = required_text(table, "name", "[[weight]]", "the weight's name in Orrery");
  if (rule.from.empty()) rule.from = rule.name;
  const auto has_layer = [](const std::string& name) { return name.find("{layer}") != name.npos; };
  if (!has_layer(rule.name) && has_layer(rule.from))
    throw UsageError(
        fmt::format("{}: \"{}\" has a {{layer}}, and \"{}\" has none", table.place(), rule.from, rule.name),
        "name = \"blocks.{layer}...\"; a network of one layer may do without in `from`");
  take_layer(rule);
  try {
    axes_of(rule);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", table.place(), error.what()), error.hint());
  }
  return rule;
}

// What a map tells of a network whose other tensors are read by their names.
void take_mapped(const WeightRule& rule, const pickle::StoredTensor& tensor, MappedParts& parts) {
  parts.attention |= rule.name.find(".attn.W_") != rule.name.npos;
  const auto axes = axes_of(rule);
  const auto sizes = axes ? axes->file.solve(tensor.shape, {}) : std::nullopt;
  if (sizes && sizes->contains("d_model")) parts.d_model = sizes->at("d_model");
}

// By names, of the tensors that a map does not speak of.
Layout by_names_but(const StoredTensors& tensors, const Table& map, const std::vector<std::string>& ignored,
                    const std::string& where) {
  std::vector<WeightRule> listed;
  for (const Table& table : map.tables("weight")) listed.push_back(read_rule(table));
  StoredTensors rest;
  MappedParts parts;
  for (const auto& entry : tensors) {
    const auto globbed = [&](const std::string& glob) { return matches(glob, entry.first); };
    if (std::any_of(ignored.begin(), ignored.end(), globbed)) continue;
    bool mapped = false;
    for (const WeightRule& rule : listed)
      if (numbers_in(rule.from, entry.first)) {
        mapped = true;
        take_mapped(rule, entry.second, parts);
      }
    if (!mapped) rest.push_back(entry);
  }
  auto layout = layout_by_names(rest, where, parts);
  if (!layout)
    throw UsageError(
        fmt::format("{}: the names of its tensors, but for those in the map, are not those of a transformer",
                    where),
        "base the map on a layout: based_on = \"transformer_lens\"");
  return std::move(*layout);
}

}  // namespace

void WeightRule::fields(Fields<WeightRule>& f) {
  f.add("name", &WeightRule::name, "the weight's name in Orrery, with {layer} for the layer's number");
  f.add("from", &WeightRule::from,
        "its name in the file, with {layer}, and {head} where each head has a tensor; empty: the same");
  f.add("axes", &WeightRule::axes,
        "the axes in the file, such as \"(n_heads d_head) d_model\"; empty: as here");
  f.add("part", &WeightRule::part, "which part, counted from 0, of axes such as \"(3 n_heads d_head)\"")
      .at_least(0);
  f.add("factor", &WeightRule::factor, "what to multiply it by");
}

std::vector<std::string> layout_names() {
  return {"transformer_lens", "progress_measures", "progress_measures_induction", "rep_theory", "as_is"};
}

Layout find_layout(const std::string& name) {
  if (name == "transformer_lens") return changed(name, {});
  if (name == "progress_measures") return changed(name, progress_measures("blocks.{layer}.attn."));
  if (name == "progress_measures_induction") return induction("attn_blocks.{layer}.attn.");
  if (name == "rep_theory") return rep_theory();
  if (name == "as_is") return {name, {}, {}};
  throw UsageError(
      fmt::format("there is no layout \"{}\"{}", name, did_you_mean(name, layout_names())),
      fmt::format("there are: {}; or describe yours in a file: --map FILE", fmt::join(layout_names(), ", ")));
}

Layout detect_layout(const StoredTensors& tensors, const std::string& where) {
  for (const char* attn : {"attn_blocks.{layer}.attn.", "attn_blocks.{layer}."})
    if (first_like(tensors, std::string(attn) + "W_O")) return induction(attn);
  if (const auto* W_O = first_like(tensors, "blocks.{layer}.attn.W_O"))
    return find_layout(W_O->second.shape.size() == 2 ? "progress_measures" : "transformer_lens");
  // Parameters of one module, whose names cannot have dots.
  if (first_like(tensors, "blocks_{layer}_attn_W_O")) {
    Layout layout = find_layout("transformer_lens");
    for (WeightRule& rule : layout.rules) std::replace(rule.from.begin(), rule.from.end(), '.', '_');
    return layout;
  }
  if (first_like(tensors, "W_x") && first_like(tensors, "W_y")) {
    if (first_like(tensors, "W")) return find_layout("rep_theory");
    throw UsageError(
        where + ": a bilinear network, whose two embeddings are multiplied, which Orrery's models do not do",
        "of this code base the networks with a hidden layer (W) are read");
  }
  // The weights of our mlp models.
  for (const char* name : {"mlp.W_in", "mlp.W_in_a"})
    if (first_like(tensors, name)) return find_layout("as_is");
  if (auto layout = layout_by_names(tensors, where)) return std::move(*layout);
  if (auto layout = perceptron_by_names(tensors, where)) return std::move(*layout);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  if (names.size() > 12) {
    names.resize(12);
    names.push_back("...");
  }
  throw UsageError(fmt::format("{}: its tensors match no known layout: {}", where, fmt::join(names, ", ")),
                   "say which weight is which in a small file, --map FILE; `orrery import --help` shows one");
}

Layout read_layout(const std::filesystem::path& file, const StoredTensors& tensors,
                   const std::string& where) {
  const Document document = Document::load(file);
  const Table& root = document.root();
  const auto settings = fields_of<MapSettings>().make(
      bind_fields(root, fields_of<MapSettings>().list(), "a map of weights", {"weight"}));
  Layout layout = settings.based_on == "by_names" ? by_names_but(tensors, root, settings.ignore, where)
                                                  : find_layout(settings.based_on);
  layout.name = file.filename().string();
  layout.ignored.insert(layout.ignored.end(), settings.ignore.begin(), settings.ignore.end());
  if (root.has("residual_factor")) layout.residual_factor = settings.residual_factor;
  if (!(layout.residual_factor > 0))
    throw UsageError(fmt::format("{}: residual_factor is {}, expected more than 0",
                                 root.place("residual_factor"), layout.residual_factor));
  layout.n_heads = settings.n_heads;
  layout.parallel = layout.parallel && settings.use_parallel_residual;
  std::set<std::pair<std::string, int64_t>> listed;
  for (const Table& table : root.tables("weight")) {
    WeightRule rule = read_rule(table);
    if (!listed.emplace(rule.name, rule.layer).second)
      throw UsageError(
          fmt::format("{}: the weight \"{}\" comes twice", table.place(), with_layer(rule.name, rule.layer)));
    // A rule of the layout it is based on; those of the map for single layers stay.
    if (rule.layer < 0)
      std::erase_if(layout.rules,
                    [&](const WeightRule& old) { return old.name == rule.name && old.layer < 0; });
    layout.rules.push_back(std::move(rule));
  }
  return layout;
}

namespace {

// The joined size of "(n_heads d_head)", or of three of these.
int64_t attention_width_of(const Matched& one) {
  const auto axes = one.rule ? axes_of(*one.rule) : std::nullopt;
  if (!axes || axes->file.dimensions().size() != one.tensor->shape.size()) return 0;
  for (size_t i = 0; i < one.tensor->shape.size(); ++i) {
    const auto& names = axes->file.dimensions()[i];
    const auto has = [&](const char* name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (has("n_heads") && has("d_head")) return one.tensor->shape[i] / axes->file.parts();
  }
  return 0;
}

// Which of our weights a file has: "blocks.{layer}.mlp.W_in".
std::set<std::string> patterns_in(const std::vector<Matched>& matched) {
  std::set<std::string> patterns;
  for (const Matched& one : matched)
    if (one.rule) patterns.insert(one.rule->name);
  return patterns;
}

// Biases that are all zero may be there or not.
void add_biases(const std::vector<Matched>& matched, const std::set<std::string>& has, ModelShapes& shapes) {
  bool other = false, mlp = false;
  for (const Matched& one : matched) {
    if (!one.rule || one.rule->name.find("b_") == std::string::npos) continue;
    const bool of_mlp = one.rule->name.find(".mlp.b_") != std::string::npos;
    if (all_zero(*one.tensor))
      shapes.zero_biases = true;
    else
      (of_mlp ? mlp : other) = true;
  }
  const bool there = has.contains("blocks.{layer}.mlp.b_in") || has.contains("blocks.{layer}.mlp.b_out");
  const bool attn_only = !has.contains("blocks.{layer}.mlp.W_in");
  if (other || mlp || !there)
    shapes.values["biases"] = std::string(other ? "all" : mlp || attn_only ? "mlp" : "none");
  else
    shapes.likely["biases"] = std::string("mlp");
}

// "ln_1.weight" is nanoGPT's, whose LayerNorm may have no bias; TransformerLens has "ln1.w" in both kinds.
bool called_layer_norm(const std::vector<Matched>& matched) {
  return std::any_of(matched.begin(), matched.end(), [](const Matched& one) {
    return one.rule && (one.rule->name == "blocks.{layer}.ln1.w" || one.rule->name == "ln_final.w") &&
           one.rule->from.find("ln_") != std::string::npos && one.rule->from.ends_with(".weight");
  });
}

// Only where the file has norms with weights: what has none may be normalised all the same.
void add_normalization(const std::vector<Matched>& matched, const std::set<std::string>& has,
                       ModelShapes& shapes) {
  const bool blocks = has.contains("blocks.{layer}.ln1.w"), final_norm = has.contains("ln_final.w");
  if (!blocks && !final_norm) return;
  // Without a shift it is RMSNorm, or a LayerNorm without bias.
  const bool shifts = has.contains("blocks.{layer}.ln1.b") || has.contains("ln_final.b");
  if (shifts)
    shapes.values["normalization_type"] = std::string("LN");
  else
    shapes.likely["normalization_type"] = std::string(called_layer_norm(matched) ? "LN" : "RMS");
  if (blocks) shapes.values["final_norm"] = final_norm;
}

ModelShapes perceptron_of(const Sizes& sizes) {
  ModelShapes shapes{"mlp", {}, {}, 0};
  for (const char* name : {"d_embed", "d_mlp"})
    if (const auto found = sizes.find(name); found != sizes.end()) shapes.values[name] = found->second;
  shapes.values["input"] = std::string("embedding");
  shapes.values["embedding"] = std::string("untied");
  shapes.values["hidden"] = std::string("untied");
  shapes.values["collapse"] = std::string("output");
  shapes.values["n_hidden"] = int64_t{1};
  shapes.values["bias"] = false;
  return shapes;
}

// Of Orrery's own mlp, whose options its names do not tell.
ModelShapes own_perceptron_of(const StoredTensors& tensors) {
  ModelShapes shapes{"mlp", {}, {}, 0};
  for (const auto& [name, tensor] : tensors) {
    if (tensor.shape.size() != 2) continue;
    if (name == "embed.W_E" || name == "embed.W_E_a") shapes.values["d_embed"] = tensor.shape[1];
    if (name == "mlp.W_in" || name == "mlp.W_in_a") shapes.values["d_mlp"] = tensor.shape[1];
  }
  if (!shapes.values.contains("d_mlp")) return {};
  return shapes;
}

// none, mlp, all: each has the biases of those before.
int rank_of_biases(const ModelShapes& shapes) {
  const auto found = shapes.values.find("biases");
  if (found == shapes.values.end()) return 0;
  return found->second == Value(std::string("all")) ? 2 : found->second == Value(std::string("mlp")) ? 1 : 0;
}

}  // namespace

ModelShapes model_of(const StoredTensors& tensors, const Layout& layout) {
  if (layout.shapes) return *layout.shapes;
  const std::vector<Matched> matched = match(tensors, layout);
  const Sizes sizes = sizes_in(matched, layout);
  if (layout.name == "rep_theory") return perceptron_of(sizes);
  if (layout.name == "as_is") return own_perceptron_of(tensors);
  ModelShapes shapes;
  int64_t n_layers = 0;
  for (const Matched& one : matched) {
    if (one.rule) n_layers = std::max(n_layers, one.layer + 1);
    if (shapes.attention_width == 0) shapes.attention_width = attention_width_of(one);
  }
  if (n_layers == 0) return {};
  Values& values = shapes.values;
  for (const char* name : {"d_model", "n_heads", "d_head", "d_mlp", "n_ctx"})
    if (const auto found = sizes.find(name); found != sizes.end() && found->second > 0)
      values[name] = found->second;
  if (values.contains("n_heads") && values.contains("d_head")) shapes.attention_width = 0;
  const std::set<std::string> has = patterns_in(matched);
  values["n_layers"] = n_layers;
  values["attn_only"] = !has.contains("blocks.{layer}.mlp.W_in");
  add_biases(matched, has, shapes);
  if (has.contains("blocks.{layer}.mlp.W_in"))
    values["gated_mlp"] = has.contains("blocks.{layer}.mlp.W_gate");
  add_normalization(matched, has, shapes);
  const Values rotary = rotary_of(tensors);
  if (has.contains("pos_embed.W_pos"))
    values["positional_embedding_type"] = std::string("standard");
  else if (!rotary.empty())
    values.insert(rotary.begin(), rotary.end());
  else
    shapes.likely["positional_embedding_type"] = std::string("none");
  if (has.contains("unembed.W_U"))
    values["unembedding"] = std::string("own");
  else
    shapes.likely["unembedding"] = std::string("tied");
  return shapes;
}

void join_biases(ModelShapes& shapes, const ModelShapes& other) {
  if (rank_of_biases(other) > rank_of_biases(shapes)) {
    shapes.values["biases"] = other.values.at("biases");
    shapes.likely.erase("biases");
  }
  shapes.zero_biases = rank_of_biases(shapes) < 2 && (shapes.zero_biases || other.zero_biases);
}

}  // namespace orrery::engine
