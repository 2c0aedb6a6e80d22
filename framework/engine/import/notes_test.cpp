#include "engine/import/notes.h"

#include <gtest/gtest.h>

namespace orrery::engine {
namespace {

using Texts = std::vector<std::string>;

TEST(Notes, are_said_once_for_all_networks) {
  Notes notes;
  notes.add("n_heads = 4");
  notes.add({{"left out", {"mask"}}, {"an output is set aside"}});
  notes.add({{"left out", {"mask", "b_Q"}}, {"an output is set aside"}, {"rounded", {"W_E"}}});
  EXPECT_EQ(notes.texts(2), (Texts{"n_heads = 4", "left out: mask, b_Q (in 1 of the 2 networks)",
                                   "an output is set aside", "rounded: W_E (in 1 of the 2 networks)"}));
}

TEST(Notes, of_one_network_are_as_they_come) {
  Notes notes;
  notes.add({{"left out", {"a", "b"}}});
  EXPECT_EQ(notes.texts(1), Texts{"left out: a, b"});
}

}  // namespace
}  // namespace orrery::engine
