// What a call into a plugin changes in the process is undone, and told.
#include "loader/surroundings.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/DefaultDtype.h>
#include <gtest/gtest.h>
#include <loader/guard.h>
#include <signal.h>
#include <torch/utils.h>
#include <unistd.h>

#include <cfenv>
#include <clocale>
#include <filesystem>
#include <iostream>
#include <vector>

namespace orrery::test {
namespace {

// What was told of a call whose body is `change`.
template <class Change>
std::vector<Disturbance> told_of(Change&& change, Watch watch = Watch::everything) {
  static const Who meddler{PluginKind::probe, "meddler", "1.0.0"};
  std::vector<Disturbance> told;
  auto before = listen_for_disturbances([&](const Disturbance& one) { told.push_back(one); });
  guard(meddler, "measure", 400, change, watch);
  listen_for_disturbances(std::move(before));
  return told;
}

template <class Change>
void expect_told(Change&& change, const std::string& what) {
  const auto told = told_of(change);
  ASSERT_EQ(told.size(), 1u) << what;
  EXPECT_EQ(told[0].what, "probe meddler 1.0.0, measure, step 400: it " + what);
  EXPECT_EQ(told[0].kind, "probe meddler 1.0.0, measure: it " + what);
  EXPECT_NE(told[0].hint, "");
}

TEST(Surroundings, AQuietCallIsNotMentioned) {
  EXPECT_TRUE(told_of([] { torch::ones({3}).sum(); }).empty());
}

TEST(Surroundings, LibTorchIsAsItWas) {
  const int threads = at::get_num_threads();
  expect_told(
      [&] { at::set_num_threads(threads + 3); },
      "set the number of threads from " + std::to_string(threads) + " to " + std::to_string(threads + 3));
  EXPECT_EQ(at::get_num_threads(), threads);
  expect_told([] { torch::set_default_dtype(caffe2::TypeMeta::Make<double>()); },
              "set the default dtype to double");
  EXPECT_EQ(c10::get_default_dtype(), caffe2::TypeMeta::Make<float>());
  expect_told([] { torch::GradMode::set_enabled(false); }, "switched gradients off");
  EXPECT_TRUE(torch::GradMode::is_enabled());
}

TEST(Surroundings, ItsGeneratorDrawsAsIfTheCallHadNotBeen) {
  torch::manual_seed(5);
  const torch::Tensor expected = torch::rand({4});
  torch::manual_seed(5);
  expect_told([] { torch::rand({1000}); }, "drew from LibTorch's own generator, or seeded it");
  EXPECT_TRUE(torch::rand({4}).equal(expected));
}

TEST(Surroundings, TheProcessIsAsItWas) {
  const auto folder = std::filesystem::current_path();
  expect_told([] { std::filesystem::current_path("/"); },
              "went from the folder " + folder.string() + " to /");
  EXPECT_EQ(std::filesystem::current_path(), folder);
  ::signal(SIGINT, SIG_DFL);  // a shell's background job begins with SIG_IGN
  expect_told([] { ::signal(SIGINT, SIG_IGN); }, "set another handler for SIGINT");
  struct sigaction now = {};
  ::sigaction(SIGINT, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
  expect_told(
      [] { std::setlocale(LC_NUMERIC, "C.UTF-8"); },
      "set the locale from C to LC_CTYPE=C;LC_NUMERIC=C.UTF-8;LC_TIME=C;LC_COLLATE=C;LC_MONETARY=C;"
      "LC_MESSAGES=C;LC_PAPER=C;LC_NAME=C;LC_ADDRESS=C;LC_TELEPHONE=C;LC_MEASUREMENT=C;LC_IDENTIFICATION=C");
  EXPECT_STREQ(std::setlocale(LC_ALL, nullptr), "C");
}

TEST(Surroundings, ArithmeticIsAsItWas) {
  const char* told = "changed the floating-point environment (rounding, or how it treats denormal numbers)";
  expect_told([] { std::fesetround(FE_UPWARD); }, told);
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
#if defined(__x86_64__)
  expect_told([] { at::globalContext().setFlushDenormal(true); }, told);
  volatile float least = 1e-38f;
  EXPECT_GT(least / 100, 0.f);
#endif
  // What was set before the call stays: the host's own choice.
  std::fesetround(FE_DOWNWARD);
  EXPECT_TRUE(told_of([] {}).empty());
  EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
  std::fesetround(FE_TONEAREST);
}

TEST(Surroundings, WhatItPrintsGoesToStandardError) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  std::cout << "before ";
  expect_told([] { std::cout << "from a stream" << std::endl; }, "printed to standard output");
  expect_told([] { std::printf("from C\n"); }, "printed to standard output");
  std::cout << "after" << std::flush;
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "before after");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "from a stream\nfrom C\n");
}

TEST(Surroundings, AreRestoredAfterAnExceptionToo) {
  const int threads = at::get_num_threads();
  const auto told = told_of([&] {
    try {
      guard(Who{PluginKind::task, "inner", "1"}, "split", [&] {
        at::set_num_threads(threads + 1);
        throw 1;
      });
    } catch (const std::exception&) {
    }
  });
  EXPECT_EQ(at::get_num_threads(), threads);
  ASSERT_EQ(told.size(), 1u);  // the inner call is the one to blame
  EXPECT_EQ(told[0].what.substr(0, 20), "task inner 1, split:");
}

TEST(Surroundings, CallsOfEveryStepAreWatchedForWhatSpoilsNumbers) {
  EXPECT_EQ(told_of([] { torch::GradMode::set_enabled(false); }, Watch::computing).size(), 1u);
  EXPECT_TRUE(told_of([] { torch::rand({1}); }, Watch::computing).empty());
}

TEST(Surroundings, EachKindIsToldOnce) {
  int told = 0;
  const auto once = each_kind_once([&](const Disturbance&) { ++told; });
  once({"a, step 1: x", "", "a: x"});
  once({"a, step 2: x", "", "a: x"});
  once({"a, step 2: y", "", "a: y"});
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace orrery::test
