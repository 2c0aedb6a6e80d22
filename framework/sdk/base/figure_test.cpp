// Figures begun by a builder are those filled in by hand.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/recorder.h>

namespace orrery {
namespace {

using torch::Tensor;

const Tensor two = torch::tensor({0.5, 2.0}, torch::kFloat64),
             three = torch::tensor({1, 2, 3}, torch::kInt32);

TEST(Figure, BarsStandAtZeroOneTwo) {
  const Figure figure =
      Figure::bars("name", "Title", {"x", {"a", "b", "c"}}, "y", {{"one", two}, {"other", three}});
  EXPECT_EQ(figure.name, "name");
  EXPECT_EQ(figure.kind, Figure::Kind::bar);
  EXPECT_EQ(figure.title, "Title");
  EXPECT_EQ(figure.x_label, "x");
  EXPECT_EQ(figure.y_label, "y");
  EXPECT_EQ(figure.x_ticks, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(figure.y_ticks.empty());
  EXPECT_FALSE(figure.x_log || figure.y_log || figure.equal_axes);
  ASSERT_EQ(figure.traces.size(), 2u);
  EXPECT_EQ(figure.traces[0].name, "one");
  EXPECT_TRUE(figure.traces[0].x.equal(torch::arange(2, torch::kInt64)));
  EXPECT_TRUE(figure.traces[0].y.equal(two));
  EXPECT_FALSE(figure.traces[0].z.defined());
  EXPECT_TRUE(figure.traces[1].x.equal(torch::arange(3, torch::kInt64)));
  EXPECT_EQ(figure.traces[1].y.scalar_type(), torch::kInt32);  // as it was given
}

TEST(Figure, LinesStandWhereTheAxisSays) {
  const Tensor steps = torch::tensor({0.0, 10.0, 100.0}, torch::kFloat64);
  const Figure figure =
      Figure::line("name", "Title", {"step", {}, steps}, "loss", {{"a", two}, {"b", three}});
  EXPECT_EQ(figure.kind, Figure::Kind::line);
  EXPECT_TRUE(figure.traces.at(0).x.equal(steps.narrow(0, 0, 2)));  // a shorter trace ends earlier
  EXPECT_TRUE(figure.traces.at(1).x.equal(steps));
  EXPECT_THROW(Figure::line("name", "Title", {"step", {}, two}, "loss", {{"b", three}}), Error);
}

TEST(Figure, HeatmapsHaveRowsAndColumns) {
  const Tensor z = torch::rand({2, 3});
  const Figure figure = Figure::heatmap("name", "Title", {"column", {"a", "b", "c"}},
                                        {"row", {}, torch::tensor({7, 9})}, "colour", z);
  EXPECT_EQ(figure.kind, Figure::Kind::heatmap);
  EXPECT_EQ(figure.x_label, "column");
  EXPECT_EQ(figure.y_label, "row");
  EXPECT_EQ(figure.x_ticks.size(), 3u);
  EXPECT_TRUE(figure.y_ticks.empty());
  ASSERT_EQ(figure.traces.size(), 1u);
  EXPECT_EQ(figure.traces[0].name, "colour");
  EXPECT_TRUE(figure.traces[0].x.equal(torch::arange(3, torch::kInt64)));
  EXPECT_TRUE(figure.traces[0].y.equal(torch::tensor({7, 9})));
  EXPECT_TRUE(figure.traces[0].z.equal(z));
}

TEST(FileSafeName, KeepsLettersAndDigits) {
  EXPECT_EQ(file_safe_name("blocks.0.mlp.hook_post"), "blocks_0_mlp_hook_post");
  EXPECT_EQ(file_safe_name("embed.W_E"), "embed_w_e");
  EXPECT_EQ(file_safe_name("standard (4,1)"), "standard__4_1_");
  EXPECT_EQ(file_safe_name("\xc3\xa4"), "__");
  EXPECT_EQ(file_safe_name(""), "");
}

TEST(Figure, HistogramCountsX) {
  const Figure figure =
      Figure::histogram("norms", "Norms", "norm", "neurons", {{"layer 0", two}, {"", three}});
  EXPECT_EQ(figure.kind, Figure::Kind::histogram);
  EXPECT_EQ(figure.x_label, "norm");
  EXPECT_EQ(figure.y_label, "neurons");
  ASSERT_EQ(figure.traces.size(), 2u);
  EXPECT_TRUE(figure.traces[1].x.equal(three));
  EXPECT_FALSE(figure.traces[1].y.defined());
}

TEST(Recorder, RefusesASecondPanelOfTheSameScalars) {
  Recorder recorder;
  recorder.panel("loss", "Loss", "loss (nats)");
  EXPECT_THROW(recorder.panel("loss", "Other", "loss (nats)"), Error);
  EXPECT_EQ(recorder.record().panels.at(0).title, "Loss");
}

}  // namespace
}  // namespace orrery
