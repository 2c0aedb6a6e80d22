// Networks larger than the machine are refused before anything is allocated.
#include "sdk/model/room.h"

#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

#include <functional>

namespace orrery {
namespace {

std::string refusal(const std::function<void()>& make) {
  try {
    make();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "made";
}

TEST(Room, CountsWeightsGradientsAndMoments) {
  EXPECT_GT(memory_of_machine(), 1e8);
  EXPECT_EQ(refusal([] { refuse_without_room(1e6, "the network", 16e6); }), "made");
  EXPECT_EQ(refusal([] { refuse_without_room(1e6 + 1, "the network", 16e6); }),
            "the network has 1e+06 numbers, which take 0.016 GB with gradients and the optimiser's state; "
            "this machine has "
            "0.016 GB");
}

TEST(Room, ALargeNetworkIsRefusedAtOnce) {
  const TaskSpec spec{.d_vocab = 8, .d_vocab_out = 7, .n_ctx = 3, .read_out = {2}};
  const std::string wide =
      refusal([&] { make_transformer({.d_model = int64_t(1e12)}, spec, make_generator(0)); });
  EXPECT_NE(wide.find("of shape [8, 1000000000000] has 8e+12 numbers, which take 1.28e+05 GB"),
            std::string::npos)
      << wide;
  const std::string mlp = refusal([&] { make_mlp({.d_mlp = int64_t(1e12)}, spec, make_generator(0)); });
  EXPECT_NE(mlp.find("this machine has"), std::string::npos) << mlp;
}

}  // namespace
}  // namespace orrery
