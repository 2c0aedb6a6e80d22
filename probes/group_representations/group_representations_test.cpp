#include <gtest/gtest.h>
#include <orrery/fourier.h>
#include <orrery/groups.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>
#include <tests/support/groups.h>
#include <tests/support/plugin_under_test.h>

#include <numeric>
#include <set>

#include "measured_test.h"

namespace orrery::testing {
namespace {

using torch::Tensor;

std::vector<std::string> keys_of(const Recorder& recorder) {
  return std::get<std::vector<std::string>>(
      finding(recorder, "key_representations").fields.at("representations"));
}

// A group with its representations, found by name.
struct Known {
  explicit Known(const GroupStructure& structure)
      : group(structure.table, structure.names), all(irreducible_representations(group)) {}
  const Representation& operator[](const std::string& name) const {
    for (const auto& rho : all)
      if (rho.name == name) return rho;
    throw std::out_of_range(name);
  }
  FiniteGroup group;
  std::vector<Representation> all;
};

// chi(x y z^-1), by its definition: [n*n, n].
Tensor character_logits(const Known& known, const std::string& name) {
  const int64_t n = known.group.order();
  const auto& chi = known[name].character;
  auto logits = torch::zeros({n * n, n}, torch::kFloat64);
  auto at = logits.accessor<double, 2>();
  for (int64_t x = 0; x < n; ++x)
    for (int64_t y = 0; y < n; ++y)
      for (int64_t z = 0; z < n; ++z)
        at[x * n + y][z] =
            chi[known.group.product(known.group.product(x, y), known.group.inverse(z))].item<double>();
  return logits;
}

double loss_of(const GroupNetwork& network, const Tensor& logits, const Tensor& rows) {
  const auto chosen = logits.select(1, 0).index_select(0, rows);
  return cross_entropy(chosen, network.split.grid->labels.select(1, 0).index_select(0, rows))
      .mean()
      .item<double>();
}

TEST(GroupRepresentations, AreOneForLogitsThatAreItsCharacter) {
  for (const auto& [structure, name] :
       std::vector<std::pair<GroupStructure, std::string>>{{symmetric_group(3), "standard (2,1)"},
                                                           {symmetric_group(4), "(2,1,1)"},
                                                           {alternating_group(4), "standard (3,1)"},
                                                           {alternating_group(5), "(3,1,1)_2"}}) {
    SCOPED_TRACE(name);
    const Known known(structure);
    GroupNetwork network(structure);
    give_zeros(network);
    const double n = double(network.order());
    network.logits = network.on_grid(6 * character_logits(known, name));
    for (const std::string exclude : {"character", "product"}) {
      const auto recorder = measured(network, R"({"exclude": ")" + exclude + "\"}");
      EXPECT_EQ(keys_of(recorder), std::vector<std::string>{name});
      EXPECT_EQ(scalar(recorder, "n_key_representations"), 1);
      // Logits in float32, each wrong by 2^-24 of itself at most: so are the coefficient and the norm.
      EXPECT_NEAR(scalar(recorder, "similarity/" + name), 1, 3 * std::pow(2, -24));
      EXPECT_NEAR(scalar(recorder, "logits/" + name), 1, 6 * std::pow(2, -24));
      EXPECT_NEAR(scalar(recorder, "logit_variance_explained"), 1, 6 * std::pow(2, -24));
      for (const auto& [inputs, rows] : std::vector<std::pair<std::string, Tensor>>{
               {"train", network.split.train_rows}, {"test", network.split.test_rows}}) {
        // Logits of up to 36 that are off by 2^-24 of that: as much as the loss can change.
        const double rounding = 2 * 36 * std::pow(2, -24);
        EXPECT_NEAR(scalar(recorder, "excluded_loss/" + inputs), std::log(n), rounding);
        EXPECT_NEAR(scalar(recorder, "excluded_loss/" + name + "/" + inputs), std::log(n), rounding);
        EXPECT_NEAR(scalar(recorder, "restricted_loss/" + inputs), loss_of(network, network.logits, rows),
                    rounding);
      }
    }
  }
}

TEST(GroupRepresentations, ShareTheLogitsByTheirWeights) {
  const Known known(symmetric_group(4));
  GroupNetwork network(symmetric_group(4)), other(symmetric_group(4));
  give_zeros(network);
  // Characters of representations irreducible over the complex numbers have the same norm.
  const auto first = 3 * character_logits(known, "standard (3,1)"), second = character_logits(known, "(2,2)");
  network.logits = network.on_grid(first - second) + 7;
  other.logits = other.on_grid(first) + 7;
  const auto recorder = measured(network);
  EXPECT_EQ(keys_of(recorder), (std::vector<std::string>{"standard (3,1)", "(2,2)"}));
  EXPECT_NEAR(scalar(recorder, "similarity/standard (3,1)"), 3 / std::sqrt(10.0), 1e-6);
  EXPECT_NEAR(scalar(recorder, "similarity/(2,2)"), -1 / std::sqrt(10.0), 1e-6);
  EXPECT_NEAR(scalar(recorder, "logits/(2,2)"), 0.1, 1e-6);
  const auto shares =
      std::get<std::vector<double>>(finding(recorder, "key_representations").fields.at("shares"));
  EXPECT_NEAR(shares[0], 0.9, 1e-6);
  EXPECT_NEAR(scalar(recorder, "excluded_loss/(2,2)/test"),
              loss_of(other, other.logits, other.split.test_rows), 1e-5);
  const auto& ablation = finding(recorder, "ablation_the_representation__2_2__exclude_test").fields;
  EXPECT_NEAR(std::get<double>(ablation.at("loss_before")),
              loss_of(network, network.logits, network.split.test_rows), 1e-9);
  EXPECT_EQ(std::get<double>(ablation.at("loss_after")), scalar(recorder, "excluded_loss/(2,2)/test"));
  EXPECT_EQ(keys_of(measured(network, R"({"threshold": 0.5})")), std::vector<std::string>{"standard (3,1)"});
}

// A bilinear form of rho(x y) and rho(z) other than the trace: no character sees it, all of it is in rho(x
// y).
TEST(GroupRepresentations, MayBeTakenOutWhole) {
  const Known known(symmetric_group(4));
  GroupNetwork network(symmetric_group(4));
  give_zeros(network);
  const int64_t n = network.order();
  const auto& rho = known["(2,1,1)"].matrices;
  const auto of_product = rho.select(1, 0).select(1, 1).index_select(0, known.group.products());
  const auto planted = torch::outer(of_product, rho.select(1, 2).select(1, 0));
  network.logits = network.on_grid(4 * character_logits(known, "(2,1,1)") + 5 * planted);
  const auto characters = measured(network), whole = measured(network, R"({"exclude": "product"})");
  const double left = loss_of(network, network.on_grid(5 * planted), torch::arange(n * n, torch::kInt64));
  EXPECT_GT(left, std::log(double(n)) + 0.1);
  EXPECT_NEAR(scalar(characters, "excluded_loss/all"), left, 1e-5);
  EXPECT_NEAR(scalar(whole, "excluded_loss/all"), std::log(double(n)), 1e-5);
}

TEST(GroupRepresentations, FindWhatIsPlantedInWeights) {
  const Known known(symmetric_group(4));
  GroupNetwork network(symmetric_group(4));
  const int64_t n = network.order();
  const auto entry = [&](const std::string& name, int64_t i, int64_t j) {
    return known[name].matrices.select(1, i).select(1, j);
  };
  const auto with_end = [](const Tensor& functions) {  // "=" is no element, and a mean is no representation
    return torch::cat({functions + 2, torch::full({1, functions.size(1)}, 9.0)});
  };
  // The squares of an entry of a matrix of degree d add up to n/d: 1/3 and 4/2 here, so shares of 1/7 and
  // 6/7.
  network.model.give("embed.W_E_a",
                     with_end(torch::stack({entry("standard (3,1)", 0, 1), 2 * entry("(2,2)", 1, 0)}, 1)));
  network.model.give("embed.W_E_b", with_end(entry("sign", 0, 0).unsqueeze(1)));
  network.model.give("unembed.W_U", (entry("(2,1,1)", 2, 2).unsqueeze(1) + 1).t());
  network.model.give("mlp.W_out", torch::ones({4, 1}));
  network.logits = network.on_grid(character_logits(known, "(2,2)"));
  network.cache.put("mlp.hook_post", torch::zeros({n * n, 1, 4}));
  const auto recorder =
      measured(network, R"json({"rule": "given", "representations": ["sign", "(2,2)"]})json");
  EXPECT_EQ(keys_of(recorder), (std::vector<std::string>{"(2,2)", "sign"}));
  EXPECT_NEAR(scalar(recorder, "W_E_a/(2,2)"), 6.0 / 7, 1e-6);
  EXPECT_NEAR(scalar(recorder, "W_E_a/sign"), 0, 1e-6);
  EXPECT_NEAR(scalar(recorder, "explained/W_E_a"), 6.0 / 7, 1e-6);
  EXPECT_NEAR(scalar(recorder, "W_E_b/sign"), 1, 1e-6);
  EXPECT_NEAR(scalar(recorder, "explained/W_U"), 0, 1e-6);
  const std::vector<double> W_U{0, 0, 0, 1, 0}, W_E_a{0, 1.0 / 7, 6.0 / 7, 0, 0};
  EXPECT_TRUE(torch::allclose(tensor(recorder, "shares/W_U"), torch::tensor(W_U, torch::kFloat64), 0, 1e-6));
  EXPECT_TRUE(torch::allclose(tensor(recorder, "shares/W_L"), torch::tensor(W_U, torch::kFloat64), 0, 1e-6));
  EXPECT_TRUE(
      torch::allclose(tensor(recorder, "shares/W_E_a"), torch::tensor(W_E_a, torch::kFloat64), 0, 1e-6));
}

TEST(GroupRepresentations, FindWhatIsPlantedInNeurons) {
  const Known known(symmetric_group(4));
  GroupNetwork network(symmetric_group(4));
  give_zeros(network);
  const int64_t n = network.order();
  const auto x = torch::arange(n, torch::kInt64).repeat_interleave(n),
             y = torch::arange(n, torch::kInt64).repeat({n});
  const auto at = [&](const std::string& name, const Tensor& element) {
    return known[name].matrices.select(1, 0).select(1, 0).index_select(0, element);
  };
  const auto post =
      torch::stack({at("(2,2)", x) + at("(2,2)", y) + at("(2,2)", known.group.products()) + 3,
                    2 * at("sign", known.group.products()), torch::full({n * n}, 0.1, torch::kFloat64)},
                   1);
  network.cache.put("mlp.hook_post", network.on_grid(post));
  network.logits = network.on_grid(character_logits(known, "(2,2)"));
  const auto recorder = measured(network);
  // Energies per pair of 1/2, 1/2, 1/2, and 4.
  for (const std::string which : {"rho(x)", "rho(y)", "rho(xy)"}) {
    EXPECT_NEAR(scalar(recorder, "mlp.hook_post/" + which + "/(2,2)"), 0.5 / 5.5, 1e-6);
    EXPECT_NEAR(scalar(recorder, "explained/mlp.hook_post/" + which), 0.5 / 5.5, 1e-6);
  }
  EXPECT_NEAR(tensor(recorder, "shares/mlp.hook_post/rho(xy)")[4].item<double>(), 4 / 5.5, 1e-6);
  EXPECT_TRUE(torch::equal(tensor(recorder, "neuron_representation/mlp.hook_post"),
                           torch::tensor({2, 4, 0}, torch::kInt32)));
  EXPECT_TRUE(
      torch::allclose(tensor(recorder, "neuron_share/mlp.hook_post"), torch::tensor({1.0f, 1.0f, 0.0f})));
}

// Noise of m functions has the share p = dim/(n - 1) in a representation, a beta variable of variance
// p (1 - p)/((n - 1) m/2 + 1); logits of unit noise, coefficients of unit noise and a norm of n^3/2.
TEST(GroupRepresentations, FindNothingInNoise) {
  const Known known(symmetric_group(4));
  GroupNetwork network(symmetric_group(4));
  const int64_t n = network.order(), m = 16;
  auto rng = make_generator(7);
  network.logits = torch::randn({n * n, 1, n}, rng);
  network.model.give("embed.W_E", torch::randn({n + 1, m}, rng));
  network.cache.put("blocks.0.mlp.hook_post", torch::randn({n * n, 1, m}, rng));
  const auto recorder = measured(network);
  EXPECT_TRUE(keys_of(recorder).empty());
  EXPECT_EQ(scalar(recorder, "logit_variance_explained"), 0);
  const auto plain = loss_of(network, network.logits, network.split.train_rows);
  EXPECT_NEAR(scalar(recorder, "excluded_loss/train"), plain, 1e-9);
  const auto shares = tensor(recorder, "shares/W_E"), similarity = tensor(recorder, "similarity");
  const auto product = tensor(recorder, "shares/blocks.0.mlp.hook_post/rho(xy)");
  for (size_t i = 1; i < known.all.size(); ++i) {
    const auto r = int64_t(i);
    const auto within = [&](double share, double dimensions) {
      const double p = double(known.all[i].basis.size(0)) / dimensions;
      EXPECT_NEAR(share, p, 5 * std::sqrt(p * (1 - p) / (dimensions * double(m) / 2 + 1)))
          << known.all[i].name;
    };
    within(shares[r].item<double>(), double(n - 1));
    within(product[r].item<double>(), double(n * n - 1));
    EXPECT_LT(std::abs(similarity[r].item<double>()), 5 / std::sqrt(double(n * n * n)));
  }
  // Without keys nothing is left but a bias for each class.
  const auto bias = network.logits.mean(0, true).expand({n * n, 1, n});
  EXPECT_NEAR(scalar(recorder, "restricted_loss/train"), loss_of(network, bias, network.split.train_rows),
              1e-6);
}

TEST(GroupRepresentations, AreFrequenciesInACyclicGroup) {
  for (const CyclicTask& task : {addition(17), addition(16), subtraction(17), multiplication(17, 3)}) {
    Network network(task);
    build_waves(network, {2, 5, 7}, 20);
    const auto recorder = measured(network);
    EXPECT_EQ(keys_of(recorder), (std::vector<std::string>{"k=2", "k=5", "k=7"}));
    EXPECT_EQ(std::get<std::string>(finding(recorder, "key_representations").fields.at("group")),
              "Z_" + std::to_string(network.order()));
    EXPECT_NEAR(scalar(recorder, "logit_variance_explained"), 1, 1e-6);
    EXPECT_NEAR(scalar(recorder, "explained/W_E"), 1, 1e-6);
    EXPECT_NEAR(scalar(recorder, "W_U/k=5"), 1.0 / 3, 1e-6);
    EXPECT_NEAR(scalar(recorder, "W_L/k=5"), 1.0 / 3, 1e-6);
    // Neurons of 1 + cos(w i + f) + cos(w j + f): half of i, half of j, nothing of the sum.
    EXPECT_NEAR(scalar(recorder, "explained/blocks.0.mlp.hook_post/rho(x)"), 0.5, 1e-6);
    EXPECT_NEAR(scalar(recorder, "explained/blocks.0.mlp.hook_post/rho(y)"), 0.5, 1e-6);
    EXPECT_NEAR(scalar(recorder, "explained/blocks.0.mlp.hook_post/rho(xy)"), 0, 1e-6);
    const auto observation = network.observe();
    EXPECT_LT((tensor(recorder, "shares/logits") - CyclicView(observation).logit_shares())
                  .abs()
                  .max()
                  .item<double>(),
              1e-10);
  }
}

TEST(GroupRepresentations, TakenOutWholeAreTheExcludedLossOfFrequencies) {
  Network network(multiplication(17, 3));
  build_noise(network, 4);
  const auto recorder =
      measured(network, R"({"rule": "given", "representations": ["k=3", "k=8"], "exclude": "product"})");
  const auto observation = network.observe();
  const CyclicView view(observation);
  for (const auto& [inputs, loss] :
       view.losses(view.logits() - testing::project_on_sum(view.logits(), {3, 8})))
    EXPECT_NEAR(scalar(recorder, "excluded_loss/" + inputs), loss, 1e-10);
  for (const auto& [inputs, loss] : view.losses(view.logits() - testing::project_on_sum(view.logits(), {8})))
    EXPECT_NEAR(scalar(recorder, "excluded_loss/k=8/" + inputs), loss, 1e-10);
}

// A real model and the task it is on.
struct Running {
  Running(CyclicTask of, std::unique_ptr<Model> with) : task(std::move(of)), model(std::move(with)) {}
  Observation observe(int64_t step = 0) {
    auto run = run_with_cache(*model, task.split.grid->tokens, {"*mlp.hook_post"});
    logits = run.logits.index_select(1, torch::tensor(task.spec.read_out, torch::kInt64)).detach();
    for (const auto& name : run.cache.names()) {
      const auto post = run.cache[name].detach();
      cache.put(name, post.dim() == 2 ? post.unsqueeze(1) : post.narrow(1, task.spec.read_out[0], 1));
    }
    return {step, task.spec, task.structure, task.split, *task.split.grid, *model, logits, cache};
  }
  CyclicTask task;
  std::unique_ptr<Model> model;
  Tensor logits;
  ActivationCache cache;
};

// The solution of Pearce et al. 2023 with squares, w = 2 pi/p, at angles t_i:
//   post_i = (cos(t - w a) + cos(t - w b))^2 = (1 + cos w(a - b)) (1 + cos(2 t - w(a + b)))
//   logit_c = N (1 + cos w(a - b))/2 cos w(a + b - c) (up to a factor), of norm 3/8 about a part of 1/4
// Of a neuron's variance of 5/4, cos(2 t - w(a + b)) has 1/2, and the product of the waves, which is half of
// cos(2 t - 2 w a) + cos(2 t - 2 w b), has 1/8 at a and at b.
TEST(GroupRepresentations, OfTheConstructedSolutionOfModularAddition) {
  MlpConfig config;
  config.embedding = MlpConfig::Embedding::input_tied;
  config.d_embed = 2;
  config.d_mlp = 5;
  config.act_fn = MlpConfig::ActFn::square;
  auto task = addition(11);
  Running network(task, make_mlp(config, task.spec, make_generator(1)));
  set_constructed_solution(*network.model, task.spec);
  const auto recorder = measured(network);
  EXPECT_EQ(keys_of(recorder), std::vector<std::string>{"k=1"});
  EXPECT_NEAR(scalar(recorder, "similarity/k=1"), std::sqrt(2.0 / 3), 1e-5);
  EXPECT_NEAR(scalar(recorder, "W_E/k=1"), 1, 1e-5);
  EXPECT_NEAR(tensor(recorder, "shares/mlp.hook_post/rho(xy)")[1].item<double>(), 0.4, 1e-5);
  EXPECT_NEAR(tensor(recorder, "shares/mlp.hook_post/rho(x)")[2].item<double>(), 0.1, 1e-5);
  EXPECT_NEAR(tensor(recorder, "shares/mlp.hook_post/rho(y)")[2].item<double>(), 0.1, 1e-5);
  EXPECT_NEAR(tensor(recorder, "shares/mlp.hook_post/rho(x)")[1].item<double>(), 0, 1e-5);
}

std::set<std::string> traces_of(const Recorder& recorder) {
  std::set<std::string> names;
  for (const auto& figure : recorder.record().figures)
    if (figure.name == "shares")
      for (const auto& trace : figure.traces) names.insert(trace.name);
  names.erase("logits");
  names.erase("random weights");
  return names;
}

TEST(GroupRepresentations, LookAtTheWeightsThatAModelHas) {
  using Input = MlpConfig::Input;
  using Embedding = MlpConfig::Embedding;
  using Hidden = MlpConfig::Hidden;
  using Collapse = MlpConfig::Collapse;
  const auto with = [](Input input, Embedding embedding, Hidden hidden, Collapse collapse) {
    MlpConfig config;
    config.input = input;
    config.embedding = embedding;
    config.hidden = hidden;
    config.collapse = collapse;
    config.d_embed = embedding == Embedding::circular ? 2 : 8;
    config.d_mlp = 6;
    auto task = addition(7);
    Running network(task, make_mlp(config, task.spec, make_generator(1)));
    const auto recorder = measured(network);
    for (const auto& [name, value] : recorder.record().scalars) EXPECT_TRUE(std::isfinite(value)) << name;
    return traces_of(recorder);
  };
  using Names = std::set<std::string>;
  EXPECT_EQ(with(Input::embedding, Embedding::tied, Hidden::tied, Collapse::none),
            (Names{"W_E", "W_U", "W_L"}));
  EXPECT_EQ(with(Input::embedding, Embedding::untied, Hidden::untied, Collapse::none),
            (Names{"W_E_a", "W_E_b", "W_U", "W_L"}));
  EXPECT_EQ(with(Input::embedding, Embedding::untied, Hidden::tied, Collapse::both),
            (Names{"W_in_a", "W_in_b", "W_out"}));
  EXPECT_EQ(with(Input::embedding, Embedding::input_tied, Hidden::tied, Collapse::input),
            (Names{"W_in", "W_U", "W_L"}));
  EXPECT_EQ(with(Input::embedding, Embedding::circular, Hidden::tied, Collapse::none), Names{"W_L"});
  EXPECT_EQ(with(Input::one_hot_sum, Embedding::tied, Hidden::tied, Collapse::none),
            (Names{"W_in", "W_out"}));
  auto task = addition(7);
  TransformerConfig config;
  config.d_model = 8;
  config.d_head = 4;
  config.n_heads = 2;
  config.d_mlp = 16;
  Running transformer(task, make_transformer(config, task.spec, make_generator(1)));
  const auto recorder = measured(transformer);
  EXPECT_EQ(traces_of(recorder), (Names{"W_E", "W_U", "W_L"}));
  EXPECT_TRUE(has_scalar(recorder, "explained/blocks.0.mlp.hook_post/rho(xy)"));
}

TEST(GroupRepresentations, KeysAreThoseOfTheReference) {
  const Known known(symmetric_group(3));
  GroupNetwork early(symmetric_group(3)), late(symmetric_group(3));
  give_zeros(early);
  give_zeros(late);
  early.logits = torch::randn({36, 1, 6}, make_generator(3));
  late.logits = late.on_grid(character_logits(known, "sign"));
  const auto probe = make_probe();
  const auto reference = late.observe(1000), first = early.observe(0);
  probe->fit(reference);
  Recorder recorder;
  probe->measure(first, recorder);
  EXPECT_EQ(keys_of(recorder), std::vector<std::string>{"sign"});
  EXPECT_EQ(std::get<std::vector<double>>(finding(recorder, "key_representations").fields.at("shares")),
            std::vector<double>{1.0});
  EXPECT_LT(scalar(recorder, "logits/sign"), 0.2);
  EXPECT_TRUE(make_probe()->needs().reference);
}

TEST(GroupRepresentations, FiguresAreWhatWasRecorded) {
  const Known known(symmetric_group(3));
  GroupNetwork network(symmetric_group(3));
  give_zeros(network);
  network.logits = network.on_grid(character_logits(known, "sign"));
  const auto recorder = measured(network);
  const auto& figures = recorder.record().figures;
  ASSERT_EQ(figures.size(), 3u);
  EXPECT_EQ(figures[0].name, "similarity");
  for (const Figure& figure : figures) {
    EXPECT_EQ(figure.x_ticks, (std::vector<std::string>{"standard (2,1)", "sign"}));
    for (const Trace& trace : figure.traces) EXPECT_TRUE(trace.x.equal(torch::tensor({0, 1}, torch::kInt64)));
  }
  EXPECT_NEAR(figures[0].traces[0].y[1].item<double>(), 1, 1e-6);
  EXPECT_EQ(figures[1].name, "shares");
  EXPECT_NEAR(figures[1].traces.back().y[0].item<double>(), 4.0 / 5, 1e-6);  // of random weights
  EXPECT_EQ(figures[2].name, "neurons_mlp_hook_post");
  EXPECT_EQ(figures[2].traces.size(), 3u);
}

TEST(GroupRepresentations, WavesOfACyclicGroupStandAtTheirFrequencies) {
  auto task = addition(7);
  Running network(task, make_mlp({.d_embed = 4, .d_mlp = 6}, task.spec, make_generator(1)));
  const auto recorder = measured(network);
  for (const Figure& figure : recorder.record().figures) {
    EXPECT_EQ(figure.x_label, "frequency k");
    EXPECT_TRUE(figure.x_ticks.empty());
    EXPECT_TRUE(figure.traces[0].x.equal(torch::tensor({1, 2, 3}, torch::kInt64)));
  }
}

}  // namespace
}  // namespace orrery::testing
