// What conclude() is given, found by name.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/history.h>

#include <functional>

namespace orrery {
namespace {

std::string error_of_history(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(error.what()) + "\n" + error.hint();
  }
  return "nothing was thrown";
}

const History history{.curves = {{"test/loss", {0, 10}, {1, 2}}},
                      .tensors = {{"shares", {0, 20}, [](int64_t step) { return torch::full({2}, step); }}},
                      .findings = {{"keys", {20}, {{"keys", "key_frequencies", {{"order", int64_t{7}}}}}}}};

TEST(History, IsFoundByName) {
  EXPECT_EQ(history.curve("test/loss").values.back(), 2);
  EXPECT_EQ(history.tensor("shares").steps, (std::vector<int64_t>{0, 20}));
  EXPECT_EQ(history.tensor("shares").at(20)[1].item<int64_t>(), 20);
  EXPECT_EQ(history.finding("keys").findings.at(0).kind, "key_frequencies");
}

TEST(History, SaysWhatItLacks) {
  EXPECT_EQ(error_of_history([] { history.curve("test/los"); }),
            "conclude() was not given the curve \"test/los\" (did you mean \"test/loss\"?)\n"
            "it gets what needs() names in curves");
  EXPECT_EQ(error_of_history([] { history.tensor("share"); }),
            "conclude() was not given the tensor \"share\" (did you mean \"shares\"?)\n"
            "it gets what needs() names in tensors");
  EXPECT_EQ(error_of_history([] { history.tensor("shares").at(10); }),
            "the tensor \"shares\" was not recorded at step 10\nit was at 2, from step 0 to 20");
}

// Nothing found is an answer.
TEST(History, AFindingThatNeverWasHasNoSteps) {
  EXPECT_EQ(history.finding("phase").name, "phase");
  EXPECT_TRUE(history.finding("phase").steps.empty());
}

}  // namespace
}  // namespace orrery
