#include "engine/import/layout_by_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/import/weight_roles.h"

namespace orrery::engine {
namespace {

using pickle::StoredTensor;

struct Part {
  NamedPart named;
  const std::string* name;
  const StoredTensor* tensor;
  size_t rank() const { return tensor->shape.size(); }
};

// Masks and tables that are no weights, whatever they are called.
bool is_buffer(const StoredTensor& tensor) {
  const auto& shape = tensor.shape;
  const bool mask = shape.size() == 4 && shape[0] == 1 && shape[1] == 1 && shape[2] == shape[3];
  return mask || tensor.dtype > pickle::Dtype::BF16;
}

// What the names of tensors that are no part of a plain transformer tell of its architecture.
std::string kind_of_unknown(const std::string& name) {
  std::string last = name.substr(name.rfind('.') == name.npos ? 0 : name.rfind('.') + 1);
  const bool factor = last == "A" || last == "B" || last.find("_A") != last.npos ||
                      last.find("_B") != last.npos || name.find("lora") != name.npos;
  if (name.find("q_norm") != name.npos || name.find("k_norm") != name.npos)
    return "normalised queries and keys";
  if (factor) return "weights as products of two matrices (low rank)";
  if (name.find("rel") != name.npos) return "relative positions";
  if (name.find("expert") != name.npos || name.find("router") != name.npos) return "a mixture of experts";
  if (name.find("conv") != name.npos) return "convolutions";
  if (name.find("lstm") != name.npos || name.find("rnn") != name.npos || name.find("_hh_") != name.npos)
    return "recurrence";
  return "parameters of its own";
}

class ByNames {
 public:
  ByNames(const StoredTensors& tensors, const std::string& where)
      : where_(where), n_tensors_(tensors.size()) {
    for (const auto& [name, tensor] : tensors) {
      auto named = part_of(name);
      if ((named && named->role == Role::buffer) || is_buffer(tensor))
        ignored_.push_back(name);
      else if (named)
        parts_.push_back({std::move(*named), &name, &tensor});
      else
        unknown_.push_back(name);
    }
  }

  // Queries, or all three at once, make a transformer.
  bool is_transformer() const {
    const bool attention = std::any_of(parts_.begin(), parts_.end(), [](const Part& part) {
      return part.named.role == Role::q || part.named.role == Role::qkv ||
             part.named.role == Role::qkv_by_head;
    });
    return attention ||
           (std::any_of(unknown_.begin(), unknown_.end(),
                        [](const std::string& name) { return name.find("attn") != name.npos; }) &&
            2 * parts_.size() >= n_tensors_);
  }

  Layout layout() {
    name_numbered();
    name_gates();
    refuse_unknown();
    d_model_ = find_d_model();
    turned_ = orientation();
    Layout layout{"by names", {}, ignored_};
    std::set<std::string> seen;
    for (const Part& part : parts_)
      for (WeightRule& rule : rules_of(part))
        if (seen.insert(rule.name + " " + rule.from).second) layout.rules.push_back(std::move(rule));
    return layout;
  }

 private:
  // nn.Sequential(Linear, ReLU, Linear): its layers with weights, in order.
  void name_numbered() {
    std::map<int64_t, std::set<int64_t>> numbers;
    for (const Part& part : parts_)
      if (part.named.role == Role::mlp_numbered && part.rank() == 2)
        numbers[part.named.layer].insert(part.named.number);
    std::vector<Part> known;
    for (Part& part : parts_) {
      if (part.named.role == Role::mlp_numbered) {
        const std::set<int64_t>& all = numbers[part.named.layer];
        if (all.size() != 2 || !all.contains(part.named.number)) {
          unknown_.push_back(*part.name);
          continue;
        }
        part.named.role = part.named.number == *all.begin() ? Role::mlp_in : Role::mlp_out;
      }
      known.push_back(std::move(part));
    }
    parts_ = std::move(known);
  }

  // LLaMA's own names: w1 is the gate, w3 the other half, w2 the way back.
  void name_gates() {
    const auto leaf = [](const Part& part, const char* name) {
      return part.named.pattern.find(std::string(".") + name + ".") != std::string::npos;
    };
    if (std::none_of(parts_.begin(), parts_.end(), [&](const Part& part) { return leaf(part, "w3"); }))
      return;
    for (Part& part : parts_)
      if (leaf(part, "w1")) part.named.role = Role::mlp_gate;
  }

  void refuse_unknown() const {
    if (unknown_.empty()) return;
    std::map<std::string, std::vector<std::string>> kinds;
    for (const std::string& name : unknown_) kinds[kind_of_unknown(name)].push_back(name);
    std::vector<std::string> all;
    for (auto& [kind, names] : kinds) {
      if (names.size() > 3) {
        names.resize(3);
        names.push_back("...");
      }
      all.push_back(fmt::format("{} ({})", kind, fmt::join(names, ", ")));
    }
    throw UsageError(
        fmt::format("{}: a transformer with what Orrery's has not: {}", where_, fmt::join(all, "; ")),
        "if these are weights of another name, say which is which in a small file: --map FILE; buffers can "
        "be left "
        "out there with ignore = [\"...\"]");
  }

  int64_t find_d_model() const {
    for (const Part& part : parts_)
      if (part.named.role == Role::embed && part.rank() == 2) return part.tensor->shape[1];
    throw UsageError(fmt::format("{}: a transformer without a matrix of token embeddings", where_),
                     "if it has another name, say so in a small file: --map FILE");
  }

  // Which dimension of a weight is the residual stream's where it is stored as [out, in].
  static int stream_dimension(Role role) { return role == Role::o || role == Role::mlp_out ? 0 : 1; }
  static bool is_turnable(const Part& part) {
    switch (part.named.role) {
      case Role::q:
      case Role::k:
      case Role::v:
      case Role::qkv:
      case Role::qkv_by_head:
      case Role::o:
      case Role::mlp_in:
      case Role::mlp_out:
      case Role::mlp_gate:
        return part.rank() == 2 && !part.named.bias;
      default:
        return false;
    }
  }

  // Whether weights of the blocks are stored as [in, out].
  bool orientation() const {
    const Part *as_linear = nullptr, *as_turned = nullptr, *square = nullptr;
    for (const Part& part : parts_) {
      if (!is_turnable(part)) continue;
      const int stream = stream_dimension(part.named.role);
      const auto& shape = part.tensor->shape;
      if (shape[0] == shape[1])
        square = &part;
      else if (shape[static_cast<size_t>(stream)] == d_model_)
        as_linear = &part;
      else if (shape[static_cast<size_t>(1 - stream)] == d_model_)
        as_turned = &part;
    }
    if (as_linear && as_turned)
      throw UsageError(fmt::format("{}: {} is stored as [out, in] and {} as [in, out]", where_,
                                   *as_linear->name, *as_turned->name),
                       "say the axes of each in a small file: --map FILE");
    if (!as_linear && !as_turned && square && !square->named.linear)
      throw UsageError(
          fmt::format("{}: all its weights are square, such as {}, so that nothing tells whether they are "
                      "stored as [out, in] or [in, out]",
                      where_, *square->name),
          "say the axes in a small file: --map FILE");
    return as_turned != nullptr;
  }

  std::string turned(const std::string& out, const std::string& in) const {
    return turned_ ? in + " " + out : out + " " + in;
  }

  WeightRule rule(const Part& part, const std::string& ours, const std::string& axes,
                  int64_t number = 0) const {
    return {ours, part.named.pattern, axes, number, 1};
  }
  std::vector<WeightRule> norm_rules(const Part& part, const std::string& norm) const {
    return {rule(part, norm + (part.named.bias ? ".b" : ".w"), "d_model")};
  }

  std::vector<WeightRule> head_rules(const Part& part, const std::string& letter) const {
    const bool single = part.named.head >= 0;
    if (part.named.bias)
      return {rule(part, "blocks.{layer}.attn.b_" + letter, single ? "d_head" : "(n_heads d_head)")};
    const std::string out = single ? "d_head" : "(n_heads d_head)";
    return {rule(part, "blocks.{layer}.attn.W_" + letter, turned(out, "d_model"))};
  }

  std::vector<WeightRule> joined_rules(const Part& part, const std::string& out) const {
    std::vector<WeightRule> rules;
    for (int64_t i = 0; i < 3; ++i) {
      const std::string letter(1, "QKV"[i]);
      rules.push_back(part.named.bias
                          ? rule(part, "blocks.{layer}.attn.b_" + letter, out, i)
                          : rule(part, "blocks.{layer}.attn.W_" + letter, turned(out, "d_model"), i));
    }
    return rules;
  }

  std::vector<WeightRule> mlp_rules(const Part& part, const std::string& name, bool out) const {
    const std::string block = "blocks.{layer}.mlp.";
    if (part.named.bias) return {rule(part, block + "b_" + name, out ? "d_model" : "d_mlp")};
    return {rule(part, block + "W_" + name, out ? turned("d_model", "d_mlp") : turned("d_mlp", "d_model"))};
  }

  // The head is its own matter: GPT-2's is a Linear where its blocks are not.
  std::vector<WeightRule> unembed_rules(const Part& part) const {
    if (part.named.bias) return {rule(part, "unembed.b_U", "d_vocab_out")};
    const auto& shape = part.tensor->shape;
    bool as_linear = true;
    if (part.rank() == 2) as_linear = shape[1] == d_model_ && (shape[0] != d_model_ || part.named.linear);
    return {rule(part, "unembed.W_U", as_linear ? "d_vocab_out d_model" : "d_model d_vocab_out")};
  }

  std::vector<WeightRule> rules_of(const Part& part) const {
    switch (part.named.role) {
      case Role::embed:
        return {rule(part, "embed.W_E", "d_vocab d_model")};
      case Role::pos:
        return {rule(part, "pos_embed.W_pos", "n_ctx d_model")};
      case Role::unembed:
        return unembed_rules(part);
      case Role::ln1:
        return norm_rules(part, "blocks.{layer}.ln1");
      case Role::ln2:
        return norm_rules(part, "blocks.{layer}.ln2");
      case Role::ln_final:
        return norm_rules(part, "ln_final");
      case Role::q:
        return head_rules(part, "Q");
      case Role::k:
        return head_rules(part, "K");
      case Role::v:
        return head_rules(part, "V");
      case Role::qkv:
        return joined_rules(part, "(3 n_heads d_head)");
      case Role::qkv_by_head:
        return joined_rules(part, "(n_heads 3 d_head)");
      case Role::o:
        if (part.named.bias) return {rule(part, "blocks.{layer}.attn.b_O", "d_model")};
        if (part.named.head >= 0) return {rule(part, "blocks.{layer}.attn.W_O", turned("d_model", "d_head"))};
        return {rule(part, "blocks.{layer}.attn.W_O", turned("d_model", "(n_heads d_head)"))};
      case Role::mlp_in:
        return mlp_rules(part, "in", false);
      case Role::mlp_gate:
        return mlp_rules(part, "gate", false);
      case Role::mlp_out:
        return mlp_rules(part, "out", true);
      default:
        return {};
    }
  }

  const std::string& where_;
  size_t n_tensors_;
  std::vector<Part> parts_;
  std::vector<std::string> ignored_, unknown_;
  int64_t d_model_ = 0;
  bool turned_ = false;
};

}  // namespace

std::optional<Layout> layout_by_names(const StoredTensors& tensors, const std::string& where) {
  ByNames names(tensors, where);
  if (!names.is_transformer()) return {};
  return names.layout();
}

}  // namespace orrery::engine
