// Published layouts against the published computation: the einsums of the authors' code, in float64.
#include "engine/import/layout.h"

#include <gtest/gtest.h>
#include <orrery/transformer.h>
#include <torch/types.h>

#include <cmath>
#include <deque>

#include "engine/import/weights_file.h"
#include "sdk/files/atomic_file.h"
#include "sdk/files/named_tensors.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using orrery::testing::error_of;
using orrery::testing::expect_holds;
using orrery::testing::TestFolder;
using pickle::StoredTensor;

StoredTensors fixture(const std::string& name, const std::string& key = "") {
  static std::deque<WeightsFile> kept;
  const auto& file = kept.emplace_back(std::string(ORRERY_SOURCE_DIR "/tests/fixtures/") + name);
  return find_networks(file.root(), key, "", name).networks[0].tensors();
}

const StoredTensor& stored(const StoredTensors& tensors, const std::string& name) {
  for (const auto& [known, tensor] : tensors)
    if (known == name) return tensor;
  throw std::runtime_error("no " + name);
}

// Element by element, as PyTorch defines strides.
torch::Tensor plain(const StoredTensor& tensor) {
  std::vector<double> values;
  std::vector<int64_t> at(tensor.shape.size(), 0);
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  for (int64_t i = 0; i < count; ++i) {
    size_t element = tensor.offset;
    for (size_t d = 0; d < at.size(); ++d) element += static_cast<size_t>(at[d] * tensor.strides[d]);
    const std::byte* data = tensor.storage.data() + element * size_of(tensor.dtype);
    values.push_back(tensor.dtype == pickle::Dtype::F64 ? *reinterpret_cast<const double*>(data)
                     : tensor.dtype == pickle::Dtype::F16
                         ? static_cast<double>(*reinterpret_cast<const at::Half*>(data))
                         : static_cast<double>(*reinterpret_cast<const float*>(data)));
    for (size_t d = at.size(); d-- > 0 && ++at[d] == tensor.shape[d];) at[d] = 0;
  }
  return torch::tensor(values, torch::kDouble).reshape(tensor.shape);
}

// Tensors that a test makes itself.
class Made {
 public:
  Made& add(const std::string& name, const torch::Tensor& value) {
    const torch::Tensor& own = kept_.emplace_back(value.to(torch::kFloat).contiguous());
    tensors.emplace_back(name, StoredTensor{pickle::Dtype::F32,
                                            own.sizes().vec(),
                                            own.strides().vec(),
                                            0,
                                            {static_cast<const std::byte*>(own.data_ptr()), own.nbytes()}});
    return *this;
  }
  StoredTensors tensors;

 private:
  std::deque<torch::Tensor> kept_;
};

// transformers.py of progress-measures-paper; `factor` is what a layer makes of its input besides adding to
// it.
torch::Tensor published(const StoredTensors& tensors, const std::string& block, int64_t n_layers,
                        double factor, const torch::Tensor& tokens) {
  const auto get = [&](const std::string& name) { return plain(stored(tensors, name)); };
  torch::Tensor x = torch::einsum("dbp->bpd", {get("embed.W_E")
                                                   .index_select(1, tokens.flatten())
                                                   .reshape({-1, tokens.size(0), tokens.size(1)})}) +
                    get("pos_embed.W_pos").narrow(0, 0, tokens.size(1));
  for (int64_t layer = 0; layer < n_layers; ++layer) {
    const std::string at = block + "." + std::to_string(layer) + ".";
    const auto k = torch::einsum("ihd,bpd->biph", {get(at + "attn.W_K"), x});
    const auto q = torch::einsum("ihd,bpd->biph", {get(at + "attn.W_Q"), x});
    const auto v = torch::einsum("ihd,bpd->biph", {get(at + "attn.W_V"), x});
    const auto pre = torch::einsum("biph,biqh->biqp", {k, q});
    const auto mask = torch::ones({tokens.size(1), tokens.size(1)}, torch::kDouble).tril();
    const auto scores = (pre.tril() - 1e10 * (1 - mask)) / std::sqrt(static_cast<double>(k.size(3)));
    const auto z = torch::einsum("biph,biqp->biqh", {v, torch::softmax(scores, -1)});
    const auto flat = z.transpose(1, 2).reshape({z.size(0), z.size(2), -1});  // b q (i h)
    x = factor * x + torch::einsum("df,bqf->bqd", {get(at + "attn.W_O"), flat});
    if (block != "blocks") continue;
    const auto post =
        torch::relu(torch::einsum("md,bpd->bpm", {get(at + "mlp.W_in"), x}) + get(at + "mlp.b_in"));
    x = x + torch::einsum("dm,bpm->bpd", {get(at + "mlp.W_out"), post}) + get(at + "mlp.b_out");
  }
  return x.matmul(get("unembed.W_U"));
}

const TaskSpec sums = {.d_vocab = 6, .d_vocab_out = 5, .n_ctx = 3, .read_out = {2}};
const TransformerConfig small = {.d_model = 4, .n_heads = 2, .d_head = 3, .d_mlp = 5};

std::unique_ptr<Model> small_model(TransformerConfig config = small, TaskSpec spec = sums) {
  return make_transformer(config, spec, make_generator(1));
}

// The model's logits in float64, whose rounding (2^-53 of sums of at most a few hundred terms) stays below
// 1e-12 of the largest logit.
torch::Tensor logits_of(Model& model, const NamedTensors& weights, const torch::Tensor& tokens) {
  torch::NoGradGuard no_grad;
  load_weights(model, weights);
  for (NamedWeight& weight : model.weights()) weight.value.set_data(weight.value.to(torch::kDouble));
  return model.forward(tokens);
}
void expect_close(const torch::Tensor& got, const torch::Tensor& expected) {
  ASSERT_EQ(got.sizes(), expected.sizes());
  const double largest = expected.abs().max().item<double>();
  EXPECT_LE((got - expected).abs().max().item<double>(), 1e-12 * largest);
}
torch::Tensor all_pairs() {
  return torch::cartesian_prod({torch::arange(5), torch::arange(5), torch::full({1}, 5, torch::kInt64)});
}

TEST(Layout, progress_measures_computes_what_its_code_does) {
  const StoredTensors tensors = fixture("progress_measures.pth");
  const Layout layout = detect_layout(tensors, "x");
  EXPECT_EQ(layout.name, "progress_measures");
  const auto model = small_model();
  const Converted made = convert(tensors, layout, *model, sums.d_vocab, false, "x");
  const torch::Tensor expected = published(tensors, "blocks", 1, 1, all_pairs());
  expect_close(logits_of(*model, made.weights, all_pairs()), expected.narrow(2, 0, 5));
  // The sixth output, of "=", is kept aside.
  ASSERT_EQ(made.unused.size(), 1u);
  EXPECT_EQ(made.unused[0].first, "unembed.W_U");
  EXPECT_TRUE(torch::equal(made.unused[0].second.to(torch::kDouble),
                           plain(stored(tensors, "unembed.W_U")).narrow(1, 5, 1)));
  EXPECT_EQ(made.notes.size(), 2u);
  expect_holds(made.notes[0].what, "the task has 5 classes; the output of token 5 is set aside");
  EXPECT_EQ(made.notes[1].names, std::vector<std::string>{"blocks.0.attn.mask"});
}

TEST(Layout, transformer_lens_keeps_every_bit) {
  const StoredTensors tensors = fixture("transformer_lens.pt");
  const Layout layout = detect_layout(tensors, "x");
  EXPECT_EQ(layout.name, "transformer_lens");
  const auto model = small_model();
  const Converted made = convert(tensors, layout, *model, sums.d_vocab, false, "x");
  EXPECT_EQ(made.weights.size(), model->weights().size());
  for (const auto& [name, value] : made.weights)
    EXPECT_TRUE(torch::equal(value.to(torch::kFloat), plain(stored(tensors, name)).to(torch::kFloat)))
        << name;
  EXPECT_TRUE(made.unused.empty());
  ASSERT_EQ(made.notes.size(), 3u);
  EXPECT_EQ(made.notes[1].what, "left out, because they are all zero and the model has none");
  EXPECT_EQ(made.notes[1].names.at(0), "blocks.0.attn.b_Q");
  EXPECT_EQ(made.notes[2].what, "rounded to float32");
  EXPECT_EQ(made.notes[2].names.at(0), "blocks.0.mlp.W_in");
}

TEST(Layout, biases_that_are_not_zero_count) {
  Made made;
  for (const auto& [name, tensor] : fixture("transformer_lens.pt"))
    if (name.find("mask") == name.npos && name.find("IGNORE") == name.npos)
      made.add(name, name == "blocks.0.attn.b_Q" ? torch::ones({2, 3}) : plain(tensor));
  const Layout layout = find_layout("transformer_lens");
  EXPECT_EQ(std::get<std::string>(model_of(made.tensors, layout).values.at("biases")), "all");
  expect_holds(error_of([&] { convert(made.tensors, layout, *small_model(), 6, false, "x"); }),
               "blocks.0.attn.b_Q: unexpected");
  TransformerConfig all = small;
  all.biases = TransformerConfig::Biases::all;
  const Converted converted = convert(made.tensors, layout, *small_model(all), 6, false, "x");
  EXPECT_EQ(find_named(converted.weights, "blocks.0.attn.b_Q").sum().item<double>(), 6);
}

// The first of a series may have no more than zeros for them.
TEST(Layout, biases_of_any_checkpoint_are_those_of_the_network) {
  const Layout layout = find_layout("transformer_lens");
  Made zero, mlp, all;
  for (const auto& [name, tensor] : fixture("transformer_lens.pt")) {
    if (name.find("mask") != name.npos || name.find("IGNORE") != name.npos) continue;
    const bool bias = name.find(".b_") != name.npos, of_mlp = name.find(".mlp.b_") != name.npos;
    const torch::Tensor value = plain(tensor), ones = torch::ones_like(value);
    zero.add(name, bias ? 0 * value : value);
    mlp.add(name, of_mlp ? ones : bias ? 0 * value : value);
    all.add(name, bias ? ones : value);
  }
  const auto biases = [&](const Made& first, const Made& second) {
    ModelShapes shapes = model_of(first.tensors, layout);
    join_biases(shapes, model_of(second.tensors, layout));
    EXPECT_EQ(shapes.zero_biases, &second != &all);
    EXPECT_EQ(shapes.likely.contains("biases"), !shapes.values.contains("biases"));
    return orrery::to_string(shapes.values.contains("biases") ? shapes.values.at("biases")
                                                              : shapes.likely.at("biases"));
  };
  EXPECT_EQ(biases(zero, zero), "\"mlp\"");
  EXPECT_EQ(biases(zero, mlp), "\"mlp\"");
  EXPECT_EQ(biases(mlp, zero), "\"mlp\"");
  EXPECT_EQ(biases(zero, all), "\"all\"");
  EXPECT_EQ(biases(mlp, all), "\"all\"");
}

TEST(Layout, shapes_say_the_config) {
  const auto shapes = [](const std::string& name) {
    const StoredTensors tensors = fixture(name);
    return model_of(tensors, detect_layout(tensors, name)).values;
  };
  const Values expected = {{"n_layers", int64_t{1}},
                           {"d_model", int64_t{4}},
                           {"n_heads", int64_t{2}},
                           {"d_head", int64_t{3}},
                           {"d_mlp", int64_t{5}},
                           {"attn_only", false},
                           {"biases", std::string("mlp")},
                           {"n_ctx", int64_t{3}},
                           {"gated_mlp", false},
                           {"positional_embedding_type", std::string("standard")},
                           {"unembedding", std::string("own")}};
  EXPECT_EQ(shapes("progress_measures.pth"), expected);
  EXPECT_EQ(shapes("transformer_lens.pt"), expected);
  Values induction = {{"n_layers", int64_t{2}},
                      {"d_model", int64_t{4}},
                      {"n_heads", int64_t{2}},
                      {"d_head", int64_t{2}},
                      {"attn_only", true},
                      {"biases", std::string("mlp")},
                      {"n_ctx", int64_t{12}},
                      {"positional_embedding_type", std::string("standard")},
                      {"unembedding", std::string("own")}};
  EXPECT_EQ(shapes("induction.pth"), induction);
}

// Each layer adds the stream twice: x becomes 2 x + attention(x).
TEST(Layout, a_residual_stream_that_is_added_twice_is_folded_exactly) {
  const StoredTensors tensors = fixture("induction.pth");
  const Layout layout = detect_layout(tensors, "x");
  EXPECT_EQ(layout.name, "progress_measures_induction");
  const TransformerConfig config = {
      .n_layers = 2, .d_model = 4, .n_heads = 2, .d_head = 2, .attn_only = true};
  const TaskSpec spec = {.d_vocab = 4, .d_vocab_out = 4, .n_ctx = 12, .read_out = {11}};
  const auto model = small_model(config, spec);
  const Converted made = convert(tensors, layout, *model, 4, false, "x");
  const torch::Tensor tokens = torch::randint(4, {20, 12}, make_generator(3), torch::kInt64);
  const torch::Tensor twice = published(tensors, "attn_blocks", 2, 2, tokens);
  expect_close(logits_of(*model, made.weights, tokens), twice);
  // It is not what adding it once would give.
  EXPECT_GT((published(tensors, "attn_blocks", 2, 1, tokens) - twice).abs().max().item<double>(), 0.1);

  expect_holds(
      error_of([&] { convert(tensors, layout, *small_model(config, spec), 4, true, "x"); }),
      "x: its layers add the residual stream 2 times, which cannot be folded into the weights of a network "
      "that normalises it");
  Layout doubled = find_layout("progress_measures");
  doubled.residual_factor = 2;
  expect_holds(
      error_of([&] { convert(fixture("progress_measures.pth"), doubled, *small_model(), 6, false, "x"); }),
      "with MLPs");
}

TEST(Layout, all_that_does_not_fit_is_named_at_once) {
  Made made;
  for (const auto& [name, tensor] : fixture("progress_measures.pth")) {
    if (name == "blocks.0.attn.W_V" || name == "blocks.0.attn.mask") continue;
    made.add(name, name == "blocks.0.attn.W_O" ? torch::ones({4, 7}) : plain(tensor));
  }
  made.add("blocks.0.attn.W_X", torch::ones({2}));
  const std::string said = error_of([&] {
    convert(made.tensors, find_layout("progress_measures"), *small_model(), 6, false, "x.pth: model");
  });
  expect_holds(said, "x.pth: model: its tensors (layout progress_measures) do not fit the model");
  expect_holds(said, "blocks.0.attn.W_O: shape [4, 7], expected [4, 6] (d_model (n_heads d_head))");
  expect_holds(said, "blocks.0.attn.W_X: unexpected, the model has no such weight");
  EXPECT_EQ(said.find("W_O: missing"), said.npos) << said;
  expect_holds(said, "blocks.0.attn.W_V: missing, expected [2, 3, 4] (n_heads d_head d_model)");
}

TEST(Layout, a_network_of_another_task_is_refused) {
  const StoredTensors tensors = fixture("progress_measures.pth");
  const TaskSpec larger = {.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  const std::string said = error_of([&] {
    convert(tensors, find_layout("progress_measures"), *small_model(small, larger), 8, false, "x");
  });
  expect_holds(said, "embed.W_E: shape [4, 6], expected [4, 8] (d_model d_vocab)");
  expect_holds(said, "unembed.W_U: shape [4, 6], expected [4, 7] (d_model d_vocab_out)");
  // More outputs than tokens are not spare outputs.
  const TaskSpec fewer = {.d_vocab = 6, .d_vocab_out = 3, .n_ctx = 3, .read_out = {2}};
  expect_holds(error_of([&] {
                 convert(tensors, find_layout("progress_measures"), *small_model(small, fewer), 5, false,
                         "x");
               }),
               "unembed.W_U: shape [4, 6], expected [4, 3]");
}

TEST(Layout, names_nobody_knows_ask_for_a_map) {
  Made made;
  made.add("encoder.weight", torch::ones({2, 2}));
  const std::string said = error_of([&] { detect_layout(made.tensors, "x.pth"); });
  expect_holds(said, "x.pth: its tensors match no known layout: encoder.weight");
  expect_holds(said, "--map");
  expect_holds(error_of([] { find_layout("transformer_lense"); }), "did you mean \"transformer_lens\"?");
}

// Queries, keys and values in one matrix, as torch.nn.MultiheadAttention has them.
TEST(Map, renames_transposes_splits_and_scales) {
  const TestFolder folder;
  write_file(folder / "map.toml", std::string_view(R"(
n_heads = 2
ignore = ["*.scale"]
[[weight]]
name = "embed.W_E"
from = "tokens.weight"
axes = "d_model d_vocab"
factor = -2
[[weight]]
name = "blocks.{layer}.attn.W_Q"
from = "layers.{layer}.qkv"
axes = "(3 n_heads d_head) d_model"
[[weight]]
name = "blocks.{layer}.attn.W_K"
from = "layers.{layer}.qkv"
axes = "(3 n_heads d_head) d_model"
part = 1
[[weight]]
name = "blocks.{layer}.attn.W_V"
from = "layers.{layer}.qkv"
axes = "(3 n_heads d_head) d_model"
part = 2
)"));
  const Layout layout = read_layout(folder / "map.toml");
  const torch::Tensor W_E = torch::randn({4, 6}), qkv = torch::randn({18, 4});
  Made made;
  made.add("tokens.weight", W_E).add("layers.0.qkv", qkv).add("layers.0.scale", torch::ones({1}));
  for (const auto& [name, tensor] : fixture("transformer_lens.pt"))
    if (name.find("W_E") == name.npos && name.find("W_Q") == name.npos && name.find("W_K") == name.npos &&
        name.find("W_V") == name.npos && name.find("mask") == name.npos && name.find("IGNORE") == name.npos)
      made.add(name, plain(tensor));
  EXPECT_EQ(std::get<int64_t>(model_of(made.tensors, layout).values.at("d_head")), 3);
  const Converted converted = convert(made.tensors, layout, *small_model(), 6, false, "x");
  EXPECT_TRUE(torch::equal(find_named(converted.weights, "embed.W_E"), -2 * W_E.t()));
  for (int64_t part = 0; part < 3; ++part) {
    const auto& weight = find_named(converted.weights, std::string("blocks.0.attn.W_") + "QKV"[part]);
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t i = 0; i < 3; ++i)
        for (int64_t d = 0; d < 4; ++d)
          EXPECT_EQ(weight[head][d][i].item<float>(), qkv[part * 6 + head * 3 + i][d].item<float>());
  }
}

// A first layer of another name, and layers that are counted from it.
TEST(Map, names_single_layers_beside_all) {
  const TestFolder folder;
  write_file(folder / "map.toml", std::string_view(R"(
[[weight]]
name = "blocks.{layer}.attn.W_Q"
from = "layers.{layer}.q"
axes = "(n_heads d_head) d_model"
[[weight]]
name = "blocks.1.attn.W_Q"
from = "layers.0.q"
axes = "(n_heads d_head) d_model"
[[weight]]
name = "blocks.0.attn.W_Q"
from = "first.q"
axes = "n_heads d_head d_model"
)"));
  const Layout layout = read_layout(folder / "map.toml");
  TransformerConfig config = small;
  config.n_layers = 3;
  const auto model = small_model(config);
  Made made;
  for (const NamedWeight& weight : model->weights())
    if (weight.name.find("W_Q") == weight.name.npos) made.add(weight.name, weight.value.detach());
  const auto W_Q = [&](int64_t layer) {
    return model->weight("blocks." + std::to_string(layer) + ".attn.W_Q").detach().transpose(1, 2);
  };
  made.add("first.q", W_Q(0))
      .add("layers.0.q", W_Q(1).reshape({6, 4}))
      .add("layers.2.q", W_Q(2).reshape({6, 4}));
  EXPECT_EQ(std::get<int64_t>(model_of(made.tensors, layout).values.at("n_layers")), 3);
  const Converted converted = convert(made.tensors, layout, *model, 6, false, "x");
  for (const NamedWeight& weight : model->weights())
    EXPECT_TRUE(torch::equal(find_named(converted.weights, weight.name), weight.value.detach()))
        << weight.name;
  // What is missing is missed under the name that the map gives it.
  std::erase_if(made.tensors, [](const auto& one) { return one.first == "layers.0.q"; });
  expect_holds(error_of([&] { convert(made.tensors, layout, *model, 6, false, "x"); }),
               "layers.0.q: missing (for blocks.1.attn.W_Q), expected [6, 4] ((n_heads d_head) d_model)");
}

TEST(Map, mistakes_are_shown_where_they_are) {
  const TestFolder folder;
  const auto said = [&](const std::string& text) {
    write_file(folder / "map.toml", std::string_view(text));
    return error_of([&] { read_layout(folder / "map.toml"); });
  };
  expect_holds(said("based_on = \"torch\""), "map.toml:1:1");
  expect_holds(said("ignores = []"), "did you mean \"ignore\"?");
  expect_holds(said("residual_factor = 0"), "expected more than 0");
  const std::string weight = "[[weight]]\nname = \"embed.W_E\"\n";
  expect_holds(said("[[weight]]\nfrom = \"a\""), "name");
  expect_holds(said(weight + "axis = \"d_model d_vocab\""), "did you mean \"axes\"?");
  expect_holds(said(weight + "axes = \"d_model d_voc\""), "which have other names");
  expect_holds(said(weight + "axes = \"(d_model d_vocab\""), "brackets that do not match");
  expect_holds(said(weight + "axes = \"d_model d_vocab d_model\""), "comes twice");
  expect_holds(said(weight + "axes = \"(2 d_model) d_vocab\"\npart = 2"), "part 2 of 2");
  expect_holds(said(weight + "axes = \"2 d_model d_vocab\""), "belongs in brackets");
  expect_holds(said(weight + "from = \"{layer}.E\""), "{layer}");
  expect_holds(said(weight + weight), "comes twice");
  const std::string layer = "[[weight]]\nname = \"blocks.1.attn.W_Q\"\nfrom = \"q\"\n";
  expect_holds(said(layer + layer), "\"blocks.1.attn.W_Q\" comes twice");
  expect_holds(said("[[weight]]\nname = \"blocks.1.attn.W_Q\"\nfrom = \"{layer}.q\""), "{layer}");
  expect_holds(said("[[weight]]\nname = \"mlp.W_in\"\naxes = \"a b\""), "-> columns rows");
  EXPECT_EQ(said("[[weight]]\nname = \"mlp.W_in\"\naxes = \"a b -> b a\""), "no error");
}

}  // namespace
}  // namespace orrery::engine
