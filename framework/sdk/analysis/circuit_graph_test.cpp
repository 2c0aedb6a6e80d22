// The graph against the network it is of, and patches of edges against their definition.
#include <gtest/gtest.h>
#include <orrery/circuit.h>
#include <orrery/error.h>
#include <tests/support/model_on_grid.h>
#include <tests/support/plain_circuit.h>
#include <tests/support/transformer_reference.h>
#include <torch/csrc/autograd/autograd.h>

namespace orrery {
namespace {

using testing::PlainCircuit;
using torch::Tensor;

TaskSpec sequences() {
  TaskSpec spec;
  spec.d_vocab = 9;
  spec.d_vocab_out = 7;
  spec.n_ctx = 5;
  spec.read_out = {1, 4};
  return spec;
}

TransformerConfig two_layers() {
  TransformerConfig config;
  config.n_layers = 2;
  config.d_model = 12;
  config.n_heads = 3;
  config.d_head = 4;
  config.d_mlp = 10;
  return config;
}

// Random in all its weights, biases and norms included.
std::unique_ptr<Model> drawn_transformer(const TransformerConfig& config, const TaskSpec& spec,
                                         uint64_t seed = 3) {
  const torch::NoGradGuard no_grad;
  auto model = make_transformer(config, spec, make_generator(seed));
  auto rng = make_generator(seed + 100);
  for (NamedWeight& weight : model->weights())
    if (weight.value.dim() < 2 || weight.name.find(".b_") != std::string::npos)
      weight.value.add_(torch::randn(weight.value.sizes(), rng) * 0.5);
  return model;
}

Tensor drawn_tokens(const TaskSpec& spec, int64_t n, uint64_t seed) {
  return torch::randint(spec.d_vocab, {n, spec.n_ctx}, make_generator(seed), torch::kInt64);
}

using Change = void (*)(TransformerConfig&);
using C = TransformerConfig;
const std::vector<std::pair<std::string, Change>> options_of_transformers = {
    {"plain", [](C&) {}},
    {"attn_only", [](C& c) { c.attn_only = true; }},
    {"one layer", [](C& c) { c.n_layers = 1; }},
    {"LN", [](C& c) { c.normalization_type = C::Normalization::LN; }},
    {"LNPre", [](C& c) { c.normalization_type = C::Normalization::LNPre; }},
    {"RMS", [](C& c) { c.normalization_type = C::Normalization::RMS; }},
    {"RMSPre", [](C& c) { c.normalization_type = C::Normalization::RMSPre; }},
    {"no final norm",
     [](C& c) {
       c.normalization_type = C::Normalization::LN;
       c.final_norm = false;
     }},
    {"all biases", [](C& c) { c.biases = C::Biases::all; }},
    {"no biases", [](C& c) { c.biases = C::Biases::none; }},
    {"gelu", [](C& c) { c.act_fn = C::ActFn::gelu; }},
    {"tanh", [](C& c) { c.act_fn = C::ActFn::tanh; }},
    {"gated",
     [](C& c) {
       c.gated_mlp = true;
       c.act_fn = C::ActFn::silu;
     }},
    {"bidirectional", [](C& c) { c.attention_dir = C::AttentionDir::bidirectional; }},
    {"attn_scale", [](C& c) { c.attn_scale = 0.7; }},
    {"attn_coeff", [](C& c) { c.attn_coeff = 0.4; }},
    {"no positions", [](C& c) { c.positional_embedding_type = C::PositionalEmbedding::none; }},
    {"tied", [](C& c) { c.unembedding = C::Unembedding::tied; }},
    {"identity",
     [](C& c) {
       c.unembedding = C::Unembedding::identity;
       c.d_model = 7;
     }},
};

TEST(CircuitGraph, HasTheLogitsOfEveryTransformer) {
  const TaskSpec spec = sequences();
  const Tensor tokens = drawn_tokens(spec, 6, 1);
  for (const auto& [name, change] : options_of_transformers)
    for (const auto grain : {CircuitGrain::layers, CircuitGrain::neurons}) {
      TransformerConfig config = two_layers();
      change(config);
      const auto model = drawn_transformer(config, spec);
      const CircuitOptions options{.grain = grain};
      if (!CircuitGraph::refusal(*model, spec, options).empty()) {
        EXPECT_EQ(grain, CircuitGrain::neurons) << name;
        continue;
      }
      const CircuitGraph graph(*model, spec, tokens, options);
      const Tensor expected = testing::TransformerReference(*model, config, spec).forward(tokens).detach();
      const Tensor at = expected.index_select(1, torch::tensor(spec.read_out, torch::kInt64));
      EXPECT_LT((graph.logits(tokens) - at).abs().max().item<double>(), 1e-11) << name;
      EXPECT_EQ(graph.logits(tokens).scalar_type(), torch::kFloat64);
    }
}

TEST(CircuitGraph, HasTheLogitsOfEveryMlp) {
  std::vector<MlpConfig> all = testing::every_mlp_of_operands(5, 6);
  for (const MlpConfig::ActFn act_fn :
       {MlpConfig::ActFn::square, MlpConfig::ActFn::gelu, MlpConfig::ActFn::identity})
    all.push_back({.embedding = MlpConfig::Embedding::untied, .d_embed = 5, .d_mlp = 6, .act_fn = act_fn});
  const size_t n = all.size();
  for (size_t i = 0; i < n; ++i) {
    all.push_back(all[i]);
    all.back().n_hidden = 2;
    all.back().bias = true;
  }
  for (const MlpConfig& config : all)
    for (const auto grain : {CircuitGrain::layers, CircuitGrain::neurons}) {
      SCOPED_TRACE(testing::wiring(config));
      auto seen = testing::random_mlp(config, 7);
      const Tensor& tokens = seen.task.split.grid->tokens;
      const CircuitGraph graph(*seen.model, seen.task.spec, tokens, {.grain = grain});
      // float32 rounding of sums of 17 products of size 10 and less
      EXPECT_LT((graph.logits(tokens) - seen.logits).abs().max().item<double>(), 1e-4);
      const int64_t width = grain == CircuitGrain::layers ? 1 : 6;
      EXPECT_EQ(graph.n_edges(), 3 * width + (config.n_hidden == 2 ? width * width : 0));
    }
}

TEST(CircuitGraph, HasTheLogitsOfMlpsThatReadBits) {
  TaskSpec spec;
  spec.d_vocab = 2;
  spec.d_vocab_out = 2;
  spec.n_ctx = 5;
  spec.read_out = {4};
  for (const auto values : {MlpConfig::BitValues::zero_one, MlpConfig::BitValues::signs})
    for (const bool column : {false, true}) {
      const MlpConfig config{
          .input = MlpConfig::Input::bits, .d_mlp = 6, .bit_values = values, .bias_column = column};
      const auto model = make_mlp(config, spec, make_generator(3));
      const Tensor tokens = drawn_tokens(spec, 20, 1);
      const CircuitGraph graph(*model, spec, tokens);
      const torch::NoGradGuard no_grad;
      EXPECT_LT((graph.logits(tokens) - model->forward(tokens).narrow(1, 4, 1)).abs().max().item<double>(),
                1e-5);
      EXPECT_EQ(graph.n_edges(), 5 * 6 + 6);
      EXPECT_EQ(graph.edges()[0].name, "bit 0 -> neuron 0.0");
    }
}

struct Patched {
  TaskSpec spec = sequences();
  std::unique_ptr<Model> model;
  Tensor clean = drawn_tokens(spec, 6, 1), corrupted = drawn_tokens(spec, 6, 2);
  std::unique_ptr<CircuitPatching> patching;

  explicit Patched(const TransformerConfig& config, CircuitOptions options = {})
      : model(drawn_transformer(config, spec)) {
    patching =
        std::make_unique<CircuitPatching>(CircuitGraph(*model, spec, clean, options), clean, corrupted);
  }
  const CircuitGraph& graph() const { return patching->graph(); }
  Tensor random_set(double share, uint64_t seed) const {
    return torch::rand({graph().n_edges()}, make_generator(seed)) < share;
  }
  Tensor at_read_out(const Tensor& logits) const {
    return logits.index_select(1, torch::tensor(spec.read_out, torch::kInt64));
  }
};

double largest_difference(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(CircuitPatching, IsWhatPlainSumsSay) {
  for (const bool with_norm : {false, true}) {
    TransformerConfig config = two_layers();
    if (with_norm) config.normalization_type = TransformerConfig::Normalization::LN;
    config.biases = TransformerConfig::Biases::all;
    const Patched patched(config);
    const PlainCircuit plain(*patched.model);
    const auto corrupted = plain.pass(patched.corrupted);
    std::vector<Tensor> sets;
    for (int64_t edge = 0; edge < patched.graph().n_edges(); ++edge)
      sets.push_back(
          torch::ones({patched.graph().n_edges()}, torch::kBool).index_fill(0, torch::tensor({edge}), false));
    for (uint64_t seed = 0; seed < 20; ++seed)
      sets.push_back(patched.random_set(0.1 * double(seed % 10), seed));
    for (const Tensor& kept : sets) {
      std::set<std::string> cut;
      for (int64_t edge = 0; edge < kept.size(0); ++edge)
        if (!kept[edge].item<bool>()) cut.insert(patched.graph().edges()[edge].name);
      const Tensor expected = plain.pass(patched.clean, cut, corrupted).at("logits");
      ASSERT_LT(largest_difference(patched.patching->logits(kept), patched.at_read_out(expected)), 1e-11);
    }
  }
}

TEST(CircuitPatching, OfAllEdgesIsTheCorruptedPassAndOfNoneTheClean) {
  for (const auto grain : {CircuitGrain::layers, CircuitGrain::neurons}) {
    const Patched patched(two_layers(), {.grain = grain});
    const int64_t n = patched.graph().n_edges();
    EXPECT_TRUE(
        patched.patching->logits(torch::ones({n}, torch::kBool)).equal(patched.patching->clean_logits()));
    EXPECT_TRUE(patched.patching->logits(torch::zeros({n})).equal(patched.patching->corrupted_logits()));
    EXPECT_TRUE(patched.patching->clean_logits().equal(patched.graph().logits(patched.clean)));
    EXPECT_TRUE(patched.patching->corrupted_logits().equal(patched.graph().logits(patched.corrupted)));
    EXPECT_GT(largest_difference(patched.patching->clean_logits(), patched.patching->corrupted_logits()),
              0.1);
  }
}

// The pass for sets computes few nodes; the one for numbers computes all.
TEST(CircuitPatching, OfASetAgreesWithThatOfNumbers) {
  std::vector<std::unique_ptr<Patched>> all;
  for (const auto grain : {CircuitGrain::layers, CircuitGrain::neurons}) {
    all.push_back(std::make_unique<Patched>(two_layers(), CircuitOptions{.grain = grain}));
    TransformerConfig config = two_layers();
    config.positional_embedding_type = TransformerConfig::PositionalEmbedding::none;
    all.push_back(std::make_unique<Patched>(config, CircuitOptions{.grain = grain}));
  }
  for (const auto& patched : all)
    for (uint64_t seed = 0; seed < 30; ++seed) {
      const Tensor kept = patched->random_set(seed % 3 == 0 ? 0.03 : seed % 3 == 1 ? 0.5 : 0.97, seed);
      const Tensor numbers = kept.to(torch::kFloat64).requires_grad_(true);
      EXPECT_LT(
          largest_difference(patched->patching->logits(kept), patched->patching->logits(numbers).detach()),
          1e-11);
    }
}

TEST(CircuitPatching, IsDifferentiableInHowMuchOfAnEdgeIsKept) {
  for (const auto grain : {CircuitGrain::layers, CircuitGrain::neurons}) {
    const Patched patched(two_layers(), {.grain = grain});
    const Tensor at = torch::rand({patched.graph().n_edges()}, make_generator(5), torch::kFloat64);
    const Tensor kept = at.clone().requires_grad_(true);
    const auto metric = [&](const Tensor& x) { return patched.patching->logits(x).sin().sum(); };
    const Tensor slope = torch::autograd::grad({metric(kept)}, {kept})[0];
    const torch::NoGradGuard no_grad;
    for (int64_t edge = 0; edge < at.size(0); edge += 7) {
      const Tensor step = torch::zeros_like(at).index_fill(0, torch::tensor({edge}), 1e-5);
      const double expected = (metric(at + step) - metric(at - step)).item<double>() / 2e-5;
      EXPECT_NEAR(slope[edge].item<double>(), expected, 1e-6 * std::max(1.0, std::abs(expected)));
    }
  }
}

// Behind the last layer there is one way to the logits, so a path is an edge followed by an edge.
TEST(CircuitPatching, OfAPathChangesNothingBesideIt) {
  const Patched patched(two_layers());
  const PlainCircuit plain(*patched.model);
  const auto corrupted = plain.pass(patched.corrupted), clean = plain.pass(patched.clean);
  const auto path = [&](const std::vector<std::string>& names) {
    std::vector<int64_t> edges;
    for (const std::string& name : names) edges.push_back(patched.graph().edge(name));
    return patched.patching->path_logits(edges);
  };
  const auto expected = [&](const std::set<std::string>& cut, const PlainCircuit::Sends& carried) {
    return plain.pass(patched.clean, cut, carried);
  };
  const std::string direct = "head 0.1 -> logits", first = "embed -> head 0.1 k",
                    second = "head 0.1 -> mlp 1", last = "mlp 1 -> logits";
  EXPECT_LT(
      largest_difference(path({direct}), patched.at_read_out(expected({direct}, corrupted).at("logits"))),
      1e-11);
  auto carried = expected({first}, corrupted);  // head 0.1 with a corrupted key
  carried = expected({second}, carried);        // mlp 1 that reads it, all else clean
  const Tensor by_hand = expected({last}, carried).at("logits");
  EXPECT_LT(largest_difference(path({first, second, last}), patched.at_read_out(by_hand)), 1e-11);
  EXPECT_GT(largest_difference(path({first, second, last}), path({first, direct})), 1e-6);
  EXPECT_GT(largest_difference(path({first, second, last}), patched.patching->clean_logits()), 1e-6);
  for (const auto& wrong : std::vector<std::vector<std::string>>{{}, {first}, {first, last}, {direct, last}})
    EXPECT_THROW(path(wrong), Error);
}

TEST(CircuitGraph, NamesItsNodesAndEdges) {
  const Patched patched(two_layers());
  const CircuitGraph& graph = patched.graph();
  // Two embeddings; layer 0 of three heads with three parts, mlp 0, layer 1, mlp 1, logits.
  EXPECT_EQ(graph.n_edges(), 9 * 2 + 5 + 9 * 6 + 9 + 10);
  EXPECT_EQ(graph.nodes().front().name, "embed");
  EXPECT_EQ(graph.nodes().back().name, "logits");
  std::set<std::string> names;
  for (int64_t edge = 0; edge < graph.n_edges(); ++edge) {
    names.insert(graph.edges()[edge].name);
    EXPECT_EQ(graph.edge(graph.edges()[edge].name), edge);
    EXPECT_LT(graph.nodes()[graph.edges()[edge].sender].depth,
              graph.nodes()[graph.edges()[edge].receiver].depth);
  }
  EXPECT_EQ(static_cast<int64_t>(names.size()), graph.n_edges());
  EXPECT_EQ(graph.edges_from("mlp 0").size(), 9u + 1 + 1);
  EXPECT_EQ(graph.edges_from("logits").size(), 0u);
  try {
    graph.edge("embed -> head 0.1 w");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.hint().find("embed -> head 0.1"), std::string::npos);
  }
  EXPECT_THROW(graph.edges_from("mlp 2"), Error);
}

TEST(CircuitGraph, EdgesOffEveryPathChangeNothing) {
  const Patched patched(two_layers());
  bool dropped = false;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Tensor kept = patched.random_set(0.15, seed), connected = patched.graph().connected(kept);
    EXPECT_FALSE((connected & kept.logical_not()).any().item<bool>());
    EXPECT_TRUE(patched.graph().connected(connected).equal(connected));
    EXPECT_LT(largest_difference(patched.patching->logits(kept), patched.patching->logits(connected)), 1e-12);
    dropped = dropped || !connected.equal(kept);
    // Each that is left is on a path: without it something else comes off, or it was a whole path itself.
    for (const int64_t edge : patched.graph().edges_from("mlp 1"))
      if (connected[edge].item<bool>()) {
        bool fed = false;
        for (int64_t e = 0; e < connected.size(0); ++e)
          fed = fed || (connected[e].item<bool>() &&
                        patched.graph().nodes()[patched.graph().edges()[e].receiver].name == "mlp 1");
        EXPECT_TRUE(fed);
      }
  }
  EXPECT_TRUE(dropped);
}

std::string reason_against(const TransformerConfig& config, const TaskSpec& spec,
                           const CircuitOptions& options = {}) {
  const auto model = make_transformer(config, spec, make_generator(0));
  try {
    CircuitGraph(*model, spec, drawn_tokens(spec, 2, 1), options);
    return "";
  } catch (const UsageError& error) {
    EXPECT_NE(error.hint(), "");
    return error.what();
  }
}

void expect_reason(const std::string& reason, const std::string& part) {
  EXPECT_NE(reason.find(part), std::string::npos) << reason;
}

TEST(CircuitGraph, RefusesWhatItDoesNotKnow) {
  TaskSpec spec = sequences();
  TransformerConfig config = two_layers();
  config.positional_embedding_type = TransformerConfig::PositionalEmbedding::rotary;
  expect_reason(reason_against(config, spec), "rotary");
  config = two_layers();
  config.normalization_type = TransformerConfig::Normalization::LN;
  expect_reason(reason_against(config, spec, {.grain = CircuitGrain::neurons}), "behind a normalisation");
  config.normalization_place = TransformerConfig::NormalizationPlace::post;
  expect_reason(reason_against(config, spec), "behind the sum");
  config = two_layers();
  config.gated_mlp = true;
  expect_reason(reason_against(config, spec, {.grain = CircuitGrain::neurons}), "gated");
  config = two_layers();
  expect_reason(reason_against(config, spec, {.grain = CircuitGrain::neurons, .max_edges = 100}),
                "edges, more than 100");
  spec.pad_token = 3;
  expect_reason(reason_against(config, spec), "pad_token");
  testing::GivenWeights other;
  expect_reason(CircuitGraph::refusal(other, sequences()), "neither a transformer nor an mlp");
}

// A model whose logits its weights do not tell.
class Shifted final : public Model {
 public:
  explicit Shifted(Model& of) : Model(InFrontOf{of}), of_(of) {}
  Tensor forward(const Tensor& tokens) override { return of_.forward(tokens) + 0.01; }

 private:
  Model& of_;
};

TEST(CircuitGraph, RefusesANetworkThatItDoesNotReproduce) {
  const TaskSpec spec = sequences();
  const auto model = drawn_transformer(two_layers(), spec);
  const Tensor tokens = drawn_tokens(spec, 6, 1);
  EXPECT_NO_THROW(CircuitGraph(*model, spec, tokens));
  Shifted shifted(*model);
  try {
    CircuitGraph(shifted, spec, tokens);
    FAIL();
  } catch (const UsageError& error) {
    expect_reason(error.what(), "differ from its own");
  }
}

TEST(CircuitGraph, WorksInFloat32Too) {
  const Patched exact(two_layers()), rough(two_layers(), {.dtype = torch::kFloat32});
  const Tensor kept = exact.random_set(0.5, 1);
  EXPECT_EQ(rough.patching->logits(kept).scalar_type(), torch::kFloat32);
  EXPECT_LT(
      largest_difference(rough.patching->logits(kept).to(torch::kFloat64), exact.patching->logits(kept)),
      1e-4);
}

}  // namespace
}  // namespace orrery
