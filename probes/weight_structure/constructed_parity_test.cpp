#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <orrery/testing/model_on_batch.h>
#include <tests/support/plugin_under_test.h>

#include <cmath>

namespace orrery::testing {
namespace {

Recorder measured(ModelOnBatch& network) {
  network.structure.relevant_positions = RelevantPositions{{0, 1, 2}};
  Recorder recorder;
  make_probe()->measure(network.observe(), recorder);
  return recorder;
}

// Parity of three of thirty bits by four neurons, which know nothing of the others.
TEST(WeightStructure, SeesFourNeuronsInTheConstructedParity) {
  const TaskSpec spec{.d_vocab = 2, .d_vocab_out = 1, .n_ctx = 30, .read_out = {29}};
  const auto network = [&](MlpConfig::Init init) {
    const MlpConfig config{.input = MlpConfig::Input::bits, .d_mlp = 4, .bias_column = true, .init = init};
    Batch none;
    none.tokens = torch::zeros({1, 30}, torch::kInt64);
    return ModelOnBatch(spec, make_mlp(config, spec, make_generator(1)), none);
  };
  auto constructed = network(MlpConfig::Init::constructed), random = network(MlpConfig::Init::normal);
  const auto recorder = measured(constructed);
  EXPECT_EQ(scalar(recorder, "live_neurons/mlp"), 4);
  EXPECT_EQ(scalar(recorder, "inputs/distractor"), 0);
  EXPECT_EQ(scalar(recorder, "inputs/relevant"), 2);  // four weights of 1
  EXPECT_EQ(scalar(recorder, "inputs/relevant_share"), 1);
  EXPECT_TRUE(std::isinf(scalar(recorder, "inputs/ratio")));
  EXPECT_GT(scalar(measured(random), "inputs/distractor"), 0.1);
  EXPECT_LT(scalar(measured(random), "inputs/relevant_share"), 0.3);
}

}  // namespace
}  // namespace orrery::testing
