#include "sdk/files/tensors.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <torch/types.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "sdk/files/atomic_file.h"
#include "tests/support/run_test_folder.h"

namespace orrery {
namespace {

using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

const torch::ScalarType scalar_types[] = {torch::kDouble, torch::kFloat, torch::kHalf,  torch::kBFloat16,
                                          torch::kLong,   torch::kInt,   torch::kShort, torch::kChar,
                                          torch::kByte,   torch::kBool};

torch::Tensor random_of(torch::ScalarType type, torch::IntArrayRef shape) {
  if (type == torch::kBool) return torch::randint(0, 2, shape).to(type);
  return torch::randint(0, 100, shape).to(type).div_(at::isFloatingType(type) ? 7 : 1, "trunc").to(type);
}

void expect_same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  ASSERT_EQ(a.scalar_type(), b.scalar_type());
  ASSERT_EQ(a.sizes(), b.sizes());
  const torch::Tensor left = a.contiguous(), right = b.contiguous();
  if (left.numel() > 0) {
    EXPECT_EQ(std::memcmp(left.data_ptr(), right.data_ptr(), left.nbytes()), 0);
  }
}

std::map<std::string, torch::Tensor> by_name(const NamedTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

TEST(Tensors, every_dtype_and_shape_comes_back_bit_for_bit) {
  torch::manual_seed(1);
  const TestFolder folder;
  NamedTensors written;
  for (const torch::ScalarType type : scalar_types)
    for (const std::vector<int64_t>& shape :
         std::vector<std::vector<int64_t>>{{}, {0}, {3, 0, 2}, {1}, {5}, {3, 4, 2}})
      written.emplace_back(torch::toString(type) + std::to_string(written.size()), random_of(type, shape));
  write_tensors(folder / "x", written, {{"step", "400"}});
  const TensorFile file = read_tensors(folder / "x");
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"step", "400"}}));
  const auto read = by_name(file.tensors);
  ASSERT_EQ(read.size(), written.size());
  for (const auto& [name, tensor] : written) {
    SCOPED_TRACE(name);
    expect_same_bits(tensor, read.at(name));
  }
}

TEST(Tensors, nan_infinities_and_negative_zero_keep_their_bits) {
  const TestFolder folder;
  const double infinity = std::numeric_limits<double>::infinity();
  for (const torch::ScalarType type : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16}) {
    const torch::Tensor odd =
        torch::tensor({std::nan(""), infinity, -infinity, -0.0, 5e-324}, torch::kDouble).to(type);
    write_tensors(folder / "x", {{"odd", odd}});
    expect_same_bits(odd, read_tensors(folder / "x").tensors.at(0).second);
  }
}

TEST(Tensors, views_and_leaves_are_written_as_their_values) {
  const TestFolder folder;
  const torch::Tensor leaf = torch::arange(12, torch::kFloat).reshape({3, 4}).set_requires_grad(true);
  write_tensors(
      folder / "x",
      {{"transposed", leaf.t()}, {"strided", leaf.slice(1, 0, 4, 2)}, {"expanded", leaf[0].expand({2, 4})}});
  const auto read = by_name(read_tensors(folder / "x").tensors);
  expect_same_bits(leaf.detach().t(), read.at("transposed"));
  expect_same_bits(leaf.detach().slice(1, 0, 4, 2), read.at("strided"));
  expect_same_bits(leaf.detach()[0].expand({2, 4}), read.at("expanded"));
  EXPECT_FALSE(read.at("transposed").requires_grad());
}

TEST(Tensors, the_same_tensors_give_the_same_bytes) {
  const TestFolder folder;
  const torch::Tensor a = torch::ones({3}), b = torch::ones({2}, torch::kLong);
  write_tensors(folder / "x", {{"a", a}, {"b", b}});
  write_tensors(folder / "y", {{"b", b}, {"a", a}});
  EXPECT_EQ(read_file(folder / "x"), read_file(folder / "y"));
}

TEST(Tensors, what_cannot_be_stored_is_named) {
  const TestFolder folder;
  const auto message = [&](const torch::Tensor& tensor) {
    return error_of([&] { write_tensors(folder / "x", {{"w", tensor}}); });
  };
  expect_holds(message(torch::Tensor()), "x: tensor \"w\" is undefined");
  expect_holds(message(torch::ones({2}, torch::kComplexFloat)),
               "x: tensor \"w\": dtype ComplexFloat cannot be stored");
  expect_holds(message(torch::ones({2}).to_sparse()), "x: tensor \"w\" is not dense");
  EXPECT_EQ(folder.count(), 0u);
}

TEST(Tensors, a_bool_of_another_byte_is_read_as_true) {
  const TestFolder folder;
  write_tensors(folder / "x", {{"b", torch::tensor({true, false})}});
  std::string text = read_file(folder / "x");
  text.replace(text.find("orrery.sha256"), 13, "orrery.member");  // as in a file of another program
  text[text.size() - 2] = 7;
  write_file(folder / "x", text);
  const torch::Tensor read = read_tensors(folder / "x").tensors.at(0).second;
  EXPECT_EQ(static_cast<const uint8_t*>(read.data_ptr())[0], 1);
  EXPECT_EQ(static_cast<const uint8_t*>(read.data_ptr())[1], 0);
}

// Standard output, and the exit status.
std::pair<std::string, int> run(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {"", -1};
  std::string output;
  std::array<char, 4096> block;
  while (const size_t got = fread(block.data(), 1, block.size(), pipe)) output.append(block.data(), got);
  return {output, pclose(pipe)};
}

std::string python_with_numpy() {
  for (const std::string python : {"/usr/bin/python3", "python3"})
    if (run(python + " -c 'import numpy' 2>/dev/null").second == 0) return python;
  return "";
}

// The numbers of nested lists, in order.
void collect(const nlohmann::json& item, std::vector<double>& numbers) {
  if (item.is_array())
    for (const auto& inner : item) collect(inner, numbers);
  else
    numbers.push_back(item.is_boolean() ? item.get<bool>() : item.get<double>());
}

TEST(Tensors, eight_lines_of_numpy_read_the_file) {
  const std::string python = python_with_numpy();
  ASSERT_FALSE(python.empty()) << "no python3 with numpy: install Debian's python3-numpy";
  torch::manual_seed(2);
  const TestFolder folder;
  NamedTensors written;
  for (const torch::ScalarType type : scalar_types)
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{}, {0, 2}, {2, 3}})
      written.emplace_back(torch::toString(type) + std::to_string(written.size()), random_of(type, shape));
  write_tensors(folder / "x", written, {{"k", "v"}});

  const std::string script = std::string(ORRERY_SOURCE_DIR) + "/tests/support/read_safetensors.py";
  const auto [output, status] = run(python + " '" + script + "' '" + (folder / "x").string() + "'");
  ASSERT_EQ(status, 0);
  const auto expected = by_name(written);
  size_t begin = 0, count = 0;
  for (size_t end; (end = output.find('\n', begin)) != std::string::npos; begin = end + 1, ++count) {
    const auto line = nlohmann::json::parse(output.substr(begin, end - begin));
    const std::string name = line[0];
    SCOPED_TRACE(name);
    const torch::Tensor& tensor = expected.at(name);
    EXPECT_EQ(line[1].get<std::vector<int64_t>>(), tensor.sizes().vec());
    // numpy knows no bfloat16: the script shows its bits.
    const torch::Tensor shown =
        tensor.scalar_type() == torch::kBFloat16 ? tensor.view(torch::kShort) : tensor;
    const torch::Tensor flat = shown.to(torch::kDouble).reshape({-1});
    std::vector<double> seen;
    collect(line[2], seen);
    ASSERT_EQ(static_cast<int64_t>(seen.size()), flat.numel());
    for (int64_t i = 0; i < flat.numel(); ++i)
      EXPECT_EQ(seen[static_cast<size_t>(i)], flat[i].item<double>());
  }
  EXPECT_EQ(count, written.size());
}

}  // namespace
}  // namespace orrery
