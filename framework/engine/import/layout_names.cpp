#include "engine/import/layout_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace orrery::engine {
namespace {

constexpr std::string_view placeholder = "{layer}", head_placeholder = "{head}";

struct Ours {
  const char *name, *axes;
};
constexpr Ours ours[] = {{"embed.W_E", "d_vocab d_model"},
                         {"pos_embed.W_pos", "n_ctx d_model"},
                         {"blocks.{layer}.ln1.w", "d_model"},
                         {"blocks.{layer}.ln1.b", "d_model"},
                         {"blocks.{layer}.attn.W_Q", "n_heads d_model d_head"},
                         {"blocks.{layer}.attn.W_K", "n_heads d_model d_head"},
                         {"blocks.{layer}.attn.W_V", "n_heads d_model d_head"},
                         {"blocks.{layer}.attn.W_O", "n_heads d_head d_model"},
                         {"blocks.{layer}.attn.b_Q", "n_heads d_head"},
                         {"blocks.{layer}.attn.b_K", "n_heads d_head"},
                         {"blocks.{layer}.attn.b_V", "n_heads d_head"},
                         {"blocks.{layer}.attn.b_O", "d_model"},
                         {"blocks.{layer}.ln2.w", "d_model"},
                         {"blocks.{layer}.ln2.b", "d_model"},
                         {"blocks.{layer}.mlp.W_gate", "d_model d_mlp"},
                         {"blocks.{layer}.mlp.W_in", "d_model d_mlp"},
                         {"blocks.{layer}.mlp.b_in", "d_mlp"},
                         {"blocks.{layer}.mlp.W_out", "d_mlp d_model"},
                         {"blocks.{layer}.mlp.b_out", "d_model"},
                         {"ln_final.w", "d_model"},
                         {"ln_final.b", "d_model"},
                         {"unembed.W_U", "d_model d_vocab_out"},
                         {"unembed.b_U", "d_vocab_out"}};

}  // namespace

namespace {

// A number in canonical spelling at the start of `rest`, which it is taken off: "blocks.00" is a different
// name.
std::optional<int64_t> take_number(std::string_view& rest) {
  const size_t length = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (length == 0 || length > 4 || (length > 1 && rest[0] == '0')) return {};
  int64_t number = -1;
  std::from_chars(rest.data(), rest.data() + length, number);
  rest.remove_prefix(length);
  return number;
}

}  // namespace

std::optional<LayerAndHead> numbers_in(const std::string& pattern, const std::string& name) {
  LayerAndHead numbers;
  std::string_view expected = pattern, rest = name;
  while (!expected.empty()) {
    const bool layer = expected.starts_with(placeholder), head = expected.starts_with(head_placeholder);
    if (layer || head) {
      const auto number = take_number(rest);
      if (!number) return {};
      (layer ? numbers.layer : numbers.head) = *number;
      expected.remove_prefix((layer ? placeholder : head_placeholder).size());
    } else if (!rest.empty() && rest[0] == expected[0]) {
      rest.remove_prefix(1);
      expected.remove_prefix(1);
    } else {
      return {};
    }
  }
  return rest.empty() ? std::optional<LayerAndHead>(numbers) : std::nullopt;
}

std::optional<int64_t> layer_in(const std::string& pattern, const std::string& name) {
  const auto numbers = numbers_in(pattern, name);
  return numbers ? std::optional<int64_t>(numbers->layer) : std::nullopt;
}

std::string with_layer(const std::string& pattern, int64_t layer) {
  const size_t at = pattern.find(placeholder);
  if (at == pattern.npos) return pattern;
  std::string name = pattern;
  return name.replace(at, placeholder.size(), std::to_string(layer));
}

const Axes* axes_of_ours(const std::string& pattern) {
  static const auto* known = [] {
    auto* all = new std::map<std::string, Axes>;
    for (const Ours& one : ours) all->emplace(one.name, Axes(one.axes));
    return all;
  }();
  const auto found = known->find(pattern);
  return found == known->end() ? nullptr : &found->second;
}

const std::vector<WeightRule>& transformer_rules() {
  static const auto* all = [] {
    auto* rules = new std::vector<WeightRule>;
    for (const Ours& one : ours) rules->push_back({one.name, one.name, "", 0, 1});
    return rules;
  }();
  return *all;
}

namespace {

// The axes of one head's share of our weight.
const Axes* axes_of_one_head(const std::string& pattern) {
  static const auto* known = [] {
    auto* all = new std::map<std::string, Axes>;
    for (const Ours& one : ours)
      if (const std::string_view axes = one.axes; axes.starts_with("n_heads "))
        all->emplace(one.name, Axes(std::string(axes.substr(8))));
    return all;
  }();
  const auto found = known->find(pattern);
  return found == known->end() ? nullptr : &found->second;
}

}  // namespace

std::optional<RuleAxes> axes_of(const WeightRule& rule) {
  const bool one_head = rule.from.find(head_placeholder) != std::string::npos;
  const Axes* known = one_head ? axes_of_one_head(rule.name) : axes_of_ours(rule.name);
  if (one_head && !known)
    throw UsageError(fmt::format("weight \"{}\": it has no heads, so \"{{head}}\" in \"{}\" cannot be",
                                 rule.name, rule.from),
                     "attn.W_Q, W_K, W_V, W_O and b_Q, b_K, b_V can come one tensor a head");
  if (rule.axes.empty()) return known ? std::optional<RuleAxes>({*known, *known}) : std::nullopt;
  const size_t arrow = rule.axes.find("->");
  if (arrow == std::string::npos && !known)
    throw UsageError(fmt::format("weight \"{}\": the axes of this weight have no names", rule.name),
                     "say how to rearrange them: axes = \"rows columns -> columns rows\"");
  const size_t end = rule.axes.find_last_not_of(' ', arrow == std::string::npos ? arrow : arrow - 1);
  RuleAxes axes{Axes(rule.axes.substr(0, end == std::string::npos ? 0 : end + 1)),
                arrow == std::string::npos ? *known : Axes(rule.axes.substr(arrow + 2))};
  std::vector<std::string> from = axes.file.names(), to = axes.ours.names();
  std::sort(from.begin(), from.end());
  std::sort(to.begin(), to.end());
  if (from != to || axes.ours.parts() != 1)
    throw UsageError(
        fmt::format("weight \"{}\": the axes \"{}\" cannot become \"{}\", which have other names", rule.name,
                    axes.file.text(), axes.ours.text()),
        "every axis of the weight comes once, in the file's order, joined ones in brackets");
  if (rule.part >= axes.file.parts())
    throw UsageError(fmt::format("weight \"{}\": part {} of {}", rule.name, rule.part, axes.file.parts()),
                     "parts count from 0; the axes say how many: \"(3 n_heads d_head) d_model\"");
  return axes;
}

namespace {

// Whether a rule for layer `layer` alone, or one that takes the tensor `name` for a layer of its choice, goes
// before this one for all layers.
bool is_overruled(const WeightRule& rule, int64_t layer, const std::string& name, const Layout& layout) {
  return rule.layer < 0 &&
         std::any_of(layout.rules.begin(), layout.rules.end(), [&](const WeightRule& other) {
           return other.layer >= 0 && other.name == rule.name &&
                  (other.layer == layer || numbers_in(other.from, name));
         });
}

}  // namespace

std::vector<Matched> match(const StoredTensors& tensors, const Layout& layout) {
  std::vector<Matched> all;
  for (const auto& [name, tensor] : tensors) {
    const auto ignored = [&](const std::string& glob) { return matches(glob, name); };
    if (std::any_of(layout.ignored.begin(), layout.ignored.end(), ignored)) continue;
    const size_t before = all.size();
    for (const WeightRule& rule : layout.rules)
      if (const auto numbers = numbers_in(rule.from, name)) {
        // A network of one layer need not number it.
        const bool first = numbers->layer < 0 && rule.name.find(placeholder) != std::string::npos;
        const int64_t layer = rule.layer >= 0 ? rule.layer : first ? 0 : numbers->layer;
        if (!is_overruled(rule, layer, name, layout))
          all.push_back({&rule, layer, numbers->head, &name, &tensor});
      }
    if (all.size() == before) all.push_back({nullptr, -1, -1, &name, &tensor});
  }
  return all;
}

// In two passes: joined axes are solved with the sizes of those that stand alone somewhere.
Sizes sizes_in(const std::vector<Matched>& matched, const Layout& layout) {
  Sizes sizes;
  int64_t n_heads = layout.n_heads;
  for (const Matched& one : matched) n_heads = std::max(n_heads, one.head + 1);
  for (int round = 0; round < 2; ++round) {
    if (n_heads > 0) sizes["n_heads"] = n_heads;
    std::map<std::string, std::map<int64_t, int>> votes;
    for (const Matched& one : matched) {
      const auto axes = one.rule ? axes_of(*one.rule) : std::nullopt;
      const auto solved = axes ? axes->file.solve(one.tensor->shape, sizes) : std::nullopt;
      if (solved)
        for (const auto& [axis, size] : *solved) ++votes[axis][size];
    }
    for (const auto& [axis, counts] : votes)
      if (axis != "n_heads" || n_heads == 0)
        sizes[axis] = std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) {
                        return a.second < b.second;
                      })->first;
  }
  return sizes;
}

}  // namespace orrery::engine
