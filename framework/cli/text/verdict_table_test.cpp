#include "cli/text/verdict_table.h"

#include <gtest/gtest.h>

#include "tests/support/config_helpers.h"

namespace orrery::cli {
namespace {

TEST(VerdictTable, IsAlignedByCharacters) {
  const char* const config = R"(
[task]
name = "sums"
[[expect]]
metric = "train/loss"
bound = "< 2"
source = "Kovács 2023"
[[expect]]
metric = "test/accuracy"
of = "any"
when = "step < 200"
bound = "> 0.99"
source = "a paper")";
  const auto expectations =
      resolve(Document::from_toml(config, "x.toml"), config_test::parameters_of).expectations;
  EXPECT_EQ(verdict_table({{&expectations[0], true, "1.25 at step 400"},
                           {&expectations[1], false, "at best 0.25 at step 0"}}),
            "expected                               got                     source       verdict\n"
            "train/loss < 2 at the end              1.25 at step 400        Kovács 2023  ok\n"
            "test/accuracy > 0.99 once, step < 200  at best 0.25 at step 0  a paper      FAILED\n");
  EXPECT_EQ(verdict_table({}), "expected  got  source  verdict\n");
}

}  // namespace
}  // namespace orrery::cli
