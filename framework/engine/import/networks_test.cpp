// The shapes in which files hold networks, each written out as a pickle.
#include "engine/import/networks.h"

#include <gtest/gtest.h>

#include <array>

#include "engine/import/modules.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using namespace std::string_literals;
using orrery::testing::error_of;
using orrery::testing::expect_holds;
using pickle::Heap;

constexpr std::array<std::byte, 64> storage{};

std::string text(const std::string& value) { return "\x8c"s + static_cast<char>(value.size()) + value; }
// A float matrix of 2 x 2 zeros.
std::string matrix() {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") +
         text("cpu") + "K\x04tQK\x00K\x02K\x02\x86K\x02K\x01\x86\x89}tR"s;
}
std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string program = "}(";
  for (const auto& [key, value] : entries) program += key + value;
  return program + "u";
}
std::string list(const std::vector<std::string>& items) {
  std::string program = "](";
  for (const std::string& item : items) program += item;
  return program + "e";
}
std::string number(int value) {
  return "M"s + static_cast<char>(value & 0xff) + static_cast<char>(value >> 8);
}
std::string network(const std::string& prefix = "") {
  return dict({{text(prefix + "embed.W_E"), matrix()}, {text(prefix + "unembed.W_U"), matrix()}});
}

Heap run(const std::string& program) {
  const std::string whole = "\x80\x04" + program + ".";
  return pickle::unpickle(
      std::as_bytes(std::span(whole)),
      [](const std::string&, uint64_t) { return std::span<const std::byte>(storage); }, "x.pth");
}

std::vector<int64_t> steps_of(const std::string& program) {
  const Heap heap = run(program);
  std::vector<int64_t> steps;
  for (const FoundNetwork& one : find_networks(heap.root, "", "", "x.pth").networks)
    steps.push_back(one.step);
  return steps;
}
std::vector<std::string> names_of(const std::string& program) {
  const Heap heap = run(program);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : find_networks(heap.root, "", "", "x.pth").networks[0].tensors())
    names.push_back(name);
  return names;
}

using Steps = std::vector<int64_t>;
using Names = std::vector<std::string>;
const Names both_weights = {"embed.W_E", "unembed.W_U"};

TEST(Networks, come_in_many_forms) {
  EXPECT_EQ(names_of(network()), both_weights);
  EXPECT_EQ(names_of(dict({{text("model"), network()}, {text("lr"), "K\x01"}})), both_weights);
  EXPECT_EQ(names_of(list({text("embed.W_E") + matrix() + "\x86", text("unembed.W_U") + matrix() + "\x86"})),
            both_weights);
  // Numbers beside the tensors of one dict.
  EXPECT_EQ(names_of(dict(
                {{text("embed.W_E"), matrix()}, {text("unembed.W_U"), matrix()}, {text("epoch"), "K\x07"}})),
            both_weights);
  // In a tuple with the state of the optimiser, and in an object.
  const std::string optimizer = dict({{text("state"), "}"}, {text("param_groups"), "]"}});
  EXPECT_EQ(names_of(network() + optimizer + "\x86"), both_weights);
  EXPECT_EQ(names_of("cm\nCheckpoint\n)\x81" + dict({{text("weights"), network()}}) + "b"), both_weights);
}

// Which of the two counts is not known.
TEST(Networks, have_each_name_once) {
  const std::string pair = text("embed.W_E") + matrix() + "\x86",
                    other = text("unembed.W_U") + matrix() + "\x86";
  const auto said = [](const std::string& program) {
    const Heap heap = run(program);
    return error_of([&] { find_networks(heap.root, "", "", "x.pth"); });
  };
  expect_holds(said(list({pair, other, pair})),
               "x.pth: the name \"embed.W_E\" comes twice, at [0] and at [2]");
  // In any network of a series.
  expect_holds(said(dict({{text("model"), list({list({pair, other}), list({other, pair, other})})}})),
               "at model[1][0] and at model[1][2]");
}

TEST(Networks, that_are_none_have_an_error_of_their_own) {
  const Heap curves = run(dict({{text("losses"), list({number(1), number(2)})}}));
  EXPECT_THROW(find_networks(curves.root, "", "", "x.pth"), NoNetwork);
  const Heap one = run(matrix());
  EXPECT_THROW(find_networks(one.root, "", "", "x.pth"), NoNetwork);
  const Heap whole = run(network());
  try {
    find_networks(whole.root, "model", "", "it holds no network.pth");
    ADD_FAILURE();
  } catch (const NoNetwork& error) {
    ADD_FAILURE() << error.what();
  } catch (const UsageError& error) {
    expect_holds(error.what(), "there is nothing at \"model\"");
  }
}

// As PyTorch's tutorial has its sinusoids: [n_ctx, 1, d_model].
TEST(Networks, have_positions_without_the_dimension_of_a_batch) {
  const auto shape_of = [](const std::string& sizes) {
    const std::string pe = "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
                           "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K\x06tQK\x00"s + sizes +
                           "\x89}tR";
    const Heap heap = run(dict({{text("embed.W_E"), matrix()}, {text("pos_encoder.pe"), pe}}));
    return find_networks(heap.root, "", "", "x.pth").networks[0].tensors()[1].second.shape;
  };
  const std::string strides = "K\x02K\x02K\x01\x87";
  EXPECT_EQ(shape_of("K\x03K\x01K\x02\x87" + strides), (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(shape_of("K\x01K\x03K\x02\x87K\x06K\x02K\x01\x87"), (std::vector<int64_t>{3, 2}));
}

TEST(Networks, of_a_training_have_their_steps) {
  EXPECT_EQ(steps_of(list({network(), network()})), (Steps{0, 1}));
  EXPECT_EQ(steps_of(list({number(300) + network() + "\x86", number(5) + network() + "\x86"})),
            (Steps{5, 300}));
  EXPECT_EQ(steps_of(list({dict({{text("step"), number(9)}, {text("model"), network()}}),
                           dict({{text("step"), number(2)}, {text("model"), network()}})})),
            (Steps{2, 9}));
  EXPECT_EQ(steps_of(dict({{number(7), network()}, {number(3), network()}})), (Steps{3, 7}));
  EXPECT_EQ(steps_of(dict({{text("0"), network()}, {text("100"), network()}})), (Steps{0, 100}));
  EXPECT_EQ(steps_of(dict(
                {{text("checkpoints"), dict({{text("step_50"), network()}, {text("step_10"), network()}})}})),
            (Steps{10, 50}));
  EXPECT_EQ(
      steps_of(
          dict({{text("model"), network()}, {text("epoch"), number(3)}, {text("global_step"), number(400)}})),
      (Steps{400}));
  // Two records of one step would be one checkpoint.
  const Heap twice = run(list({number(5) + network() + "\x86", number(5) + network() + "\x86"}));
  expect_holds(error_of([&] { find_networks(twice.root, "", "", "x.pth"); }), "have the same step, 5");
}

TEST(Networks, lose_the_prefixes_of_wrappers_in_any_order) {
  for (const char* prefix :
       {"module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.model.net."})
    EXPECT_EQ(names_of(network(prefix)), both_weights) << prefix;
  // A loss beside the network of a Lightning module; said, and left out.
  const auto beside = [](const std::string& other) {
    return dict({{text("model.a"), matrix()},
                 {text("model.b"), matrix()},
                 {text("model.c"), matrix()},
                 {text("model.d"), matrix()},
                 {text(other), matrix()}});
  };
  const Heap heap = run(beside("loss.weight"));
  const FoundNetworks found = find_networks(heap.root, "", "", "x.pth");
  EXPECT_EQ(found.networks[0].tensors().size(), 4u);
  EXPECT_EQ(found.networks[0].left_out(), Names{"loss.weight"});
  // But nothing that looks like a weight of a network.
  EXPECT_EQ(names_of(beside("lm_head.weight")).size(), 5u);
}

// A module has its tensors in _parameters and _buffers, those of its parts in _modules.
TEST(Networks, are_whole_modules) {
  const std::string part = "cm\nEmbed\n)\x81" +
                           dict({{text("_parameters"), dict({{text("W_E"), matrix()}})},
                                 {text("_buffers"), "}"},
                                 {text("_modules"), "}"}}) +
                           "b";
  const std::string config = "ctransformer_lens.HookedTransformerConfig\nHookedTransformerConfig\n)\x81" +
                             dict({{text("n_heads"), "K\x02"}, {text("act_fn"), text("gelu")}}) + "b";
  const std::string whole = "cm\nNet\n)\x81" +
                            dict({{text("_parameters"), dict({{text("bias"), "N"}})},
                                  {text("_buffers"), dict({{text("mask"), matrix()}})},
                                  {text("_modules"), dict({{text("embed"), part}})},
                                  {text("cfg"), config}}) +
                            "b";
  EXPECT_EQ(names_of(whole), (Names{"mask", "embed.W_E"}));
  const Heap heap = run(whole);
  const FoundNetworks found = find_networks(heap.root, "", "", "x.pth");
  EXPECT_EQ(found.settings_from, "transformer_lens.HookedTransformerConfig.HookedTransformerConfig");
  EXPECT_EQ(found.settings.at("n_heads"), StoredSetting(int64_t{2}));
  EXPECT_EQ(found.settings.at("act_fn"), StoredSetting("gelu"s));
}

TEST(Networks, have_configurations_beside_them) {
  const Heap heap =
      run(dict({{text("model"), network()},
                {text("config"), dict({{text("model"), dict({{text("n_head"), "K\x04"}})},
                                       {text("act"), "cm\nAct\n" + text("relu") + "\x85R"}})}}));
  const FoundNetworks found = find_networks(heap.root, "", "", "x.pth");
  EXPECT_EQ(found.settings_from, "config");
  EXPECT_EQ(found.settings.at("n_head"), StoredSetting(int64_t{4}));
  EXPECT_EQ(found.settings.at("act"), StoredSetting("relu"s));  // an enum
}

TEST(Networks, modules_that_hold_themselves_end) {
  const std::string circle = "cm\nNet\n)\x81q\x00"s +
                             dict({{text("_parameters"), dict({{text("w"), matrix()}})},
                                   {text("_modules"), dict({{text("self"), "h\x00"s}})}}) +
                             "b";
  EXPECT_LT(names_of(circle).size(), 100u);
  // Twice: two ways at each level.
  const std::string twice = "cm\nNet\n)\x81q\x00"s +
                            dict({{text("_parameters"), dict({{text("w"), matrix()}})},
                                  {text("_modules"), dict({{text("a"), "h\x00"s}, {text("b"), "h\x00"s}})}}) +
                            "b";
  EXPECT_LE(names_of(twice).size(), 100'000u);
}

}  // namespace
}  // namespace orrery::engine
