// Networks with the transformer's options train, and a training that was interrupted ends in the same bits.
#include <orrery/transformer.h>

#include "engine/train/trainer.h"
#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using testing::built_in_plugins;
using testing::bytes_of;
using testing::CollectingReporter;
using testing::error_of;
using testing::small_settings;
using testing::TestFolder;

std::string text(const char* value) { return value; }

const std::vector<std::pair<std::string, Values>> options{
    {"bidirectional", {{"attention_dir", text("bidirectional")}}},
    {"attention", {{"attn_scale", 1.0}, {"attn_coeff", 0.5}}},
    {"post",
     {{"normalization_type", text("LN")}, {"normalization_place", text("post")}, {"final_norm", false}}},
    {"llama",
     {{"normalization_type", text("RMS")},
      {"gated_mlp", true},
      {"act_fn", text("silu")},
      {"positional_embedding_type", text("rotary")},
      {"biases", text("none")}}},
    {"tied", {{"unembedding", text("tied")}, {"act_fn", text("gelu_new")}, {"n_ctx", int64_t{9}}}},
    {"identity", {{"unembedding", text("identity")}, {"d_model", int64_t{7}}}},
};

TEST(TrainedOptions, EndInTheSameBytesIfInterrupted) {
  for (const auto& [name, values] : options) {
    SCOPED_TRACE(name);
    const TestFolder folder;
    Settings settings = small_settings("[[probe]]\nname = \"fourier_basis\"\n");
    for (const auto& [key, value] : values) settings.model.parameters[key] = value;
    CollectingReporter whole, stopped, rest;
    const TrainedRun trained = train_run(built_in_plugins(), settings, folder / "whole", Start::anew, whole);
    EXPECT_EQ(trained.ending, Ending::finished);
    EXPECT_EQ(trained.step, 20);
    EXPECT_TRUE(trained.probed);
    stopped.stop_at = 13;
    train_run(built_in_plugins(), settings, folder / "parts", Start::anew, stopped);
    train_run(built_in_plugins(), settings, folder / "parts", Start::resume, rest);
    for (const char* file : {"metrics.jsonl", "checkpoints/step_00000020.safetensors"})
      EXPECT_EQ(bytes_of(folder / "whole" / file), bytes_of(folder / "parts" / file)) << file;
  }
}

// Sums of digits of numbers of different length, padded in front: the sum of all tokens but 5, mod 5.
struct Padded {
  static Split split() {
    torch::Generator rng = make_generator(1);
    Batch all;
    all.tokens = torch::randint(6, {60, 4}, rng, torch::kInt64);
    all.tokens[0].fill_(5);  // nothing to attend to
    all.labels = all.tokens.remainder(5).sum(1, /*keepdim=*/true).remainder(5);
    return Split::of_grid(all, torch::arange(40), torch::arange(40, 60));
  }
  const TaskSpec spec{.d_vocab = 6, .d_vocab_out = 5, .n_ctx = 4, .read_out = {3}, .pad_token = 5};
  const Split data = split();
  const std::unique_ptr<Model> model =
      make_transformer({.d_model = 16,
                        .n_heads = 2,
                        .d_head = 8,
                        .d_mlp = 32,
                        .attention_dir = TransformerConfig::AttentionDir::bidirectional},
                       spec, make_generator(2));
  TrainSettings settings;
};

TEST(TrainedOptions, PaddingTrains) {
  Padded padded;
  padded.settings.lr = 1e-2;
  padded.settings.weight_decay = 0;
  Trainer trainer(*padded.model, padded.spec, padded.data, padded.settings, 0);
  const double first = trainer.step();
  double last = first;
  for (int i = 1; i < 60; ++i) last = trainer.step();
  EXPECT_EQ(trainer.steps_done(), 60);
  EXPECT_TRUE(trainer.finite());
  EXPECT_LT(last, 0.5 * first);
}

TEST(TrainedOptions, AnUpdateThatIsNotEnabledIsNotThere) {
  const std::string entry = "[[train.update]]\nname = \"grokfast_ema\"\n";
  const std::string off = entry + "enabled = false\n";
  EXPECT_EQ(small_settings(entry).train.updates.size(), 1u);
  EXPECT_EQ(small_settings(entry + "enabled = true\n").train.updates, small_settings(entry).train.updates);
  EXPECT_EQ(to_json(small_settings(off)), to_json(small_settings()));
  EXPECT_NE(error_of([&] { small_settings(off + "lamda = 3.0\n"); }).find("lamda"), std::string::npos);
}

}  // namespace
}  // namespace orrery::engine
