// One network, stored in the names and axes of several code bases: it comes back the same each time.
#include "engine/import/layout_by_names.h"

#include <gtest/gtest.h>
#include <orrery/transformer.h>
#include <torch/types.h>

#include <deque>
#include <map>

#include "sdk/files/atomic_file.h"
#include "sdk/files/named_tensors.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using orrery::testing::error_of;
using orrery::testing::expect_holds;
using torch::Tensor;

const TaskSpec sums_mod_5 = {.d_vocab = 6, .d_vocab_out = 5, .n_ctx = 3, .read_out = {2}};
constexpr int64_t d_model = 4, n_heads = 2, d_head = 3, d_mlp = 5, width = n_heads * d_head;

std::unique_ptr<Model> biased_model() {
  TransformerConfig config;
  config.d_model = d_model;
  config.n_heads = n_heads;
  config.d_head = d_head;
  config.d_mlp = d_mlp;
  config.biases = TransformerConfig::Biases::all;
  auto model = make_transformer(config, sums_mod_5, make_generator(3));
  torch::NoGradGuard no_grad;
  for (NamedWeight& weight : model->weights())
    if (weight.value.dim() == 1 || weight.name.find(".b_") != std::string::npos)
      weight.value.copy_(torch::randn(weight.value.sizes(), make_generator(4)));
  return model;
}

// A file that a test makes itself.
class File {
 public:
  explicit File(const Model& model) : model_(model) {}
  Tensor ours(const std::string& name) const { return model_.weight(name).detach(); }
  Tensor block(const std::string& name) const { return ours("blocks.0." + name); }
  void add(const std::string& name, const Tensor& value) {
    const Tensor& own = kept_.emplace_back(value.contiguous());
    tensors.emplace_back(name,
                         pickle::StoredTensor{pickle::Dtype::F32,
                                              own.sizes().vec(),
                                              own.strides().vec(),
                                              0,
                                              {static_cast<const std::byte*>(own.data_ptr()), own.nbytes()}});
  }
  // [n_heads, d_model, d_head] -> [n_heads d_head, d_model], as a Linear has it.
  Tensor rows(const char letter) const {
    return block(std::string("attn.W_") + letter).transpose(1, 2).reshape({width, d_model});
  }
  Tensor bias(const char letter) const { return block(std::string("attn.b_") + letter).flatten(); }
  Tensor out() const { return block("attn.W_O").reshape({width, d_model}).t(); }
  StoredTensors tensors;

 private:
  const Model& model_;
  std::deque<Tensor> kept_;
};

void add_ends(File& file, const std::string& embed, const std::string& pos, const std::string& head) {
  file.add(embed, file.ours("embed.W_E"));
  file.add(pos, file.ours("pos_embed.W_pos"));
  file.add(head + ".weight", file.ours("unembed.W_U").t());
  file.add(head + ".bias", file.ours("unembed.b_U"));
}

void add_mlp(File& file, const std::string& in, const std::string& out, bool turned = false) {
  const auto stored = [&](const Tensor& linear) { return turned ? linear.t() : linear; };
  file.add(in + ".weight", stored(file.block("mlp.W_in").t()));
  file.add(in + ".bias", file.block("mlp.b_in"));
  file.add(out + ".weight", stored(file.block("mlp.W_out").t()));
  file.add(out + ".bias", file.block("mlp.b_out"));
}

void expect_same(const File& file, const Model& model) {
  const auto layout = layout_by_names(file.tensors, "x.pt");
  ASSERT_TRUE(layout);
  const Converted converted = convert(file.tensors, *layout, model, sums_mod_5.d_vocab, false, "x.pt");
  ASSERT_EQ(converted.weights.size(), model.weights().size());
  for (const auto& [name, value] : converted.weights) EXPECT_TRUE(value.equal(model.weight(name))) << name;
}

TEST(LayoutByNames, nanogpt) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "transformer.wte.weight", "transformer.wpe.weight", "lm_head");
  file.add("transformer.h.0.attn.bias", torch::ones({1, 1, 3, 3}).tril());  // the causal mask
  file.add("transformer.h.0.attn.c_attn.weight",
           torch::cat({file.rows('Q'), file.rows('K'), file.rows('V')}));
  file.add("transformer.h.0.attn.c_attn.bias", torch::cat({file.bias('Q'), file.bias('K'), file.bias('V')}));
  file.add("transformer.h.0.attn.c_proj.weight", file.out());
  file.add("transformer.h.0.attn.c_proj.bias", file.block("attn.b_O"));
  add_mlp(file, "transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj");
  expect_same(file, *model);
}

// Conv1D stores [in, out]; the head is a Linear all the same.
TEST(LayoutByNames, gpt2) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "transformer.wte.weight", "transformer.wpe.weight", "lm_head");
  file.add("transformer.h.0.attn.c_attn.weight",
           torch::cat({file.rows('Q'), file.rows('K'), file.rows('V')}).t());
  file.add("transformer.h.0.attn.c_attn.bias", torch::cat({file.bias('Q'), file.bias('K'), file.bias('V')}));
  file.add("transformer.h.0.attn.c_proj.weight", file.out().t());
  file.add("transformer.h.0.attn.c_proj.bias", file.block("attn.b_O"));
  add_mlp(file, "transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj", /*turned=*/true);
  expect_same(file, *model);
}

TEST(LayoutByNames, torch_nn_transformer_encoder) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "embedding.weight", "pos_embedding.weight", "output");
  file.add("encoder.layers.0.self_attn.in_proj_weight",
           torch::cat({file.rows('Q'), file.rows('K'), file.rows('V')}));
  file.add("encoder.layers.0.self_attn.in_proj_bias",
           torch::cat({file.bias('Q'), file.bias('K'), file.bias('V')}));
  file.add("encoder.layers.0.self_attn.out_proj.weight", file.out());
  file.add("encoder.layers.0.self_attn.out_proj.bias", file.block("attn.b_O"));
  add_mlp(file, "encoder.layers.0.linear1", "encoder.layers.0.linear2");
  expect_same(file, *model);
}

TEST(LayoutByNames, a_tensor_for_each_head) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "tok_embed.weight", "pos_embed.weight", "unembed");
  for (const char letter : {'Q', 'K', 'V'})
    for (int64_t head = 0; head < n_heads; ++head) {
      const std::string name = "layers.0.heads." + std::to_string(head) + ".W_" + letter;
      file.add(name + ".weight", file.block(std::string("attn.W_") + letter)[head].t());
      file.add(name + ".bias", file.block(std::string("attn.b_") + letter)[head]);
    }
  file.add("layers.0.W_O.weight", file.out());
  file.add("layers.0.W_O.bias", file.block("attn.b_O"));
  add_mlp(file, "layers.0.mlp.0", "layers.0.mlp.2");
  expect_same(file, *model);
  // Without one of them there is no guess.
  std::erase_if(file.tensors, [](const auto& one) { return one.first == "layers.0.heads.0.W_K.weight"; });
  expect_holds(error_of([&] { expect_same(file, *model); }), "blocks.0.attn.W_K: 1 of 2 heads");
}

TEST(LayoutByNames, one_layer_without_a_number_and_heads_with_their_three) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "embed.weight", "pos_emb", "head");
  const auto by_head = [&](Tensor q, Tensor k, Tensor v) {  // [heads, 3, d_head, ...]
    const auto split = [](const Tensor& x) { return x.reshape({n_heads, 1, d_head, -1}); };
    return torch::cat({split(q), split(k), split(v)}, 1);
  };
  file.add("block.attn.query_key_value.weight",
           by_head(file.rows('Q'), file.rows('K'), file.rows('V')).reshape({3 * width, d_model}));
  file.add("block.attn.query_key_value.bias",
           by_head(file.bias('Q'), file.bias('K'), file.bias('V')).flatten());
  file.add("block.attn.dense.weight", file.out());
  file.add("block.attn.dense.bias", file.block("attn.b_O"));
  add_mlp(file, "block.mlp.dense_h_to_4h", "block.mlp.dense_4h_to_h");
  expect_same(file, *model);
}

// PyTorch's tutorial multiplies its embedding by sqrt(d_model): a map says so, of whatever name it has.
TEST(LayoutByNames, what_a_map_speaks_of_may_be_missing_from_the_rest) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "words.weight", "pos_encoder.pe", "decoder");
  const std::string layer = "transformer_encoder.layers.0.";
  file.add(layer + "self_attn.in_proj_weight", torch::cat({file.rows('Q'), file.rows('K'), file.rows('V')}));
  file.add(layer + "self_attn.in_proj_bias", torch::cat({file.bias('Q'), file.bias('K'), file.bias('V')}));
  file.add(layer + "self_attn.out_proj.weight", file.out());
  file.add(layer + "self_attn.out_proj.bias", file.block("attn.b_O"));
  add_mlp(file, layer + "linear1", layer + "linear2");
  const orrery::testing::TestFolder folder;
  const auto read = [&](const std::string& map) {
    write_file(folder / "map.toml", std::string_view("based_on = \"by_names\"\n" + map));
    return read_layout(folder / "map.toml", file.tensors, "x.pt");
  };
  const std::string embed = "[[weight]]\nname = \"embed.W_E\"\nfrom = \"words.weight\"\nfactor = 2\n";
  const Converted converted = convert(file.tensors, read(embed), *model, sums_mod_5.d_vocab, false, "x.pt");
  for (const auto& [name, value] : converted.weights)
    EXPECT_TRUE(value.equal((name == "embed.W_E" ? 2 : 1) * model->weight(name))) << name;
  // So may all of attention be.
  std::erase_if(file.tensors, [](const auto& one) { return one.first.find("self_attn") != one.first.npos; });
  for (const char* letter : {"Q", "K", "V", "O"})
    file.add(std::string("mixer.") + letter, file.block(std::string("attn.W_") + letter));
  std::string attention = embed;
  for (const std::string letter : {"Q", "K", "V", "O"})
    attention +=
        "[[weight]]\nname = \"blocks.{layer}.attn.W_" + letter + "\"\nfrom = \"mixer." + letter + "\"\n";
  expect_holds(error_of([&] { convert(file.tensors, read(attention), *model, 6, false, "x.pt"); }),
               "no error");
  expect_holds(error_of([&] { read("ignore = [\"words.*\", \"mixer.*\"]"); }),
               "are not those of a transformer");
}

TEST(LayoutByNames, fixed_positions_become_a_weight_and_that_is_said) {
  const auto model = biased_model();
  for (const bool learned : {false, true}) {
    File file(*model);
    const Tensor angles = torch::arange(3, torch::kFloat).unsqueeze(1) * torch::tensor({1.0, 0.01});
    const Tensor waves = torch::stack({angles.sin(), angles.cos()}, 2).flatten(1);
    file.add("wte.weight", file.ours("embed.W_E"));
    file.add("pos_encoder.pe", learned ? file.ours("pos_embed.W_pos") : waves);
    file.add("h.0.attn.q_proj.weight", file.rows('Q'));
    const auto layout = layout_by_names(file.tensors, "x.pt");
    const std::string said = layout->assumptions.empty() ? "" : layout->assumptions.front();
    EXPECT_EQ(said.find("pos_encoder.pe are fixed sinusoids") != said.npos, !learned) << said;
  }
}

// Its attention and MLP read the same stream, which no shape tells.
TEST(LayoutByNames, gpt_neox_is_known_by_its_names) {
  const auto model = biased_model();
  for (const std::string attention : {"attention", "self_attention"}) {
    File file(*model);
    file.add("gpt_neox.embed_in.weight", file.ours("embed.W_E"));
    file.add("gpt_neox.layers.0." + attention + ".query_key_value.weight", torch::ones({3 * width, d_model}));
    file.add("gpt_neox.layers.0." + attention + ".dense.weight", file.out());
    add_mlp(file, "gpt_neox.layers.0.mlp.dense_h_to_4h", "gpt_neox.layers.0.mlp.dense_4h_to_h");
    EXPECT_EQ(layout_by_names(file.tensors, "x.pt")->parallel, attention == "attention");
    const orrery::testing::TestFolder folder;
    write_file(folder / "map.toml",
               std::string_view("based_on = \"by_names\"\nuse_parallel_residual = false\n"));
    EXPECT_FALSE(read_layout(folder / "map.toml", file.tensors, "x.pt").parallel);
  }
}

// They are computed from its frequencies, which lie in the file.
TEST(LayoutByNames, rotary_frequencies_tell_of_the_positions) {
  const auto model = biased_model();
  const auto shapes = [&](const Tensor& frequencies) {
    File file(*model);
    file.add("wte.weight", file.ours("embed.W_E"));
    file.add("h.0.attn.q_proj.weight", file.rows('Q'));
    file.add("h.0.attn.rotary_emb.inv_freq", frequencies);
    return model_of(file.tensors, *layout_by_names(file.tensors, "x.pt")).values;
  };
  const Tensor powers = torch::pow(500.0, torch::arange(8, torch::kFloat) / -8);
  Values values = shapes(powers);
  EXPECT_EQ(values.at("positional_embedding_type"), Value(std::string("rotary")));
  EXPECT_EQ(values.at("rotary_dim"), Value(int64_t{16}));
  EXPECT_EQ(values.at("rotary_base"), Value(500.0));
  expect_holds(error_of([&] { shapes(powers / 4); }),
               "not the powers of one base (h.0.attn.rotary_emb.inv_freq)");
}

TEST(LayoutByNames, what_orrery_has_not_is_said_in_one_sentence) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "token_emb.weight", "pos_emb.weight", "lm_head");
  file.add("blocks.0.attn.qkv_A", torch::ones({4, 3}));
  file.add("blocks.0.attn.q_norm.weight", torch::ones({3}));
  file.add("blocks.0.attn.q_proj.weight", file.rows('Q'));
  const std::string said = error_of([&] { layout_by_names(file.tensors, "x.pt"); });
  expect_holds(said, "x.pt: a transformer with what Orrery's has not");
  expect_holds(said, "normalised queries and keys (blocks.0.attn.q_norm.weight)");
  expect_holds(said, "low rank) (blocks.0.attn.qkv_A)");
  // Operands of two vocabularies.
  File two(*model);
  for (const char* name : {"x_embed.weight", "y_embed.weight"}) two.add(name, torch::ones({5, 4}));
  two.add("blocks.0.attn.q_proj.weight", two.rows('Q'));
  expect_holds(error_of([&] { layout_by_names(two.tensors, "x.pt"); }),
               "embeddings of their own for parts of the input (x_embed.weight, y_embed.weight)");
}

TEST(LayoutByNames, contradictions_and_squares_are_not_guessed) {
  const auto model = biased_model();
  File both(*model);
  add_ends(both, "wte.weight", "wpe.weight", "lm_head");
  both.add("h.0.attn.q_proj.weight", torch::ones({6, 4}));
  both.add("h.0.mlp.c_fc.weight", torch::ones({4, 5}));
  expect_holds(error_of([&] { layout_by_names(both.tensors, "x.pt"); }),
               "h.0.attn.q_proj.weight is stored as [out, in] and h.0.mlp.c_fc.weight as [in, out]");
  File square(*model);
  add_ends(square, "wte.weight", "wpe.weight", "lm_head");
  square.add("h.0.attn.wq", torch::ones({4, 4}));
  expect_holds(error_of([&] { layout_by_names(square.tensors, "x.pt"); }),
               "h.0.attn.wq is square and no torch.nn.Linear");
  // What an MLP of torch.nn.Linear tells says nothing of a raw parameter.
  square.add("h.0.mlp.c_fc.weight", torch::ones({5, 4}));
  expect_holds(error_of([&] { layout_by_names(square.tensors, "x.pt"); }), "h.0.attn.wq is square");
  // No attention, no transformer: other layouts are asked.
  File other(*model);
  other.add("mlp.W_in", torch::ones({4, 4}));
  EXPECT_FALSE(layout_by_names(other.tensors, "x.pt"));
}

// A mask says "seen" or "not seen"; anything else is a parameter.
TEST(LayoutByNames, parameters_are_not_taken_for_masks) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "wte.weight", "wpe.weight", "lm_head");
  file.add("h.0.attn.q_proj.weight", file.rows('Q'));
  file.add("h.0.attn.mask", torch::ones({3, 3}).tril());
  const auto layout = layout_by_names(file.tensors, "x.pt");
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->ignored, std::vector<std::string>{"h.0.attn.mask"});
  // Neither is what has no entries at all.
  file.add("h.0.attn.cache", torch::ones({0, 3, 3}));
  expect_holds(error_of([&] { layout_by_names(file.tensors, "x.pt"); }), "(h.0.attn.cache)");
  for (const auto& [name, shape] : {std::pair("h.0.attn.pos_bias", std::vector<int64_t>{1, 1, 3, 3}),
                                    std::pair("h.0.attn.mask", std::vector<int64_t>{3, 3})}) {
    File learned(*model);
    add_ends(learned, "wte.weight", "wpe.weight", "lm_head");
    learned.add("h.0.attn.q_proj.weight", learned.rows('Q'));
    learned.add(name, torch::full(shape, 0.3));
    expect_holds(error_of([&] { layout_by_names(learned.tensors, "x.pt"); }),
                 std::string("parameters of its own (") + name);
  }
}

TEST(LayoutByNames, one_network_has_one_stack_and_its_own_norm) {
  const auto model = biased_model();
  File two(*model);
  add_ends(two, "wte.weight", "wpe.weight", "lm_head");
  two.add("encoder.layers.0.attn.q_proj.weight", two.rows('Q'));
  two.add("decoder.layers.1.attn.q_proj.weight", two.rows('Q'));
  expect_holds(error_of([&] { layout_by_names(two.tensors, "x.pt"); }),
               "several stacks of layers (decoder.layers., encoder.layers.)");
  File embedded(*model);
  add_ends(embedded, "embeddings.wte.weight", "embeddings.wpe.weight", "lm_head");
  embedded.add("h.0.attn.q_proj.weight", embedded.rows('Q'));
  embedded.add("embeddings.LayerNorm.weight", torch::ones({4}));
  expect_holds(error_of([&] { layout_by_names(embedded.tensors, "x.pt"); }), "(embeddings.LayerNorm.weight)");
}

// Without a shift it may be either, so the config decides.
TEST(LayoutByNames, a_norm_without_bias_may_be_both) {
  const auto model = biased_model();
  File file(*model);
  add_ends(file, "wte.weight", "wpe.weight", "lm_head");
  file.add("h.0.attn.q_proj.weight", file.rows('Q'));
  file.add("h.0.ln_1.weight", torch::ones({4}));  // nanoGPT's
  const auto shapes = [&] { return model_of(file.tensors, *layout_by_names(file.tensors, "x.pt")); };
  EXPECT_FALSE(shapes().values.contains("normalization_type"));
  EXPECT_EQ(shapes().likely.at("normalization_type"), Value(std::string("LN")));
  file.add("h.0.ln_1.bias", torch::ones({4}));
  EXPECT_EQ(shapes().values.at("normalization_type"), Value(std::string("LN")));
  File other(*model);
  add_ends(other, "wte.weight", "wpe.weight", "lm_head");
  other.add("h.0.attn.q_proj.weight", other.rows('Q'));
  other.add("h.0.norm1.weight", torch::ones({4}));
  EXPECT_EQ(model_of(other.tensors, *layout_by_names(other.tensors, "x.pt")).likely.at("normalization_type"),
            Value(std::string("RMS")));
}

}  // namespace
}  // namespace orrery::engine
