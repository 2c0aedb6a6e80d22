// device_tests --device=cuda|emulated [--gtest_...]: exit code 3 if there is no such device.
#include "tests/device/device_tests.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>
#include <orrery/version.h>

#include <cstdio>
#include <cstring>

#include "engine/train/hardware.h"
#include "engine/train/trainer.h"
#include "tests/device/emulated_device.h"

namespace orrery::device_test {
namespace {

torch::Device device = torch::kCPU;

// Whether there is a device of this name.
bool choose(const std::string& name) {
  if (name == "emulated")
    device = testing::emulated_device();
  else if (name == "cuda" && at::hasCUDA())
    device = torch::kCUDA;
  return !device.is_cpu();
}

}  // namespace

torch::Device device_under_test() { return device; }

std::string device_name() { return c10::DeviceTypeName(device.type(), /*lower_case=*/true); }

double largest(const torch::Tensor& x) { return x.numel() > 0 ? x.abs().max().item<double>() : 0; }

void expect_close(const torch::Tensor& x, const torch::Tensor& y, double bound, const std::string& what) {
  ASSERT_EQ(x.sizes(), y.sizes()) << what;
  const auto a = x.detach().to(torch::kCPU, torch::kFloat64), b = y.detach().to(torch::kCPU, torch::kFloat64);
  ASSERT_TRUE(torch::isfinite(b).all().item<bool>()) << what;
  const double off = largest(a - b);
  EXPECT_TRUE(off <= bound) << what << ": off by " << off << ", bound " << bound;
}

}  // namespace orrery::device_test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  std::string name = "cuda";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--device=", 9) != 0) {
      std::fprintf(stderr, "device_tests: what is %s? expected --device=cuda or --device=emulated\n",
                   argv[i]);
      return 2;
    }
    name = argv[i] + 9;
  }
  if (!orrery::device_test::choose(name)) {
    std::fprintf(stderr,
                 "device_tests: SKIPPED, nothing was tested: LibTorch %s finds no device \"%s\" here\n"
                 "  --device=emulated runs the same tests on a stand-in\n",
                 orrery::torch_version().c_str(), name.c_str());
    return 3;
  }
  orrery::engine::use_threads(1);
  return RUN_ALL_TESTS();
}
