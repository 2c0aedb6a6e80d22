// Reading: places, errors of syntax and of files, and binding a table to its fields.
#include <tests/support/as_nobody.h>

#include "engine/config/document.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

using DocumentTest = ConfigTest;

TEST_F(DocumentTest, KeepsTheOrderAndThePlacesOfTheFile) {
  const Document document = load(
      "name = 'n'\n"
      "[task]\n"
      "  z = 1\n"
      "a = 2\n"
      "split.rule = 'x'\n"
      "[[probe]]\n"
      "name = 'p'\n"
      "[[probe]]\n"
      "name = 'q'\n");
  const Table& root = document.root();
  EXPECT_EQ(root.keys(), (std::vector<std::string>{"name", "task", "probe"}));
  EXPECT_EQ(root.table("task").keys(), (std::vector<std::string>{"z", "a", "split"}));
  EXPECT_EQ(root.place(), "configs/x.toml:1:1");
  EXPECT_EQ(root.place("task"), "configs/x.toml:2:1");
  EXPECT_EQ(root.table("task").place("z"), "configs/x.toml:3:3");
  EXPECT_EQ(root.table("task").table("split").place("rule"), "configs/x.toml:5:7");
  EXPECT_EQ(root.place("probe"), "configs/x.toml:6:1");
  ASSERT_EQ(root.tables("probe").size(), 2u);
  EXPECT_EQ(root.tables("probe")[1].place(), "configs/x.toml:8:1");
  EXPECT_EQ(root.tables("probe")[1].path("name"), "probe.q.name");
  EXPECT_EQ(document.source(), "configs/x.toml");
}

TEST_F(DocumentTest, ReadsEveryTypeOfValue) {
  const Table root = load(
                         "b = true\ni = -9223372036854775808\nr = 1.0\nt = \"\\u00e9\"\n"
                         "li = [1, 2]\nlr = [1, 2.5]\nlt = ['a', 'b']\nle = []\n")
                         .root();
  const auto value = [&](const char* key) { return std::get<Value>(root.content(key)); };
  EXPECT_EQ(value("b"), Value(true));
  EXPECT_EQ(value("i"), Value(std::numeric_limits<int64_t>::min()));
  EXPECT_EQ(value("r"), Value(1.0));
  EXPECT_EQ(value("t"), Value(std::string("\xc3\xa9")));
  EXPECT_EQ(value("li"), Value(std::vector<int64_t>{1, 2}));
  EXPECT_EQ(value("lr"), Value(std::vector<double>{1, 2.5}));
  EXPECT_EQ(value("lt"), Value(std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(value("le"), Value(std::vector<int64_t>{}));
}

TEST_F(DocumentTest, CitesLineAndColumnOfEveryMistakeInToml) {
  const auto loading = [](const std::string& text) { return complaint([&] { load(text); }); };
  EXPECT_EQ(loading("a = 1\na = 2\n"),
            "configs/x.toml:2:5: not valid TOML: in a key-value pair: cannot redefine existing integer 'a'");
  EXPECT_EQ(loading("[t]\nx = 1\n[t]\ny = 2\n"),
            "configs/x.toml:3:1: not valid TOML: in a table header: cannot redefine existing table 't'");
  EXPECT_EQ(loading("a = {b = 1, b = 2}\n"),
            "configs/x.toml:1:17: not valid TOML: in a key-value pair: cannot redefine existing integer 'b'");
  EXPECT_EQ(loading("\na = abc\n"),
            "configs/x.toml:2:5: not valid TOML: in a value: could not determine value type");
  EXPECT_EQ(loading("a = '\xff'"), "configs/x.toml:1:5: not valid TOML: Encountered invalid utf-8 sequence");
  EXPECT_EQ(loading("a = 99999999999999999999\n"),
            "configs/x.toml:1:25: not valid TOML: in a decimal integer: '99999999999999999999' is not "
            "representable in 64 bits");
}

TEST_F(DocumentTest, RefusesValuesThatNoParameterCanHave) {
  const auto loading = [](const std::string& text) { return complaint([&] { load(text); }); };
  for (const char* date : {"1979-05-27", "07:32:00", "1979-05-27T07:32:00Z"})
    EXPECT_EQ(loading(std::string("[task]\nday = ") + date),
              "configs/x.toml:2:1: task.day: dates and times are not supported; put it in quotes for a text");
  for (const char* number : {"inf", "-inf", "nan"})
    EXPECT_EQ(loading(std::string("x = ") + number),
              "configs/x.toml:1:1: x: infinities and NaN are not supported; write a finite number");
  for (const char* list : {"[1, 'a']", "[true]", "[[1], [2]]", "[1, {a = 1}]"})
    EXPECT_EQ(loading(std::string("x = ") + list),
              "configs/x.toml:1:1: x: a list holds either numbers, or texts, or tables, and nothing else");
}

TEST_F(DocumentTest, SaysWhyAFileCannotBeRead) {
  const auto loading = [](const char* file) { return complaint([&] { Document::load(file); }); };
  EXPECT_EQ(loading("configs/y.toml"), "configs/y.toml: cannot open the config: No such file or directory");
  EXPECT_EQ(loading("configs"), "configs: is a directory, not a config file | name a .toml file");
  EXPECT_EQ(loading("/dev/zero"), "/dev/zero: larger than 65536 bytes; not a config");
  // Opens, but nothing is mapped at address 0.
  EXPECT_EQ(loading("/proc/self/mem"), "/proc/self/mem: cannot read the config: Input/output error");
}

TEST_F(DocumentTest, SaysThatAFileMayNotBeRead) {
  load("a = 1");
  std::filesystem::permissions("configs/x.toml", std::filesystem::perms::none);
  const orrery::test::AsNobody nobody;
  EXPECT_EQ(complaint([] { Document::load("configs/x.toml"); }),
            "configs/x.toml: cannot open the config: Permission denied");
}

std::string dotted(int parts) {
  std::string key = "a";
  for (int i = 1; i < parts; ++i) key += ".a";
  return key;
}

TEST_F(DocumentTest, RefusesKeysWithMorePartsThanItCanFollow) {
  const auto loading = [](const std::string& text) { return complaint([&] { load(text); }); };
  EXPECT_EQ(loading(dotted(32) + " = 1\n"), "no complaint");
  const std::string what = "a key with more than 32 parts";
  EXPECT_EQ(loading(dotted(33) + " = 1\n"), "configs/x.toml:1:64: " + what);
  EXPECT_EQ(loading("x = 'é'\n[" + dotted(30000) + "]\n"), "configs/x.toml:2:65: " + what);
  EXPECT_EQ(loading("x = {y = 'é', " + dotted(33) + " = 1}"), "configs/x.toml:1:78: " + what);
  // Dots that stand in no key: texts of all four kinds, a comment, a list of reals.
  const std::string dots(40, '.');
  EXPECT_EQ(
      loading("a = \"\\\"" + dots + "\"\nb = '\\'\nc = '" + dots + "'\nd = \"\"\"\"" + dots +
              "\n\"\"\"\"\"\ne = \'\'\'" + dots + "''" + dots + "\'\'\'\n# \"" + dots +
              "\nf = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, "
              "0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]\n"),
      "no complaint");
  // And what comes after such texts is still seen.
  for (const char* text : {"'\\'", "\"\\\\\"", "\"\"", "\'\'\'\'\'\'\'\'", "\"\"\"\\\"\"\"\"\"", "1 # '"})
    EXPECT_EQ(loading(std::string("x = ") + text + "\n" + dotted(33) + " = 1\n"),
              "configs/x.toml:2:64: " + what);
}

TEST_F(DocumentTest, RefusesMoreNestingThanItCanFollow) {
  const std::string message = complaint([] { load("[" + dotted(30) + "]\n" + dotted(30) + " = 1\n"); });
  EXPECT_TRUE(message.ends_with("...: nested more than 32 deep")) << message;
  EXPECT_EQ(message.find("configs/x.toml:2:"), 0u) << message;
  std::string tables = "x = ";
  for (int i = 0; i < 250; ++i) tables += "{" + dotted(32) + " = ";
  const std::string inlined = complaint([&] { load(tables + "1" + std::string(250, '}')); });
  EXPECT_TRUE(inlined.ends_with("...: nested more than 32 deep")) << inlined;
  const std::string brackets = complaint([] { load("x = " + std::string(60000, '[')); });
  EXPECT_TRUE(brackets.starts_with("configs/x.toml:1:") && brackets.find(": not valid TOML: ") < 30)
      << brackets;

  const std::string json = std::string(40000, '[') + std::string(40000, ']');
  EXPECT_EQ(complaint([&] { Document::from_json("{\"a\": " + json + "}", "run.json"); }),
            "run.json: a: a list holds either numbers, or texts, or tables, and nothing else");
  std::string objects;
  for (int i = 0; i < 40000; ++i) objects += "{\"a\":";
  const std::string deep =
      complaint([&] { Document::from_json(objects + "1" + std::string(40000, '}'), "run.json"); });
  EXPECT_TRUE(deep.starts_with("run.json: a.a.a.") && deep.ends_with("nested more than 32 deep")) << deep;
}

TEST_F(DocumentTest, CitesThePlaceOfMistakesInJson) {
  const auto reading = [](const std::string& text) {
    return complaint([&] { Document::from_json(text, "run.json"); });
  };
  EXPECT_EQ(
      reading("{\n  \"a\": }"),
      "run.json:2:8: not valid JSON: syntax error while parsing value - unexpected '}'; expected '[', '{', "
      "or a literal");
  EXPECT_EQ(reading("[1]"), "run.json: expected a JSON object");
  EXPECT_EQ(reading("{\"a\": null}"), "run.json: a: null is not supported");
  EXPECT_EQ(reading("{\"a\": {\"b\": 1, \"b\": 2}}"), "run.json: the key \"b\" is there twice");
  EXPECT_EQ(reading("{\"a\": {\"b\": 1}, \"b\": 2, \"c\": [{\"b\": 1}, {\"b\": 1}]}"), "no complaint");
  EXPECT_EQ(reading("{\"a\": 9223372036854775808}"),
            "run.json: a: 9223372036854775808 is not representable in 64 bits");
  EXPECT_EQ(reading("{\"a\": 1e999}"), "run.json: not valid JSON: a number is too large for a real");
  EXPECT_EQ(reading("{\"a\": [1, \"b\"]}"),
            "run.json: a: a list holds either numbers, or texts, or tables, and nothing else");
}

std::vector<Field> bound_fields() {
  auto list = field_list(
      {{"steps", int64_t{10}}, {"lr", 0.5}, {"split.rule", std::string("r")}, {"split.rows", int64_t{0}}});
  list[0].at_least(1);
  return list;
}

std::string binding(const Document& document) {
  return complaint([&] { bind_fields(document.root().table("train"), bound_fields(), "[train]", {"host"}); });
}

TEST_F(DocumentTest, BindFillsInDefaultsAndWidens) {
  const Document document = load("[train]\nlr = 1\nhost = [1]\nsplit = {rows = 7}\n");
  const Values values = bind_fields(document.root().table("train"), bound_fields(), "[train]", {"host"});
  const Values expected = {
      {"steps", int64_t{10}}, {"lr", 1.0}, {"split.rule", std::string("r")}, {"split.rows", int64_t{7}}};
  EXPECT_EQ(values, expected);
}

TEST_F(DocumentTest, BindCitesThePlaceOfAWrongValue) {
  EXPECT_EQ(binding(load("[train]\n    steps = \"abc\"\n")),
            "configs/x.toml:2:5: train.steps: expected an integer >= 1, got \"abc\" (a text)");
  EXPECT_EQ(binding(load("[train]\nsteps = 0\n")),
            "configs/x.toml:2:1: train.steps: expected an integer >= 1, got 0");
  EXPECT_EQ(binding(load("[train]\nsteps = 5.0\n")),
            "configs/x.toml:2:1: train.steps: expected an integer >= 1, got 5.0 (a real)");
  EXPECT_EQ(binding(load("[train]\nsplit.rule = 5\n")),
            "configs/x.toml:2:7: train.split.rule: expected a text, got 5 (an integer)");
  EXPECT_EQ(binding(load("[train.steps]\na = 5\n")),
            "configs/x.toml:1:1: train.steps: expected one value (integer >= 1), got a table");
  EXPECT_EQ(binding(load("[[train.lr]]\na = 5\n")),
            "configs/x.toml:1:1: train.lr: expected one value (real), got a list of tables");
  EXPECT_EQ(binding(load("[train]\nsplit = 5\n")),
            "configs/x.toml:2:1: train.split: expected one table, written [train.split], got 5 (an integer)");
}

TEST_F(DocumentTest, BindCitesThePlaceOfAnUnknownKey) {
  EXPECT_EQ(
      binding(load("[train]\nstps = 1\n")),
      "configs/x.toml:2:1: [train] has no key \"stps\" (did you mean \"steps\"?) | its keys are host, steps, "
      "lr, split");
  EXPECT_EQ(
      binding(load("[train]\nsplit = {ruel = 1}\n")),
      "configs/x.toml:2:10: [train] has no key \"split.ruel\" (did you mean \"rule\"?) | its keys are rule, "
      "rows");
  // In quotes it is one key, not a path.
  EXPECT_EQ(binding(load("[train]\n\"split.rule\" = 'x'\n")),
            "configs/x.toml:2:1: [train] has no key \"split.rule\" | its keys are host, steps, lr, split");
  EXPECT_EQ(binding(load("[train]\n\"\" = 'x'\n")),
            "configs/x.toml:2:1: [train] has no key \"\" | its keys are host, steps, lr, split");
  const Document any = load("x = 1");
  EXPECT_EQ(complaint([&] { bind_fields(any.root(), {}, "probe \"norms\""); }),
            "configs/x.toml:1:1: probe \"norms\" has no key \"x\" | it has no keys at all");
}

TEST_F(DocumentTest, BindRefusesADefaultThatARunCannotRecord) {
  const Table empty;
  const auto infinite = field_list({{"x", std::numeric_limits<double>::infinity()}});
  const auto in_list = field_list({{"x", std::vector<double>{0.5, std::nan("")}}});
  EXPECT_THROW(bind_fields(empty, infinite, "task \"t\""), Error);
  EXPECT_THROW(bind_fields(empty, in_list, "task \"t\""), Error);
  try {
    bind_fields(empty, infinite, "task \"t\"");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "task \"t\": the default of \"x\" is inf, which a run cannot record");
  }
}

TEST_F(DocumentTest, AskingForTheWrongKindOfTableIsAnError) {
  const Document document = load("a = 3\nb = []\n[c]\n[[d]]\n");
  const Table& root = document.root();
  EXPECT_EQ(complaint([&] { root.table("a"); }),
            "configs/x.toml:1:1: a: expected one table, written [a], got 3 (an integer)");
  EXPECT_EQ(complaint([&] { root.table("d"); }),
            "configs/x.toml:4:1: d: expected one table, written [d], got a list of tables");
  EXPECT_EQ(complaint([&] { root.tables("c"); }),
            "configs/x.toml:3:1: c: expected a list of tables, each written [[c]], got a table");
  EXPECT_EQ(complaint([&] { root.tables("a"); }),
            "configs/x.toml:1:1: a: expected a list of tables, each written [[a]], got 3 (an integer)");
  EXPECT_TRUE(root.tables("b").empty());
  EXPECT_TRUE(root.tables("absent").empty());
  EXPECT_EQ(root.table("absent").place(), "configs/x.toml:1:1");
}

TEST_F(DocumentTest, RequiredTextSaysWhatIsMissing) {
  const Document document = load("\n[task]\nname = 3\n");
  const Table task = document.root().table("task");
  EXPECT_EQ(complaint([&] { required_text(task, "kind", "[task]", "the kind", "try one"); }),
            "configs/x.toml:2:1: [task] needs a key \"kind\", the kind | try one");
  EXPECT_EQ(complaint([&] { required_text(task, "name", "[task]", "the name"); }),
            "configs/x.toml:3:1: task.name: expected a text, got 3 (an integer)");
}

}  // namespace
}  // namespace orrery::config_test
