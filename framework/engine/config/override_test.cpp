// --set KEY=VALUE.
#include <gtest/gtest.h>

#include "engine/config/document.h"
#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

class OverrideTest : public ConfigTest {
 protected:
  // The value of x after `--set x=TEXT`.
  static Value set(const std::string& text) {
    return std::get<Value>(load("", {"x=" + text}).root().content("x"));
  }
  static std::string setting(const std::string& file, const std::string& assignment) {
    return complaint([&] { load(file, {assignment}); });
  }
};

TEST_F(OverrideTest, ReadsTomlValuesAndBareWords) {
  EXPECT_EQ(set("2000"), Value(int64_t{2000}));
  EXPECT_EQ(set("1e-3"), Value(1e-3));
  EXPECT_EQ(set("1.0"), Value(1.0));
  EXPECT_EQ(set("true"), Value(true));
  EXPECT_EQ(set("\"7\""), Value(std::string("7")));
  EXPECT_EQ(set("[1,2]"), Value(std::vector<int64_t>{1, 2}));
  EXPECT_EQ(set(" 5 "), Value(int64_t{5}));
  for (const char* word : {"subtract", "test/accuracy >= 0.999", "a=b", "3#4", "1,2", "1,", "1]", "", "x y",
                           "1 # not a comment", "truely"})
    EXPECT_EQ(set(word), Value(std::string(word)));
}

TEST_F(OverrideTest, RefusesWhatBeginsLikeAValueAndIsNone) {
  EXPECT_EQ(setting("", "x=[1,2"), "--set x=[1,2: x: not a TOML value: in an array: encountered end-of-file");
  EXPECT_EQ(
      setting("", "x=\"a\"]#"),
      "--set x=\"a\"]#: x: not a TOML value: in a key-value pair: expected a comment or whitespace, saw ']'");
  EXPECT_EQ(setting("", "x=2020-01-01"),
            "--set x=2020-01-01: x: dates and times are not supported; put it in quotes for a text");
  EXPECT_EQ(setting("", "x=1\n[y]"), "--set x=1\n[y]: x: not one line of UTF-8 text");
  EXPECT_EQ(setting("", "x=a\xff"), "--set x=a\xff: x: not one line of UTF-8 text");
}

TEST_F(OverrideTest, ReplacesKeepsAndAdds) {
  const Table root = load("[train]\nsteps = 1\nlr = 2\n",
                          {"train.steps=7", "train.batch=8", "seeds.data=9", "task.split.rows=1"})
                         .root();
  const Table train = root.table("train");
  EXPECT_EQ(train.keys(), (std::vector<std::string>{"steps", "lr", "batch"}));
  EXPECT_EQ(std::get<Value>(train.content("steps")), Value(int64_t{7}));
  EXPECT_EQ(std::get<Value>(train.content("lr")), Value(int64_t{2}));
  EXPECT_EQ(train.place("steps"), "--set train.steps=7");
  EXPECT_EQ(train.place("lr"), "configs/x.toml:3:1");
  EXPECT_EQ(root.place("train"), "configs/x.toml:1:1");
  EXPECT_EQ(root.place("seeds"), "--set seeds.data=9");
  EXPECT_EQ(root.table("task").table("split").path("rows"), "task.split.rows");
}

TEST_F(OverrideTest, TheLastOneWins) {
  const Table root = load("", {"x=1", "x=2"}).root();
  EXPECT_EQ(std::get<Value>(root.content("x")), Value(int64_t{2}));
}

TEST_F(OverrideTest, ReplacesWholeTablesAndLists) {
  const Table root = load("[a]\nx = 1\n[[probe]]\nname = 'p'\n", {"a={y = 2}", "probe=[]"}).root();
  EXPECT_EQ(root.table("a").keys(), (std::vector<std::string>{"y"}));
  EXPECT_TRUE(root.tables("probe").empty());
  EXPECT_EQ(load("", {"probe=[{name='q'}]"}).root().tables("probe").at(0).place("name"),
            "--set probe=[{name='q'}]");
}

TEST_F(OverrideTest, FindsAProbeByLabelFirstThenByName) {
  const std::string file =
      "[[probe]]\nname = 'a'\nlabel = 'b'\n[[probe]]\nname = 'b'\nlabel = 'c'\n[[probe]]\nname = 'd.e'\n";
  const auto probes = load(file, {"probe.b.x=1", "probe.c.x=2", "probe.\"d.e\".x=3"}).root().tables("probe");
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(std::get<Value>(probes[i].content("x")), Value(i + 1));
  EXPECT_EQ(std::get<Value>(load(file, {"probe.a.x=4"}).root().tables("probe")[0].content("x")),
            Value(int64_t{4}));
}

TEST_F(OverrideTest, SaysWhichProbesThereAre) {
  const std::string file = "[[probe]]\nname = 'spectrum'\n[[probe]]\nname = 'n'\nlabel = 'm'\n";
  EXPECT_EQ(setting(file, "probe.spectrun.x=1"),
            "--set probe.spectrun.x=1: no [[probe]] has the label or name \"spectrun\" (did you mean "
            "\"spectrum\"?) | there are: spectrum, m");
  EXPECT_EQ(
      setting("[[probe]]\nname='a'\nlabel='b'\n[[probe]]\nname='a'\nlabel='c'\n", "probe.a.x=1"),
      "--set probe.a.x=1: 2 entries of [[probe]] are called \"a\" | give each a label of its own and use "
      "that");
  EXPECT_EQ(setting(file, "probe.spectrum=1"),
            "--set probe.spectrum=1: probe.spectrum is an entry of a list; name one of its keys");
}

TEST_F(OverrideTest, RefusesWhatIsNoAssignment) {
  for (const std::string text : {"train.steps", "=1", ".a=1", "a..b=1", "a.=1", ""})
    EXPECT_EQ(setting("", text),
              "--set " + text + ": expected KEY=VALUE, where KEY is a path such as train.steps");
  EXPECT_EQ(setting("a = 3", "a.b=1"), "--set a.b=1: a is 3 (an integer) and has no keys");
}

TEST_F(OverrideTest, ItsMistakesCiteTheOverride) {
  EXPECT_EQ(
      complaint([] { resolve(load("[task]\nname='sums'\n", {"train.steps=abc"}), parameters_of); }),
      "--set train.steps=abc: train.steps: expected an integer 1 to 1000000000000, got \"abc\" (a text)");
  EXPECT_EQ(
      complaint([] { resolve(load("[task]\nname='sums'\n", {"trian.steps=5"}), parameters_of); }),
      "--set trian.steps=5: the config has no key \"trian\" (did you mean \"train\"?) | its keys are task, "
      "model, train, seeds, init, checkpoints, log, probe, verify, gallery, expect, name");
}

}  // namespace
}  // namespace orrery::config_test
