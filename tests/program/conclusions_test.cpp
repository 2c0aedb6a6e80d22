// Conclusions from tensors and findings of earlier records: in a training, afterwards, from a part, in
// workers, and where a file is damaged.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "run_program.h"

namespace orrery {
namespace {

using nlohmann::json;

// Checkpoints at 0, 10, ..., 50.
constexpr const char* concluding_config = R"(
[task]
name = "modular_arithmetic"
p = 7
[model]
d_model = 8
n_heads = 2
d_head = 4
d_mlp = 8
[train]
steps = 50
eval_every = 10
[checkpoints]
every = 10
)";
constexpr const char* fragile = "[[probe]]\nname = \"fragile_probe\"\n";

class Conclusions : public ::testing::Test {
 protected:
  Finished train(const std::string& out, const std::string& probes) {
    at.write("config.toml", concluding_config + probes);
    return at.orrery({"train", "config.toml", "--out", out, "--plugin", ORRERY_FRAGILE_PROBE});
  }
  Finished probe(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "probe");
    arguments.insert(arguments.end(), {"--plugin", ORRERY_FRAGILE_PROBE});
    return at.orrery(arguments);
  }
  json scalars_of(const std::string& label) {
    return json::parse(at.read("run/probes/" + label + "/conclusion.json"))["probes"][label]["scalars"];
  }
  static json last_line(const std::string& text) {
    std::istringstream lines(text);
    std::string last;
    for (std::string line; std::getline(lines, line);) last = line;
    return json::parse(last);
  }
  void expect_said(const Finished& done, const std::string& what) {
    EXPECT_NE(done.err.find(what), std::string::npos) << "expected \"" << what << "\" in: " << done.err;
  }

  Workplace at;
};

// The tensors and findings that a probe recorded at its checkpoints, and those of another.
constexpr const char* from_records = "tensors = [\"weight\"]\nfindings = [\"late\"]\n";

TEST_F(Conclusions, AreDrawnFromTensorsAndFindings) {
  const std::string judge =
      "[[probe]]\nname = \"fragile_probe\"\nlabel = \"judge\"\n"
      "tensors = [\"probe/fragile*/weight\"]\nfindings = [\"probe/fragile_probe/*\"]\n";
  const Finished trained = train("run", std::string(fragile) + from_records + judge);
  ASSERT_EQ(trained.code, 0) << trained.err;
  double total = 0;
  for (const std::string& line : at.lines("run/probes/fragile_probe/results.jsonl"))
    total += json::parse(line)["probes"]["fragile_probe"]["scalars"]["sum"].get<double>();
  for (const auto& [label, prefix] : {std::pair("fragile_probe", ""), {"judge", "probe/fragile_probe/"}}) {
    const json scalars = scalars_of(label);
    const auto of = [&](const std::string& name) { return scalars.at(prefix + name).get<double>(); };
    EXPECT_EQ(of("weight/rows"), 6) << label;
    EXPECT_DOUBLE_EQ(of("weight/total"), total) << label;
    EXPECT_EQ(of("late/rows"), 4) << label;  // steps 20 to 50
    EXPECT_EQ(of("late/first"), 20) << label;
    EXPECT_EQ(of("late/last"), 30) << label;
  }
  expect_said(trained, "weight/total");

  // Drawn again, in workers, they are the same; and not drawn again where nothing has changed.
  const auto before = at.tree("run");
  for (const char* label : {"fragile_probe", "judge"})
    std::filesystem::remove(at.path(std::string("run/probes/") + label + "/conclusion.json"));
  const Finished again = probe({"run", "--jobs", "2"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(at.tree("run"), before);
  ASSERT_EQ(probe({"run"}).code, 0);
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Conclusions, AreNotDrawnFromAPart) {
  ASSERT_EQ(train("run", "").code, 0);
  at.write("p.toml", std::string(fragile) + from_records);
  const Finished part = probe({"run", "--pipeline", "p.toml", "--steps", "10,20"});
  EXPECT_EQ(part.code, 0) << part.err;
  expect_said(part, "no conclusion, because fragile_probe has not been measured at step 0");
  EXPECT_FALSE(std::filesystem::exists(at.path("run/probes/fragile_probe/conclusion.json")));
  const Finished all = probe({"run", "--pipeline", "p.toml"});
  EXPECT_EQ(all.code, 0) << all.err;
  const json scalars = scalars_of("fragile_probe");
  EXPECT_EQ(scalars["weight/rows"], 6);

  // What is printed only is concluded from all the same, and gives the same.
  const auto before = at.tree("run");
  const Finished printed = probe(
      {"run", "--probe", "fragile_probe:label=mine,tensors=[\"weight\"],findings=[\"late\"]", "--json"});
  ASSERT_EQ(printed.code, 0) << printed.err;
  EXPECT_EQ(last_line(printed.out)["probes"]["mine"]["scalars"], scalars);
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Conclusions, NameTheRecordThatIsDamagedOrMissing) {
  ASSERT_EQ(train("run", std::string(fragile) + from_records).code, 0);
  const auto file = at.path("run/probes/fragile_probe/step_00000020.safetensors");
  const std::string whole = at.read("run/probes/fragile_probe/step_00000020.safetensors");
  const auto redrawn = [&] { return probe({"run"}); };
  const auto conclusion = at.path("run/probes/fragile_probe/conclusion.json");
  std::string bytes = whole;
  bytes.back() ^= 1;
  at.write("run/probes/fragile_probe/step_00000020.safetensors", bytes);
  EXPECT_EQ(redrawn().code, 0);  // the header vouches for what was concluded from
  std::filesystem::remove(conclusion);
  const Finished damaged = redrawn();
  EXPECT_EQ(damaged.code, 1);
  expect_said(damaged,
              "probe fragile_probe 0.1.0, conclude: run/probes/fragile_probe/step_00000020.safetensors");
  EXPECT_FALSE(std::filesystem::exists(conclusion));
  std::filesystem::remove(file);
  const Finished missing = redrawn();
  EXPECT_EQ(missing.code, 1);
  expect_said(missing,
              "probe fragile_probe 0.1.0, conclude: run/probes/fragile_probe/step_00000020.safetensors");
  EXPECT_EQ(at.lines("run/probes/fragile_probe/results.jsonl").size(), 6u);
  at.write("run/probes/fragile_probe/step_00000020.safetensors", whole);
  EXPECT_EQ(redrawn().code, 0);
  EXPECT_TRUE(std::filesystem::exists(conclusion));
}

TEST_F(Conclusions, NameATensorThatIsNotThere) {
  const Finished trained = train("run", std::string(fragile) + "tensors = [\"weigh\"]\n");
  EXPECT_EQ(trained.code, 1);
  expect_said(trained,
              "probe \"fragile_probe\" concludes from the tensor \"weigh\", but no probe of the run recorded "
              "one (did "
              "you mean \"weight\"?)");
  at.write("p.toml", std::string(fragile) + "label = \"other\"\nfindings = [\"probe/fragil/x\"]\n");
  const Finished done = probe({"run", "--pipeline", "p.toml"});
  EXPECT_EQ(done.code, 1);
  expect_said(done, "the run has no results of a probe \"fragil\"");
}

}  // namespace
}  // namespace orrery
