#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

namespace orrery::testing {
namespace {

const std::string of_sum = R"({"subspace": "functions_of_sum"})";

Recorder measured(Network& network, const std::string& json = "{}") {
  const auto probe = make_probe(json);
  const auto observation = network.observe();
  Recorder recorder;
  probe->fit(observation);
  probe->measure(observation, recorder);
  return recorder;
}

double of_finding(const Recorder& recorder, const std::string& field) {
  return std::get<double>(finding(recorder, "efficiency").fields.at(field));
}

// Logits are stored in float32: 1e-6 of their size, which is below 100 here.
constexpr double float_rounding = 1e-4;

TEST(CircuitEfficiency, OfANetworkOfWavesIsAllGeneralisation) {
  for (const CyclicTask& task : {addition(17), addition(16), subtraction(17), multiplication(17, 3)}) {
    Network network(task);
    build_waves(network, {2, 5, 7}, 20);
    for (const std::string json : {"{}", of_sum.c_str()}) {
      const auto recorder = measured(network, json);
      for (const std::string name : {"c_gen", "c_gen/train", "c_gen/test"})
        EXPECT_NEAR(scalar(recorder, name), 60, float_rounding);  // three waves at their crest
      for (const std::string name : {"c_mem", "c_mem/train", "c_mem/test"})
        EXPECT_NEAR(scalar(recorder, name), 0, float_rounding);
      EXPECT_NEAR(scalar(recorder, "trig_norm_share"), 1, 1e-6);
      EXPECT_EQ(recorder.record().headlines, (std::vector<std::string>{"c_gen", "c_mem"}));
    }
  }
}

// Appendix B to the letter, in double precision: the n^3 logits as one vector, projected on the normalised
// vectors cos w_k(a + b - c), k = 1 to ceil((n - 1)/2).
TEST(CircuitEfficiency, ProjectsOnTheWavesOfAppendixB) {
  for (const int64_t n : {12, 13}) {
    Network network(addition(n));
    build_noise(network, 3);
    const auto &labels = network.task.split.grid->labels, &tokens = network.task.split.grid->tokens;
    std::vector<double> z(n * n * n), trig(n * n * n, 0);
    double norm = 0, trig_norm = 0;
    for (int64_t row = 0; row < n * n; ++row)
      for (int64_t c = 0; c < n; ++c) {
        z[row * n + c] = network.logits[row][0][c].item<double>();
        norm += std::pow(z[row * n + c], 2);
      }
    for (int64_t k = 1; k <= n / 2; ++k) {
      std::vector<double> wave(n * n * n);
      double dot = 0, length = 0;
      for (int64_t i = 0; i < n * n * n; ++i) {
        const int64_t a = tokens[i / n][0].item<int64_t>(), b = tokens[i / n][1].item<int64_t>();
        wave[i] = std::cos(2 * M_PI * double(k * (a + b - i % n)) / double(n));
        dot += wave[i] * z[i];
        length += wave[i] * wave[i];
      }
      for (int64_t i = 0; i < n * n * n; ++i) trig[i] += dot / length * wave[i];
    }
    for (const double part : trig) trig_norm += part * part;
    double c_gen = 0, c_mem = 0;
    const auto& rows = network.task.split.train_rows;
    for (int64_t r = 0; r < rows.size(0); ++r) {
      const auto row = rows[r].item<int64_t>();
      const int64_t at = row * n + labels[row][0].item<int64_t>();
      c_gen += trig[at] / double(rows.size(0));
      c_mem += (z[at] - trig[at]) / double(rows.size(0));
    }
    const auto recorder = measured(network);
    EXPECT_NEAR(scalar(recorder, "c_gen"), c_gen, 1e-10) << n;
    EXPECT_NEAR(scalar(recorder, "c_mem"), c_mem, 1e-10) << n;
    EXPECT_NEAR(scalar(recorder, "trig_norm_share"), std::sqrt(trig_norm / norm), 1e-10) << n;
  }
}

// A table that puts 10 on the correct class of a share f of the pairs: C_gen is 10 f (1 - 1/n) for every
// pair.
TEST(CircuitEfficiency, TheWavesFitTheMeanOfATable) {
  for (const int64_t n : {12, 13}) {
    Network network(addition(n));
    build_noise(network, 4);
    network.logits.zero_();
    const auto& rows = network.task.split.train_rows;
    for (int64_t r = 0; r < rows.size(0); ++r) {
      const auto row = rows[r].item<int64_t>();
      network.logits[row][0][network.task.split.grid->labels[row][0].item<int64_t>()] = 10;
    }
    const double fit = 10 * double(rows.size(0)) / double(n * n) * (1 - 1.0 / n);
    const auto recorder = measured(network);
    EXPECT_NEAR(scalar(recorder, "c_gen/train"), fit, float_rounding);
    EXPECT_NEAR(scalar(recorder, "c_gen/test"), fit, float_rounding);
    EXPECT_NEAR(scalar(recorder, "c_mem/train"), 10 - fit, float_rounding);
    EXPECT_NEAR(scalar(recorder, "c_mem/test"), -fit, float_rounding);
  }
}

// A table that puts 10 on the correct class of the training pairs. Its part that depends on i + j alone is 10
// times the share of the pairs of that sum that are known, less the same for all pairs.
TEST(CircuitEfficiency, OfATableIsMostlyMemoryInFunctionsOfTheSumToo) {
  const int64_t n = 13;
  Network network(addition(n));
  build_noise(network, 4);
  network.logits.zero_();
  const auto& grid = *network.task.split.grid;
  const auto& train = network.task.split.train_rows;
  std::vector<double> known(n, 0);  // training pairs of each sum
  for (int64_t r = 0; r < train.size(0); ++r) {
    const auto row = train[r].item<int64_t>(), label = grid.labels[row][0].item<int64_t>();
    network.logits[row][0][label] = 10;
    ++known[label];
  }
  double c_gen = 0;
  for (int64_t r = 0; r < train.size(0); ++r) {
    const auto s = grid.labels[train[r].item<int64_t>()][0].item<int64_t>();
    double mean = 0, all = 0;  // of the generalising logits over classes
    for (int64_t c = 0; c < n; ++c) {
      const double logit = 10 * ((c == s ? known[c] / n : 0) - known[c] / double(n * n));
      mean += logit / n;
      if (c == s) all = logit;
    }
    c_gen += (all - mean) / double(train.size(0));
  }
  const auto recorder = measured(network, of_sum);
  EXPECT_NEAR(scalar(recorder, "c_gen"), c_gen, float_rounding);
  EXPECT_NEAR(scalar(recorder, "c_mem"), 10 * (1 - 1.0 / n) - c_gen, float_rounding);
  EXPECT_GT(scalar(recorder, "c_mem/train"), 4);
  EXPECT_LT(scalar(recorder, "c_mem/test"), -4);  // what generalises by accident is taken back
}

TEST(CircuitEfficiency, TheTwoAddUpToTheCorrectLogit) {
  Network network(multiplication(11, 2));
  build_noise(network, 5);
  const auto cosines = measured(network), centred = measured(network, of_sum);
  for (const auto& [inputs, rows] : std::vector<std::pair<std::string, torch::Tensor>>{
           {"train", network.task.split.train_rows}, {"test", network.task.split.test_rows}}) {
    double sum = 0, means = 0;
    const auto chosen = with_index(network.task, rows);
    for (const int64_t row : chosen) {
      for (int64_t c = 1; c < 11; ++c)  // the classes with an index
        means += network.logits[row][0][c].item<double>() / 10;
      sum += network.logits[row][0][network.task.split.grid->labels[row][0].item<int64_t>()].item<double>();
    }
    EXPECT_NEAR(scalar(cosines, "c_gen/" + inputs) + scalar(cosines, "c_mem/" + inputs),
                sum / double(chosen.size()), 1e-10);
    EXPECT_NEAR(scalar(centred, "c_gen/" + inputs) + scalar(centred, "c_mem/" + inputs),
                (sum - means) / double(chosen.size()), 1e-10);
  }
}

// Unit noise: the mean over m pairs of a correct logit has a deviation of 1/sqrt(m). Its part in a subspace
// has a smaller one: five of them, m is at least half of the pairs less a row.
TEST(CircuitEfficiency, OfNoiseIsNothing) {
  const int64_t n = 31;
  Network network(addition(n));
  build_noise(network, 4);
  const double chance = 5 / std::sqrt(double(n * n / 2));
  for (const std::string json : {"{}", of_sum.c_str()}) {
    const auto recorder = measured(network, json);
    for (const std::string name : {"c_gen/train", "c_gen/test", "c_mem/train", "c_mem/test"})
      EXPECT_NEAR(scalar(recorder, name), 0, chance) << name;
  }
  // 15 of n^3 dimensions: the sum of 15 squares of normal numbers has mean 15 and deviation sqrt(30). Five of
  // them.
  EXPECT_NEAR(std::pow(scalar(measured(network), "trig_norm_share"), 2), 15.0 / 29791,
              5 * std::sqrt(30.0) / 29791);
  // Centred over classes there are n n (n - 1) dimensions, (n - 1) (n - 1) of them of the sum: 900 squares of
  // normal numbers, whose mean has a relative deviation of sqrt(2/900). Five of them.
  EXPECT_NEAR(std::pow(scalar(measured(network, of_sum), "trig_norm_share"), 2), 30.0 / 961,
              5 * 30.0 / 961 * std::sqrt(2.0 / 900));
}

TEST(CircuitEfficiency, GivesTheNormOfAllWeights) {
  Network network(addition(13));
  build_waves(network, {3}, 20);
  double squares = 0;
  for (const auto& [name, weight] : network.model.weights()) {
    const auto flat = weight.detach().flatten();
    for (int64_t i = 0; i < flat.numel(); ++i) squares += std::pow(flat[i].item<double>(), 2);
  }
  const auto recorder = measured(network);
  const double norm = scalar(recorder, "parameter_norm");
  EXPECT_NEAR(norm, std::sqrt(squares), 1e-9);
  EXPECT_EQ(of_finding(recorder, "c_gen"), scalar(recorder, "c_gen"));
  EXPECT_EQ(of_finding(recorder, "c_mem"), scalar(recorder, "c_mem"));
  EXPECT_EQ(of_finding(recorder, "parameter_norm"), norm);
}

TEST(CircuitEfficiency, TheFigureAddsUpToTheMeanOverAllPairs) {
  for (const auto& [n, json] :
       std::vector<std::pair<int64_t, std::string>>{{12, "{}"}, {13, "{}"}, {12, of_sum}, {13, of_sum}}) {
    Network network(addition(n));
    build_noise(network, 6);
    const auto recorder = measured(network, json);
    const auto& figure = recorder.record().figures.at(0);
    EXPECT_EQ(figure.traces[0].x.size(0), n / 2);
    const double train = double(network.task.split.train_rows.size(0)), all = double(n * n);
    const double mean = scalar(recorder, "c_gen/train") * (train / all) +
                        scalar(recorder, "c_gen/test") * ((all - train) / all);
    EXPECT_NEAR(figure.traces[0].y.to(torch::kFloat64).sum().item<double>(), mean, 1e-6);
  }
}

TEST(CircuitEfficiency, SurvivesLogitsThatAreAllEqual) {
  Network network(addition(11));
  build_noise(network, 4);
  network.logits.fill_(3);
  EXPECT_EQ(scalar(measured(network, of_sum), "trig_norm_share"), 0);
  const auto recorder = measured(network);
  EXPECT_NEAR(scalar(recorder, "trig_norm_share"), 0, 1e-9);
  EXPECT_NEAR(scalar(recorder, "c_gen"), 0, 1e-9);
  EXPECT_NEAR(scalar(recorder, "c_mem"), 3, 1e-9);  // the constant is no wave
}

TEST(CircuitEfficiency, RefusesATaskWithoutCyclicStructure) {
  Network network(addition(11));
  build_noise(network, 4);
  network.task.structure.cyclic.reset();
  EXPECT_THROW(measured(network), UsageError);
  EXPECT_EQ(make_probe()->needs().structure, std::vector<Capability>{Capability::cyclic});
}

}  // namespace
}  // namespace orrery::testing
