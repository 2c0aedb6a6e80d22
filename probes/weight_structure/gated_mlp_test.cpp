#include <gtest/gtest.h>
#include <orrery/transformer.h>
#include <tests/support/plugin_under_test.h>

namespace orrery::testing {
namespace {

using torch::Tensor;

TEST(WeightStructure, TheGateIsPartOfWhatANeuronReads) {
  const TaskSpec spec{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  const auto model = make_transformer(
      {.d_model = 16, .n_heads = 2, .d_head = 4, .d_mlp = 20, .gated_mlp = true}, spec, make_generator(1));
  const torch::NoGradGuard no_grad;
  const Structure structure;
  const Observation observation{0, spec, structure, {}, {}, *model, {}, {}};
  Recorder recorder;
  make_probe()->measure(observation, recorder);
  const auto weight = [&](const char* name) {
    return model->weight(std::string("blocks.0.mlp.") + name).to(torch::kFloat64);
  };
  const Tensor in = weight("W_in").square().sum(0) + weight("W_gate").square().sum(0);
  const Tensor expected = (in * weight("W_out").square().sum(1)).sqrt();
  EXPECT_TRUE(
      torch::allclose(tensor(recorder, "neuron_norms/blocks.0.mlp").to(torch::kFloat64), expected, 1e-6, 0));
}

}  // namespace
}  // namespace orrery::testing
