#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "engine/import/layout.h"
#include "engine/import/layout_names.h"
#include "engine/import/stored.h"

namespace orrery::engine {

torch::Tensor as_tensor(const pickle::StoredTensor& stored) {
  using pickle::Dtype;
  // In the order of Dtype. Bools are read as bytes: a bool other than 0 and 1 is undefined behaviour in C++,
  // and a file may hold any byte.
  static constexpr torch::ScalarType types[] = {
      torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kLong,
      torch::kInt,    torch::kShort, torch::kChar, torch::kByte,     torch::kByte};
  // Copies the bytes that the tensor reaches, because in the file they may be misaligned.
  int64_t last = 0;
  for (size_t i = 0; i < stored.shape.size(); ++i) {
    if (stored.shape[i] == 0) last = -1;
    if (last >= 0) last += (stored.shape[i] - 1) * stored.strides[i];
  }
  const auto type = types[static_cast<size_t>(stored.dtype)];
  const torch::Tensor flat = torch::empty({last + 1}, type);
  if (last >= 0)
    std::memcpy(flat.data_ptr(), stored.storage.data() + stored.offset * size_of(stored.dtype),
                flat.nbytes());
  const torch::Tensor tensor = last < 0 ? torch::empty(stored.shape, type)
                                        : flat.as_strided(stored.shape, stored.strides).contiguous();
  return stored.dtype == Dtype::BOOL ? tensor.ne(0) : tensor;
}

bool all_zero(const pickle::StoredTensor& stored) { return as_tensor(stored).eq(0).all().item<bool>(); }

namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}
bool is_bias(const std::string& name) {
  const size_t dot = name.rfind('.');
  const std::string last = name.substr(dot == name.npos ? 0 : dot + 1);
  return last.starts_with("b_") || last == "b";  // "ln1.b" is a LayerNorm's
}
bool is_output(const std::string& name) { return name == "unembed.W_U" || name == "unembed.b_U"; }

class Conversion {
 public:
  Conversion(const StoredTensors& tensors, const Layout& layout, const Model& model, int64_t d_vocab,
             const std::string& where)
      : layout_(layout),
        model_(model),
        d_vocab_(d_vocab),
        where_(where),
        tensors_(tensors),
        matched_(match(tensors, layout)),
        sizes_(sizes_in(matched_, layout)) {
    for (const NamedWeight& weight : model.weights()) expected_[weight.name] = weight.value.sizes().vec();
    use_model_sizes();
  }

  Converted run(bool normalises) {
    if (layout_.residual_factor != 1) check_foldable(normalises);
    check_gates();
    for (const Matched& one : matched_) take(one);
    for (const auto& [name, shape] : expected_)
      if (!made_.contains(name) && !refused_.contains(name)) fill(name, shape);
    for (const auto& [name, heads] : heads_)
      if (!made_.contains(name) && wrong_.empty())
        wrong(fmt::format("{}: {} of {} heads", name, heads.size(), sizes_["n_heads"]));
    if (!wrong_.empty())
      throw UsageError(
          fmt::format("{}: its tensors (layout {}) do not fit the model:\n  {}", where_, layout_.name,
                      fmt::join(wrong_, "\n  ")),
          "the layout, and the [task] and [model] tables, must be those of the network in the file");
    for (const NamedWeight& weight : model_.weights())
      result_.weights.emplace_back(weight.name, made_.at(weight.name));
    note("left out, because they are not weights", ignored());
    note("left out, because they are all zero and the model has none", zero_);
    note("set to zero, because the file has none", filled_);
    note("rounded to float32", rounded_);
    return std::move(result_);
  }

 private:
  void note(const std::string& what, const std::vector<std::string>& names) {
    if (!names.empty()) result_.notes.push_back({what, names});
  }
  // Once, also of a tensor that several rules take parts of.
  void wrong(const std::string& what) {
    if (std::find(wrong_.begin(), wrong_.end(), what) == wrong_.end()) wrong_.push_back(what);
  }

  std::vector<std::string> ignored() const {
    std::set<const std::string*> seen;
    for (const Matched& one : matched_) seen.insert(one.name);
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_)
      if (!seen.contains(&name)) names.push_back(name);
    return names;
  }

  // The file must have the model's size of every axis that the model has.
  void use_model_sizes() {
    const auto file_classes = sizes_.find("d_vocab_out");
    if (file_classes != sizes_.end()) file_classes_ = file_classes->second;
    for (const auto& [name, shape] : expected_)
      for (const WeightRule& rule : transformer_rules())
        if (layer_in(rule.name, name)) {
          const auto solved = axes_of_ours(rule.name)->solve(shape, {});
          for (const auto& [axis, size] : solved.value_or(Sizes{})) sizes_[axis] = size;
        }
    // Of the weights of an mlp, whose axes only its layout names.
    for (const WeightRule& rule : layout_.rules)
      if (const auto expected = expected_.find(rule.name);
          expected != expected_.end() && !axes_of_ours(rule.name))
        if (const auto axes = axes_of(rule))
          for (const auto& [axis, size] : axes->ours.solve(expected->second, {}).value_or(Sizes{}))
            sizes_[axis] = size;
    classes_ = sizes_.contains("d_vocab_out") ? sizes_["d_vocab_out"] : 0;
    // Published networks often have an output for every token; tokens that are not classes come last.
    if (classes_ < file_classes_ && file_classes_ <= d_vocab_) sizes_["d_vocab_out"] = file_classes_;
  }

  void check_foldable(bool normalises) const {
    const std::string factor =
        fmt::format("{}: its layers add the residual stream {} times", where_, layout_.residual_factor);
    if (normalises)
      throw UsageError(factor + ", which cannot be folded into the weights of a network that normalises it",
                       "LayerNorm's epsilon would count for more in each layer");
    for (const Matched& one : matched_)
      if (one.rule && one.rule->name.find(".mlp.") != std::string::npos)
        throw UsageError(
            factor + ", which cannot be folded into the weights of a network with MLPs",
            "whether the MLPs do so too is not known, and their activation functions need not scale");
  }

  // HookedTransformer adds b_in of a gated MLP behind the product with the gate, ours before it.
  void check_gates() const {
    const bool gated = std::any_of(matched_.begin(), matched_.end(), [](const Matched& one) {
      return one.rule && one.rule->name == "blocks.{layer}.mlp.W_gate";
    });
    if (!gated || layout_.name != "transformer_lens") return;
    for (const Matched& one : matched_)
      if (one.rule && one.rule->name == "blocks.{layer}.mlp.b_in" && !all_zero(*one.tensor))
        throw UsageError(
            fmt::format("{}: {} is not zero, and TransformerLens adds it behind the gate, which Orrery's "
                        "transformer does not",
                        where_, *one.name),
            "of a file that `orrery export` wrote: --layout as_is, with the run's [model]");
  }

  // What folding residual_factor multiplies this weight by: see y_l in layout.h. Queries, keys, values and
  // logits read the stream linearly, so a factor of the stream can move into their weights.
  double fold(const std::string& pattern, int64_t layer) const {
    const double c = layout_.residual_factor;
    if (c == 1) return 1;
    if (pattern == "unembed.W_U") return std::pow(c, static_cast<double>(layers()));
    for (const char* read : {"W_Q", "W_K", "W_V"})
      if (pattern == std::string("blocks.{layer}.attn.") + read)
        return std::pow(c, static_cast<double>(layer));
    if (pattern == "blocks.{layer}.attn.W_O" || pattern == "blocks.{layer}.attn.b_O")
      return std::pow(c, -static_cast<double>(layer + 1));
    return 1;
  }
  int64_t layers() const {
    int64_t count = 0;
    for (const Matched& one : matched_) count = std::max(count, one.layer + 1);
    return count;
  }

  void take(const Matched& one) {
    const std::string ours = one.rule ? with_layer(one.rule->name, one.layer) : *one.name;
    const auto expected = expected_.find(ours);
    const bool unknown = expected == expected_.end();
    // A bias of zeros adds nothing, so a model without it is the same network.
    if (unknown && is_bias(ours) && one.rule && all_zero(*one.tensor)) return zero_.push_back(*one.name);
    if (unknown) return wrong(fmt::format("{}: unexpected, the model has no such weight", *one.name));
    refused_.insert(ours);  // so that it is not also reported as missing
    if (!shape_fits(one, expected->second)) return;
    // Dtype lists the floating-point types first.
    if (one.tensor->dtype > pickle::Dtype::BF16)
      return wrong(fmt::format("{}: its entries are {}, expected floating-point numbers", *one.name,
                               safetensors::name_of(one.tensor->dtype)));
    if (one.head >= 0) return take_head(one, ours);
    if (made_.contains(ours)) return wrong(fmt::format("{}: a second tensor for {}", *one.name, ours));
    if (one.tensor->dtype == pickle::Dtype::F64) rounded_.push_back(*one.name);
    made_[ours] = narrow(ours, weight(one));
  }

  // A tensor for each head: they are put together when all are there.
  void take_head(const Matched& one, const std::string& ours) {
    std::map<int64_t, torch::Tensor>& heads = heads_[ours];
    if (!heads.emplace(one.head, weight(one)).second)
      return wrong(fmt::format("{}: a second tensor for head {} of {}", *one.name, one.head, ours));
    const int64_t n_heads = sizes_["n_heads"];
    if (one.head >= n_heads) return wrong(fmt::format("{}: the model has {} heads", *one.name, n_heads));
    if (static_cast<int64_t>(heads.size()) < n_heads) return;
    std::vector<torch::Tensor> in_order;
    for (const auto& [head, tensor] : heads) in_order.push_back(tensor);
    made_[ours] = torch::stack(in_order);
  }

  bool shape_fits(const Matched& one, const std::vector<int64_t>& ours) {
    const auto axes = one.rule ? axes_of(*one.rule) : std::nullopt;
    const std::vector<int64_t> expected = axes ? axes->file.shape(sizes_) : ours;
    if (one.tensor->shape == expected) return true;
    wrong(fmt::format("{}: shape {}, expected {}{}", *one.name, shape_text(one.tensor->shape),
                      shape_text(expected), axes ? fmt::format(" ({})", axes->file.text()) : ""));
    return false;
  }

  torch::Tensor weight(const Matched& one) const {
    torch::Tensor tensor = as_tensor(*one.tensor);
    if (!one.rule) return tensor;
    if (const auto axes = axes_of(*one.rule)) {
      Sizes sizes = axes->file.solve(one.tensor->shape, sizes_).value_or(Sizes{});
      sizes.insert(sizes_.begin(), sizes_.end());
      tensor = rearrange(tensor, axes->file, axes->ours, sizes, one.rule->part);
    }
    const double factor = one.rule->factor * fold(one.rule->name, one.layer);
    return factor == 1 ? tensor : tensor * factor;
  }

  // Keeps the task's classes, and moves the other columns to `unused`.
  torch::Tensor narrow(const std::string& name, torch::Tensor tensor) {
    if (!is_output(name) || tensor.size(-1) <= classes_) return tensor;
    const int64_t extra = tensor.size(-1) - classes_;
    result_.unused.emplace_back(name, tensor.narrow(-1, classes_, extra).clone());
    result_.notes.push_back(
        {fmt::format("{}: the task has {} classes; the output{} of token{} {} set aside, and losses are over "
                     "the task's classes alone",
                     name, classes_, extra == 1 ? "" : "s", extra == 1 ? "" : "s",
                     extra == 1 ? fmt::format("{} is", classes_)
                                : fmt::format("{} to {} are", classes_, classes_ + extra - 1))});
    return tensor.narrow(-1, 0, classes_).contiguous();
  }

  // A weight of the model that the file does not have. A bias of a kind that it has nowhere is zero;
  // one that only some layers have points to a damaged file, or to a rule that misses names. A layout by
  // names has no rule for what no tensor has.
  void fill(const std::string& name, const std::vector<int64_t>& shape) {
    const WeightRule* rule = rule_of(name);
    if (rule) {
      const bool nowhere = std::none_of(matched_.begin(), matched_.end(), [&](const Matched& one) {
        return one.rule && one.rule->name == rule->name;
      });
      if (!is_bias(name) || !nowhere)
        return wrong(missing(name, with_layer(rule->from, *layer_in(rule->name, name)), *rule));
    } else if (!is_bias(name)) {
      return wrong(fmt::format("{}: missing, expected {}", name, shape_text(shape)));
    }
    made_[name] = torch::zeros(shape);
    filled_.push_back(name);
  }

  // The rule for our weight `name`, that for its layer alone if there is one.
  const WeightRule* rule_of(const std::string& name) const {
    const WeightRule* found = nullptr;
    for (const WeightRule& rule : layout_.rules) {
      const auto layer = layer_in(rule.name, name);
      if (layer && rule.layer == *layer && rule.layer >= 0) return &rule;
      if (layer && rule.layer < 0 && !found) found = &rule;
    }
    return found;
  }
  std::string missing(const std::string& ours, const std::string& theirs, const WeightRule& rule) const {
    const auto axes = axes_of(rule);
    return fmt::format(
        "{}: missing{}{}", theirs, theirs == ours ? "" : fmt::format(" (for {})", ours),
        axes ? fmt::format(", expected {} ({})", shape_text(axes->file.shape(sizes_)), axes->file.text())
             : "");
  }

  const Layout& layout_;
  const Model& model_;
  int64_t d_vocab_, classes_ = 0, file_classes_ = 0;
  const std::string& where_;
  const StoredTensors& tensors_;
  std::vector<Matched> matched_;
  Sizes sizes_;  // the file's axes
  std::map<std::string, std::vector<int64_t>> expected_;
  std::map<std::string, torch::Tensor> made_;
  std::map<std::string, std::map<int64_t, torch::Tensor>> heads_;
  std::set<std::string> refused_;
  std::vector<std::string> wrong_, zero_, filled_, rounded_;
  Converted result_;
};

}  // namespace

Converted convert(const StoredTensors& tensors, const Layout& layout, const Model& model, int64_t d_vocab,
                  bool normalises, const std::string& where) {
  return Conversion(tensors, layout, model, d_vocab, where).run(normalises);
}

}  // namespace orrery::engine
