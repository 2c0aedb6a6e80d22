#include "engine/import/layout_by_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/import/stored.h"
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

// A causal mask: one value up to the diagonal and another behind it, as bools or numbers. Whole ones are
// found by their names.
bool is_mask(const StoredTensor& tensor, bool named_so) {
  if (tensor.dtype == pickle::Dtype::BOOL) return true;
  const size_t rank = tensor.shape.size();
  if (rank < 2 || tensor.shape[rank - 1] != tensor.shape[rank - 2] || tensor.shape[rank - 1] < 2)
    return false;
  const int64_t n = tensor.shape[rank - 1];
  const torch::Tensor values = as_tensor(tensor).to(torch::kDouble);
  if (values.numel() == 0) return false;
  if (named_so && (values.eq(0) | values.eq(1) | values.lt(-1e4)).all().item<bool>()) return true;
  const torch::Tensor behind = torch::ones({n, n}, torch::kBool).triu(1);
  const torch::Tensor seen = values.masked_select(behind.logical_not());
  const torch::Tensor unseen = values.masked_select(behind);
  const auto same = [](const torch::Tensor& all) { return all.eq(all[0]).all().item<bool>(); };
  return same(seen) && same(unseen) && !seen[0].equal(unseen[0]);
}

// Position 0 of sinusoids (Vaswani et al. 2017): sin 0, cos 0, in turns or in halves.
bool are_sinusoids(const StoredTensor& positions) {
  if (positions.shape.size() != 2 || positions.shape[0] < 2 || positions.shape[1] % 2 != 0) return false;
  const torch::Tensor first = as_tensor(positions).to(torch::kDouble)[0];
  const int64_t half = first.size(0) / 2;
  const auto is = [](const torch::Tensor& sines, const torch::Tensor& cosines) {
    return sines.eq(0).all().item<bool>() && cosines.eq(1).all().item<bool>();
  };
  return is(first.slice(0, 0, torch::nullopt, 2), first.slice(0, 1, torch::nullopt, 2)) ||
         is(first.narrow(0, 0, half), first.narrow(0, half, half));
}

// What a training keeps beside its network in one module.
bool is_beside(const std::string& name) {
  for (const char* word : {"loss", "criterion", "metric", "accuracy", "_acc."})
    if (name.find(word) != name.npos) return true;
  return false;
}

// Buffers that are no weights, and that no network computes otherwise without.
bool is_known_buffer(const std::string& name) {
  for (const char* ending : {"num_batches_tracked", "position_ids", "inv_freq", "IGNORE", "masked_bias"})
    if (name.ends_with(ending)) return true;
  return false;
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
  if (name.find("emb") != name.npos) return "embeddings of their own for parts of the input";
  if (name.find("expert") != name.npos || name.find("router") != name.npos) return "a mixture of experts";
  if (name.find("conv") != name.npos) return "convolutions";
  if (name.find("lstm") != name.npos || name.find("rnn") != name.npos || name.find("_hh_") != name.npos)
    return "recurrence";
  return "parameters of its own";
}

class ByNames {
 public:
  ByNames(const StoredTensors& tensors, const std::string& where, const MappedParts& mapped)
      : where_(where), mapped_(mapped), n_tensors_(tensors.size()) {
    for (const auto& [name, tensor] : tensors) {
      auto named = part_of(name);
      const bool buffer = named && named->role == Role::buffer;
      if (is_known_buffer(name) || (!named && is_beside(name)) ||
          ((buffer || !named || tensor.shape.size() == 4) && is_mask(tensor, buffer)))
        ignored_.push_back(name);
      else if (named && !buffer)
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
    return attention || mapped_.attention ||
           (std::any_of(unknown_.begin(), unknown_.end(),
                        [](const std::string& name) { return name.find("attn") != name.npos; }) &&
            2 * parts_.size() >= n_tensors_);
  }

  Layout layout() {
    name_numbered();
    name_gates();
    refuse_unknown();
    refuse_two_stacks();
    d_model_ = find_d_model();
    turned_ = orientation();
    Layout layout{"by names", {}, ignored_};
    layout.assumptions = assumptions();
    layout.parallel = is_gpt_neox();
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
        "if these are weights of another name, or buffers, say so in a small file: --map FILE, with based_on "
        "= "
        "\"by_names\", [[weight]] and ignore = [\"...\"]");
  }

  // "encoder.layers" and "decoder.layers" are two networks, not the layers of one.
  void refuse_two_stacks() const {
    std::set<std::string> stacks;
    for (const Part& part : parts_)
      if (part.named.layer >= 0)
        stacks.insert(part.named.pattern.substr(0, part.named.pattern.find("{layer}")));
    if (stacks.size() > 1)
      throw UsageError(fmt::format("{}: several stacks of layers ({}), and Orrery's transformer has one",
                                   where_, fmt::join(stacks, ", ")),
                       "if they are one, say which weight is which in a small file: --map FILE");
  }

  // "layers.0.attention.query_key_value"; BLOOM, whose parts follow each other, has "self_attention" there.
  bool is_gpt_neox() const {
    return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) {
      const std::string& name = part.named.pattern;
      return part.named.role == Role::qkv_by_head && name.find(".attention.query_key_value") != name.npos;
    });
  }

  // What no name and no shape tells, and the authors' code may do otherwise.
  std::vector<std::string> assumptions() const {
    std::vector<std::string> all;
    const auto first = [&](auto&& holds) -> const Part* {
      const auto found = std::find_if(parts_.begin(), parts_.end(), holds);
      return found == parts_.end() ? nullptr : &*found;
    };
    if (const Part* part = first([](const Part& one) { return one.named.role == Role::qkv; }))
      all.push_back(
          fmt::format("taken for granted: {} has the queries of all heads, then all keys, then all values",
                      part->named.pattern));
    if (const Part* part =
            first([](const Part& one) { return one.named.pattern.find(".w3.") != std::string::npos; }))
      all.push_back(fmt::format("taken for granted: {} and w1, the gate, are multiplied, and w2 leads back",
                                part->named.pattern));
    if (const Part* part = first([](const Part& one) {
          return one.named.role == Role::pos && !one.named.bias && are_sinusoids(*one.tensor);
        }))
      all.push_back(fmt::format(
          "{} are fixed sinusoids, and here a weight: they count in weights/norm, and [init] trains them",
          part->named.pattern));
    if (const Part* part = first(
            [](const Part& one) { return is_turnable(one) && one.tensor->shape[0] == one.tensor->shape[1]; }))
      all.push_back(fmt::format("taken for granted: {} is square, and stored as {}", part->named.pattern,
                                turned_ ? "[in, out]" : "[out, in]"));
    return all;
  }

  int64_t find_d_model() const {
    for (const Part& part : parts_)
      if (part.named.role == Role::embed && part.rank() == 2) return part.tensor->shape[1];
    if (mapped_.d_model > 0) return mapped_.d_model;
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
    const Part *as_linear = nullptr, *as_turned = nullptr;
    bool raw_known = false;
    for (const Part& part : parts_) {
      if (!is_turnable(part)) continue;
      const int stream = stream_dimension(part.named.role);
      const auto& shape = part.tensor->shape;
      if (shape[0] == shape[1]) continue;
      const bool linear = shape[static_cast<size_t>(stream)] == d_model_;
      const bool turned = shape[static_cast<size_t>(1 - stream)] == d_model_;
      if (linear) as_linear = &part;
      if (turned) as_turned = &part;
      raw_known |= (linear || turned) && !part.named.linear;
    }
    if (as_linear && as_turned)
      throw UsageError(fmt::format("{}: {} is stored as [out, in] and {} as [in, out]", where_,
                                   *as_linear->name, *as_turned->name),
                       "say the axes of each in a small file: --map FILE");
    for (const Part& part : parts_)
      if (is_turnable(part) && part.tensor->shape[0] == part.tensor->shape[1] && !part.named.linear &&
          !raw_known)
        throw UsageError(
            fmt::format(
                "{}: {} is square and no torch.nn.Linear, so that nothing tells whether it is stored as "
                "[out, in] or [in, out]",
                where_, *part.name),
            "say its axes in a small file, based_on = \"by_names\": --map FILE");
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
  const MappedParts& mapped_;
  size_t n_tensors_;
  std::vector<Part> parts_;
  std::vector<std::string> ignored_, unknown_;
  int64_t d_model_ = 0;
  bool turned_ = false;
};

}  // namespace

std::optional<Layout> layout_by_names(const StoredTensors& tensors, const std::string& where,
                                      const MappedParts& mapped) {
  ByNames names(tensors, where, mapped);
  if (!names.is_transformer()) return {};
  return names.layout();
}

}  // namespace orrery::engine
