#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

namespace orrery::testing {
namespace {

Recorder measured(Network& network, const std::string& parameters = "{}") {
  const auto probe = make_probe(parameters);
  const auto observation = network.observe();
  Recorder recorder;
  probe->fit(observation);
  probe->measure(observation, recorder);
  return recorder;
}

TEST(ExcludedLoss, ExplodesForANetworkOfWaves) {
  for (const CyclicTask& task : {addition(17), addition(16), subtraction(17), multiplication(17, 3)}) {
    Network network(task);
    build_waves(network, {2, 5, 7}, 20);
    const auto recorder = measured(network);
    EXPECT_EQ(key_frequencies(recorder), (std::vector<int64_t>{2, 5, 7}));
    EXPECT_LT(plain_loss(network, with_index(task, task.split.train_rows)), 1e-4);
    for (const std::string inputs : {"train", "test", "all"}) {
      // Nothing is left but equal logits for the n classes with an index.
      EXPECT_NEAR(scalar(recorder, "loss/" + inputs), std::log(double(network.order())), 1e-3);
      for (const std::string k : {"2", "5", "7"}) EXPECT_TRUE(has_scalar(recorder, "k=" + k + "/" + inputs));
    }
    EXPECT_EQ(recorder.record().headlines, (std::vector<std::string>{"loss/train"}));
  }
}

TEST(ExcludedLoss, OfOneFrequencyIsTheLossOfTheOthers) {
  Network network(addition(17)), others(addition(17));
  build_waves(network, {2, 5, 7}, 3);
  build_waves(others, {2, 7}, 3);
  const auto recorder = measured(network);
  for (const auto& [inputs, rows] : std::vector<std::pair<std::string, torch::Tensor>>{
           {"train", network.task.split.train_rows}, {"test", network.task.split.test_rows}})
    EXPECT_NEAR(scalar(recorder, "k=5/" + inputs), plain_loss(others, with_index(others.task, rows)), 1e-5);
}

TEST(ExcludedLoss, RemovesNoBias) {
  Network network(addition(13));
  build_waves(network, {3}, 4);
  const auto bias = torch::arange(13) * 0.3;
  network.logits = network.logits + bias;
  const auto recorder = measured(network);
  network.logits = bias.expand({169, 1, 13}).contiguous();
  EXPECT_NEAR(scalar(recorder, "loss/all"),
              plain_loss(network, with_index(network.task, torch::arange(169, torch::kInt64))), 1e-6);
}

// Logits of unit noise have coefficients of cos w_k(i + j - c) of amplitude sqrt(2 / n^3), and the correct
// logit falls by that much for each key that is excluded: five standard deviations of the sum over two keys.
double chance(int64_t n) { return 5 * std::sqrt(4.0 / std::pow(double(n), 3)); }

TEST(ExcludedLoss, DoesNotMatterToNoise) {
  Network network(addition(31));
  build_noise(network, 4);
  const auto recorder = measured(network, R"({"rule": "given", "frequencies": [3, 8]})");
  const double plain = plain_loss(network, with_index(network.task, network.task.split.train_rows));
  EXPECT_NEAR(scalar(recorder, "loss/train"), plain, chance(31));
  EXPECT_NEAR(scalar(recorder, "k=3/train"), plain, chance(31));
}

TEST(ExcludedLoss, WithoutKeysItIsThePlainLoss) {
  Network network(addition(11));
  build_noise(network, 4);
  const auto recorder = measured(network);
  EXPECT_TRUE(key_frequencies(recorder).empty());
  EXPECT_NEAR(scalar(recorder, "loss/train"),
              plain_loss(network, with_index(network.task, network.task.split.train_rows)), 1e-12);
  EXPECT_EQ(recorder.record().scalars.size(), 3u);
}

TEST(ExcludedLoss, UsesTheKeysOfTheReference) {
  Network early(addition(17)), late(addition(17));
  build_noise(early, 4);
  build_waves(late, {2, 5}, 5);
  const auto probe = make_probe();
  const auto reference = late.observe(1000), first = early.observe(0);
  probe->fit(reference);
  Recorder recorder;
  probe->measure(first, recorder);
  EXPECT_EQ(key_frequencies(recorder), (std::vector<int64_t>{2, 5}));
  EXPECT_NEAR(scalar(recorder, "loss/train"),
              plain_loss(early, with_index(early.task, early.task.split.train_rows)), chance(17));
}

TEST(ExcludedLoss, TheFigureIsWhatWasRecorded) {
  Network network(addition(17));
  build_waves(network, {2, 5}, 3);
  const auto recorder = measured(network);
  const auto& figure = recorder.record().figures.at(0);
  EXPECT_EQ(figure.x_ticks, (std::vector<std::string>{"nothing", "k=2", "k=5", "all keys"}));
  EXPECT_TRUE(figure.y_log);
  ASSERT_EQ(figure.traces.size(), 3u);
  for (const Trace& trace : figure.traces) {
    EXPECT_EQ(trace.y[1].item<double>(), scalar(recorder, "k=2/" + trace.name));
    EXPECT_EQ(trace.y[2].item<double>(), scalar(recorder, "k=5/" + trace.name));
    EXPECT_EQ(trace.y[3].item<double>(), scalar(recorder, "loss/" + trace.name));
  }
  EXPECT_EQ(figure.traces[0].name, "train");
  EXPECT_NEAR(figure.traces[0].y[0].item<double>(),
              plain_loss(network, with_index(network.task, network.task.split.train_rows)), 1e-6);
}

TEST(ExcludedLoss, RefusesATaskWithoutCyclicStructure) {
  Network network(addition(11));
  build_noise(network, 4);
  network.task.structure.cyclic.reset();
  EXPECT_THROW(measured(network), UsageError);
  const auto needs = make_probe()->needs();
  EXPECT_EQ(needs.structure, std::vector<Capability>{Capability::cyclic});
  EXPECT_TRUE(needs.reference);
}

}  // namespace
}  // namespace orrery::testing
