#include "engine/import/perceptron_by_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cctype>
#include <map>

namespace orrery::engine {
namespace {

using pickle::StoredTensor;

struct Linear {
  std::string module;  // "fc1"
  const StoredTensor* weight = nullptr;
  bool bias = false;
  int64_t out() const { return weight->shape[0]; }
  int64_t in() const { return weight->shape[1]; }
};

bool has_word(const std::string& name, const char* word) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return std::search(name.begin(), name.end(), word, word + std::char_traits<char>::length(word), same) !=
         name.end();
}

// The tensors by the part that they are of. An unembedding is a linear layer.
struct Tensors {
  std::vector<Linear> linears, embeddings;
  std::vector<std::string> norms, others;

  explicit Tensors(const StoredTensors& tensors) {
    std::map<std::string, bool> biases;
    for (const auto& [name, tensor] : tensors) {
      const size_t dot = name.rfind('.');
      const std::string module = name.substr(0, dot), kind = dot == name.npos ? "" : name.substr(dot + 1);
      const size_t rank = tensor.shape.size();
      if (kind == "bias" && rank == 1)
        biases[module] = true;
      else if (kind == "weight" && rank == 2)
        (has_word(module, "emb") && !has_word(module, "unemb") ? embeddings : linears)
            .push_back({module, &tensor, false});
      else if ((kind == "weight" && rank == 1) || kind == "running_mean")
        norms.push_back(name);
      else if (kind != "running_var" && kind != "num_batches_tracked")
        others.push_back(name);
    }
    for (Linear& linear : linears) linear.bias = biases.contains(linear.module);
  }
};

bool is_chain(const std::vector<Linear>& layers) {
  for (size_t i = 1; i < layers.size(); ++i)
    if (layers[i].in() != layers[i - 1].out()) return false;
  return true;
}

class Chain {
 public:
  Chain(Tensors tensors, const std::string& where)
      : where_(where), layers_(std::move(tensors.linears)), embeddings_(std::move(tensors.embeddings)) {}

  Layout layout() {
    if (layers_.size() > 3)
      refuse(fmt::format("{} linear layers ({}), and Orrery's mlp has at most two hidden ones",
                         layers_.size(), fmt::join(modules(), ", ")));
    put_in_order();
    set("n_hidden", int64_t{1});
    set("bias", std::any_of(layers_.begin(), layers_.end(), [](const Linear& one) { return one.bias; }));
    set("d_mlp", layers_.front().out());
    if (embeddings_.empty())
      read_numbers();
    else
      read_embeddings();
    write();
    layout_.shapes = std::move(shapes_);
    return std::move(layout_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw UsageError(
        fmt::format("{}: a perceptron with {}", where_, what),
        "if it computes the same as an mlp of Orrery, say which weight is which in a small file: --map "
        "FILE, with based_on = \"as_is\"");
  }
  template <class T>
  void set(const std::string& name, T value) {
    shapes_.values[name] = Value(std::move(value));
  }
  void set_text(const std::string& name, const char* value) { set(name, std::string(value)); }
  void add_rule(const std::string& name, const std::string& from, const std::string& axes, int64_t part = 0) {
    layout_.rules.push_back({name, from, axes, part, 1});
  }
  void assume(const std::string& what) { layout_.assumptions.push_back("taken for granted: " + what); }
  std::vector<std::string> modules() const {
    std::vector<std::string> names;
    for (const Linear& layer : layers_) names.push_back(layer.module);
    return names;
  }

  // As they are in the file, where that is a chain; a file that sorts its names may have them otherwise.
  void put_in_order() {
    std::vector<size_t> order(layers_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::vector<std::vector<Linear>> chains;
    do {
      std::vector<Linear> layers;
      for (const size_t i : order) layers.push_back(layers_[i]);
      if (is_chain(layers)) chains.push_back(std::move(layers));
    } while (std::next_permutation(order.begin(), order.end()));
    if (chains.empty())
      refuse(fmt::format("linear layers of which none reads what another gives ({})",
                         fmt::join(shapes(), ", ")));
    layers_ = chains.front();
    if (chains.size() > 1)
      assume(fmt::format("its layers follow each other as {}", fmt::join(modules(), ", ")));
  }
  std::vector<std::string> shapes() const {
    std::vector<std::string> all;
    for (const Linear& layer : layers_)
      all.push_back(fmt::format("{}: {} to {}", layer.module, layer.in(), layer.out()));
    return all;
  }

  // Without an embedding: bits, the sum of the one-hot vectors of both operands, or the two side by side.
  void read_numbers() {
    const std::string first = layers_.front().module + ".weight";
    const int64_t in = layers_.front().in(), out = layers_.back().out();
    if (out <= 2) {
      set_text("input", "bits");
      return add_rule("mlp.W_in", first, "d_mlp n_bits -> n_bits d_mlp");
    }
    if (in == out || in == out + 1) {
      assume(fmt::format("{} reads the sum of the one-hot vectors of both operands", first));
      set_text("input", "one_hot_sum");
      return add_rule("mlp.W_in", first, "d_mlp d_vocab -> d_vocab d_mlp");
    }
    if (in != 2 * out && in != 2 * (out + 1))
      refuse(fmt::format(
          "{} inputs and {} outputs, which are neither bits nor the one-hot vectors of two operands", in,
          out));
    assume(fmt::format("{} reads the one-hot vectors of both operands, side by side", first));
    for (const auto& [name, value] : {std::pair("input", "embedding"),
                                      {"embedding", "untied"},
                                      {"hidden", "untied"},
                                      {"collapse", "both"}})
      set_text(name, value);
    add_halves("d_vocab");
  }

  void add_halves(const std::string& axis) {
    for (const auto& [name, part] : {std::pair("mlp.W_in_a", 0), {"mlp.W_in_b", 1}})
      add_rule(name, layers_.front().module + ".weight", fmt::format("d_mlp (2 {0}) -> {0} d_mlp", axis),
               part);
  }

  void read_embeddings() {
    const Linear& left = embeddings_.front();
    const int64_t d_embed = left.in(), in = layers_.front().in();
    if (embeddings_.size() > 2) refuse(fmt::format("{} embeddings", embeddings_.size()));
    const bool own = embeddings_.size() == 2;
    if (own && embeddings_[1].weight->shape != left.weight->shape)
      refuse(fmt::format("operands of two vocabularies ({} of {}, {} of {} tokens)", left.module, left.out(),
                         embeddings_[1].module, embeddings_[1].out()));
    if (in != d_embed && in != 2 * d_embed)
      refuse(
          fmt::format("embeddings of {} numbers, of which {} reads {}", d_embed, layers_.front().module, in));
    set_text("input", "embedding");
    set("d_embed", d_embed);
    set_text("embedding", own ? "untied" : "input_tied");
    set_text("hidden", in == d_embed ? "tied" : "untied");
    set_text("collapse", "output");
    const std::string axes = "d_vocab d_embed -> d_vocab d_embed";
    if (own) {
      assume(
          fmt::format("{} is of the left operand, {} of the right one", left.module, embeddings_[1].module));
      add_rule("embed.W_E_a", left.module + ".weight", axes);
      add_rule("embed.W_E_b", embeddings_[1].module + ".weight", axes);
    } else {
      add_rule("embed.W_E", left.module + ".weight", axes);
    }
    if (in == 2 * d_embed) return add_halves("d_embed");
    assume(fmt::format("{} reads the sum of the embeddings of both operands", layers_.front().module));
    add_rule("mlp.W_in", layers_.front().module + ".weight", "d_mlp d_embed -> d_embed d_mlp");
  }

  void add_bias(const Linear& layer, const std::string& name, const std::string& axis) {
    if (layer.bias) add_rule(name, layer.module + ".bias", axis + " -> " + axis);
  }

  // What follows the first layer.
  void write() {
    add_bias(layers_.front(), "mlp.b_in", "d_mlp");
    if (layers_.size() == 3) {
      const Linear& second = layers_[1];
      if (second.in() != second.out())
        refuse(
            fmt::format("hidden layers of {} and {} neurons, and those of Orrery's mlp have the same number",
                        second.in(), second.out()));
      set("n_hidden", int64_t{2});
      add_rule("mlp.W_hidden", second.module + ".weight", "d_out d_mlp -> d_mlp d_out");
      add_bias(second, "mlp.b_hidden", "d_mlp");
    }
    add_rule("mlp.W_out", layers_.back().module + ".weight", "d_vocab_out d_mlp -> d_mlp d_vocab_out");
    add_bias(layers_.back(), "mlp.b_out", "d_vocab_out");
  }

  const std::string& where_;
  std::vector<Linear> layers_, embeddings_;
  Layout layout_{"by names", {}, {}};
  ModelShapes shapes_{"mlp", {}, {}};
};

}  // namespace

std::optional<Layout> perceptron_by_names(const StoredTensors& tensors, const std::string& where) {
  Tensors parts(tensors);
  if (parts.linears.size() < 2 || !parts.others.empty()) return {};
  if (!parts.norms.empty())
    throw UsageError(fmt::format("{}: a perceptron with what Orrery's mlp has not: normalisation ({})", where,
                                 fmt::join(parts.norms, ", ")),
                     "a model of your own can have it: [model] kind = \"task\" (docs/authoring.md)");
  return Chain(std::move(parts), where).layout();
}

}  // namespace orrery::engine
