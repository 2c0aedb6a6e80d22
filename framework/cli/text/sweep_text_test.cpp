#include "cli/text/sweep_text.h"

#include <gtest/gtest.h>

#include <sstream>

namespace orrery::cli {
namespace {

constexpr const char* wordy = R"(base = "b.toml"
seeds = 2
[grid]
train.weight_decay = [0.1, 1]
[[reading]]
name = "first_step_at_which_it_generalises"
metric = "test/accuracy"
of = "first step >= 0.99"
[[expect]]
falling = "first_step_at_which_it_generalises"
along = "train.weight_decay"
where.train.weight_decay = [0.1, 1]
bound = "> 0"
source = "https://arxiv.org/abs/2309.02390v1/an/address/that/breaks/nowhere, section 5.2, figure 7"
)";

TEST(SweepText, VerdictsKeepToTheWidthOfTheTerminal) {
  const SweepFile file = read_sweep_text(wordy, "s.toml", ReadBase::no);
  const std::string got =
      "12 of 1125 runs failed or could not start: configs/b.toml:3:1: the_name_of_a_file_that_is_long";
  const std::vector<SweepVerdict> verdicts = {
      {&file.claims[0], false, got, "beyond the end to beyond the end", 1125}};
  for (const size_t width : {80, 100, 132}) {
    std::istringstream lines(sweep_verdict_table(verdicts, width));
    size_t n = 0;
    for (std::string line; std::getline(lines, line); ++n) EXPECT_LE(width_of(line), width) << line;
    EXPECT_GT(n, 3u);
  }
}

}  // namespace
}  // namespace orrery::cli
