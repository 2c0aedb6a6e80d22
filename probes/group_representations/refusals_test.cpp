#include <gtest/gtest.h>
#include <orrery/error.h>

#include "measured_test.h"

namespace orrery::testing {
namespace {

std::string refusal(GroupNetwork& network, const std::string& parameters = "{}") {
  try {
    measured(network, parameters);
    return "";
  } catch (const UsageError& error) {
    EXPECT_FALSE(error.hint().empty()) << error.what();
    return error.what();
  }
}

TEST(GroupRepresentations, RefuseWhatTheyCannotRead) {
  GroupNetwork network(symmetric_group(4));
  give_zeros(network);
  network.logits = torch::zeros({576, 1, 24});
  EXPECT_EQ(refusal(network), "");
  EXPECT_EQ(refusal(network, R"json({"rule": "given", "representations": ["(2,3)"]})json"),
            "representations: \"(2,3)\" is not a nontrivial representation of S_4 (did you mean \"(2,2)\"?)");
  EXPECT_EQ(refusal(network, R"({"rule": "given", "representations": ["sign", "sign"]})"),
            "representations: \"sign\" is listed twice");
  EXPECT_NE(refusal(network, R"({"rule": "given", "representations": ["trivial"]})"), "");
  EXPECT_NE(refusal(network, R"({"rule": "given"})"), "");
  EXPECT_NE(refusal(network, R"({"representations": ["sign"]})"), "");
  network.structure.group->label_is_product = false;
  EXPECT_EQ(refusal(network).rfind("the label of (x, y) is another word", 0), 0u);
  network.structure = {};
  EXPECT_EQ(refusal(network).rfind("the task declares neither", 0), 0u);
}

}  // namespace
}  // namespace orrery::testing
