// What a recorder takes, and what it refuses with whose fault it is.
#include <gtest/gtest.h>
#include <orrery/error.h>
#include <orrery/recorder.h>

#include <cmath>
#include <functional>

namespace orrery {
namespace {

std::string refusal_of(const std::function<void(Recorder&)>& record) {
  Recorder recorder;
  try {
    record(recorder);
  } catch (const Error& error) {
    EXPECT_TRUE(recorder.record().scalars.empty() && recorder.record().tensors.empty() &&
                recorder.record().figures.empty() && recorder.record().findings.empty());
    return error.what();
  }
  return "";
}

TEST(Names, HaveOneRule) {
  for (const char* good :
       {"loss", "loss/train", "neurons/k=14", "head_0.0", "(2,2,1)", "W_E of a", "\xc3\xa9t\xc3\xa9"})
    EXPECT_EQ(name_fault(good), "") << good;
  EXPECT_EQ(name_fault(""), "the name is empty");
  for (const char* bad : {"/loss", "loss/", "a//b", "/"})
    EXPECT_EQ(name_fault(bad), std::string("the name \"") + bad + "\" has an empty part");
  EXPECT_EQ(name_fault("a\nb"), "the name \"a\\x0ab\" has control characters");
  EXPECT_EQ(name_fault(std::string("a\0b", 3)), "the name \"a\\x00b\" has control characters");
  EXPECT_EQ(name_fault("a\xff"), "the name \"a\\xff\" is not UTF-8");
}

TEST(Names, Utf8IsThatOfTheStandard) {
  for (const char* good :
       {"plain", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(name_fault(good), "") << good;
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xc3", "\xe2\x82", "\xf5\x80\x80\x80"})
    EXPECT_NE(name_fault(bad).find("is not UTF-8"), std::string::npos) << name_fault(bad);
}

TEST(Recorder, RefusesNamesAndRepeats) {
  EXPECT_EQ(refusal_of([](Recorder& r) { r.scalar("a\nb", 1); }),
            "scalar: the name \"a\\x0ab\" has control characters");
  EXPECT_EQ(refusal_of([](Recorder& r) { r.headline("", 1); }), "scalar: the name is empty");
  EXPECT_EQ(refusal_of([](Recorder& r) { r.tensor("a/", torch::ones({1})); }),
            "tensor: the name \"a/\" has an empty part");
  EXPECT_EQ(refusal_of([](Recorder& r) {
              r.finding({"f", "k\xff", {{"n", int64_t{1}}}});
            }),
            "finding \"f\", its kind: the name \"k\\xff\" is not UTF-8");
  Recorder recorder;
  recorder.scalar("a", 1);
  recorder.tensor("a", torch::ones({1}));  // of another sort
  EXPECT_THROW(recorder.scalar("a", 2), Error);
  EXPECT_THROW(recorder.tensor("a", torch::ones({1})), Error);
  EXPECT_EQ(recorder.record().scalars.size(), 1u);
}

TEST(Recorder, RefusesTensorsThatNoRunCanStore) {
  EXPECT_EQ(refusal_of([](Recorder& r) { r.tensor("t", torch::eye(3).to_sparse()); }),
            "tensor \"t\": it is sparse; convert it with to_dense()");
  EXPECT_EQ(refusal_of([](Recorder& r) { r.tensor("t", torch::ones({2}, torch::kComplexFloat)); }),
            "tensor \"t\": it is complex; use torch::view_as_real(), real() or abs()");
  EXPECT_EQ(refusal_of([](Recorder& r) { r.tensor("t", {}); }), "tensor \"t\" is recorded but undefined");
}

TEST(Recorder, RefusesTextThatIsNone) {
  EXPECT_EQ(refusal_of([](Recorder& r) {
              r.finding({"f", "k", {{"of", std::string("\xff")}}});
            }),
            "finding \"f\": a field's name or text is not UTF-8");
  EXPECT_EQ(refusal_of([](Recorder& r) {
              r.finding({"f", "k", {{"kind", std::string("x")}}});
            }),
            "finding \"f\": no field may be called \"kind\"");
}

TEST(Recorder, RefusesFiguresThatCannotBeDrawn) {
  const auto line = [](torch::Tensor x, torch::Tensor y, bool log = false,
                       std::vector<std::string> ticks = {}) {
    Figure figure{"f", Figure::Kind::line, "F", "x", "y", {{"t", x, y, {}}}};
    figure.x_log = log;
    figure.x_ticks = std::move(ticks);
    return figure;
  };
  const torch::Tensor three = torch::arange(3), four = torch::arange(4);
  EXPECT_EQ(figure_fault(line(three, three)), "");
  EXPECT_EQ(figure_fault(line({}, three)), "");
  EXPECT_EQ(figure_fault(line(three, three, false, {"a", "b", "c"})), "");
  EXPECT_EQ(figure_fault(line(three, four)), "\"f\", trace \"t\": x is [3], and y [4]");
  EXPECT_EQ(figure_fault(line(three, {})), "\"f\", trace \"t\": it needs y [n]");
  EXPECT_EQ(figure_fault(line(three, three, true)),
            "\"f\", trace \"t\": x goes down to 0, on a logarithmic axis");
  EXPECT_EQ(figure_fault(line(four, four, false, {"a", "b"})),
            "\"f\", trace \"t\": x runs from 0 to 3, and x_ticks has 2 names");
  EXPECT_EQ(figure_fault(line(torch::full({3}, NAN), three)), "\"f\", trace \"t\": x is not finite");
  EXPECT_EQ(
      figure_fault({"f", Figure::Kind::heatmap, "F", "x", "y", {{"t", three, {}, torch::ones({2, 4})}}}),
      "\"f\", trace \"t\": z is [2, 4], and x [3]");
  EXPECT_EQ(figure_fault({"", Figure::Kind::line, "F", "x", "y", {}}), "the name is empty");
  EXPECT_EQ(refusal_of([&](Recorder& r) { r.figure(line(three, four)); }),
            "figure: \"f\", trace \"t\": x is [3], and y [4]");
}

// 40,000 names in well under a second; comparing each with all before it took minutes.
TEST(Recorder, KnowsARepeatAmongManyNames) {
  Recorder recorder;
  const auto name = [](int i) { return "scalar/" + std::to_string(i); };
  for (int i = 0; i < 40'000; ++i) recorder.scalar(name(i), i);
  EXPECT_EQ(recorder.record().scalars.size(), 40'000u);
  for (const int i : {0, 20'000, 39'999}) EXPECT_THROW(recorder.scalar(name(i), 0), Error);
}

}  // namespace
}  // namespace orrery
