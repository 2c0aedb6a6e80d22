#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <orrery/subspace.h>
#include <orrery/transformer.h>
#include <tests/support/hand_built.h>
#include <tests/support/plugin_under_test.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <set>

namespace orrery::testing {
namespace {

using torch::Tensor;

template <class Observed>
Recorder measured(Observed& network, const std::string& parameters = "{}") {
  const auto probe = make_probe(parameters);
  const auto observation = network.observe();
  Recorder recorder;
  if (probe->needs().reference) probe->fit(observation);
  probe->measure(observation, recorder);
  return recorder;
}

// A model that runs, on addition mod n.
struct Running {
  CyclicTask task;
  std::unique_ptr<Model> model;
  Tensor logits;
  ActivationCache cache;

  Running(int64_t n, const std::function<std::unique_ptr<Model>(const TaskSpec&)>& make)
      : task(addition(n)), model(make(task.spec)) {
    const torch::NoGradGuard no_grad;
    const auto forward = run_with_cache(*model, task.split.grid->tokens);
    logits = forward.logits.narrow(1, 2, 1);
    const auto read_out = torch::tensor(task.spec.read_out, torch::kInt64);
    for (const auto& point : model->hook_points())
      cache.put(point->name(), at_positions(*point, forward.cache[point->name()], read_out));
  }
  Observation observe() {
    return {0, task.spec, task.structure, task.split, *task.split.grid, *model, logits, cache};
  }
};

Running small_transformer() {
  return {5, [](const TaskSpec& spec) {
            return make_transformer({.d_model = 16, .n_heads = 2, .d_head = 8, .d_mlp = 24}, spec,
                                    make_generator(3));
          }};
}

// A folder of its own for one test.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("orrery_subspace_loss_" + std::to_string(std::random_device()()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  // Writes x [m, d] as the tensor "rows" of a safetensors file, by the format's definition.
  std::string write(const std::string& name, const Tensor& x) const {
    const auto values = x.to(torch::kFloat64).contiguous();
    std::string header = "{\"rows\":{\"dtype\":\"F64\",\"shape\":[" + std::to_string(x.size(0)) + "," +
                         std::to_string(x.size(1)) + "],\"data_offsets\":[0," +
                         std::to_string(values.nbytes()) + "]}}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const uint64_t length = header.size();
    const std::string path = (path_ / name).string();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), 8);
    file << header;
    file.write(static_cast<const char*>(values.data_ptr()), static_cast<std::streamsize>(values.nbytes()));
    return path;
  }

 private:
  std::filesystem::path path_;
};

std::vector<std::pair<std::string, Tensor>> sets_of(const CyclicTask& task) {
  return {{"train", task.split.train_rows},
          {"test", task.split.test_rows},
          {"all", torch::arange(task.split.grid->size(), torch::kInt64)}};
}

TEST(SubspaceLoss, OfWavesIsAllThereIsAndNothingWithoutThem) {
  for (const CyclicTask& task : {addition(17), addition(16), subtraction(17), multiplication(17, 3)}) {
    Network network(task);
    build_waves(network, {2, 5, 7}, 20);
    const auto restricted = measured(network),
               excluded = measured(network, R"({"preset": "nanda_excluded"})");
    for (const auto& [inputs, rows] : sets_of(task)) {
      // Logits of 60, in float32: the loss is off by 1e-6 of that at most.
      EXPECT_NEAR(scalar(restricted, "loss/" + inputs), plain_loss(network, with_index(task, rows)), 1e-4);
      EXPECT_NEAR(scalar(excluded, "loss/" + inputs), std::log(double(network.order())), 1e-3);
      for (const std::string k : {"2", "5", "7"}) EXPECT_TRUE(has_scalar(excluded, "k=" + k + "/" + inputs));
    }
    EXPECT_EQ(restricted.record().headlines, (std::vector<std::string>{"loss/test"}));
    EXPECT_EQ(excluded.record().headlines, (std::vector<std::string>{"loss/train"}));
    EXPECT_EQ(key_frequencies(excluded), (std::vector<int64_t>{2, 5, 7}));
    EXPECT_EQ(scalar(excluded, "dimensions"), 6);
  }
}

// Noise has no frequencies of its own: taking two of fifteen away moves the correct logit by their share of
// it, sqrt(4/n^3) for the mean over all pairs, five times that; keeping them leaves the loss of a guess.
TEST(SubspaceLoss, OfNoiseIsNothing) {
  Network network(addition(31));
  build_noise(network, 4);
  const std::string keys = R"("rule": "given", "frequencies": [3, 8])";
  const auto excluded = measured(network, R"({"preset": "nanda_excluded", )" + keys + "}");
  const double plain = plain_loss(network, with_index(network.task, network.task.split.train_rows));
  EXPECT_NEAR(scalar(excluded, "loss/train"), plain, 5 * std::sqrt(4.0 / std::pow(31.0, 3)));
  const auto restricted = measured(network, "{" + keys + "}");
  EXPECT_NEAR(scalar(restricted, "loss/test"), std::log(31.0), 0.1);
  Network circuit(addition(31));
  build_waves(circuit, {3, 8}, 10);
  EXPECT_LT(scalar(measured(circuit, "{" + keys + "}"), "loss/test"), 0.1);
  EXPECT_GT(scalar(measured(circuit, R"({"preset": "nanda_excluded", )" + keys + "}"), "loss/train"), 3);
}

// What each preset says of a network of noise is what its settings say one by one, and they differ.
TEST(SubspaceLoss, PresetsAreTheirSettings) {
  auto network = small_transformer();
  const std::string waves = R"("subspace": "key_frequencies", "rule": "given", "frequencies": [2], )",
                    representations = R"("subspace": "key_representations", "representations": ["k=2"], )";
  struct Spelt {
    std::string preset, keys, settings;
  };
  const std::vector<Spelt> presets{
      {"nanda_restricted", waves,
       R"("site": "logits", "part": "keep", "bias": "logits", "of": "sum", "inputs": "test")"},
      {"nanda_excluded", waves,
       R"("site": "logits", "part": "remove", "bias": "none", "of": "sum", "inputs": "train")"},
      {"demo_restricted", waves,
       R"("site": "neurons", "part": "keep", "bias": "logits", "of": "sum", "inputs": "test")"},
      {"demo_excluded", waves,
       R"("site": "neurons", "part": "remove", "bias": "none", "of": "sum", "inputs": "train")"},
      {"chughtai_restricted", representations,
       R"("site": "neurons_alone", "part": "keep", "bias": "none", "of": "sum", "inputs": "all")"},
      {"chughtai_excluded", representations,
       R"("site": "neurons_alone", "part": "remove", "bias": "none", "of": "sum", "inputs": "train")"}};
  std::set<double> losses;
  for (const auto& [preset, keys, settings] : presets) {
    const std::string of_keys = keys.substr(keys.find(',') + 2);  // the preset says which subspace
    const auto named = measured(network, "{" + of_keys + "\"preset\": \"" + preset + "\"}");
    for (const std::string other : {"nanda_excluded", "chughtai_restricted"}) {
      const auto spelt = measured(network, "{" + keys + "\"preset\": \"" + other + "\", " + settings + "}");
      EXPECT_EQ(scalar(named, "loss/all"), scalar(spelt, "loss/all")) << preset;
      EXPECT_EQ(named.record().headlines, spelt.record().headlines) << preset;
    }
    losses.insert(scalar(named, "loss/all"));
  }
  EXPECT_EQ(losses.size(), presets.size());
}

// The embedding of each operand, a function on the group, is restricted to a frequency before the neurons, as
// in earlier commits of the code of Chughtai et al. 2023; the rest of the network is run: here by hand.
TEST(SubspaceLoss, AFrequencyIsTakenFromTheOperands) {
  Running network(5, [](const TaskSpec& spec) {
    return make_mlp({.embedding = MlpConfig::Embedding::untied,
                     .hidden = MlpConfig::Hidden::untied,
                     .d_embed = 8,
                     .d_mlp = 12},
                    spec, make_generator(3));
  });
  const auto weight = [&](const std::string& name) {
    return network.model->weight(name).detach().to(torch::kFloat64);
  };
  const auto x = weight("embed.W_E_a").narrow(0, 0, 5).matmul(weight("mlp.W_in_a"));
  const auto y = weight("embed.W_E_b").narrow(0, 0, 5).matmul(weight("mlp.W_in_b"));
  const auto waves = wave_functions(5, {2});
  const auto W_L = weight("mlp.W_out").matmul(weight("unembed.W_U"));
  const auto loss = [&](const Tensor& of_x, const Tensor& of_y) {
    double sum = 0;
    for (int64_t a = 0; a < 5; ++a)
      for (int64_t b = 0; b < 5; ++b) {
        const auto logits = (of_x[a] + of_y[b]).clamp_min(0).matmul(W_L);
        sum += (logits.exp().sum().log() - logits[(a + b) % 5]).item<double>();
      }
    return sum / 25;
  };
  const auto part = [&](const Tensor& values) { return waves.t().matmul(waves.matmul(values)); };
  const std::string keys = R"("rule": "given", "frequencies": [2], "site": "*mlp.hook_pre", "bias": "none",
      "of": "operands", "inputs": "all", )";
  // Logits of order one, in float32.
  EXPECT_NEAR(scalar(measured(network, "{" + keys + R"("part": "keep"})"), "loss/all"),
              loss(part(x), part(y)), 1e-5);
  const auto excluded = measured(network, "{" + keys + R"("part": "remove"})");
  EXPECT_NEAR(scalar(excluded, "loss/all"), loss(x - part(x), y - part(y)), 1e-5);
  EXPECT_EQ(scalar(excluded, "k=2/all"), scalar(excluded, "loss/all"));
  EXPECT_EQ(scalar(excluded, "dimensions"), 4);
  EXPECT_GT(std::abs(loss(x - part(x), y - part(y)) - loss(x, y)), 1e-3);
}

// A direction of the residual stream from a file, removed from a transformer; by hand with a hook.
TEST(SubspaceLoss, ADirectionComesFromAFile) {
  auto network = small_transformer();
  const Folder folder;
  const auto direction = torch::randn({1, 16}, make_generator(9));
  const auto path = folder.write("direction.safetensors", direction);
  const auto recorder =
      measured(network, R"({"subspace": "features_file", "file": ")" + path +
                            R"(", "preset": "nanda_excluded", "site": "blocks.0.hook_resid_mid",
                                              "positions": "all"})");
  const auto unit = (direction[0] / direction.norm()).to(torch::kFloat32);
  const auto remove = [&](const Tensor& x) { return x - x.matmul(unit).unsqueeze(-1) * unit; };
  const torch::NoGradGuard no_grad;
  const auto logits =
      run_with_hooks(*network.model, network.task.split.grid->tokens, {{"blocks.0.hook_resid_mid", remove}})
          .select(1, 2);
  const auto labels = network.task.split.grid->labels.select(1, 0);
  for (const auto& [inputs, rows] : sets_of(network.task)) {
    const double expected =
        cross_entropy(logits.index_select(0, rows), labels.index_select(0, rows)).mean().item<double>();
    EXPECT_NEAR(scalar(recorder, "loss/" + inputs), expected, 1e-5);
    const double plain =
        cross_entropy(network.logits.select(1, 0).index_select(0, rows), labels.index_select(0, rows))
            .mean()
            .item<double>();
    EXPECT_GT(std::abs(expected - plain), 1e-3);
  }
  EXPECT_EQ(scalar(recorder, "dimensions"), 1);
  const auto found = recorder.record().findings.at(0);
  EXPECT_EQ(std::get<std::string>(found.fields.at("component")), "direction.safetensors");
  EXPECT_FALSE(make_probe(R"({"subspace": "features_file", "file": ")" + path + "\"}")->needs().reference);
}

TEST(SubspaceLoss, FunctionsComeFromAFile) {
  Network network(addition(11));
  build_noise(network, 4);
  const Folder folder;
  const auto of_group = folder.write("group.safetensors", wave_functions(11, {2, 3}) * 5);
  const auto waves = functions_of_sum(wave_functions(11, {2, 3}));
  const auto of_pairs = folder.write("pairs.safetensors", waves.project(torch::eye(121, torch::kFloat64)));
  const auto with = [&](const std::string& path) {
    return measured(network, R"({"subspace": "inputs_file", "file": ")" + path + R"(", "tensor": "rows"})");
  };
  const double expected =
      scalar(measured(network, R"({"rule": "given", "frequencies": [2, 3]})"), "loss/test");
  EXPECT_NEAR(scalar(with(of_group), "loss/test"), expected, 1e-12);
  EXPECT_NEAR(scalar(with(of_pairs), "loss/test"), expected, 1e-12);
  const auto wrong = folder.write("wrong.safetensors", torch::ones({1, 7}));
  try {
    with(wrong);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("[m, 11] of the group's elements or [m, 121]"),
              std::string::npos);
    EXPECT_NE(std::string(error.what()).find("found 7 columns"), std::string::npos);
  }
}

TEST(SubspaceLoss, AllFrequenciesAreAllFunctionsOfTheSum) {
  Network network(addition(11));
  build_waves(network, {1, 4}, 1);
  const auto recorder = measured(network, R"({"subspace": "all_frequencies"})");
  EXPECT_NEAR(scalar(recorder, "loss/all"),
              plain_loss(network, with_index(network.task, torch::arange(121, torch::kInt64))), 1e-6);
  EXPECT_EQ(scalar(recorder, "dimensions"), 10);
  EXPECT_FALSE(make_probe(R"({"subspace": "all_frequencies"})")->needs().reference);
}

TEST(SubspaceLoss, SaysWhatWasTakenAwayAndWhatItCost) {
  Network network(addition(17));
  build_waves(network, {2, 5}, 10);
  const auto recorder = measured(network, R"({"preset": "nanda_excluded"})");
  const auto& findings = recorder.record().findings;
  ASSERT_EQ(findings.size(), 4u);  // both keys, the frequencies themselves, each key
  EXPECT_EQ(std::get<std::string>(findings[0].fields.at("component")), "the key frequencies");
  EXPECT_EQ(std::get<std::string>(findings[0].fields.at("inputs")), "train");
  EXPECT_EQ(std::get<double>(findings[0].fields.at("loss_after")), scalar(recorder, "loss/train"));
  EXPECT_NEAR(std::get<double>(findings[0].fields.at("loss_before")),
              plain_loss(network, with_index(network.task, network.task.split.train_rows)), 1e-6);
  EXPECT_EQ(std::get<std::string>(findings[2].fields.at("component")), "frequency 2");
  EXPECT_EQ(std::get<double>(findings[2].fields.at("loss_after")), scalar(recorder, "k=2/train"));
  const auto& figure = recorder.record().figures.at(0);
  EXPECT_EQ(figure.x_ticks, (std::vector<std::string>{"nothing", "k=2", "k=5", "all keys"}));
  const auto& bars = figure.traces[0].y;
  EXPECT_EQ(bars[0].item<double>(), std::get<double>(findings[0].fields.at("loss_before")));
  EXPECT_EQ(bars[2].item<double>(), scalar(recorder, "k=5/train"));
  EXPECT_EQ(bars[3].item<double>(), scalar(recorder, "loss/train"));
}

TEST(SubspaceLoss, AsksForWhatItReads) {
  const auto needs = [](const std::string& parameters) { return make_probe(parameters)->needs(); };
  EXPECT_EQ(needs("{}").structure, std::vector<Capability>{Capability::cyclic});
  EXPECT_TRUE(needs("{}").reference);
  const auto demo = needs(R"({"preset": "demo_excluded", "rule": "logits"})");
  EXPECT_EQ(demo.activations, std::vector<std::string>{"*mlp.hook_post"});
  const auto stream = needs(R"({"site": "blocks.0.hook_resid_pre", "rule": "logits"})");
  EXPECT_EQ(stream.activations, std::vector<std::string>{"blocks.0.hook_resid_pre"});
}

TEST(SubspaceLoss, CutsNoGatedNeuronsAtHalfOfWhatTheyRead) {
  const Running gated{5, [](const TaskSpec& spec) {
                        return make_transformer(
                            {.d_model = 16, .n_heads = 2, .d_head = 8, .d_mlp = 24, .gated_mlp = true}, spec,
                            make_generator(3));
                      }};
  const auto refused = [&](const std::string& parameters) {
    return !make_probe(parameters)->needs().refusal(*gated.model, gated.task.spec).empty();
  };
  EXPECT_FALSE(refused("{}"));
  EXPECT_TRUE(refused(R"({"preset": "chughtai_restricted", "site": "*mlp.hook_pre"})"));
  EXPECT_FALSE(
      refused(R"({"preset": "chughtai_restricted"})"));  // it cuts the neurons, which are all that is read on
}

TEST(SubspaceLoss, RefusesWhatContradictsItself) {
  for (const char* parameters :
       {R"({"rule": "given"})", R"({"frequencies": [3]})", R"({"subspace": "features_file"})",
        R"({"file": "x.safetensors"})", R"({"tensor": "x"})",
        R"({"subspace": "all_frequencies", "rule": "given", "frequencies": [3]})",
        R"({"subspace": "features_file", "file": "no/such/file.safetensors"})"})
    EXPECT_THROW(make_probe(parameters), UsageError) << parameters;
  EXPECT_THROW(make_probe(R"({"preset": "nanda"})"), Error);
  Network network(addition(11));
  build_noise(network, 4);
  network.task.structure.cyclic.reset();
  EXPECT_THROW(measured(network), UsageError);
}

}  // namespace
}  // namespace orrery::testing
