#include "engine/import/model_of_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <set>

#include "engine/config/document.h"
#include "engine/config/overrides.h"

namespace orrery::engine {
namespace {

using Names = std::vector<std::string>;

Value value_of(const StoredSetting& setting) {
  return std::visit([](const auto& value) { return Value(value); }, setting);
}

// What HookedTransformerConfig calls as we do, and means alike.
constexpr const char* transformer_lens_settings[] = {"act_fn",
                                                     "attention_dir",
                                                     "gated_mlp",
                                                     "normalization_type",
                                                     "positional_embedding_type",
                                                     "rotary_dim",
                                                     "rotary_base",
                                                     "rotary_adjacent_pairs",
                                                     "n_heads",
                                                     "d_head"};
// What Orrery's transformer has not, wherever it is switched on.
constexpr const char* transformer_lens_switches[] = {"parallel_attn_mlp", "use_local_attn",
                                                     "post_embedding_ln",
                                                     "use_normalization_before_and_after", "use_qk_norm"};
constexpr const char* transformer_lens_caps[] = {"attn_scores_soft_cap", "output_logits_soft_cap"};
constexpr const char* names_of_heads[] = {"n_heads", "n_head", "num_heads", "nhead", "num_attention_heads",
                                          "heads"};

// What the configuration in the file tells of the model.
Values told_by(const FoundNetworks& found) {
  Values told;
  const auto setting = [&](const char* name) -> const StoredSetting* {
    const auto at = found.settings.find(name);
    return at == found.settings.end() ? nullptr : &at->second;
  };
  if (found.settings_from.find("HookedTransformerConfig") != std::string::npos) {
    for (const char* name : transformer_lens_settings)
      if (const auto* value = setting(name)) told[name] = value_of(*value);
    if (const auto* eps = setting("eps"); eps && std::holds_alternative<double>(*eps))
      told["normalization_eps"] = std::get<double>(*eps);
    if (!setting("normalization_type")) told["normalization_type"] = std::string("none");
    if (const auto* scales = setting("use_attn_scale"); scales && *scales == StoredSetting(false))
      told["attn_scale"] = 1.0;
    else if (const auto* scale = setting("attn_scale");
             scale && std::holds_alternative<double>(*scale) && std::get<double>(*scale) > 0)
      told["attn_scale"] = value_of(*scale);
    for (const char* name : transformer_lens_switches)
      if (const auto* value = setting(name); value && *value == StoredSetting(true)) told[name] = true;
    for (const char* name : transformer_lens_caps)
      if (const auto* value = setting(name);
          value && std::holds_alternative<double>(*value) && std::get<double>(*value) > 0)
        told[name] = value_of(*value);
    return told;
  }
  for (const char* name : names_of_heads)
    if (const auto* value = setting(name); value && std::holds_alternative<int64_t>(*value)) {
      told["n_heads"] = std::get<int64_t>(*value);
      break;
    }
  return told;
}

class Completion {
 public:
  Completion(const std::string& path, const Names& overrides, const ParametersOf& parameters_of,
             const ModelShapes& shapes, const FoundNetworks& found, const std::string& where)
      : parameters_of_(parameters_of),
        shapes_(shapes),
        found_(found),
        where_(where),
        document_(Document::load(path, overrides)),
        model_(document_.root().table("model")),
        told_(told_by(found)) {}

  SettingsOfFile run() {
    const std::string kind =
        model_.has("kind") ? required_text(model_, "kind", "[model]", "the kind of model") : shapes_.kind;
    if (kind != shapes_.kind || shapes_.values.empty()) return {resolve(document_, parameters_of_), {}};
    if (!model_.has("kind") && kind != "transformer") set("kind", Value(kind));
    for (const Field& field : parameters_of_("model", kind)) fields_[field.name] = field;
    add(shapes_.values, "");
    add(told_, found_.settings_from);
    add(shapes_.likely, "");
    refuse_unknown();
    add_heads();
    Settings settings = resolve_with(document_, from_file_, parameters_of_);
    refuse_contradictions(settings);
    note_sources(settings);
    return {std::move(settings), std::move(notes_)};
  }

 private:
  bool given(const std::string& name) const { return model_.has(name); }

  void set(const std::string& name, const Value& value) {
    from_file_.push_back({"model." + name, value, from_the_file + where_});
    set_.insert(name);
  }

  // What earlier values and the config do not say.
  void add(const Values& values, const std::string& from) {
    for (auto [name, value] : values) {
      const auto field = fields_.find(name);
      if (field == fields_.end() || conform(field->second, value)) {
        const bool irrelevant = name == "act_fn" && shapes_.values.contains("attn_only") &&
                                shapes_.values.at("attn_only") == Value(true);
        if (!is_usual(name, value) && !irrelevant)
          unknown_.push_back(fmt::format("{} = {}", name, orrery::to_string(value)));
        continue;
      }
      if (given(name) || set_.contains(name)) continue;
      if (name == "d_head" && shapes_.attention_width > 0) continue;  // add_heads() sees to it
      set(name, value);
      if (!from.empty()) configured_.push_back(fmt::format("{} = {}", name, orrery::to_string(value)));
    }
  }

  // A parameter that this transformer does not have, at the value that describes what it does.
  static bool is_usual(const std::string& name, const Value& value) {
    return name == "n_ctx" || (name == "gated_mlp" && value == Value(false)) ||
           (name == "final_norm" && value == Value(true)) ||
           (name == "positional_embedding_type" && value == Value(std::string("standard"))) ||
           (name == "unembedding" && value == Value(std::string("own")));
  }
  void refuse_unknown() const {
    if (!unknown_.empty())
      throw UsageError(
          fmt::format("{}: a transformer with what Orrery's has not: {}", where_, fmt::join(unknown_, ", ")));
  }

  int64_t integer(const std::string& name) const {
    return std::get<int64_t>(resolve_with(document_, from_file_, parameters_of_).model.parameters.at(name));
  }

  // Where queries come as one matrix of n_heads x d_head rows, one of the two follows from the other.
  void add_heads() {
    const int64_t width = shapes_.attention_width;
    if (width == 0) return;
    const bool from_d_head = given("d_head") && !given("n_heads") && !told_.contains("n_heads");
    const char* known = from_d_head ? "d_head" : "n_heads";
    const int64_t count = integer(known);
    if (count < 1 || width % count != 0)
      throw UsageError(
          fmt::format("{}: its heads have {} rows together, and {} = {} does not divide that", where_, width,
                      known, count),
          fmt::format("the file does not tell the number of heads; say it: --set model.n_heads=N"));
    if (from_d_head)
      set("n_heads", Value(width / count));
    else if (!given("d_head"))
      set("d_head", Value(width / count));
  }

  void refuse_contradictions(const Settings& settings) const {
    Names in_file, in_config, keys;
    const auto compare = [&](const Values& values) {
      for (const auto& [name, value] : values) {
        const auto field = fields_.find(name);
        Value expected = value;
        if (!given(name) || field == fields_.end() || conform(field->second, expected)) continue;
        const Value& has = settings.model.parameters.at(name);
        // 0: as many positions as the task has; then the model's shapes are compared.
        if (has == expected || name == "n_ctx" || std::find(keys.begin(), keys.end(), name) != keys.end())
          continue;
        keys.push_back(name);
        in_file.push_back(fmt::format("{} = {}", name, orrery::to_string(expected)));
        in_config.push_back(fmt::format("{} = {}", name, orrery::to_string(has)));
      }
    };
    compare(shapes_.values);
    compare(told_);
    if (keys.empty()) return;
    throw UsageError(fmt::format("{}: its network has {}, and {} says {}", where_, fmt::join(in_file, ", "),
                                 model_.place(keys.front()), fmt::join(in_config, ", ")),
                     fmt::format("leave {} out of [model]: the file tells", fmt::join(keys, ", ")));
  }

  // Whether a parameter that nothing in the file tells is of importance to this network.
  static bool matters(const std::string& name, const Values& model) {
    const auto is = [&](const char* key, const Value& value) {
      const auto found = model.find(key);
      return found != model.end() && found->second == value;
    };
    if (name == "bit_values") return is("input", Value(std::string("bits")));
    if (name == "act_fn") return !is("attn_only", Value(true));
    if (name == "normalization_eps" || name == "normalization_place" || name == "final_norm")
      return !is("normalization_type", Value(std::string("none")));
    if (name.starts_with("rotary_")) return is("positional_embedding_type", Value(std::string("rotary")));
    for (const char* known : {"n_heads", "attention_dir", "attn_scale", "attn_coeff", "normalization_type",
                              "positional_embedding_type", "unembedding"})
      if (name == known) return true;
    return false;
  }

  void note_sources(const Settings& settings) {
    if (!configured_.empty())
      notes_.push_back(
          fmt::format("from {} in the file: {}", found_.settings_from, fmt::join(configured_, ", ")));
    Names untold;
    for (const auto& [name, value] : settings.model.parameters)
      if (!shapes_.values.contains(name) && !told_.contains(name) && matters(name, settings.model.parameters))
        untold.push_back(name == "attn_scale" && value == Value(0.0)
                             ? "attn_scale = sqrt(d_head)"
                             : fmt::format("{} = {}", name, orrery::to_string(value)));
    if (!untold.empty())
      notes_.push_back(fmt::format("not in the file, taken from the config: {}", fmt::join(untold, ", ")));
  }

  const ParametersOf& parameters_of_;
  const ModelShapes& shapes_;
  const FoundNetworks& found_;
  const std::string& where_;
  Document document_;
  Table model_;
  Values told_;
  std::map<std::string, Field> fields_;
  std::set<std::string> set_;
  std::vector<Override> from_file_;
  Names unknown_, configured_, notes_;
};

}  // namespace

SettingsOfFile settings_of_file(const std::string& path, const std::vector<std::string>& overrides,
                                const ParametersOf& parameters_of, const ModelShapes& shapes,
                                const FoundNetworks& found, const std::string& where) {
  return Completion(path, overrides, parameters_of, shapes, found, where).run();
}

}  // namespace orrery::engine
