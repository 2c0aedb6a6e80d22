// Representations kept and removed, against tables over all pairs in double precision.
#include "representations.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>
#include <tests/support/groups.h>
#include <tests/support/plugin_under_test.h>

#include <optional>

namespace orrery::testing {
namespace {

using torch::Tensor;

RunningGroup one_layer_mlp(const GroupStructure& group, bool bias = false) {
  return {group, [bias](const TaskSpec& spec) {
            auto model = make_mlp({.embedding = MlpConfig::Embedding::untied,
                                   .hidden = MlpConfig::Hidden::untied,
                                   .d_embed = 8,
                                   .d_mlp = 20,
                                   .bias = bias},
                                  spec, make_generator(3));
            const torch::NoGradGuard no_grad;
            for (auto& weight : model->weights())
              if (weight.name.find("b_") != std::string::npos) weight.value.normal_(0, 1, make_generator(5));
            return model;
          }};
}
RunningGroup small_transformer(const GroupStructure& group) {
  return {group, [](const TaskSpec& spec) {
            return make_transformer({.d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 16}, spec,
                                    make_generator(3));
          }};
}

Recorder measured(RunningGroup& network, const std::string& parameters) {
  const torch::NoGradGuard as_the_host_does;
  const auto probe = make_probe(parameters);
  const auto observation = network.observe();
  Recorder recorder;
  probe->fit(observation);
  probe->measure(observation, recorder);
  return recorder;
}

// The released code of Chughtai et al. (bilal-chughtai/rep-theory-mech-interp, rep_theory/utils/metrics.py):
// hidden activations of all pairs, cut along an orthonormal basis of the entries of rho(x y).
struct Released {
  explicit Released(RunningGroup& network)
      : group(made(*network.task.structure.group)), all(irreducible_representations(group)) {
    const torch::NoGradGuard no_grad;
    const int64_t n = group.order();
    xy = group.products();
    const auto rows = network.rows();
    const auto run = run_with_cache(*network.model, network.task.split.grid->tokens.index_select(0, rows),
                                    {"*mlp.hook_post"});
    logits = run.logits.select(1, 2).narrow(1, 0, n).to(torch::kFloat64);
    const auto post = run.cache[run.cache.names().at(0)];
    hidden = (post.dim() == 3 ? post.select(1, 2) : post).to(torch::kFloat64);
    const bool is_mlp = network.model->find_weight("mlp.W_out");
    unembed =
        network.weight(is_mlp ? "mlp.W_out" : "blocks.0.mlp.W_out").matmul(network.weight("unembed.W_U"));
    for (int64_t pair = 0; pair < n * n; ++pair)
      if ((network.task.split.train_rows == rows[pair]).any().item<bool>()) train.push_back(pair);
  }

  Tensor part(const std::vector<size_t>& keys) const {
    auto sum = torch::zeros_like(hidden);
    for (const size_t key : keys) {
      const auto entries = all[key].matrices.reshape({group.order(), -1}).index_select(0, xy);
      const auto basis = orthonormal_rows(entries.t());
      sum += basis.t().matmul(basis.matmul(hidden));
    }
    return sum;
  }
  double similarity(size_t key) const {
    const int64_t n = group.order();
    auto cube = torch::empty({n * n, n}, torch::kFloat64);
    for (int64_t pair = 0; pair < n * n; ++pair)
      for (int64_t z = 0; z < n; ++z)
        cube[pair][z] = all[key].character[group.product(xy[pair].item<int64_t>(), group.inverse(z))];
    const auto centred = logits - logits.mean(1, true);
    return ((cube * centred).sum() / (cube.norm() * centred.norm())).item<double>();
  }
  double all_loss(const Tensor& of) const { return cross_entropy(of, xy).mean().item<double>(); }
  double train_loss(const Tensor& of) const {
    const auto pairs = torch::tensor(train, torch::kInt64);
    return cross_entropy(of.index_select(0, pairs), xy.index_select(0, pairs)).mean().item<double>();
  }

  FiniteGroup group;
  std::vector<Representation> all;
  Tensor xy, logits, hidden, unembed;
  std::vector<int64_t> train;
};

constexpr double kFloat32 = 1e-5;  // logits of order one, as the network computes them

void expect_released(RunningGroup& network) {
  const Released released(network);
  SCOPED_TRACE(name_of(released.group));
  std::vector<size_t> keys;
  for (size_t r = 1; r < released.all.size(); ++r)
    if (released.similarity(r) > 0.005) keys.push_back(r);
  const auto kept = measured(network, R"({"preset": "chughtai_restricted"})"),
             removed = measured(network, R"({"preset": "chughtai_excluded"})");
  const auto left = released.part(keys).matmul(released.unembed),
             rest = (released.hidden - released.part(keys)).matmul(released.unembed);
  EXPECT_NEAR(scalar(kept, "loss/all"), released.all_loss(left), kFloat32);
  EXPECT_NEAR(scalar(removed, "loss/train"), released.train_loss(rest), kFloat32);
  EXPECT_EQ(kept.record().headlines, std::vector<std::string>{"loss/all"});
  EXPECT_EQ(removed.record().headlines, std::vector<std::string>{"loss/train"});

  const auto each_kept =
                 measured(network, R"({"preset": "chughtai_restricted", "representations": ["all"]})"),
             each_removed =
                 measured(network, R"({"preset": "chughtai_excluded", "representations": ["all"]})");
  for (size_t r = 0; r < released.all.size(); ++r) {
    const auto part = released.part({r});
    EXPECT_NEAR(scalar(each_kept, released.all[r].name + "/all"),
                released.all_loss(part.matmul(released.unembed)), kFloat32);
    EXPECT_NEAR(scalar(each_removed, released.all[r].name + "/train"),
                released.train_loss((released.hidden - part).matmul(released.unembed)), kFloat32);
  }
}

TEST(SubspaceLoss, ChughtaiCutTheNeuronsAlongTheEntriesOfRhoOfTheProduct) {
  for (const GroupStructure& group :
       {symmetric_group(3), alternating_group(4), dihedral_group(5), integers_modulo(6)}) {
    auto network = one_layer_mlp(group);
    expect_released(network);
  }
}

// The stream that passes by the neurons of a transformer, and biases, are no part of their losses.
TEST(SubspaceLoss, ChughtaiUnembedTheNeuronsAlone) {
  auto transformer = small_transformer(symmetric_group(3));
  expect_released(transformer);
  auto biased = one_layer_mlp(alternating_group(4), true);
  expect_released(biased);
  const auto alone = measured(transformer, R"({"preset": "chughtai_excluded"})"),
             with_rest = measured(transformer, R"({"preset": "chughtai_excluded", "site": "neurons"})");
  EXPECT_GT(std::abs(scalar(alone, "loss/train") - scalar(with_rest, "loss/train")), 1e-3);
}

// The same numbers by the means of products and by a cut of every pair.
TEST(SubspaceLoss, OfProductsIsThatOfAllPairs) {
  auto network = one_layer_mlp(dihedral_group(5), true);
  const torch::NoGradGuard no_grad;
  auto run = run_with_cache(*network.model, network.task.split.grid->tokens, {"mlp.hook_post"});
  const auto logits = run.logits.narrow(1, 2, 1);
  ActivationCache cache;
  cache.put("mlp.hook_post", run.cache["mlp.hook_post"].unsqueeze(1));
  const Observation seen{0,
                         network.task.spec,
                         network.task.structure,
                         network.task.split,
                         *network.task.split.grid,
                         *network.model,
                         logits,
                         cache};
  using namespace subspace_loss;
  const auto of = represented(network.task.structure);
  const GridPieces grid(indices_in(network.task.structure), seen, {"*mlp.hook_post"});
  const OperandGrid whole(indices_in(network.task.structure), seen);
  const std::vector<int64_t> keys{2, 3};
  using Site = LinearCut::Site;
  for (const auto& [site, name] : {std::pair{Site::logits, "logits"},
                                   {Site::neurons, "neurons"},
                                   {Site::neurons_alone, "neurons_alone"}})
    for (const Part part : {Part::keep, Part::remove})
      for (const Bias bias : {Bias::none, Bias::site, Bias::logits}) {
        const auto found = losses_by_product({site, part, bias}, {keys}, grid, of, seen);
        const SubspaceCut how{functions_of_product(entries_of(keys, of), of), part, bias, name};
        const auto expected = whole.losses(cut_logits(how, orrery::laid_out(whole), seen));
        ASSERT_EQ(found.size(), 2u);
        for (size_t set = 0; set < expected.size(); ++set)
          EXPECT_NEAR(found[1][set].second, expected[set].second, 1e-10) << name;
        EXPECT_EQ(found[0], whole.losses(whole.logits()));
      }
}

// A representation of a cyclic group is a frequency.
TEST(SubspaceLoss, RepresentationsOfACyclicGroupAreFrequencies) {
  Network network(addition(11));
  build_noise(network, 4);
  const auto with = [&](const std::string& subspace) {
    const auto probe = make_probe(R"({"preset": "demo_excluded", )" + subspace + "}");
    const auto observation = network.observe();
    Recorder recorder;
    probe->fit(observation);
    probe->measure(observation, recorder);
    return recorder;
  };
  const auto waves = with(R"("rule": "given", "frequencies": [2, 3])"),
             representations =
                 with(R"("subspace": "key_representations", "representations": ["k=2", "k=3"])");
  for (const std::string name : {"loss/train", "k=2/test", "k=3/all"})
    EXPECT_NEAR(scalar(representations, name), scalar(waves, name), 1e-10);
  EXPECT_EQ(scalar(representations, "dimensions"), 4);
  EXPECT_EQ(std::get<std::string>(finding(representations, "key_representations").fields.at("group")),
            "Z_11");
}

TEST(SubspaceLoss, AsksForAGroupWhereItReadsRepresentations) {
  const auto needs = [](const std::string& parameters) { return make_probe(parameters)->needs(); };
  const auto alone = needs(R"({"preset": "chughtai_excluded"})");
  EXPECT_EQ(alone.structure_any, (std::vector<Capability>{Capability::group, Capability::cyclic}));
  EXPECT_TRUE(alone.structure.empty());
  EXPECT_EQ(alone.inputs, Inputs::none);
  EXPECT_TRUE(alone.reference);
  EXPECT_EQ(alone.activations, std::vector<std::string>{"*mlp.hook_post"});
  EXPECT_EQ(needs(R"({"preset": "chughtai_excluded", "site": "*mlp.hook_pre"})").inputs, Inputs::grid);
  EXPECT_EQ(needs(R"({"preset": "chughtai_excluded", "of": "operands"})").inputs, Inputs::grid);
}

TEST(SubspaceLoss, RefusesRepresentationsThatItCannotCut) {
  for (const char* parameters :
       {R"({"representations": ["sign"]})",
        R"({"preset": "chughtai_restricted", "rule": "given", "frequencies": [2]})",
        R"({"preset": "chughtai_restricted", "representations": ["all"], "bias": "site"})"})
    EXPECT_THROW(make_probe(parameters), UsageError) << parameters;
  auto network = one_layer_mlp(symmetric_group(3));
  const auto refusal = [&](const std::string& names) {
    try {
      measured(network, R"({"preset": "chughtai_restricted", "representations": )" + names + "}");
      return std::string();
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(refusal(R"(["sgn"])"),
            "representations: \"sgn\" is not a representation of S_3 (did you mean "
            "\"sign\"?)");
  EXPECT_EQ(refusal(R"(["sign", "sign"])"), "representations: \"sign\" is listed twice");
  RunningGroup deep(symmetric_group(3), [](const TaskSpec& spec) {
    return make_transformer({.n_layers = 2, .d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 16}, spec,
                            make_generator(3));
  });
  EXPECT_THROW(measured(deep, R"({"preset": "chughtai_restricted"})"), UsageError);
}

}  // namespace
}  // namespace orrery::testing
