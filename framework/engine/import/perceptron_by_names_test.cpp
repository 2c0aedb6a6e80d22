// Perceptrons as PyTorch has them against their own computation, in float64.
#include "engine/import/perceptron_by_names.h"

#include <gtest/gtest.h>
#include <orrery/mlp.h>
#include <torch/types.h>

#include <deque>
#include <functional>

#include "sdk/files/named_tensors.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using orrery::testing::error_of;
using orrery::testing::expect_holds;
using torch::Tensor;

constexpr int64_t p = 5, n_neurons = 7, d_embed = 4;
const TaskSpec pairs_mod_5 = {.d_vocab = p, .d_vocab_out = p, .n_ctx = 2, .read_out = {1}};

// A state dict of layers of torch.nn.
class StateDict {
 public:
  Tensor matrix(const std::string& module, int64_t out, int64_t in) {
    return add(module + ".weight", torch::randn({out, in}, generator_));
  }
  // x -> x W^T + b
  std::function<Tensor(Tensor)> linear(const std::string& module, int64_t out, int64_t in, bool bias = true) {
    const Tensor weight = matrix(module, out, in);
    const Tensor offset = bias ? add(module + ".bias", torch::randn({out}, generator_)) : torch::zeros({out});
    return
        [=](const Tensor& x) { return x.matmul(weight.to(torch::kDouble).t()) + offset.to(torch::kDouble); };
  }
  Tensor add(const std::string& name, const Tensor& value) {
    const Tensor& own = kept_.emplace_back(value.contiguous());
    tensors.emplace_back(name,
                         pickle::StoredTensor{pickle::Dtype::F32,
                                              own.sizes().vec(),
                                              own.strides().vec(),
                                              0,
                                              {static_cast<const std::byte*>(own.data_ptr()), own.nbytes()}});
    return own;
  }
  StoredTensors tensors;

 private:
  torch::Generator generator_ = make_generator(5);
  std::deque<Tensor> kept_;
};

Tensor both_operands() { return torch::cartesian_prod({torch::arange(p), torch::arange(p)}); }
Tensor as_one_hot(const Tensor& tokens) { return torch::eye(p, torch::kDouble).index_select(0, tokens); }
Tensor rows_of_operand(const Tensor& table, int64_t operand) {
  return table.to(torch::kDouble).index_select(0, both_operands().select(1, operand));
}

// The model that the layout tells of, with the weights in the file, computes `expected` [inputs, classes].
void expect_computes(const StateDict& file, const Tensor& tokens, const Tensor& expected,
                     const TaskSpec& spec = pairs_mod_5) {
  const auto layout = perceptron_by_names(file.tensors, "x.pt");
  ASSERT_TRUE(layout);
  const ModelShapes shapes = model_of(file.tensors, *layout);
  EXPECT_EQ(shapes.kind, "mlp");
  const auto model = make_mlp(fields_of<MlpConfig>().make(shapes.values), spec, make_generator(1));
  const Converted converted = convert(file.tensors, *layout, *model, spec.d_vocab, false, "x.pt");
  const torch::NoGradGuard no_grad;
  load_weights(*model, converted.weights);
  for (NamedWeight& weight : model->weights()) weight.value.set_data(weight.value.to(torch::kDouble));
  const Tensor logits = model->forward(tokens).select(1, -1);
  EXPECT_LE((logits - expected).abs().max().item<double>(), 1e-12 * expected.abs().max().item<double>());
}

TEST(PerceptronByNames, one_hot_operands_side_by_side) {
  StateDict file;
  const auto fc1 = file.linear("fc1", n_neurons, 2 * p), fc2 = file.linear("fc2", p, n_neurons);
  const Tensor x =
      torch::cat({as_one_hot(both_operands().select(1, 0)), as_one_hot(both_operands().select(1, 1))}, 1);
  expect_computes(file, both_operands(), fc2(torch::relu(fc1(x))));
}

TEST(PerceptronByNames, the_sum_of_one_hot_operands_through_two_hidden_layers) {
  StateDict file;
  const auto first = file.linear("0", n_neurons, p), second = file.linear("2", n_neurons, n_neurons),
             third = file.linear("4", p, n_neurons, /*bias=*/false);
  const Tensor x = as_one_hot(both_operands().select(1, 0)) + as_one_hot(both_operands().select(1, 1));
  expect_computes(file, both_operands(), third(torch::relu(second(torch::relu(first(x))))));
}

TEST(PerceptronByNames, embeddings_shared_or_not_joined_or_added) {
  for (const bool shared : {true, false})
    for (const bool joined : {true, false}) {
      StateDict file;
      const Tensor a = file.matrix(shared ? "embedding" : "x_embed", p, d_embed);
      const Tensor b = shared ? a : file.matrix("y_embed", p, d_embed);
      const auto fc1 = file.linear("fc1", n_neurons, joined ? 2 * d_embed : d_embed, /*bias=*/false),
                 fc2 = file.linear("fc2", p, n_neurons, /*bias=*/false);
      const Tensor x = joined ? torch::cat({rows_of_operand(a, 0), rows_of_operand(b, 1)}, 1)
                              : rows_of_operand(a, 0) + rows_of_operand(b, 1);
      expect_computes(file, both_operands(), fc2(torch::relu(fc1(x))));
    }
}

// As in the code of sparse parities.
TEST(PerceptronByNames, bits) {
  for (const int64_t outputs : {1, 2}) {
    StateDict file;
    const auto first = file.linear("0", n_neurons, 6), second = file.linear("2", outputs, n_neurons);
    const Tensor bits = torch::randint(2, {20, 6}, make_generator(2), torch::kInt64);
    expect_computes(file, bits, second(torch::relu(first(bits.to(torch::kDouble)))),
                    {.d_vocab = 2, .d_vocab_out = outputs, .n_ctx = 6, .read_out = {5}});
  }
}

// safetensors sorts names: here the last layer comes first.
TEST(PerceptronByNames, the_order_of_the_layers_is_that_of_their_shapes) {
  StateDict file;
  const auto last = file.linear("a", p, n_neurons), first = file.linear("b", n_neurons, 2 * p);
  const Tensor x =
      torch::cat({as_one_hot(both_operands().select(1, 0)), as_one_hot(both_operands().select(1, 1))}, 1);
  expect_computes(file, both_operands(), last(torch::relu(first(x))));
  // Two hidden layers that could change places: said.
  StateDict square;
  for (const char* name : {"in", "out"}) square.linear(name, 6, 6);
  expect_holds(perceptron_by_names(square.tensors, "x.pt")->assumptions.at(0),
               "its layers follow each other as in, out");
}

TEST(PerceptronByNames, others_are_refused_by_what_they_have) {
  const auto said = [](const std::vector<std::tuple<std::string, int64_t, int64_t>>& layers) {
    StateDict file;
    for (const auto& [name, out, in] : layers) file.matrix(name, out, in);
    return error_of([&] { perceptron_by_names(file.tensors, "x.pt"); });
  };
  expect_holds(said({{"0", 8, 10}, {"2", 8, 8}, {"4", 8, 8}, {"6", 5, 8}}),
               "x.pt: a perceptron with 4 linear layers");
  expect_holds(said({{"0", 8, 10}, {"2", 6, 8}, {"4", 5, 6}}), "hidden layers of 8 and 6 neurons");
  expect_holds(said({{"0", 8, 10}, {"2", 5, 7}}), "(0: 10 to 8, 2: 7 to 5)");
  expect_holds(said({{"0", 8, 17}, {"2", 5, 8}}), "17 inputs and 5 outputs");
  expect_holds(said({{"x_embed", 7, 4}, {"y_embed", 9, 4}, {"0", 8, 8}, {"2", 5, 8}}),
               "operands of two vocabularies (x_embed of 7, y_embed of 9 tokens)");
  expect_holds(said({{"emb", 7, 4}, {"0", 8, 12}, {"2", 5, 8}}),
               "embeddings of 4 numbers, of which 0 reads 12");
  StateDict norms;
  norms.linear("0", 8, 10);
  norms.add("1.weight", torch::ones({8}));
  norms.linear("3", 5, 8);
  expect_holds(error_of([&] { perceptron_by_names(norms.tensors, "x.pt"); }), "normalisation (1.weight)");
  // One layer, or something else, is no perceptron.
  StateDict one;
  one.linear("fc", 3, 2);
  EXPECT_FALSE(perceptron_by_names(one.tensors, "x.pt"));
  one.linear("fc2", 3, 3);
  one.add("conv.weight", torch::ones({2, 2, 2}));
  EXPECT_FALSE(perceptron_by_names(one.tensors, "x.pt"));
}

// What does not fit the task is named as the file has it.
TEST(PerceptronByNames, sizes_are_those_of_the_task) {
  StateDict file;
  file.linear("fc1", n_neurons, 2 * 6);
  file.linear("fc2", 6, n_neurons);
  const auto layout = perceptron_by_names(file.tensors, "x.pt");
  MlpConfig config;
  config.embedding = MlpConfig::Embedding::untied;
  config.hidden = MlpConfig::Hidden::untied;
  config.collapse = MlpConfig::Collapse::both;
  config.d_mlp = n_neurons;
  config.bias = true;
  const auto model = make_mlp(config, pairs_mod_5, make_generator(1));
  expect_holds(error_of([&] { convert(file.tensors, *layout, *model, p, false, "x.pt"); }),
               "fc1.weight: shape [7, 12], expected [7, 10] (d_mlp (2 d_vocab))");
}

}  // namespace
}  // namespace orrery::engine
