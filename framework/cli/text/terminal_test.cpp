#include "cli/text/terminal.h"

#include <gtest/gtest.h>

#include "cli/text/table.h"

namespace orrery::cli {
namespace {

const ProgressLine training{
    3100, 8000, "steps", "train 8.0e-08 100.0%  test 0.00465 99.9%  n_key_frequencies 4  trig_loss 4.5e-08",
    103};

TEST(ProgressLine, InALogSaysEverything) {
  EXPECT_EQ(
      training.plain(),
      "3,100/8,000  103 steps/s  ETA 0:48  train 8.0e-08 100.0%  test 0.00465 99.9%  n_key_frequencies 4  "
      "trig_loss 4.5e-08");
  EXPECT_EQ((ProgressLine{0, 10, "steps", ""}.plain()), "0/10");
}

TEST(ProgressLine, ShowsBothLossesBeforeTheBar) {
  EXPECT_EQ(training.fitted(60), "3,100/8,000  train 8.0e-08 100.0%  test 0.00465 99.9%");
  EXPECT_EQ(training.fitted(79),
            "████░░░░░░ 3,100/8,000  ETA 0:48  train 8.0e-08 100.0%  test 0.00465 99.9%");
  EXPECT_EQ(
      training.fitted(140),
      "████████░░░░░░░░░░░░ 3,100/8,000  103 steps/s  ETA 0:48  train 8.0e-08 100.0%  test 0.00465 99.9%  "
      "n_key_frequencies 4  trig_loss 4.5e-08");
  for (size_t width = 10; width < 160; ++width) EXPECT_LE(width_of(training.fitted(width)), width);
}

}  // namespace
}  // namespace orrery::cli
