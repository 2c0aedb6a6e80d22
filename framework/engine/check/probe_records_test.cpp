// What `orrery check` refuses in the figures of a probe.
#include <gtest/gtest.h>

#include <functional>

#include "engine/check/probe_checks.h"

namespace orrery::engine::checks {
namespace {

// The fault of points with names and error bars, after a change.
std::string fault_after(const std::function<void(Figure&)>& change) {
  Figure figure{"points", Figure::Kind::scatter, "Points", "x", "y", {}};
  Trace trace{"a", torch::arange(3), torch::ones({3}), {}};
  trace.y_error = torch::ones({2, 3});
  trace.labels = {"a", "b", "c"};
  trace.facet = "left";
  figure.traces = {trace};
  change(figure);
  return figure_fault(figure);
}

void expect_says(const std::string& fault, const std::string& part) {
  EXPECT_NE(fault.find(part), std::string::npos) << fault;
}

TEST(FigureFault, NoneWithErrorBarsLabelsAndFacets) {
  EXPECT_EQ(fault_after([](Figure&) {}), "");
  EXPECT_EQ(fault_after([](Figure& figure) { figure.traces[0].y_error = torch::ones({3}); }), "");
}

TEST(FigureFault, AnErrorBarAndANameForEachPoint) {
  expect_says(fault_after([](Figure& figure) {
                figure.traces[0].y_error = torch::ones({3, 2});
              }),
              "expected [3] or [2, 3]");
  expect_says(fault_after([](Figure& figure) { figure.traces[0].y_error = -torch::ones({3}); }), "negative");
  expect_says(fault_after([](Figure& figure) { figure.traces[0].labels.pop_back(); }),
              "3 points, and 2 labels");
}

TEST(FigureFault, AHistogramHasXAlone) {
  const auto histogram = [](const torch::Tensor& x) {
    return Figure::histogram("h", "Counts", "norm", "neurons", {{"", x}});
  };
  EXPECT_EQ(figure_fault(histogram(torch::arange(5))), "");
  expect_says(figure_fault(histogram(torch::ones({2, 2}))), "needs x [n]");
  Figure with_y = histogram(torch::arange(5));
  with_y.traces[0].y = torch::arange(5);
  expect_says(figure_fault(with_y), "x alone");
}

TEST(FigureFault, AHeatmapHasNoFacets) {
  Figure figure = Figure::heatmap("h", "Map", {"x"}, {"y"}, "value", torch::ones({2, 3}));
  EXPECT_EQ(figure_fault(figure), "");
  figure.traces[0].facet = "left";
  expect_says(figure_fault(figure), "not for heatmaps");
}

}  // namespace
}  // namespace orrery::engine::checks
