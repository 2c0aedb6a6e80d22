#include "triples.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <tests/support/plugin_under_test.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace clock_pizza {
namespace {

using orrery::UsageError;
using torch::Tensor;

// Python 3: r = random.Random(42); [r.getrandbits(32) for _ in range(4)]; [r.randrange(1000) ...]
TEST(Triples, PythonsNumbersAreItsOwn) {
  PythonRandom random(42);
  for (const uint32_t expected : {2746317213u, 478163327u, 107420369u, 3184935163u})
    EXPECT_EQ(random.bits(32), expected);
  for (const uint32_t expected : {281u, 250u, 228u, 142u, 754u, 104u})
    EXPECT_EQ(random.below(1000), expected);
}

// Python 3: xs = list(itertools.product(range(n), repeat=3)); random.Random(42).shuffle(xs); xs[:4]
TEST(Triples, OfZhongAreTheFirstOfAShuffledList) {
  EXPECT_TRUE(zhong_triples(4, 59).equal(
      torch::tensor({{29, 1, 57}, {49, 36, 24}, {40, 38, 8}, {13, 17, 16}}, torch::kInt64)));
  EXPECT_TRUE(
      zhong_triples(4, 7).equal(torch::tensor({{3, 2, 1}, {3, 3, 2}, {1, 0, 4}, {5, 4, 3}}, torch::kInt64)));
  const Tensor all = zhong_triples(1000, 5);  // 125 there are
  EXPECT_EQ(all.size(0), 125);
  EXPECT_TRUE(std::get<0>((all.select(1, 0) * 25 + all.select(1, 1) * 5 + all.select(1, 2)).sort())
                  .equal(torch::arange(125, torch::kInt64)));
  EXPECT_THROW(zhong_triples(100, 257), UsageError);
}

// A tensor in a safetensors file, by the format's definition, in a folder of its own.
class Stored {
 public:
  Stored(const Tensor& values, const std::string& dtype)
      : folder_(std::filesystem::temp_directory_path() /
                ("orrery_triples_" + std::to_string(std::random_device()()))) {
    std::filesystem::create_directories(folder_);
    const auto x = values.contiguous();
    std::string shape;
    for (const int64_t size : x.sizes()) shape += (shape.empty() ? "" : ",") + std::to_string(size);
    std::string header = "{\"triples\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
                         "],\"data_offsets\":[0," + std::to_string(x.nbytes()) + "]}}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const uint64_t length = header.size();
    std::ofstream file(path(), std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), 8);
    file << header;
    file.write(static_cast<const char*>(x.data_ptr()), static_cast<std::streamsize>(x.nbytes()));
  }
  ~Stored() { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "triples.safetensors").string(); }

 private:
  std::filesystem::path folder_;
};

TEST(Triples, ComeFromAFile) {
  const auto rows = torch::tensor({{1, 2, 3}, {0, 6, 5}}, torch::kInt64);
  const Stored stored(rows, "I64"), narrow(rows.to(torch::kInt32), "I32"),
      real(rows.to(torch::kFloat32), "F32"), flat(rows.flatten(), "I64");
  EXPECT_TRUE(triples_in_file(stored.path(), "", 7).equal(rows));
  EXPECT_TRUE(triples_in_file(narrow.path(), "triples", 7).equal(rows));
  for (const auto& path : {real.path(), flat.path()}) EXPECT_THROW(triples_in_file(path, "", 7), UsageError);
  try {
    triples_in_file(stored.path(), "", 6);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("from 0 to 6, and the indices of the group are 0 to 5"),
              std::string::npos)
        << error.what();
  }
  const auto parameters = R"({"triples": "file", "file": ")" + stored.path() + "\"}";
  EXPECT_NO_THROW(orrery::testing::make_probe(parameters));
}

TEST(Triples, AreRefusedWhereParametersContradictEachOther) {
  for (const char* parameters : {R"({"triples": "file"})", R"({"file": "x.safetensors"})",
                                 R"({"tensor": "x"})", R"({"triples": "zhong", "file": "x.safetensors"})"})
    EXPECT_THROW(orrery::testing::make_probe(parameters), UsageError) << parameters;
}

}  // namespace
}  // namespace clock_pizza
