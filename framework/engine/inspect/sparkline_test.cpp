#include "engine/inspect/sparkline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace orrery::engine {
namespace {

std::string drawn(const std::string& name, std::vector<int64_t> steps, std::vector<double> values,
                  size_t width, int64_t last_step = -1) {
  const Curve curve{name, std::move(steps), std::move(values)};
  return sparkline(curve, last_step < 0 ? curve.steps.back() : last_step, width, Glyphs::ascii);
}

TEST(Sparkline, goes_from_the_lowest_value_to_the_highest) {
  EXPECT_EQ(drawn("n", {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}, 8), "_.-~=+*#");
  EXPECT_EQ(drawn("n", {0, 1, 2, 3, 4, 5, 6, 7}, {70, 60, 50, 40, 30, 20, 10, 0}, 8), "#*+=~-._");
  const Curve curve{"n", {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}};
  EXPECT_EQ(sparkline(curve, 7, 8, Glyphs::blocks), "▁▂▃▄▅▆▇█");
}

TEST(Sparkline, draws_losses_on_a_logarithmic_scale) {
  const std::vector<int64_t> steps = {0, 1, 2};
  EXPECT_EQ(drawn("test/accuracy", steps, {1, 1e-7, 1e-14}, 3), "#__");
  EXPECT_EQ(drawn("test/loss", steps, {1, 1e-7, 1e-14}, 3), "#=_");
  EXPECT_EQ(drawn("train/loss/digit_0", steps, {1, 0, 1e-7}, 3), "#__");  // 0 counts as the smallest, 1e-7
  EXPECT_EQ(drawn("loss", steps, {0, 0, 0}, 3), "~~~");
  for (const char* name : {"test/loss", "loss", "train/loss/digit_0", "probe/x/loss/test", "trig_loss"})
    EXPECT_TRUE(is_loss(name)) << name;
  for (const char* name : {"test/accuracy", "lossless", "closs", "", "weights/norm"})
    EXPECT_FALSE(is_loss(name)) << name;
}

TEST(Sparkline, averages_the_points_of_a_cell) {
  // Means 1, 5 and 8; the line is linear, so 5 is 4/7 of the way from 1 to 8.
  EXPECT_EQ(drawn("n", {0, 1, 2, 3, 4, 5}, {0, 2, 4, 6, 8, 8}, 3), "_=#");
  // On the logarithmic scale the mean is geometric: 1e-4 and 1e-10 make 1e-7.
  EXPECT_EQ(drawn("loss", {0, 1, 2, 3, 4, 5}, {1, 1, 1e-4, 1e-10, 1e-14, 1e-14}, 3), "#=_");
}

TEST(Sparkline, stands_where_its_steps_are) {
  EXPECT_EQ(drawn("n", {0, 50}, {0, 1}, 10, 99),
            "_____#    ");  // the step before is repeated, what is behind not
  EXPECT_EQ(drawn("n", {50, 99}, {0, 1}, 10, 99), "     ____#");
  EXPECT_EQ(drawn("n", {4999}, {3}, 4, 4999), "   ~");
  EXPECT_EQ(drawn("n", {0}, {3}, 4, 0), "~   ");
}

TEST(Sparkline, marks_what_is_no_number) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(drawn("loss", {0, 1, 2, 3}, {4, infinity, nan, 1}, 4), "#!!_");
  EXPECT_EQ(drawn("n", {0, 1}, {nan, nan}, 2), "!!");
  EXPECT_EQ(sparkline({"n", {}, {}}, 0, 3, Glyphs::ascii), "   ");
  EXPECT_EQ(drawn("n", {0, 1}, {0, 1}, 0), "");
}

}  // namespace
}  // namespace orrery::engine
