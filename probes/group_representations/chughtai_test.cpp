// The preset "chughtai" against the definitions of the released code (bilal-chughtai/rep-theory-mech-interp,
// rep_theory/utils/metrics.py), taken over whole tables in double precision.
#include <gtest/gtest.h>
#include <orrery/fourier.h>
#include <orrery/mlp.h>
#include <orrery/subspace.h>
#include <orrery/transformer.h>
#include <tests/support/groups.h>
#include <tests/support/plugin_under_test.h>

#include "measured_test.h"

namespace orrery::testing {
namespace {

using torch::Tensor;

RunningGroup one_layer_mlp(const GroupStructure& group) {
  return {group, [](const TaskSpec& spec) {
            return make_mlp({.embedding = MlpConfig::Embedding::untied,
                             .hidden = MlpConfig::Hidden::untied,
                             .d_embed = 8,
                             .d_mlp = 20},
                            spec, make_generator(3));
          }};
}

// An orthonormal basis of the span of the entries of rho, as functions of x, y or x y over the elements or
// pairs `at`: [rank, at].
Tensor span_of(const Representation& rho, const Tensor& at) {
  const auto entries = rho.matrices.reshape({rho.matrices.size(0), -1}).index_select(0, at);
  return orthonormal_rows(entries.t());
}

double share(const Tensor& functions, const Tensor& values) {
  return (functions.matmul(values).square().sum() / values.square().sum()).item<double>();
}

// What the released code computes, in its own words.
struct Released {
  explicit Released(RunningGroup& network)
      : group(made(*network.task.structure.group)), all(irreducible_representations(group)) {
    const int64_t n = group.order();
    const auto elements = torch::arange(n, torch::kInt64);
    x = elements.repeat_interleave(n), y = elements.repeat({n}), xy = group.products();
    x_embed = network.weight("embed.W_E_a").narrow(0, 0, n).matmul(network.weight("mlp.W_in_a"));
    y_embed = network.weight("embed.W_E_b").narrow(0, 0, n).matmul(network.weight("mlp.W_in_b"));
    unembed = network.weight("mlp.W_out").matmul(network.weight("unembed.W_U"));
    hidden = (x_embed.index_select(0, x) + y_embed.index_select(0, y)).clamp_min(0);
    logits = hidden.matmul(unembed);
    const auto rows = network.rows();  // of the grid, by pair
    for (int64_t pair = 0; pair < n * n; ++pair)
      if ((network.task.split.train_rows == rows[pair]).any().item<bool>()) train.push_back(pair);
  }

  Tensor centred() const { return logits - logits.mean(1, true); }
  Tensor trace(const Representation& rho) const {
    const int64_t n = group.order();
    auto cube = torch::empty({n * n, n}, torch::kFloat64);
    for (int64_t pair = 0; pair < n * n; ++pair)
      for (int64_t z = 0; z < n; ++z)
        cube[pair][z] = rho.matrices[group.product(xy[pair].item<int64_t>(), group.inverse(z))].trace();
    return cube;
  }
  double trace_similarity(const Representation& rho) const {
    const auto cube = trace(rho);
    return ((cube * centred()).sum() / (cube.norm() * centred().norm())).item<double>();
  }
  Tensor along(const Representation& rho) const {
    const auto cube = trace(rho);
    return cube * ((cube * centred()).sum() / cube.square().sum());
  }
  double all_loss(const Tensor& of) const { return cross_entropy(of, xy).mean().item<double>(); }
  double train_loss(const Tensor& of) const {
    const auto pairs = torch::tensor(train, torch::kInt64);
    return cross_entropy(of.index_select(0, pairs), xy.index_select(0, pairs)).mean().item<double>();
  }

  FiniteGroup group;
  std::vector<Representation> all;
  Tensor x, y, xy, x_embed, y_embed, unembed, hidden, logits;
  std::vector<int64_t> train;
};

std::vector<GroupStructure> groups() {
  return {symmetric_group(3), alternating_group(4), dihedral_group(5), integers_modulo(6)};
}

constexpr double kFloat32 = 1e-5;  // logits of order one, as the network computes them

TEST(GroupRepresentations, AreThoseOfTheReleasedCodeOneByOne) {
  for (const GroupStructure& structure : groups()) {
    auto network = one_layer_mlp(structure);
    const Released released(network);
    SCOPED_TRACE(name_of(released.group));
    const auto recorder = measured(network, R"({"preset": "chughtai", "rule": "all"})");
    const auto n = released.group.order();
    const auto elements = torch::arange(n, torch::kInt64);
    const auto about_mean = released.hidden - released.hidden.mean(0);
    double explained = 0;
    for (size_t r = 0; r < released.all.size(); ++r) {
      const auto& rho = released.all[r];
      SCOPED_TRACE(rho.name);
      const auto of_element = span_of(rho, elements);
      const auto shares = [&](const std::string& of) {
        return tensor(recorder, "shares/" + of)[int64_t(r)].item<double>();
      };
      EXPECT_NEAR(shares("W_E_a W_in_a"), share(of_element, released.x_embed), 1e-12);
      EXPECT_NEAR(shares("W_E_b W_in_b"), share(of_element, released.y_embed), 1e-12);
      EXPECT_NEAR(shares("W_L"), share(of_element, released.unembed.t()), 1e-12);
      if (r == 0) continue;
      const std::string hook = "mlp.hook_post/";
      EXPECT_NEAR(scalar(recorder, hook + "rho(x)/" + rho.name), share(span_of(rho, released.x), about_mean),
                  kFloat32);
      EXPECT_NEAR(scalar(recorder, hook + "rho(y)/" + rho.name), share(span_of(rho, released.y), about_mean),
                  kFloat32);
      EXPECT_NEAR(scalar(recorder, hook + "rho(xy)/" + rho.name),
                  share(span_of(rho, released.xy), about_mean), kFloat32);
      const double similarity = released.trace_similarity(rho);
      explained += similarity * similarity;
      EXPECT_NEAR(scalar(recorder, "similarity/" + rho.name), similarity, kFloat32);
      EXPECT_NEAR(scalar(recorder, "excluded_loss/" + rho.name + "/train"),
                  released.train_loss(released.centred() - released.along(rho)), kFloat32);
      EXPECT_NEAR(scalar(recorder, "restricted_loss/" + rho.name + "/all"),
                  released.all_loss(released.along(rho)), kFloat32);
    }
    EXPECT_NEAR(scalar(recorder, "logit_variance_explained"), explained, kFloat32);
  }
}

TEST(GroupRepresentations, AreThoseOfTheReleasedCodeTogether) {
  for (const GroupStructure& structure : groups()) {
    auto network = one_layer_mlp(structure);
    const Released released(network);
    SCOPED_TRACE(name_of(released.group));
    std::vector<std::string> keys;
    auto sum = torch::zeros_like(released.logits);
    for (size_t r = 1; r < released.all.size(); ++r)
      if (released.trace_similarity(released.all[r]) > 0.005) {
        keys.push_back(released.all[r].name);
        sum += released.along(released.all[r]);
      }
    const auto recorder = measured(network, R"({"preset": "chughtai"})");
    EXPECT_EQ(std::get<std::vector<std::string>>(
                  finding(recorder, "key_representations").fields.at("representations")),
              keys);
    EXPECT_NEAR(scalar(recorder, "restricted_loss/all"), released.all_loss(sum), kFloat32);
    EXPECT_NEAR(scalar(recorder, "excluded_loss/train"), released.train_loss(released.centred() - sum),
                kFloat32);
  }
}

// What the preset changes, one definition at a time.
TEST(GroupRepresentations, APresetIsItsSettings) {
  auto network = one_layer_mlp(alternating_group(4));
  const auto named = measured(network, R"({"preset": "chughtai", "rule": "all"})"),
             spelt = measured(network, R"({"rule": "all", "logits_about": "inputs",
                 "weights_about": "zero", "embedding": "neurons", "class_means": "left_out"})"),
             ours = measured(network, R"({"rule": "all"})"),
             back = measured(network, R"({"preset": "chughtai", "rule": "all", "logits_about": "all",
                 "weights_about": "mean", "embedding": "weights", "class_means": "added"})");
  EXPECT_EQ(named.record().scalars, spelt.record().scalars);
  EXPECT_EQ(ours.record().scalars, back.record().scalars);
  EXPECT_NE(scalar(named, "logit_variance_explained"), scalar(ours, "logit_variance_explained"));
  EXPECT_NE(scalar(named, "restricted_loss/all"), scalar(ours, "restricted_loss/all"));
  EXPECT_NE(scalar(named, "explained/W_L"), scalar(ours, "explained/W_L"));
  EXPECT_TRUE(has_scalar(ours, "explained/W_E_a"));
}

// The embedding of a transformer is W_E itself: it enters the neurons through attention.
TEST(GroupRepresentations, TakeTheEmbeddingOfATransformerAsItIs) {
  RunningGroup network(symmetric_group(3), [](const TaskSpec& spec) {
    return make_transformer({.d_model = 12, .n_heads = 2, .d_head = 6, .d_mlp = 16}, spec, make_generator(3));
  });
  const auto recorder = measured(network, R"({"preset": "chughtai"})");
  const FiniteGroup group = made(*network.task.structure.group);
  const auto W_E = network.weight("embed.W_E").narrow(0, 0, 6);
  const auto all = irreducible_representations(group);
  for (size_t r = 0; r < all.size(); ++r)
    EXPECT_NEAR(tensor(recorder, "shares/W_E")[int64_t(r)].item<double>(),
                share(span_of(all[r], torch::arange(6, torch::kInt64)), W_E), 1e-12);
  EXPECT_EQ(make_probe()->needs().inputs, Inputs::none);
}

}  // namespace
}  // namespace orrery::testing
