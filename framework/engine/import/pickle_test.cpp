#include "engine/import/pickle.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "engine/import/networks.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine::pickle {
namespace {

using namespace std::string_literals;
using orrery::testing::error_of;
using orrery::testing::expect_holds;

// Storages "0" to "9" hold eight bytes each.
constexpr std::array<std::byte, 8> storage{};

Heap run(const std::string& program) {
  return unpickle(
      std::as_bytes(std::span(program)),
      [](const std::string& key, uint64_t) -> std::span<const std::byte> {
        if (key.size() != 1) throw Error("no storage " + key);
        return storage;
      },
      "x.pth");
}
std::string refusal(const std::string& program) {
  return error_of([&] { run(program); });
}

std::string text(const std::string& value) { return "\x8c"s + static_cast<char>(value.size()) + value; }
std::string number(int64_t value) {
  return "\x8a\x08"s + std::string(reinterpret_cast<const char*>(&value), 8);
}
std::string tuple(const std::vector<int64_t>& values) {
  std::string program = "(";
  for (const int64_t value : values) program += number(value);
  return program + "t";
}
// torch._utils._rebuild_tensor_v2 of a storage of `count` floats.
std::string tensor(int64_t count, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides, const std::string& key = "0") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text(key) +
         text("cuda:0") + number(count) + "tQ" + number(offset) + tuple(shape) + tuple(strides) + "\x89}tR";
}

template <class T>
T value_of(const std::string& program) {
  const Heap heap = run("\x80\x02" + program + ".");
  const T* value = heap.root->as<T>();
  if (!value) throw std::runtime_error("another type: " + heap.root->describe());
  return *value;
}

TEST(Pickle, numbers_and_text) {
  EXPECT_EQ(value_of<int64_t>("K\xff"), 255);
  EXPECT_EQ(value_of<int64_t>("M\x01\x02"), 0x201);
  EXPECT_EQ(value_of<int64_t>("J\xfe\xff\xff\xff"), -2);
  EXPECT_EQ(value_of<int64_t>("\x8a\x01\xff"), -1);
  EXPECT_EQ(value_of<int64_t>("\x8a\x02\xff\x00"s), 255);
  EXPECT_EQ(value_of<int64_t>("\x8a\x00"s), 0);
  EXPECT_EQ(value_of<int64_t>("\x8b\x01\x00\x00\x00\x80"s), -128);
  EXPECT_EQ(value_of<int64_t>(number(int64_t{1} << 62)), int64_t{1} << 62);
  EXPECT_EQ(value_of<int64_t>("I12\n"), 12);
  EXPECT_EQ(value_of<int64_t>("L-7L\n"), -7);
  EXPECT_EQ(value_of<double>("G\x3f\xe0\x00\x00\x00\x00\x00\x00"s), 0.5);
  EXPECT_EQ(value_of<double>("F0.25\n"), 0.25);
  EXPECT_EQ(value_of<bool>("\x88"), true);
  EXPECT_EQ(value_of<bool>("I00\n"), false);
  EXPECT_EQ(value_of<std::string>("X\x02\x00\x00\x00"s + "ab"), "ab");
  EXPECT_EQ(value_of<std::string>(text("ab")), "ab");
  EXPECT_EQ(value_of<Bytes>("C\x02\x00\xff"s).data, "\x00\xff"s);
  EXPECT_EQ(value_of<Other>("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01"s).name,
            "an integer beyond 64 bits");
}

TEST(Pickle, containers_and_the_memo) {
  const Heap heap = run("\x80\x02}q\x00("s + text("a") + "]q\x01(K\x01K\x02" + "e" + text("b") + "h\x01" +
                        text("a") + "K\x05\x85u.");
  ASSERT_NE(heap.root->find("b"), nullptr);
  EXPECT_EQ(heap.root->find("b")->as<List>()->items.size(), 2u);
  EXPECT_EQ(heap.root->find("a")->as<List>()->items.size(), 1u);  // set twice: the last counts
  EXPECT_EQ(heap.root->find("c"), nullptr);
  EXPECT_EQ(heap.root->describe(), "a dict with 3 keys");
}

TEST(Pickle, tensors_are_views_into_their_storage) {
  const auto made = value_of<StoredTensor>(tensor(2, 1, {1, 1}, {5, 7}));
  EXPECT_EQ(made.shape, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(made.strides, (std::vector<int64_t>{5, 7}));
  EXPECT_EQ(made.offset, 1u);
  EXPECT_EQ(made.dtype, Dtype::F32);
  EXPECT_EQ(made.storage.data(), storage.data());
  EXPECT_EQ(value_of<StoredTensor>(tensor(2, 0, {}, {})).shape.size(), 0u);
  EXPECT_EQ(value_of<StoredTensor>(tensor(0, 0, {0, 3}, {3, 1})).shape[0], 0);
  EXPECT_EQ(value_of<StoredTensor>(tensor(2, 0, {2}, {1})).storage.size(), 8u);
  EXPECT_EQ(
      value_of<StoredTensor>("ctorch._utils\n_rebuild_parameter\n(" + tensor(2, 0, {2}, {1}) + "\x88}tR")
          .shape,
      std::vector<int64_t>{2});
}

TEST(Pickle, tensors_beyond_their_storage_are_refused) {
  const auto refused = [](const std::string& made) { return refusal("\x80\x02" + made + "."); };
  expect_holds(refused(tensor(2, 0, {3}, {1})), "reaches to element 2 of a storage with 2");
  expect_holds(refused(tensor(2, 2, {1}, {1})), "reaches to element 2");
  expect_holds(refused(tensor(2, 0, {2}, {2})), "reaches to element 2");
  expect_holds(refused(tensor(2, 3, {}, {})), "reaches to element 3");
  expect_holds(refused(tensor(2, int64_t{1} << 62, {2}, {int64_t{1} << 62})), "element");
  expect_holds(refused(tensor(2, 0, {int64_t{1} << 62, int64_t{1} << 62}, {4, 4})), "overflow");
  expect_holds(refused(tensor(2, 0, {int64_t{1} << 40}, {0})), "expanded");
  EXPECT_EQ(value_of<StoredTensor>(tensor(2, 0, {3, 2}, {0, 1})).shape[0], 3);  // repeated rows, but few
  expect_holds(refused(tensor(2, 0, {1}, {-1})), "arguments");
  expect_holds(refused(tensor(2, -1, {1}, {1})), "arguments");
  expect_holds(refused(tensor(2, 0, {1, 1}, {1})), "2 dimensions has 1 strides");
  expect_holds(refused(tensor(3, 0, {1}, {1})), "is said to have 3 elements, found 8 bytes of F32");
  expect_holds(refused(tensor(int64_t{1} << 62, 0, {1}, {1})), "elements");
  expect_holds(refused(tensor(1, 0, {1}, {1}, "nothing")), "no storage nothing");
}

TEST(Pickle, what_only_a_trap_names_is_refused_by_name) {
  for (const std::string& program : {"\x80\x02"
                                     "cos\nsystem\n" +
                                         text("touch executed") + "\x85R."s,
                                     "\x80\x02"
                                     "cposix\nsystem\n."s,
                                     "\x80\x04" + text("os") + text("system") + "\x93."s,
                                     "\x80\x02"
                                     "c__builtin__\neval\n."s,
                                     "\x80\x02"
                                     "ctorch\nload\n."s,
                                     "\x80\x02"
                                     "csubprocess\nPopen\n."s}) {
    const std::string said = refusal(program);
    expect_holds(said, "x.pth: it asks for \"");
    expect_holds(said, "nothing was executed");
    expect_holds(said, "state_dict()");
  }
  expect_holds(refusal("\x80\x02"
                       "cos\nsystem\n."),
               "\"os.system\"");
  // A known global is only ever called to construct its own kind of object.
  expect_holds(refusal("\x80\x02"
                       "ctorch\nfloat32\n)R."),
               "torch.float32");
  expect_holds(refusal("\x80\x02"
                       "ctorch\nSize\nK\x01\x85R."),
               "torch.Size is called with arguments");
}

TEST(Pickle, objects_of_other_classes_are_inert) {
  // A dataclass: its class, no arguments, its state.
  const Heap config =
      run("\x80\x02"
          "c__main__\nConfig\n)\x81}(" +
          text("p") + "K\x07" + text("d_model") + "K\x08ub.");
  const auto* made = config.root->as<Instance>();
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->type, "__main__.Config");
  EXPECT_EQ(*config.root->find("p")->as<int64_t>(), 7);
  EXPECT_EQ(config.root->find("q"), nullptr);
  EXPECT_EQ(config.root->describe(), "an object of \"__main__.Config\"");
  // A Path, an enum: made of arguments.
  const Heap path =
      run("\x80\x02"
          "cpathlib\nPosixPath\n" +
          text("some") + text("folder") + "\x86R.");
  EXPECT_EQ(path.root->as<Instance>()->arguments.size(), 2u);
  // With slots: (None, {slots}).
  const Heap slots =
      run("\x80\x02"
          "cm\nC\n)\x81N}" +
          text("a") +
          "K\x01s\x86"
          "b.");
  EXPECT_EQ(*slots.root->find("a")->as<int64_t>(), 1);
  // A subclass of dict, one of list, and keyword arguments of __new__.
  const Heap dict =
      run("\x80\x02"
          "cm\nAttrDict\n)\x81" +
          text("a") + "K\x02s.");
  EXPECT_EQ(*dict.root->find("a")->as<int64_t>(), 2);
  const Heap list =
      run("\x80\x02"
          "cm\nMyList\n)\x81K\x05"
          "a.");
  EXPECT_EQ(list.root->as<Instance>()->arguments.size(), 1u);
  const Heap keywords =
      run("\x80\x04"
          "cm\nC\n)}" +
          text("k") + "K\x03s\x92.");
  EXPECT_EQ(*keywords.root->find("k")->as<int64_t>(), 3);
}

TEST(Pickle, sparse_tensors_become_dense) {
  // Storage "0" is zeros: indices (0, 0) of a [2, 3] float matrix with one entry.
  const std::string indices = "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
                              "ctorch\nLongStorage\n" + text("0") + text("cpu") + number(1) + "tQ" +
                              number(0) + tuple({2, 1}) + tuple({0, 1}) + "\x89}tR";
  const std::string sparse =
      "ctorch._utils\n_rebuild_sparse_tensor\n(N(" + indices + tensor(1, 0, {1}, {1}) + tuple({2, 3}) + "ttR";
  const Heap heap = run("\x80\x02" + sparse + ".");
  const auto* made = heap.root->as<StoredTensor>();
  ASSERT_NE(made, nullptr) << heap.root->describe();
  EXPECT_EQ(made->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(made->strides, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(made->storage.size(), 24u);
  const std::string huge = "ctorch._utils\n_rebuild_sparse_tensor\n(N(" + indices + tensor(1, 0, {1}, {1}) +
                           tuple({1 << 20, 1 << 20}) + "ttR";
  expect_holds(refusal("\x80\x02" + huge + "."), "arguments");
}

TEST(Pickle, numpy_scalars_and_arrays) {
  const std::string dtype = "cnumpy\ndtype\n" + text("f8") + "\x89\x88\x87R(K\x03" + text("<") +
                            "NNNJ\xff\xff\xff\xff" + "J\xff\xff\xff\xff" + "K\x00tb"s;
  const std::string half = "\x00\x00\x00\x00\x00\x00\xe0\x3f"s;
  EXPECT_EQ(value_of<double>("cnumpy.core.multiarray\nscalar\n" + dtype + "C\x08" + half + "\x86R"), 0.5);
  // Protocol 2 writes bytes as text whose characters they are.
  const std::string latin = "c_codecs\nencode\nX\x09\x00\x00\x00"s + "\x00\x00\x00\x00\x00\x00\xc3\xa0?"s +
                            text("latin1") + "\x86R";
  EXPECT_EQ(value_of<double>("cnumpy.core.multiarray\nscalar\n" + dtype + latin + "\x86R"), 0.5);
  const auto array = value_of<StoredTensor>(
      "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
      "C\x01"
      "b\x87R(K\x01K\x02K\x01\x86"s +
      dtype +
      "\x89"
      "C\x10"s +
      half + half + "tb");
  EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(array.dtype, Dtype::F64);
}

TEST(Pickle, what_is_malformed_is_refused) {
  for (const std::string& program : {""s,
                                     "\x80"s,
                                     "\x80\x02"s,
                                     "\x80\x02."s,
                                     "\x80\x01."s,
                                     "\x80\x06."s,
                                     "\x80\x02}"s,
                                     "\x80\x02K"s,
                                     "\x80\x02u."s,
                                     "\x80\x02(u."s,
                                     "\x80\x02}(K\x01u."s,
                                     "\x80\x02}K\x01"
                                     "a."s,
                                     "\x80\x02K\x01K\x01"
                                     "b"s,
                                     "\x80\x02h\x00."s,
                                     "\x80\x02X\xff\xff\xff\xff."s,
                                     "\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff."s,
                                     "\x80\x02R."s,
                                     "\x80\x02)R."s,
                                     "\x80\x02))R."s,
                                     "\x80\x02Q."s,
                                     "\x80\x02)Q."s,
                                     "\x80\x02(0."s,
                                     "\x80\x02(."s,
                                     "\x80\x02K\x01(."s,
                                     "\x80\x02"
                                     "e."s,
                                     "\x80\x02"
                                     "Fabc\n."s,
                                     "\x80\x02gx\n."s,
                                     "\x80\x02g-1\n."s,
                                     "\x80\x02"
                                     "ctorch"s,
                                     "\x80\x02\x93."s,
                                     "\x80\x02K\x01K\x01\x93."s,
                                     "\x80\x02\xff."s,
                                     "\x80\x02P0\n."s,
                                     "\x80\x02i__main__\nX\n."s,
                                     "\x80\x02(o."s,
                                     "\x80\x02\x82\x01."s}) {
    const std::string said = refusal(program);
    expect_holds(said, "x.pth: ");
    EXPECT_NE(said, "no error") << program;
  }
}

// One network, named again and again: each name would become a checkpoint on disk.
TEST(Pickle, a_small_file_cannot_ask_for_millions_of_checkpoints) {
  const auto list_of = [&](size_t count) {
    std::string program = "\x80\x02]("s + "}" + text("w") + tensor(2, 0, {2}, {1}) + "sq\x01";
    for (size_t i = 1; i < count; ++i) program += "h\x01";
    return program + "e.";
  };
  const Heap few = run(list_of(3)), many = run(list_of(3'000'000));
  EXPECT_EQ(find_networks(few.root, "", "", "x.pth").networks.size(), 3u);
  expect_holds(error_of([&] { find_networks(many.root, "", "", "x.pth"); }),
               "it holds 3000000 networks, and each would be a checkpoint; at most 100000");
}

TEST(Pickle, circles_and_depth_are_no_trouble) {
  const Heap circle = run("\x80\x02]q\x00h\x00"s + "a.");
  EXPECT_EQ(circle.root->as<List>()->items[0], circle.root);
  std::string deep = "\x80\x02";
  for (int i = 0; i < 1'000'000; ++i) deep += ']';
  for (int i = 1; i < 1'000'000; ++i) deep += 'a';
  EXPECT_EQ(run(deep + ".").root->as<List>()->items.size(), 1u);
}

// A list of a million, copied a thousand times by seven bytes each.
TEST(Pickle, a_small_file_cannot_ask_for_much_memory) {
  std::string bomb = "\x80\x02(";
  bomb += std::string(1'000'000, 'N') + "lq\x00"s + "0";
  for (int i = 0; i < 1000; ++i) bomb += "cbuiltins\nset\nh\x00\x85R"s;
  expect_holds(refusal(bomb + "."), "far more than it holds");
}

}  // namespace
}  // namespace orrery::engine::pickle
