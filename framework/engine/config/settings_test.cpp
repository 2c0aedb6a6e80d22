// A whole config, its errors and its way through JSON and back.
#include "engine/config/settings.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/config_helpers.h"

namespace orrery::config_test {

using namespace engine;
namespace {

class SettingsTest : public ConfigTest {
 protected:
  static Settings resolved(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return resolve(load(text, overrides), parameters_of);
  }
  static std::string resolving(const std::string& text) {
    return complaint([&] { resolved(text); });
  }
};

const std::string task = "[task]\nname = \"sums\"\n";

template <class S>
Values values_of(const S& settings) {
  return fields_of<S>().values(settings);
}

void expect_equal(const Settings& a, const Settings& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(values_of(a.train), values_of(b.train));
  EXPECT_EQ(values_of(a.seeds), values_of(b.seeds));
  EXPECT_EQ(values_of(a.checkpoints), values_of(b.checkpoints));
  EXPECT_EQ(a.probes, b.probes);
}

TEST_F(SettingsTest, FillsInEveryDefault) {
  const Settings settings = resolved(task);
  EXPECT_EQ(settings.name, "x");
  EXPECT_EQ(settings.task.name, "sums");
  const Values expected = {{"p", int64_t{113}},
                           {"operation", std::string("add")},
                           {"fraction", 0.3},
                           {"split.rule", std::string("random")},
                           {"split.rows", std::vector<int64_t>{}}};
  EXPECT_EQ(settings.task.parameters, expected);
  EXPECT_EQ(settings.model.name, "transformer");
  EXPECT_EQ(settings.model.parameters.at("n_layers"), Value(int64_t{1}));
  EXPECT_EQ(values_of(settings.train), values_of(TrainSettings{}));
  EXPECT_TRUE(settings.probes.empty());
}

const std::string full =
    "name = 'full run'\n"
    "task = {name = 'sums', p = 59, fraction = 1, split.rows = [3, 1]}\n"
    "[model]\nkind = 'transformer'\nattn_only = true\n"
    "[train]\nsteps = 500\nlr = 1\neps = 1e-30\nbetas = [0, 0.95]\nstop_when = 'test/accuracy >= 0.999'\n"
    "[seeds]\ndata = 4294967295\n"
    "[checkpoints]\nevery = 0\nper_decade = 8\nkeep_last = 9223372036854775807\n"
    "[[probe]]\nname = 'spectrum'\nthreshold = 2\nscales = []\nnames = ['\"', '\\', 'é']\nevery = 50\n"
    "[[probe]]\nname = 'spectrum'\nlabel = 'second'\nreference = 'step:400'\nkeys = [1, 2]\nscales = [3, "
    "0.1]\n"
    "[[probe]]\nname = 'norms'\nreference = 'self'\n";

TEST_F(SettingsTest, ReadsEverything) {
  const Settings s = resolved(full);
  EXPECT_EQ(s.name, "full run");
  EXPECT_EQ(s.task.parameters.at("fraction"), Value(1.0));
  EXPECT_EQ(s.task.parameters.at("split.rows"), Value(std::vector<int64_t>{3, 1}));
  EXPECT_EQ(s.model.parameters.at("attn_only"), Value(true));
  EXPECT_EQ(s.train.steps, 500);
  EXPECT_EQ(s.train.lr, 1.0);
  EXPECT_EQ(s.train.betas, (std::vector<double>{0, 0.95}));
  EXPECT_EQ(s.seeds.data, 4294967295);
  EXPECT_EQ(s.checkpoints.keep_last, 9223372036854775807);
  EXPECT_EQ(s.checkpoints.per_decade, 8);
  ASSERT_EQ(s.probes.size(), 3u);
  EXPECT_EQ(s.probes[0].label, "spectrum");
  EXPECT_EQ(s.probes[0].every, 50);
  EXPECT_EQ(s.probes[0].reference, "last");
  EXPECT_EQ(s.probes[1].plugin, "spectrum");
  EXPECT_EQ(s.probes[1].label, "second");
  EXPECT_EQ(s.probes[1].reference, "step:400");
  EXPECT_EQ(s.probes[2].reference, "self");
  EXPECT_EQ(s.probes[0].parameters.size(), 5u);
  EXPECT_EQ(s.probes[0].parameters.at("scales"), Value(std::vector<double>{}));
  EXPECT_TRUE(s.probes[2].parameters.empty());
}

TEST_F(SettingsTest, ComesBackFromJsonAsItWas) {
  for (const std::string& text : {task, full}) {
    const Settings before = resolved(text);
    const std::string json = to_json(before);
    const Settings after = resolve(Document::from_json(json, "runs/a/run.json"), parameters_of);
    expect_equal(before, after);
    EXPECT_EQ(to_json(after), json);
  }
}

TEST_F(SettingsTest, JsonKeepsIntegersAndRealsApart) {
  const auto json = nlohmann::json::parse(to_json(resolved(full)));
  EXPECT_TRUE(json["train"]["lr"].is_number_float());
  EXPECT_TRUE(json["train"]["steps"].is_number_integer());
  EXPECT_TRUE(json["train"]["betas"][0].is_number_float());
  EXPECT_EQ(json["train"]["eps"], 1e-30);
  EXPECT_TRUE(json["probe"][0]["threshold"].is_number_float());
  EXPECT_EQ(json["task"]["split"]["rule"], "random");
  EXPECT_EQ(to_json(resolved(full)).find("1.0") == std::string::npos, false);
  // A real stays a real through the tree too: an integer field does not take the 5.0 of a JSON file.
  EXPECT_EQ(complaint([] {
              resolve(Document::from_json(R"({"task": {"name": "sums", "p": 5.0}})", "run.json"),
                      parameters_of);
            }),
            "run.json: task.p: expected an integer >= 2, got 5.0 (a real)");
}

TEST_F(SettingsTest, JsonTakesOverridesToo) {
  const std::string json = to_json(resolved(full));
  const Document document = Document::from_json(json, "run.json", {"probe.second.every=7", "train.steps=3"});
  const Settings settings = resolve(document, parameters_of);
  EXPECT_EQ(settings.probes[1].every, 7);
  EXPECT_EQ(settings.train.steps, 3);
}

TEST_F(SettingsTest, CitesUnknownKeys) {
  EXPECT_EQ(
      resolving(task + "[trian]\n"),
      "configs/x.toml:3:1: the config has no key \"trian\" (did you mean \"train\"?) | its keys are task, "
      "model, train, seeds, init, checkpoints, log, probe, verify, gallery, expect, name");
  EXPECT_EQ(
      resolving(task + "[seeds]\ndta = 1\n"),
      "configs/x.toml:4:1: [seeds] has no key \"dta\" (did you mean \"data\"?) | its keys are data, init, "
      "batches");
  EXPECT_EQ(resolving(task + "opration = 'add'\n"),
            "configs/x.toml:3:1: task \"sums\" has no key \"opration\" (did you mean \"operation\"?) | its "
            "keys are "
            "name, p, operation, fraction, split");
  EXPECT_EQ(resolving(task + "[model]\nd_modle = 3\n"),
            "configs/x.toml:4:1: model \"transformer\" has no key \"d_modle\" | its keys are kind, n_layers, "
            "attn_only, act_fn");
  EXPECT_EQ(
      resolving(task + "[[probe]]\nname = 'spectrum'\nevry = 1\n"),
      "configs/x.toml:5:1: probe \"spectrum\" has no key \"evry\" (did you mean \"every\"?) | its keys are "
      "name, label, every, reference, timeout_s, rule, threshold, keys, scales, names");
}

TEST_F(SettingsTest, CitesWrongValues) {
  EXPECT_EQ(resolving(task + "[train]\nsteps = \"abc\"\n"),
            "configs/x.toml:4:1: train.steps: expected an integer 1 to 1000000000000, got \"abc\" (a text)");
  EXPECT_EQ(
      resolving(task + "operation = 'substract'\n"),
      "configs/x.toml:3:1: task.operation: expected one of add | subtract, got \"substract\" (did you mean "
      "\"subtract\"?)");
  EXPECT_EQ(resolving(task + "fraction = 1.5\n"),
            "configs/x.toml:3:1: task.fraction: expected a real 0 to 1, got 1.5");
  EXPECT_EQ(resolving(task + "[train]\nbetas = [0.9]\n"),
            "configs/x.toml:4:1: train.betas: expected two reals, got [0.9]");
  EXPECT_EQ(resolving(task + "[[probe]]\nname = 'norms'\nevery = -1\n"),
            "configs/x.toml:5:1: probe.norms.every: expected an integer >= 0, got -1");
  EXPECT_EQ(resolving("name = 5\n" + task), "configs/x.toml:1:1: name: expected a text, got 5 (an integer)");
}

TEST_F(SettingsTest, CitesWrongTablesAndMissingNames) {
  EXPECT_EQ(resolving("task = 3\n"),
            "configs/x.toml:1:1: task: expected one table, written [task], got 3 (an integer)");
  EXPECT_EQ(resolving("[[task]]\nname = 'sums'\n"),
            "configs/x.toml:1:1: task: expected one table, written [task], got a list of tables");
  EXPECT_EQ(resolving(task + "[probe]\nname = 'norms'\n"),
            "configs/x.toml:3:1: probe: expected a list of tables, each written [[probe]], got a table");
  EXPECT_EQ(
      resolving("\n\n"),
      "configs/x.toml:1:1: [task] needs a key \"name\", the task plugin to train on | `orrery plugins` lists "
      "what there is");
  EXPECT_EQ(
      resolving("\n[task]\np = 5\n"),
      "configs/x.toml:2:1: [task] needs a key \"name\", the task plugin to train on | `orrery plugins` lists "
      "what there is");
  EXPECT_EQ(
      resolving(task + "[[probe]]\nevery = 1\n"),
      "configs/x.toml:3:1: [[probe]] needs a key \"name\", the probe plugin to run | `orrery plugins` lists "
      "what there is");
  EXPECT_EQ(resolving("[task]\nname = 3\n"),
            "configs/x.toml:2:1: task.name: expected a text, got 3 (an integer)");
}

TEST_F(SettingsTest, CitesUnknownPlugins) {
  EXPECT_EQ(resolving("[task]\n  name = 'sum'\n"),
            "configs/x.toml:2:3: no task is called \"sum\" | see `orrery plugins`");
  EXPECT_EQ(resolving(task + "[model]\nkind = 'cnn'\n"),
            "configs/x.toml:4:1: no model is called \"cnn\" | see `orrery plugins`");
  EXPECT_EQ(resolving(task + "[[probe]]\nname = 'norm'\n"),
            "configs/x.toml:4:1: no probe is called \"norm\" | see `orrery plugins`");
}

TEST_F(SettingsTest, CitesBothPlacesOfALabelUsedTwice) {
  EXPECT_EQ(resolving(task + "[[probe]]\nname = 'norms'\n[[probe]]\nname = 'norms'\n"),
            "configs/x.toml:5:1: a second probe with the label \"norms\"; the first is at configs/x.toml:3:1 "
            "| give "
            "one of them another label = \"...\"");
  EXPECT_EQ(resolving(task + "[[probe]]\nname = 'norms'\n[[probe]]\nname = 'norms'\nlabel = 'b'\n"),
            "no complaint");
}

TEST_F(SettingsTest, RefusesReferencesThatAreNone) {
  for (const std::string reference : {"step:", "step:-1", "step:-0", "step:1x", "step:99999999999999999999"})
    EXPECT_EQ(resolving(task + "[[probe]]\nname = 'norms'\nreference = '" + reference + "'\n"),
              "configs/x.toml:5:1: probe.norms.reference: expected \"last\", \"first\", \"grokked\", "
              "\"self\" or \"step:N\", got \"" +
                  reference + "\"");
  EXPECT_EQ(resolving(task + "[[probe]]\nname = 'norms'\nreference = 'lats'\n"),
            "configs/x.toml:5:1: probe.norms.reference: expected \"last\", \"first\", \"grokked\", \"self\" "
            "or \"step:N\", got "
            "\"lats\" (did "
            "you mean \"last\"?)");
}

TEST_F(SettingsTest, RefusesNamesThatNameNoFolder) {
  const std::string hint = " | use 1 to 100 bytes, no slashes or control characters, no dot in front";
  EXPECT_EQ(resolving("name = '../up'\n" + task),
            "configs/x.toml:1:1: name: expected what can name a folder, got \"../up\"" + hint);
  for (const std::string name : {"''", "'.'", "'a/b'", "\"a\\nb\"", "'a\\b'"})
    EXPECT_NE(resolving("name = " + name + "\n" + task).find("expected what can name a folder"),
              std::string::npos);
  EXPECT_EQ(resolving(task + "[[probe]]\nname = 'norms'\nlabel = 'a/b'\n"),
            "configs/x.toml:5:1: probe.a/b.label: expected what can name a folder, got \"a/b\"" + hint);
}

TEST_F(SettingsTest, CitesTheConditionThatCannotBeRead) {
  EXPECT_EQ(
      resolving(task + "[train]\nstop_when = 'test/accuracy => 0.9'\n"),
      "configs/x.toml:4:1: train.stop_when: expected one of >= <= > < at character 15 of \"test/accuracy => "
      "0.9\", got \"=>\" | a condition reads METRIC >= NUMBER; `and` joins several");
}

TEST_F(SettingsTest, RefusesAPluginWhoseParametersTheConfigCannotTell) {
  const auto message = [](const std::vector<Field>& fields) -> std::string {
    try {
      resolve(load("[task]\nname = 'sums'\n[[probe]]\nname = 'odd'\n"),
              [&](const std::string& kind, const std::string& name) {
                return kind == "probe" ? fields : parameters_of(kind, name);
              });
    } catch (const UsageError&) {
      return "a UsageError, though the user is not to blame";
    } catch (const Error& error) {
      return error.what();
    }
    return "no complaint";
  };
  EXPECT_EQ(message(field_list({{"every", int64_t{1}}})),
            "probe \"odd\" declares a parameter \"every\", but the key \"every\" is Orrery's");
  EXPECT_EQ(message(field_list({{"label.x", int64_t{1}}})),
            "probe \"odd\" declares a parameter \"label.x\", but the key \"label\" is Orrery's");
  EXPECT_EQ(message(field_list({{"a", int64_t{1}}, {"a.b", int64_t{1}}})),
            "probe \"odd\" declares \"a\" as a value and, with \"a.b\", as a table");
}

TEST_F(SettingsTest, ReadsAProbeFromTheCommandLine) {
  const ProbeChoice plain = parse_probe("norms", parameters_of);
  EXPECT_EQ(plain, (ProbeChoice{"norms", "norms", 0, "last", {}}));
  const ProbeChoice probe = parse_probe(
      "spectrum:keys=[1,2],rule=given,threshold=3,label=\"a,b\",reference=step:7,names=[\"x,y\", 'z']",
      parameters_of);
  EXPECT_EQ(probe.label, "a,b");
  EXPECT_EQ(probe.reference, "step:7");
  EXPECT_EQ(probe.parameters.at("keys"), Value(std::vector<int64_t>{1, 2}));
  EXPECT_EQ(probe.parameters.at("rule"), Value(std::string("given")));
  EXPECT_EQ(probe.parameters.at("threshold"), Value(3.0));
  EXPECT_EQ(probe.parameters.at("names"), Value(std::vector<std::string>{"x,y", "z"}));
  EXPECT_EQ(probe.parameters.at("scales"), Value(std::vector<double>{1.0, 0.5}));
}

TEST_F(SettingsTest, CitesTheProbeOfTheCommandLine) {
  const auto parsing = [](const std::string& text) {
    return complaint([&] { parse_probe(text, parameters_of); });
  };
  EXPECT_EQ(parsing("norm"), "--probe norm: no probe is called \"norm\" | see `orrery plugins`");
  EXPECT_EQ(
      parsing("norms:evry=1"),
      "--probe norms:evry=1: probe \"norms\" has no key \"evry\" (did you mean \"every\"?) | its keys are "
      "name, label, every, reference, timeout_s");
  EXPECT_EQ(parsing("spectrum:threshold=x"),
            "--probe spectrum:threshold=x: probe.spectrum.threshold: expected a real, got \"x\" (a text)");
  EXPECT_EQ(parsing("spectrum:keys=[1,2"),
            "--probe spectrum:keys=[1,2: probe.spectrum.keys: not a TOML value: in an array: encountered "
            "end-of-file");
  for (const std::string text : {"norms:", "norms:every", "norms:every=1,", "norms:,every=1"})
    EXPECT_EQ(parsing(text),
              "--probe " + text + ": expected KEY=VALUE, where KEY is a path such as train.steps");
  EXPECT_EQ(parsing(""), "--probe : expected NAME or NAME:key=value,key=value");
  EXPECT_EQ(parsing(":every=1"), "--probe :every=1: expected NAME or NAME:key=value,key=value");
  EXPECT_EQ(
      complaint([] {
        parse_probes({"norms", "norms:every=2"}, parameters_of);
      }),
      "--probe norms:every=2: a second probe with the label \"norms\"; the first is at --probe norms | give "
      "one of them another label = \"...\"");
  EXPECT_EQ(parse_probes({"norms", "norms:label=b"}, parameters_of).size(), 2u);
}

}  // namespace
}  // namespace orrery::config_test
