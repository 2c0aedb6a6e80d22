#include "engine/import/weights_file.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstring>
#include <random>

#include "engine/import/networks.h"
#include "engine/import/zip.h"
#include "sdk/files/atomic_file.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

using orrery::testing::error_of;
using orrery::testing::expect_holds;
using orrery::testing::TestFolder;
using pickle::StoredTensor;

const std::filesystem::path fixtures = ORRERY_SOURCE_DIR "/tests/fixtures";

std::string refusal(const std::string& bytes) {
  return error_of([&] { parse_weights(std::as_bytes(std::span(bytes)), "x.pth"); });
}
std::string refusal_of(const std::string& fixture) { return refusal(read_file(fixtures / fixture)); }

const StoredTensor& tensor(const StoredTensors& tensors, const std::string& name) {
  for (const auto& [known, value] : tensors)
    if (known == name) return value;
  throw std::runtime_error("no " + name);
}

FoundNetworks networks_of(const std::string& fixture, const std::string& key = "",
                          const std::string& steps = "") {
  static std::deque<WeightsFile> kept;
  return find_networks(kept.emplace_back(fixtures / fixture).root(), key, steps, fixture);
}

// Saved from a GPU, under "model", beside the state of an optimiser.
TEST(WeightsFile, a_training_as_people_save_it) {
  const FoundNetworks found = networks_of("progress_measures.pth");
  ASSERT_EQ(found.networks.size(), 1u);
  EXPECT_EQ(found.networks[0].key, "model");
  EXPECT_EQ(found.networks[0].step, 42);
  EXPECT_EQ(found.steps_from, "epoch");
  EXPECT_TRUE(found.others.empty());
  const StoredTensors tensors = found.networks[0].tensors();
  EXPECT_EQ(tensors.size(), 12u);
  EXPECT_EQ(tensor(tensors, "embed.W_E").shape, (std::vector<int64_t>{4, 6}));
  EXPECT_EQ(tensor(tensors, "blocks.0.attn.W_K").shape, (std::vector<int64_t>{2, 3, 4}));
}

TEST(WeightsFile, lists_of_networks_are_checkpoints) {
  const FoundNetworks all = networks_of("checkpoints.pth");
  ASSERT_EQ(all.networks.size(), 3u);
  EXPECT_EQ(all.others, std::vector<std::string>{"model"});
  EXPECT_EQ(all.steps_from, "epochs");
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(all.networks[i].key, "state_dicts[" + std::to_string(i) + "]");
    EXPECT_EQ(all.networks[i].step, (std::array{0, 100, 250}[i]));
  }
  const FoundNetworks one = networks_of("checkpoints.pth", "state_dicts[1]");
  ASSERT_EQ(one.networks.size(), 1u);
  EXPECT_EQ(one.networks[0].step, 100);
  EXPECT_EQ(networks_of("checkpoints.pth", "model").networks[0].step, 0);
  EXPECT_EQ(networks_of("checkpoints.pth", "state_dicts", "epochs").networks[2].step, 250);
}

// Its code is compressed, which is no reason to speak of zip archives.
TEST(WeightsFile, programs_are_called_what_they_are) {
  const auto archive = [](const std::vector<std::string>& names) {
    std::vector<zip::Member> members;
    for (const std::string& name : names) members.push_back({name, {}});
    const auto bytes = zip::write(members, "test");
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    // The method of the first member, in the list of members: deflated.
    text[text.find("PK\x01\x02") + 10] = 8;
    return text;
  };
  expect_holds(refusal(archive({"net/code/__torch__.py", "net/data.pkl", "net/constants.pkl"})),
               "x.pth: a TorchScript module");
  expect_holds(refusal(archive({"net/code/__torch__.py"})), "torch.jit.load(OLD).state_dict()");
  expect_holds(refusal(archive({"net/models/model.json"})), "torch.export.load(OLD).state_dict");
  expect_holds(refusal(archive({"net/data.pkl"})), "is compressed");
}

TEST(WeightsFile, keys_that_lead_nowhere_are_refused_with_what_there_is) {
  const auto said = [](const std::string& key, const std::string& steps = "") {
    return error_of([&] { networks_of("checkpoints.pth", key, steps); });
  };
  expect_holds(said("state_dict"), "\"state_dicts\" (a list of 3)");
  expect_holds(said("state_dicts[3]"), "has 3 entries, [0] to [2]");
  expect_holds(said("state_dicts[x]"), "expected a number in brackets");
  expect_holds(said("state_dicts[1"), "expected a number in brackets");
  expect_holds(said("config"), "\"config\" is not a network");
  expect_holds(said("model.blocks"), "there is nothing at \"model.blocks\"");
  expect_holds(said("epochs[1].a"), "the integer 100");
  expect_holds(said("state_dicts", "losses"), "expected the steps of 3 networks");
  expect_holds(said("state_dicts", "nothing"), "there is nothing at \"nothing\"");
}

TEST(WeightsFile, every_protocol_and_the_other_things_that_files_hold) {
  const FoundNetworks found = networks_of("protocol4.pt");
  ASSERT_EQ(found.networks.size(), 1u);
  EXPECT_EQ(found.networks[0].key, "state_dict");
  EXPECT_EQ(found.networks[0].step, 7);
  EXPECT_EQ(found.steps_from, "steps");
}

TEST(WeightsFile, dtypes_strides_and_offsets_are_those_of_pytorch) {
  const StoredTensors tensors = networks_of("transformer_lens.pt").networks[0].tensors();
  EXPECT_EQ(tensor(tensors, "blocks.0.mlp.W_in").dtype, pickle::Dtype::F64);
  EXPECT_EQ(tensor(tensors, "blocks.0.mlp.b_in").dtype, pickle::Dtype::F16);
  EXPECT_EQ(tensor(tensors, "blocks.0.attn.mask").dtype, pickle::Dtype::BOOL);
  EXPECT_EQ(tensor(tensors, "blocks.0.attn.W_K").strides, (std::vector<int64_t>{12, 1, 4}));
  EXPECT_EQ(tensor(tensors, "blocks.0.mlp.b_out").offset, 2u);
  EXPECT_EQ(tensor(tensors, "blocks.0.mlp.b_out").storage.size(), 32u);
  EXPECT_TRUE(tensor(tensors, "blocks.0.attn.IGNORE").shape.empty());
}

TEST(WeightsFile, files_older_than_zip_archives_are_read) {
  const StoredTensors old = networks_of("legacy.pth").networks[0].tensors();
  ASSERT_EQ(old.size(), 18u);
  EXPECT_EQ(tensor(old, "blocks.0.mlp.W_in").dtype, pickle::Dtype::F64);
  EXPECT_EQ(tensor(old, "blocks.0.attn.W_K").strides, (std::vector<int64_t>{12, 1, 4}));
  const std::string whole = read_file(fixtures / "legacy.pth");
  for (size_t size = 0; size < whole.size(); size += 11)
    EXPECT_NE(refusal(whole.substr(0, size)), "no error") << size;
}

TEST(WeightsFile, whole_modules_are_read) {
  const StoredTensors tensors = networks_of("module.pth").networks[0].tensors();
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].first, "weight");
  EXPECT_EQ(tensors[1].second.shape, std::vector<int64_t>{2});
}

TEST(WeightsFile, what_is_in_the_place_of_a_file_is_named) {
  expect_holds(refusal_of("make_networks.py"), "not a file of weights");
  expect_holds(refusal(""), "an empty file");
  expect_holds(refusal("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 912345\n"),
               "a Git LFS pointer, not the file itself, which has 912345 bytes");
  expect_holds(refusal("\n <!DOCTYPE HTML><html>"), "a web page");
  expect_holds(refusal("\x1f\x8b\x08rest of it"), "compressed by gzip");
  expect_holds(refusal(std::string(257, 'x') + "ustar"), "a tar archive");
  expect_holds(refusal("\x80\x04."), "damaged");
}

TEST(WeightsFile, a_file_that_was_taken_for_text_is_named) {
  const std::string whole = read_file(fixtures / "transformer_lens.pt");
  std::string lines, lost;
  for (const char c : whole) {
    lines += c == '\n' ? "\r\n" : std::string(1, c);
    lost += static_cast<unsigned char>(c) < 0x80 ? std::string(1, c) : "\xef\xbf\xbd";
  }
  expect_holds(refusal(lines), "saved as text, which put a carriage return");
  expect_holds(refusal(lost), "saved as text, which replaced");
}

std::string npy(const std::string& descr, const std::string& shape, size_t bytes, bool fortran = false) {
  const std::string header = "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
                             ", 'shape': " + shape + ", }\n";
  return "\x93NUMPY\x01" + std::string(1, '\0') + static_cast<char>(header.size()) + std::string(1, '\0') +
         header + std::string(bytes, 'x');
}

TEST(WeightsFile, numpy_arrays_are_read) {
  const std::string one = npy("<f4", "(2, 3)", 24), turned = npy("<f8", "(2, 3)", 48, true);
  const auto members = zip::write(
      {{"W_E.npy", std::as_bytes(std::span(one))}, {"W_U.npy", std::as_bytes(std::span(turned))}}, "test");
  const pickle::Heap heap = parse_weights(members, "x.npz");
  const StoredTensors tensors = find_networks(heap.root, "", "", "x.npz").networks[0].tensors();
  EXPECT_EQ(tensor(tensors, "W_E").strides, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(tensor(tensors, "W_U").strides, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(tensor(tensors, "W_U").dtype, pickle::Dtype::F64);
  EXPECT_EQ(parse_weights(std::as_bytes(std::span(one)), "x.npy").root->describe(), "a tensor");
  expect_holds(refusal(npy("<f4", "(2, 3)", 20)), "20 bytes, and the header asks for 24");
  expect_holds(refusal(npy(">f4", "(2, 3)", 24)), "dtype \">f4\"");
  expect_holds(refusal(npy("<f4", "(9223372036854775807, 9)", 24)), "more than there can be");
  expect_holds(refusal(npy("<f4", "(0, 9223372036854775807, 9)", 0)), "asks for");
  expect_holds(refusal(npy("<f4", "(2, -3)", 24)), "a shape that is none");
  expect_holds(refusal(npy("<f4", "(2", 24)), "a shape that is none");
}

TEST(WeightsFile, shared_tensors_of_safetensors_have_both_names) {
  const std::vector<float> numbers = {1, 2, 3, 4, 5, 6};
  const auto bytes =
      safetensors::serialise({{"embed.W_E", pickle::Dtype::F32, {2, 3}, std::as_bytes(std::span(numbers))}},
                             {{"unembed.W_U", "embed.W_E"}, {"format", "pt"}}, "test");
  const pickle::Heap heap = parse_weights(bytes, "test");
  const StoredTensors tensors = find_networks(heap.root, "", "", "test").networks[0].tensors();
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensor(tensors, "unembed.W_U").storage.data(), tensor(tensors, "embed.W_E").storage.data());
}

TEST(WeightsFile, nothing_is_executed) {
  const std::string said = refusal_of("malicious.pth");
  EXPECT_TRUE(said.find("\"posix.system\"") != said.npos || said.find("\"os.system\"") != said.npos) << said;
  expect_holds(said, "nothing was executed");
  EXPECT_FALSE(std::filesystem::exists("executed"));
}

TEST(WeightsFile, a_file_cut_short_anywhere_is_refused) {
  const std::string whole = read_file(fixtures / "transformer_lens.pt");
  for (size_t size = 0; size < whole.size(); size += 7)
    EXPECT_NE(refusal(whole.substr(0, size)), "no error") << size;
}

// Whatever is done to the bytes, reading ends, in what was read or in an error.
TEST(WeightsFile, damage_does_no_harm) {
  const std::string whole = read_file(fixtures / "checkpoints.pth");
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    refusal(bytes);
  }
}

TEST(WeightsFile, what_is_written_for_pytorch_is_read) {
  const std::vector<double> numbers = {1, 2, 3, 4, 5, 6};
  const bool flags[] = {true, false};
  const auto data = std::as_bytes(std::span(numbers));
  const auto bytes = serialise_torch({{"b", pickle::Dtype::F64, {2, 3}, data},
                                      {"a", pickle::Dtype::F64, {}, data.first(8)},
                                      {"none", pickle::Dtype::F32, {0, 4}, {}},
                                      {"flags", pickle::Dtype::BOOL, {2}, std::as_bytes(std::span(flags))}},
                                     "test");
  const pickle::Heap heap = parse_weights(bytes, "test");
  const StoredTensors tensors = find_networks(heap.root, "", "", "test").networks[0].tensors();
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].first, "b");
  EXPECT_EQ(tensors[0].second.strides, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(std::memcmp(tensors[0].second.storage.data(), numbers.data(), 48), 0);
  EXPECT_EQ(tensors[2].second.shape, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(tensors[3].second.dtype, pickle::Dtype::BOOL);
}

TEST(WeightsFile, safetensors_files_are_networks_too) {
  const std::vector<float> numbers = {1, 2, 3, 4, 5, 6};
  const auto bytes = safetensors::serialise(
      {{"module.x", pickle::Dtype::F32, {2, 3}, std::as_bytes(std::span(numbers))}}, {}, "test");
  const pickle::Heap heap = parse_weights(bytes, "test");
  const FoundNetworks found = find_networks(heap.root, "", "", "test");
  EXPECT_EQ(found.networks[0].key, "");
  const StoredTensors tensors = found.networks[0].tensors();
  EXPECT_EQ(tensors[0].first, "x");  // "module." is DataParallel's
  EXPECT_EQ(tensors[0].second.strides, (std::vector<int64_t>{3, 1}));
}

}  // namespace
}  // namespace orrery::engine
