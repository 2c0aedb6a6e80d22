#include "sdk/files/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "sdk/files/atomic_file.h"
#include "tests/support/run_test_folder.h"

namespace orrery::safetensors {
namespace {

using orrery::testing::error_of;
using orrery::testing::expect_holds;
using orrery::testing::TestFolder;
using Bytes = std::vector<std::byte>;

Bytes bytes_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

std::string length_prefix(uint64_t length) {
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text;
}

Bytes file_of(const std::string& header, size_t data_size) {
  return bytes_of(length_prefix(header.size()) + header + std::string(data_size, 'x'));
}

Contents parsed(const Bytes& bytes) { return parse(bytes, "a.safetensors"); }

// Two tensors, an empty one, a scalar, metadata.
Bytes sample() {
  static const Bytes data = bytes_of("0123456789abcdefghijklmnopqrstuvwxyz0123456789ab");
  const std::span<const std::byte> all(data);
  return serialise({{"bytes", Dtype::U8, {3}, all.first(3)},
                    {"W_E", Dtype::F32, {2, 3}, all.first(24)},
                    {"empty", Dtype::F64, {4, 0, 2}, {}},
                    {"step", Dtype::I64, {}, all.subspan(24, 8)}},
                   {{"format", "pt"}, {"quote\"", "\n\u00e9"}}, "sample");
}

TEST(Safetensors, writes_the_bytes_the_format_describes) {
  const Bytes data = bytes_of("abcdefghij");
  const std::span<const std::byte> all(data);
  const Bytes written = serialise(
      {{"b", Dtype::U8, {2}, all.last(2)}, {"a", Dtype::F32, {1, 2}, all.first(8)}}, {{"k", "v"}}, "x");
  std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[8,10]}})";
  while (header.size() % 8 != 0) header += ' ';
  EXPECT_EQ(written, bytes_of(length_prefix(header.size()) + header + "abcdefghij"));
}

TEST(Safetensors, reads_back_what_it_wrote) {
  const Bytes file = sample();
  const Contents contents = parsed(file);
  EXPECT_EQ(contents.metadata, (Metadata{{"format", "pt"}, {"quote\"", "\n\u00e9"}}));
  ASSERT_EQ(contents.tensors.size(), 4u);
  const char* names[] = {"empty", "step", "W_E", "bytes"};
  const std::vector<int64_t> shapes[] = {{4, 0, 2}, {}, {2, 3}, {3}};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(contents.tensors[i].name, names[i]);
    EXPECT_EQ(contents.tensors[i].shape, shapes[i]);
    const auto offset = contents.tensors[i].data.data() - file.data();
    EXPECT_EQ(static_cast<size_t>(offset) % size_of(contents.tensors[i].dtype), 0u)
        << "aligned: " << names[i];
  }
  EXPECT_EQ(std::memcmp(contents.tensors[1].data.data(), "opqrstuv", 8), 0);
  EXPECT_EQ(std::memcmp(contents.tensors[2].data.data(), "0123456789abcdefghijklmn", 24), 0);
  EXPECT_EQ(serialise(contents.tensors, contents.metadata, "again"), file);
}

TEST(Safetensors, the_order_given_does_not_change_the_bytes) {
  const Bytes file = sample();
  std::vector<TensorView> tensors = parsed(file).tensors;
  std::reverse(tensors.begin(), tensors.end());
  EXPECT_EQ(serialise(tensors, parsed(file).metadata, "x"), file);
}

TEST(Safetensors, a_file_without_tensors_is_a_file) {
  const Bytes file = serialise({}, {}, "x");
  EXPECT_EQ(file, bytes_of(length_prefix(8) + "{}      "));
  EXPECT_TRUE(parsed(file).tensors.empty());
}

TEST(Safetensors, a_checksum_notices_every_bit) {
  const Bytes data = bytes_of("abcdefgh");
  const Bytes good = serialise_with_checksum({{"w", Dtype::F32, {2}, data}}, {{"step", "3"}}, "x");
  EXPECT_TRUE(parsed(good).has_checksum);
  EXPECT_EQ(parsed(good).metadata, (Metadata{{"step", "3"}}));
  size_t unchecked = 0;
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    Contents contents;
    if (error_of([&] { contents = parsed(bad); }) != "no error") continue;
    // Only a flip in the name of the checksum, which leaves all else.
    EXPECT_FALSE(contents.has_checksum) << bit;
    EXPECT_EQ(std::memcmp(contents.tensors.at(0).data.data(), "abcdefgh", 8), 0) << bit;
    ++unchecked;
  }
  EXPECT_LE(unchecked, 8 * std::strlen(checksum_key));
  Bytes bad = good;
  bad.back() ^= std::byte{64};
  expect_holds(error_of([&] { parsed(bad); }),
               "a.safetensors: damaged: its content does not match its checksum");
}

// Another program kept the metadata and wrote them in its own way.
TEST(Safetensors, a_checksum_of_other_bytes_is_refused) {
  const std::string digest(64, '0');
  for (const std::string& text :
       std::vector<std::string>{R"({"__metadata__":{"orrery.sha256":")" + digest + R"("}})",
                                R"({"__metadata__": {"orrery.sha256": "short"}})"})
    expect_holds(error_of([&] { parsed(file_of(text, 0)); }), "leave orrery.sha256 out of its metadata");
}

TEST(Safetensors, reads_headers_in_any_order_and_unaligned) {
  const Bytes file = file_of(
      R"({"b":{"data_offsets":[4,6],"shape":[2],"dtype":"I8"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
      6);
  const Contents contents = parsed(file);
  EXPECT_EQ(contents.tensors[0].name, "a");
  EXPECT_EQ(contents.tensors[1].name, "b");
  EXPECT_EQ(contents.tensors[1].data.size(), 2u);
}

struct Malformed {
  const char* name;
  Bytes file;
  const char* message;
};

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}
Bytes one(const std::string& dtype, const std::string& shape, const std::string& offsets, size_t size) {
  return file_of(R"({"w":)" + tensor(dtype, shape, offsets) + "}", size);
}
Bytes two(const std::string& first, const std::string& second, size_t size, const char* other = "v") {
  return file_of(R"({"w":)" + tensor(R"("U8")", "[4]", first) + R"(,")" + other + R"(":)" +
                     tensor(R"("U8")", "[4]", second) + "}",
                 size);
}

std::vector<Malformed> malformed() {
  const std::string u8 = R"("U8")", f32 = R"("F32")";
  const std::string big = "4611686018427387904";  // 2^62
  Bytes cut = sample();
  cut.pop_back();
  Bytes trailing = sample();
  trailing.push_back(std::byte{0});
  std::string long_shape = "[1";
  for (int i = 0; i < 64; ++i) long_shape += ",1";
  return {
      {"nothing at all", {}, "0 bytes are no safetensors file"},
      {"seven bytes", Bytes(7), "7 bytes are no safetensors file"},
      {"a header of 2^60 bytes", bytes_of(length_prefix(1ull << 60) + "{}"),
       "100000000 are the most allowed"},
      {"a header of 2^64 - 1 bytes", bytes_of(length_prefix(~0ull) + "{}"), "100000000 are the most allowed"},
      {"a header past the end", bytes_of(length_prefix(3) + "{}"),
       "a header of 3 bytes does not fit a file of 10"},
      {"an empty header", file_of("", 4), "does not begin with {"},
      {"not JSON", file_of("{?", 0), "not valid JSON near its byte 2"},
      {"JSON cut short", file_of(R"({"w":{"dtype":"U8")", 0), "not valid JSON"},
      {"JSON and more", file_of("{} {}", 0), "not valid JSON"},
      {"not UTF-8", file_of("{\"\xff\":1}", 0), "not valid JSON"},
      {"a number beyond a double", one(u8, "[1e999]", "[0,1]", 1), "not valid JSON"},
      {"a list", file_of("[]", 0), "does not begin with {"},
      {"leading space", file_of(" {}", 0), "does not begin with {"},
      {"a tensor that is a number", file_of(R"({"w":3})", 0), R"(tensor "w": expected an object with dtype)"},
      {"a tensor that is a list", file_of(R"({"w":[]})", 0), R"(tensor "w": expected an object with dtype)"},
      {"nested too deep", file_of(R"({"w":{"shape":[[1]]}})", 0),
       "expected a list of integers >= 0, found a list"},
      {"an object as shape", file_of(R"({"w":{"shape":{}}})", 0),
       "expected a list of integers >= 0, found an object"},
      {"an unknown key", file_of(R"({"w":{"strides":[1]}})", 0), R"(found "strides")"},
      {"a missing key", file_of(R"({"w":{"dtype":"U8","shape":[]}})", 0), "found only some of them"},
      {"an unknown dtype", one(R"("F8_E4M3")", "[1]", "[0,1]", 1),
       R"(tensor "w": dtype "F8_E4M3" is not one of)"},
      {"a lower-case dtype", one(R"("f32")", "[1]", "[0,4]", 4), R"(dtype "f32" is not one of)"},
      {"a dtype that is a number", one("4", "[1]", "[0,1]", 1), "dtype: expected a string, found a number"},
      {"a negative shape", one(u8, "[-1]", "[0,1]", 1),
       R"(tensor "w": shape: expected a list of integers >= 0, found -1)"},
      {"a negative product", one(u8, "[-2,-2]", "[0,4]", 4), "found -2"},
      {"a fractional shape", one(u8, "[1.5]", "[0,1]", 1), "found a number that is no 64-bit integer"},
      {"a shape of null", one(u8, "null", "[0,1]", 1), "shape: expected a list of integers >= 0, found null"},
      {"a shape beyond int64", one(u8, "[9223372036854775808]", "[0,1]", 1),
       "9223372036854775808 is too large"},
      {"a shape beyond uint64", one(u8, "[18446744073709551616]", "[0,1]", 1), "no 64-bit integer"},
      {"a shape that overflows", one(u8, "[" + big + ",4]", "[0,0]", 0), "overflows"},
      {"bytes that overflow", one(R"("F64")", "[" + big + "]", "[0,0]", 0), "overflows"},
      {"an overflow hidden by a 0", one(u8, "[0," + big + "," + big + "]", "[0,0]", 0), "overflows"},
      {"65 dimensions", one(u8, long_shape + "]", "[0,1]", 1), "more than 64 dimensions"},
      {"a shape too small", one(f32, "[2]", "[0,12]", 12),
       "shape [2] of F32 takes 8 bytes, but data_offsets [0, 12] span 12"},
      {"a shape too large", one(f32, "[4]", "[0,12]", 12), "takes 16 bytes"},
      {"one offset", one(u8, "[1]", "[0]", 1),
       "expected a list of two integers >= 0, found a list with fewer"},
      {"three offsets", one(u8, "[1]", "[0,1,2]", 1),
       "expected a list of two integers >= 0, found a list with more"},
      {"a negative offset", one(u8, "[1]", "[-1,0]", 1), "expected a list of two integers >= 0, found -1"},
      {"offsets backwards", one(u8, "[1]", "[1,0]", 1), "data_offsets [1, 0] run backwards"},
      {"out of bounds", one(u8, "[8]", "[0,8]", 7),
       R"(tensor "w": its data end at byte 8, but the file holds 7)"},
      {"far out of bounds", one(u8, "[1]", "[18446744073709551614,18446744073709551615]", 1),
       "the file holds 1 bytes"},
      {"overlapping", two("[0,4]", "[2,6]", 6),
       R"(tensor "v": expected its data to begin at byte 4, where the one before ends, found 2 (overlap))"},
      {"the same data", two("[0,4]", "[0,4]", 4), "found 0 (overlap)"},
      {"a gap", two("[0,4]", "[5,9]", 9),
       R"(tensor "v": expected its data to begin at byte 4, where the one before ends, found 5 (gap))"},
      {"a gap at the start", one(u8, "[1]", "[1,2]", 2), "expected its data to begin at byte 0"},
      {"cut short", cut, "the file holds"},
      {"trailing data", trailing, "bytes of data"},
      {"data without tensors", file_of("{}", 1), "expected the data to end at byte 0"},
      {"a tensor twice", two("[0,4]", "[4,8]", 8, "w"), R"(the header has the key "w" twice)"},
      {"a key twice", file_of(R"({"w":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1),
       R"(tensor "w": the key "dtype" twice)"},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})", 0),
       R"(the key "__metadata__" twice)"},
      {"a metadata key twice", file_of(R"({"__metadata__":{"a":"1","a":"1"}})", 0), R"(the key "a" twice)"},
      {"metadata that are a number", file_of(R"({"__metadata__":3})", 0),
       "expected an object under __metadata__"},
      {"metadata with a number", file_of(R"({"__metadata__":{"a":3}})", 0),
       R"(expected text under "a" in __metadata__)"},
      {"metadata with an object", file_of(R"({"__metadata__":{"a":{}}})", 0),
       R"(expected text under "a" in __metadata__)"},
  };
}

TEST(Safetensors, refuses_every_malformed_file_with_its_own_message) {
  for (const Malformed& bad : malformed()) {
    SCOPED_TRACE(bad.name);
    const std::string message = error_of([&] { parsed(bad.file); });
    expect_holds(message, bad.message);
    EXPECT_TRUE(message.starts_with("a.safetensors: ")) << message;
  }
}

TEST(Safetensors, a_file_on_disk_is_judged_as_in_memory) {
  const TestFolder folder;
  const auto path = folder / "x.safetensors";
  for (const Malformed& bad : malformed()) {
    SCOPED_TRACE(bad.name);
    write_file(path, bad.file);
    const std::string message = error_of([&] { File file(path); });
    expect_holds(message, bad.message);
    EXPECT_TRUE(message.starts_with(path.string())) << message;
  }
  write_file(path, sample());
  const File file(path);
  EXPECT_EQ(serialise(file.tensors(), file.metadata(), "x"), sample());
}

TEST(Safetensors, a_file_that_is_none_is_an_error) {
  const TestFolder folder;
  expect_holds(error_of([&] { File file(folder / "none"); }), "none: no such file");
  expect_holds(error_of([&] { File file(folder.path()); }), "expected a file, found a folder");
  expect_holds(error_of([&] { File file("/dev/zero"); }), "expected a file, found a folder or device");
}

TEST(Safetensors, a_huge_sparse_file_allocates_nothing) {
  const TestFolder folder;
  const auto path = folder / "sparse";
  write_file(path, length_prefix(2) + "{}");
  std::filesystem::resize_file(path, 1ull << 40);
  expect_holds(error_of([&] { File file(path); }), "expected the data to end at byte 0");
}

TEST(Safetensors, a_long_or_wild_name_stays_short_and_printable) {
  const std::string name = std::string(1000, 'n');
  const std::string message = error_of([&] { parsed(file_of("{\"\x1b[31m" + name + "\":1}", 0)); });
  EXPECT_LT(message.size(), 300u);
  const std::string escaped = error_of([&] { parsed(file_of(R"({"\u001b[31m\u00e9":1})", 0)); });
  expect_holds(escaped, R"("\u001b[31m\u00e9")");
}

TEST(Safetensors, does_not_write_what_it_would_not_read) {
  const Bytes data(8);
  const auto message = [&](TensorView view) { return error_of([&] { serialise({view}, {}, "out"); }); };
  expect_holds(message({"w", Dtype::F32, {3}, data}),
               "out: tensor \"w\": shape [3] of F32 does not fit 8 bytes");
  expect_holds(message({"w", Dtype::F32, {-1, -2}, data}), "does not fit");
  expect_holds(message({"__metadata__", Dtype::F32, {2}, data}), "may not be called __metadata__");
  expect_holds(message({"\xff", Dtype::F32, {2}, data}), "is not UTF-8");
  expect_holds(error_of([&] {
                 serialise({{"w", Dtype::F32, {2}, data}, {"w", Dtype::F64, {1}, data}}, {}, "out");
               }),
               "two tensors are called \"w\"");
  expect_holds(error_of([&] { serialise({}, {{"k", "\xc3("}}, "out"); }), "is not UTF-8");
}

// Changes, inserts, drops or doubles a few bytes, mostly of the header, where the decisions are.
Bytes mutated(Bytes file, std::mt19937_64& random) {
  static const std::string alphabet = "{}[]\",:0123456789-.eE \\uFIBO\xff";
  const auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  const size_t changes = 1 + below(4);
  for (size_t i = 0; i < changes && !file.empty(); ++i) {
    const size_t at = below(file.size());
    const auto byte = static_cast<std::byte>(below(4) == 0 ? below(256) : alphabet[below(alphabet.size())]);
    switch (below(5)) {
      case 0:
        file.erase(file.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1:
        file.insert(file.begin() + static_cast<std::ptrdiff_t>(at), byte);
        break;
      case 2:
        file.resize(at);
        break;
      case 3:
        file.push_back(byte);
        break;
      default:
        file[at] = byte;
    }
    // Half of the time the length is made to fit again, so that the change itself is what gets judged.
    if (below(2) == 0 && file.size() >= 8) {
      const std::string text(reinterpret_cast<const char*>(file.data()), file.size());
      const uint64_t length = text.rfind('}') == std::string::npos ? 0 : text.rfind('}') - 7;
      if (length < file.size()) std::memcpy(file.data(), &length, 8);
    }
  }
  return file;
}

TEST(Safetensors, mutated_files_are_read_or_refused) {
  std::mt19937_64 random(20230112);
  const Bytes whole = sample();
  size_t read = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    // An allocation of its own size, so that a sanitizer sees a read past the end.
    Bytes file = mutated(whole, random);
    file.shrink_to_fit();
    try {
      const Contents contents = parsed(file);
      size_t covered = 0;
      for (const TensorView& view : contents.tensors) {
        ASSERT_TRUE(view.data.empty() || (view.data.data() >= file.data() &&
                                          view.data.data() + view.data.size() <= file.data() + file.size()));
        size_t elements = 1;
        for (const int64_t size : view.shape) elements *= static_cast<size_t>(size);
        ASSERT_EQ(elements * size_of(view.dtype), view.data.size());
        covered += view.data.size();
      }
      uint64_t length = 0;
      std::memcpy(&length, file.data(), 8);
      ASSERT_EQ(8 + length + covered, file.size());
      ++read;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(read, 100u);
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace orrery::safetensors
