// That the stand-in for a GPU refuses what a GPU would.
#include "tests/device/emulated_device.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdlib>

namespace orrery::testing {
namespace {

const auto on_cpu = torch::dtype(torch::kFloat32);

TEST(EmulatedDevice, ComputesAsTheCpuDoes) {
  const torch::Tensor x = torch::arange(6, on_cpu).view({2, 3}), there = x.to(emulated_device());
  EXPECT_EQ(there.device(), emulated_device());
  EXPECT_TRUE(
      torch::equal((there.t().matmul(there) + 1).relu().to(torch::kCPU), (x.t().matmul(x) + 1).relu()));
  EXPECT_EQ(there.sum().item<float>(), 15);
  torch::Tensor written = torch::zeros({2, 2}, there.options());
  written[1][0] = 5;
  written.select(1, 1).add_(2);
  EXPECT_TRUE(torch::equal(written.to(torch::kCPU), torch::tensor({0.f, 2.f, 5.f, 2.f}).view({2, 2})));
}

TEST(EmulatedDevice, GivesGradientsThere) {
  const torch::Tensor x = torch::ones({3}, on_cpu).to(emulated_device()).requires_grad_(true);
  (x * x * 2).sum().backward();
  EXPECT_EQ(x.grad().device(), emulated_device());
  EXPECT_TRUE(torch::equal(x.grad().to(torch::kCPU), torch::full({3}, 4.f)));
}

TEST(EmulatedDevice, RefusesTensorsFromElsewhere) {
  const torch::Tensor there = torch::ones({3}, on_cpu).to(emulated_device()), here = torch::ones({3}, on_cpu);
  EXPECT_THROW(there + here, c10::Error);
  EXPECT_THROW(here * there, c10::Error);
  EXPECT_THROW(there.index_select(0, torch::tensor({0, 2})), c10::Error);
  EXPECT_NO_THROW(there + torch::scalar_tensor(2));  // a number, as on CUDA
}

TEST(EmulatedDeviceDeathTest, HasMemoryThatTheCpuCannotRead) {
  const torch::Tensor there = torch::ones({3}, on_cpu).to(emulated_device());
  EXPECT_DEATH(std::exit(there.data_ptr<float>()[0] > 0), "");
}

}  // namespace
}  // namespace orrery::testing
