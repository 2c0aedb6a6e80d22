// [[expect]] entries and the [verify] table: what is read, what is refused, and the way through JSON and
// back.
#include "engine/config/expect.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

using Kind = Reading::Kind;
constexpr double infinity = std::numeric_limits<double>::infinity();

class ExpectTest : public ConfigTest {
 protected:
  static Settings resolved(const std::string& text) {
    return resolve(load("[task]\nname = 'sums'\n" + text), parameters_of);
  }

  // One entry; `keys` begin on line 4, and `source` comes last.
  static std::string entry(const std::string& keys) {
    return "[[expect]]\n" + keys + "\nsource = 'a paper'\n";
  }
  static Expectation read(const std::string& keys) { return resolved(entry(keys)).expectations.at(0); }
  static Expectation with_bound(const std::string& bound) {
    return read("metric = 'm'\nbound = '" + bound + "'");
  }
  static Expectation with_when(const std::string& when) {
    return read("metric = 'm'\nbound = '> 0'\nwhen = '" + when + "'");
  }
  static Expectation with_of(const std::string& of) {
    return read("metric = 'm'\nbound = '> 0'\nof = '" + of + "'");
  }
  template <class Read>
  static std::string refusal(Read&& read, const std::string& text) {
    return complaint([&] { read(text); });
  }
};

TEST_F(ExpectTest, ReadsEveryBound) {
  EXPECT_EQ(with_bound(">= 0.99").wanted, (Interval{0.99, infinity, false, false}));
  EXPECT_EQ(with_bound("> 0.99").wanted, (Interval{0.99, infinity, true, false}));
  EXPECT_EQ(with_bound("<= 1e-4").wanted, (Interval{-infinity, 1e-4, false, false}));
  EXPECT_EQ(with_bound("<-3").wanted, (Interval{-infinity, -3, false, true}));
  EXPECT_EQ(with_bound(">= 3 and <= 8").wanted, (Interval{3, 8, false, false}));
  EXPECT_EQ(with_bound("<8  and >3").wanted, (Interval{3, 8, true, true}));
  EXPECT_EQ(with_bound(">= 5 and <= 5").wanted, (Interval{5, 5, false, false}));
  EXPECT_EQ(with_bound("> 3 and >= 3 and >= 2 and < 9 and <= 9 and < 10").wanted,
            (Interval{3, 9, true, true}));
}

TEST_F(ExpectTest, AnIntervalContainsExactly) {
  for (const bool open : {false, true}) {
    const Interval interval{-1, 2, open, open};
    EXPECT_EQ(interval.contains(-1), !open);
    EXPECT_EQ(interval.contains(2), !open);
    EXPECT_TRUE(interval.contains(std::nextafter(-1, 0)));
    EXPECT_TRUE(interval.contains(std::nextafter(2, 0)));
    EXPECT_FALSE(interval.contains(std::nextafter(-1, -2)));
    EXPECT_FALSE(interval.contains(std::nextafter(2, 3)));
    EXPECT_FALSE(interval.contains(std::nan("")));
    EXPECT_FALSE(interval.contains(infinity));
  }
  EXPECT_FALSE(Interval{}.contains(std::nan("")));
  EXPECT_EQ((Interval{-1, 2}.margin(1.5)), 0.5);
  EXPECT_EQ((Interval{-1, 2}.margin(-0.75)), 0.25);
  EXPECT_EQ((Interval{-1, 2}.margin(4)), -2);
  EXPECT_EQ((Interval{-1, 2}.margin(infinity)), -infinity);
  EXPECT_EQ((Interval{-1, infinity}.margin(infinity)), infinity);
}

TEST_F(ExpectTest, ReadsEveryWhen) {
  EXPECT_EQ(with_when("end").rows, (RowRange{true, {}}));
  EXPECT_EQ(with_when("always").rows, (RowRange{false, {}}));
  EXPECT_EQ(with_when("step 1000").rows, (RowRange{false, {1000, 1000}}));
  EXPECT_EQ(with_when("step 0").rows, (RowRange{false, {0, 0}}));
  EXPECT_EQ(with_when("step <= 20000").rows, (RowRange{false, {-infinity, 20000}}));
  EXPECT_EQ(with_when("step<20000").rows, (RowRange{false, {-infinity, 20000, false, true}}));
  EXPECT_EQ(with_when("step >= 500").rows, (RowRange{false, {500, infinity}}));
  EXPECT_EQ(with_when("step > 500").rows, (RowRange{false, {500, infinity, true, false}}));
  EXPECT_EQ(with_when("500 <= step <= 2000").rows, (RowRange{false, {500, 2000}}));
  EXPECT_EQ(with_when("500 < step < 2000").rows, (RowRange{false, {500, 2000, true, true}}));
  EXPECT_TRUE(with_when("end").rows.single());
  EXPECT_TRUE(with_when("step 7").rows.single());
  EXPECT_FALSE(with_when("always").rows.single());
  EXPECT_FALSE(with_when("step <= 7").rows.single());
}

TEST_F(ExpectTest, ReadsEveryOf) {
  const std::vector<std::pair<std::string, Kind>> spellings = {{"any", Kind::any},
                                                               {"first", Kind::first},
                                                               {"last", Kind::last},
                                                               {"max", Kind::max},
                                                               {"min", Kind::min},
                                                               {"mean", Kind::mean},
                                                               {"fall", Kind::fall},
                                                               {"rise", Kind::rise},
                                                               {"step of max", Kind::step_of_max},
                                                               {"step  of min", Kind::step_of_min},
                                                               {"step of steepest fall", Kind::step_of_fall},
                                                               {"step of steepest rise", Kind::step_of_rise}};
  for (const auto& [of, kind] : spellings) EXPECT_EQ(with_of(of).reading, (Reading{kind, {}})) << of;
  EXPECT_EQ(with_of("every").reading.kind, Kind::every);
  EXPECT_EQ(with_of("first step >= 0.99").reading, (Reading{Kind::first_step, {0.99, infinity}}));
  EXPECT_EQ(with_of("first step > 1 and < 2").reading, (Reading{Kind::first_step, {1, 2, true, true}}));
}

TEST_F(ExpectTest, FillsInWhen) {
  const Expectation plain = read("metric = 'm'\nbound = '> 0'");
  EXPECT_EQ(plain.when, "end");
  EXPECT_EQ(plain.of, "every");
  EXPECT_TRUE(plain.rows.end);
  EXPECT_EQ(with_of("every").when, "end");
  EXPECT_EQ(with_of("any").when, "always");
  EXPECT_EQ(with_of("first step >= 1").rows, RowRange{});
}

TEST_F(ExpectTest, ReadsTheTierAndItsDefault) {
  EXPECT_EQ(resolved("").verify.tier, "full");
  EXPECT_EQ(resolved("[verify]\ntier = 'quick'\n").verify.tier, "quick");
  EXPECT_EQ(complaint([] { resolved("[verify]\ntier = 'quik'\n"); }),
            "configs/x.toml:4:1: verify.tier: expected one of quick | standard | full, got \"quik\" (did you "
            "mean \"quick\"?)");
  EXPECT_EQ(complaint([] { resolved("[verify]\nteir = 'quick'\n"); }),
            "configs/x.toml:4:1: [verify] has no key \"teir\" (did you mean \"tier\"?) | its keys are tier");
  EXPECT_TRUE(resolved("").expectations.empty());
}

TEST_F(ExpectTest, ComesBackFromJsonAsItWas) {
  const std::string text =
      "[verify]\ntier = 'standard'\n[[probe]]\nname = 'norms'\n" +
      entry("metric = 'test/accuracy'\nwhen = 'step < 20000'\nof = 'any'\nbound = '> 0.99'") +
      entry("metric = 'probe/norms/loss/test'\nbound = '>= 3 and <= 8'") +
      entry("metric = 'test/loss/*'\nof = 'first step <= 0.5'\nbound = '<= 3000'");
  const Settings before = resolved(text);
  const std::string json = to_json(before);
  const Settings after = resolve(Document::from_json(json, "runs/a/run.json"), parameters_of);
  ASSERT_EQ(after.expectations.size(), 3u);
  EXPECT_EQ(after.expectations, before.expectations);
  EXPECT_EQ(after.verify.tier, "standard");
  EXPECT_EQ(to_json(after), json);
  EXPECT_NE(json.find("\"when\": \"always\""), std::string::npos) << json;
  const std::string none = to_json(resolved(""));
  EXPECT_TRUE(resolve(Document::from_json(none, "run.json"), parameters_of).expectations.empty());
}

TEST_F(ExpectTest, ARunOlderThanExpectationsHasNone) {
  const Document old = Document::from_json(R"({"task": {"name": "sums"}})", "run.json");
  EXPECT_TRUE(resolve(old, parameters_of).expectations.empty());
}

TEST_F(ExpectTest, CitesMissingAndUnknownKeys) {
  const auto reading = [](const std::string& keys) {
    return complaint([&] { resolved("[[expect]]\n" + keys); });
  };
  EXPECT_EQ(reading("bound = '> 0'\nsource = 's'\n"),
            "configs/x.toml:3:1: [[expect]] needs a key \"metric\", the number to look at | for example "
            "\"test/accuracy\"");
  EXPECT_EQ(reading("metric = 'm'\nsource = 's'\n"),
            "configs/x.toml:3:1: [[expect]] needs a key \"bound\", what the number has to be | for example "
            "\">= 0.99\"");
  EXPECT_EQ(reading("metric = 'm'\nbound = '> 0'\n"),
            "configs/x.toml:3:1: [[expect]] needs a key \"source\", where in the literature the bound comes "
            "from | for example \"Nanda et al. 2023, fig. 2\"");
  EXPECT_EQ(reading("metirc = 'm'\n"),
            "configs/x.toml:4:1: [[expect]] has no key \"metirc\" (did you mean \"metric\"?) | its keys are "
            "metric, minus, when, of, bound, claim, source");
  EXPECT_EQ(reading("metric = 'm'\nbound = 0.99\n"),
            "configs/x.toml:5:1: expect.bound: expected a text, got 0.99 (a real)");
  EXPECT_EQ(reading("metric = ' '\nbound = '> 0'\nsource = 's'\n"),
            "configs/x.toml:4:1: expect.metric: expected one line of text, got \" \"");
  EXPECT_EQ(reading("metric = 'm'\nbound = '> 0'\n  source = \"a\\nb\"\n"),
            "configs/x.toml:6:3: expect.source: expected one line of text, got \"a\\u000ab\"");
  EXPECT_EQ(complaint([] { resolved("[expect]\n"); }),
            "configs/x.toml:3:1: expect: expected a list of tables, each written [[expect]], got a table");
}

TEST_F(ExpectTest, ShowsWhereABoundGoesWrong) {
  const std::string at = "configs/x.toml:5:1: expect.bound: ";
  const std::string hint = " | a bound reads >= NUMBER; `and` joins several";
  EXPECT_EQ(refusal(with_bound, "=> 1"),
            at + "expected one of >= <= > < at character 1 of \"=> 1\", got \"=>\"" + hint);
  EXPECT_EQ(refusal(with_bound, "0.99"),
            at + "expected one of >= <= > < at character 1 of \"0.99\", got \"0.99\"" + hint);
  EXPECT_EQ(refusal(with_bound, ">= 20,000"),
            at + "expected a number at character 4 of \">= 20,000\", got \"20,000\"" + hint);
  EXPECT_EQ(refusal(with_bound, ">= nan"),
            at + "expected a number at character 4 of \">= nan\", got \"nan\"" + hint);
  EXPECT_EQ(refusal(with_bound, ">"), at + "expected a number at character 2 of \">\", got the end" + hint);
  EXPECT_EQ(refusal(with_bound, "> 3 or < 8"),
            at + "expected \"and\" or the end at character 5 of \"> 3 or < 8\", got \"or\"" + hint);
  EXPECT_EQ(refusal(with_bound, ">= 8 and <= 3"), at + "no number is \">= 8 and <= 3\"");
  EXPECT_EQ(refusal(with_bound, "> 3 and <= 3"), at + "no number is \"> 3 and <= 3\"");
}

TEST_F(ExpectTest, ShowsWhereAWhenGoesWrong) {
  const std::string at = "configs/x.toml:6:1: expect.when: ";
  const std::string hint =
      " | for example \"end\", \"always\", \"step 1000\", \"step <= 20000\", \"500 <= step <= 2000\"";
  EXPECT_EQ(refusal(with_when, "alway"),
            at +
                "expected \"end\", \"always\", \"step\" or a range of steps at character 1 of \"alway\", got "
                "\"alway\" (did you mean \"always\"?)" +
                hint);
  EXPECT_EQ(refusal(with_when, "end of it"),
            at + "expected the end at character 5 of \"end of it\", got \"of\"" + hint);
  EXPECT_EQ(refusal(with_when, "step"),
            at + "expected a step (an integer >= 0) at character 5 of \"step\", got the end" + hint);
  EXPECT_EQ(refusal(with_when, "step <= 1e4"),
            at + "expected a step (an integer >= 0) at character 9 of \"step <= 1e4\", got \"1e4\"" + hint);
  EXPECT_EQ(refusal(with_when, "step -5"),
            at + "expected a step (an integer >= 0) at character 6 of \"step -5\", got \"-5\"" + hint);
  EXPECT_EQ(refusal(with_when, "step == 5"),
            at + "expected one of >= <= > < at character 6 of \"step == 5\", got \"==\"" + hint);
  EXPECT_EQ(refusal(with_when, "500 >= step >= 2"),
            at + "expected one of <= < at character 5 of \"500 >= step >= 2\", got \">=\"" + hint);
  EXPECT_EQ(refusal(with_when, "500 <= steps <= 900"),
            at + "expected \"step\" at character 8 of \"500 <= steps <= 900\", got \"steps\"" + hint);
  EXPECT_EQ(refusal(with_when, "500 <= step"),
            at + "expected one of <= < at character 12 of \"500 <= step\", got the end" + hint);
  EXPECT_EQ(refusal(with_when, "900 <= step <= 500"), at + "no step is \"900 <= step <= 500\"");
}

TEST_F(ExpectTest, ShowsWhereAnOfGoesWrong) {
  const std::string at = "configs/x.toml:6:1: expect.of: ";
  const std::string all =
      at +
      "expected one of every | any | first | last | max | min | mean | fall | rise | step of max | step of "
      "min | step of steepest fall | step of steepest rise | first step >= NUMBER, got ";
  EXPECT_EQ(refusal(with_of, "evry"), all + "\"evry\" (did you mean \"every\"?)");
  EXPECT_EQ(refusal(with_of, "median of all"), all + "\"median of all\"");
  EXPECT_EQ(refusal(with_of, "max > 3"), all + "\"max > 3\" (did you mean \"max\"?)");
  EXPECT_EQ(
      refusal(with_of, "first step"),
      at + "expected one of >= <= > < at character 11 of \"first step\", got the end | a threshold reads "
           "first step >= NUMBER; `and` joins several");
  for (const std::string when : {"end", "step 10"})
    EXPECT_EQ(complaint([&] { with_of("max'\nwhen = '" + when); }),
              at + "\"max\" is asked of several rows, but when = \"" + when +
                  "\" is one | leave out one of the two");
}

TEST_F(ExpectTest, AProbeOfTheConfigHasToBeNamed) {
  const auto reading = [](const std::string& metric, const std::string& probes) {
    return complaint([&] { resolved(entry("metric = '" + metric + "'\nbound = '> 0'") + probes); });
  };
  const std::string norms = "[[probe]]\nname = 'norms'\n[[probe]]\nname = 'spectrum'\n";
  const std::string at = "configs/x.toml:4:1: expect.metric: ";
  EXPECT_EQ(reading("probe/norms/W_E", norms), "no complaint");
  EXPECT_EQ(reading("probe/*/W_E", norms), "no complaint");
  EXPECT_EQ(
      reading("probe/nroms/W_E", norms),
      at + "no probe has the label \"nroms\" (did you mean \"norms\"?) | the labels are norms, spectrum");
  EXPECT_EQ(reading("probe/norms/W_E", ""),
            at + "no probe has the label \"norms\" | the config has no [[probe]]");
  for (const std::string metric : {"probe/", "probe/norms", "probe/norms/", "probe//x"})
    EXPECT_EQ(reading(metric, norms), at + "expected probe/LABEL/SCALAR, got \"" + metric + "\"");
}

TEST_F(ExpectTest, ReadsAsASentence) {
  EXPECT_EQ(sentence(read("metric = 'test/loss'\nbound = '< 1e-4'")), "test/loss < 1e-4 at the end");
  EXPECT_EQ(sentence(with_when("always")), "m > 0 always");
  EXPECT_EQ(sentence(with_when("step 3000")), "m > 0 at step 3000");
  EXPECT_EQ(sentence(with_when("step >= 500")), "m > 0, step >= 500");
  EXPECT_EQ(sentence(with_of("any'\nwhen = 'step < 20000")), "m > 0 once, step < 20000");
  EXPECT_EQ(sentence(with_of("max")), "max of m > 0");
  EXPECT_EQ(sentence(with_of("fall'\nwhen = '500 <= step <= 1500")), "fall of m > 0, 500 <= step <= 1500");
  EXPECT_EQ(sentence(with_of("step of steepest fall")), "step of steepest fall of m: > 0");
  EXPECT_EQ(sentence(with_of("first step >= 0.99")), "first step with m >= 0.99: > 0");
}

}  // namespace
}  // namespace orrery::config_test
