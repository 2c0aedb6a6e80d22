#include "engine/import/layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include <algorithm>
#include <set>

#include "engine/config/document.h"
#include "engine/import/layout_names.h"
#include "engine/import/stored.h"

namespace orrery::engine {
namespace {

// The rules of a transformer whose names or axes differ in the file.
Layout changed(std::string name, std::vector<WeightRule> changes) {
  Layout layout{std::move(name), transformer_rules(), {"*.attn.mask", "*.attn.IGNORE"}};
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

const StoredTensors::value_type* first_like(const StoredTensors& tensors, const std::string& pattern) {
  for (const auto& entry : tensors)
    if (layer_in(pattern, entry.first)) return &entry;
  return nullptr;
}

struct MapSettings {
  std::string based_on = "transformer_lens";
  std::vector<std::string> ignore;
  double residual_factor = 1;
  int64_t n_heads = 0;
  static void fields(Fields<MapSettings>& f) {
    f.add("based_on", &MapSettings::based_on, "the layout whose rules hold for weights that are not listed")
        .one_of(layout_names());
    f.add("ignore", &MapSettings::ignore, "names in the file to leave out, by glob");
    f.add("residual_factor", &MapSettings::residual_factor,
          "each layer makes of x: residual_factor x + attention");
    f.add("n_heads", &MapSettings::n_heads, "attention heads, where no tensor's shape says how many")
        .at_least(0);
  }
};

WeightRule read_rule(const Table& table) {
  WeightRule rule =
      fields_of<WeightRule>().make(bind_fields(table, fields_of<WeightRule>().list(), "[[weight]]"));
  if (rule.name.empty())
    rule.name = required_text(table, "name", "[[weight]]", "the weight's name in Orrery");
  if (rule.from.empty()) rule.from = rule.name;
  const auto has_layer = [](const std::string& name) { return name.find("{layer}") != name.npos; };
  if (has_layer(rule.name) != has_layer(rule.from))
    throw UsageError(fmt::format("{}: \"{}\" and \"{}\": either both have a {{layer}}, or neither",
                                 table.place(), rule.name, rule.from));
  try {
    axes_of(rule);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", table.place(), error.what()), error.hint());
  }
  return rule;
}

}  // namespace

void WeightRule::fields(Fields<WeightRule>& f) {
  f.add("name", &WeightRule::name, "the weight's name in Orrery, with {layer} for the layer's number");
  f.add("from", &WeightRule::from, "its name in the file; empty: the same");
  f.add("axes", &WeightRule::axes,
        "the axes in the file, such as \"(n_heads d_head) d_model\"; empty: as here");
  f.add("part", &WeightRule::part, "which part, counted from 0, of axes such as \"(3 n_heads d_head)\"")
      .at_least(0);
  f.add("factor", &WeightRule::factor, "what to multiply it by");
}

std::vector<std::string> layout_names() {
  return {"transformer_lens", "progress_measures", "progress_measures_induction", "as_is"};
}

Layout find_layout(const std::string& name) {
  if (name == "transformer_lens") return changed(name, {});
  if (name == "progress_measures") return changed(name, progress_measures("blocks.{layer}.attn."));
  if (name == "progress_measures_induction") return induction("attn_blocks.{layer}.attn.");
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
  // The weights of our mlp models.
  for (const char* name : {"mlp.W_in", "mlp.W_in_a"})
    if (first_like(tensors, name)) return find_layout("as_is");
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  if (names.size() > 12) {
    names.resize(12);
    names.push_back("...");
  }
  throw UsageError(fmt::format("{}: its tensors match no known layout: {}", where, fmt::join(names, ", ")),
                   "say which weight is which in a small file, --map FILE; `orrery import --help` shows one");
}

Layout read_layout(const std::filesystem::path& file) {
  const Document document = Document::load(file);
  const Table& root = document.root();
  const auto settings = fields_of<MapSettings>().make(
      bind_fields(root, fields_of<MapSettings>().list(), "a map of weights", {"weight"}));
  Layout layout = find_layout(settings.based_on);
  layout.name = file.filename().string();
  layout.ignored.insert(layout.ignored.end(), settings.ignore.begin(), settings.ignore.end());
  if (root.has("residual_factor")) layout.residual_factor = settings.residual_factor;
  if (!(layout.residual_factor > 0))
    throw UsageError(fmt::format("{}: residual_factor is {}, expected more than 0",
                                 root.place("residual_factor"), layout.residual_factor));
  layout.n_heads = settings.n_heads;
  std::set<std::string> listed;
  for (const Table& table : root.tables("weight")) {
    WeightRule rule = read_rule(table);
    if (!listed.insert(rule.name).second)
      throw UsageError(fmt::format("{}: the weight \"{}\" comes twice", table.place(), rule.name));
    std::erase_if(layout.rules, [&](const WeightRule& old) { return old.name == rule.name; });
    layout.rules.push_back(std::move(rule));
  }
  return layout;
}

Values transformer_of(const StoredTensors& tensors, const Layout& layout) {
  const std::vector<Matched> matched = match(tensors, layout);
  const Sizes sizes = sizes_in(matched, layout);
  Values values;
  for (const char* name : {"d_model", "n_heads", "d_head", "d_mlp"})
    if (const auto found = sizes.find(name); found != sizes.end() && found->second > 0)
      values[name] = found->second;
  int64_t n_layers = 0;
  bool mlp = false, mlp_biases = false, other_biases = false;
  for (const Matched& one : matched) {
    if (!one.rule) continue;
    n_layers = std::max(n_layers, one.layer + 1);
    const std::string& name = one.rule->name;
    mlp |= name == "blocks.{layer}.mlp.W_in";
    mlp_biases |= name == "blocks.{layer}.mlp.b_in" || name == "blocks.{layer}.mlp.b_out";
    other_biases |= (name.find(".attn.b_") != name.npos || name == "unembed.b_U") && !all_zero(*one.tensor);
  }
  if (n_layers == 0) return {};
  values["n_layers"] = n_layers;
  values["attn_only"] = !mlp;
  values["biases"] = std::string(other_biases ? "all" : mlp_biases || !mlp ? "mlp" : "none");
  return values;
}

}  // namespace orrery::engine
