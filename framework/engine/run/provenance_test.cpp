// The provenance of results, and the files beside them.
#include "engine/run/provenance.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "engine/run/run_directory.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine::provenance_test {
namespace {

using testing::TestFolder;

Provenance sample() {
  return {"9f86",  "trig_loss",
          "1.0.0", {{"rule", std::string("neurons")}, {"threshold", 1.0}, {"keys", std::vector<int64_t>{3}}},
          "last",  "6030",
          "fd61"};
}

TEST(Provenance, IsTheDocumentedJson) {
  EXPECT_EQ(to_json(sample()),
            R"({"of":"9f86","probe":"trig_loss","version":"1.0.0","parameters":{"keys":[3],"rule":"neurons",)"
            R"("threshold":1.0},"reference":"last","reference_sha256":"6030","setting":"fd61"})");
  EXPECT_EQ(to_json({"9f86", "p", "1", {}, "", "", ""}),
            R"({"of":"9f86","probe":"p","version":"1","parameters":{}})");
}

TEST(Provenance, IsReadBack) {
  EXPECT_EQ(read_provenance(Json::parse(to_json(sample()))), sample());
  Provenance other{"9f86", "p", "1", {}, "", "", ""};
  other.parameters = {{"flag", true},
                      {"text", std::string("NaN")},
                      {"reals", std::vector<double>{1, 2.5}},
                      {"texts", std::vector<std::string>{"a"}},
                      {"none", std::vector<double>{}}};
  const auto read = read_provenance(Json::parse(to_json(other)));
  EXPECT_EQ(read, other);
  EXPECT_EQ(to_json(*read), to_json(other));
}

TEST(Provenance, WithAKeyThatIsNotKnownHereIsNotKnown) {
  const auto with = [](const char* key, const Json& value) {
    Json object = Json::parse(to_json(sample()));
    object[key] = value;
    return read_provenance(object).has_value();
  };
  EXPECT_TRUE(with("setting", "other"));
  EXPECT_FALSE(with("dtype", "float64"));
  EXPECT_FALSE(with("setting", 1));
  EXPECT_FALSE(with("parameters", {{"a", nullptr}}));
  EXPECT_EQ(read_provenance(Json::parse(R"({"probe": "p"})")), (Provenance{"", "p", "", {}, "", "", ""}));
}

TEST(Provenance, EqualOnesAreEqualInAll) {
  const auto with = [&](auto change) {
    Provenance other = sample();
    change(other);
    return other == sample();
  };
  EXPECT_TRUE(with([](Provenance&) {}));
  for (std::string Provenance::*text :
       {&Provenance::of, &Provenance::probe, &Provenance::version, &Provenance::reference,
        &Provenance::reference_sha256, &Provenance::setting})
    EXPECT_FALSE(with([&](Provenance& o) { o.*text = "other"; }));
  EXPECT_FALSE(with([](Provenance& o) { o.parameters["threshold"] = 1.5; }));
  EXPECT_FALSE(with([](Provenance& o) { o.parameters.erase("keys"); }));
  EXPECT_FALSE(with([](Provenance& o) { o.parameters["keys"] = std::vector<int64_t>{}; }));
}

TEST(Provenance, AQuestionIsProbeParametersAndReference) {
  const Provenance asked = sample();
  const auto with = [&](auto change) {
    Provenance other = sample();
    change(other);
    return same_identity(asked, other);
  };
  EXPECT_TRUE(with([](Provenance& o) { o.of = o.version = o.reference_sha256 = o.setting = "other"; }));
  EXPECT_FALSE(with([](Provenance& o) { o.probe = "other"; }));
  EXPECT_FALSE(with([](Provenance& o) { o.parameters["threshold"] = 1.5; }));
  EXPECT_FALSE(with([](Provenance& o) { o.reference = "self"; }));
  EXPECT_FALSE(with([](Provenance& o) { o.reference = ""; }));
  // A later version has a parameter more; within one version none can be missing.
  EXPECT_TRUE(with([](Provenance& o) { o.version = "2.0.0", o.parameters["more"] = true; }));
  EXPECT_TRUE(with([](Provenance& o) { o.version = "0.9.0", o.parameters.erase("keys"); }));
  EXPECT_FALSE(with([](Provenance& o) { o.version = "2.0.0", o.parameters["threshold"] = 1.5; }));
  EXPECT_FALSE(with([](Provenance& o) { o.parameters["more"] = true; }));
  EXPECT_EQ(identity_text(asked),
            R"(trig_loss {"keys":[3],"rule":"neurons","threshold":1.0}, reference "last")");
}

RunDirectory new_run(const std::filesystem::path& path) {
  RunDirectory run = RunDirectory::create(path);
  run.write_run_json("{}");
  return run;
}

Record record_of(double x, bool with_data = true) {
  Recorder recorder;
  recorder.scalar("x", x);
  if (with_data) recorder.tensor("t", torch::full({2}, x));
  return recorder.record();
}

TEST(Results, CarryTheirOrigin) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  run.save_probe_result("p", 0, "c", record_of(1), sample());
  run.save_probe_result("p", 10, "c", record_of(2));
  const auto results = run.read_probe_results("p");
  EXPECT_EQ(results.at(0).provenance, sample());
  EXPECT_FALSE(results.at(1).provenance);
  const std::string line = read_lines(run.probe_folder("p") / "results.jsonl")[0];
  EXPECT_NE(line.find(", \"origin\": " + to_json(sample()) + ", \"probes\": "), line.npos) << line;
}

TEST(Results, StayInOrderWhenTheyComeLateOrAgain) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  for (const int64_t step : {20, 0, 30, 10, 20}) run.save_probe_result("p", step, "c", record_of(step + 0.5));
  std::vector<int64_t> steps;
  for (const std::string& line : read_lines(folder / "run/probes/p/results.jsonl"))
    steps.push_back(parse_step(line, "here"));
  EXPECT_EQ(steps, (std::vector<int64_t>{0, 10, 20, 30}));
  const auto results = run.read_probe_results("p");
  ASSERT_EQ(results.size(), 4u);
  for (const ProbeResult& result : results)
    EXPECT_EQ(result.record.tensors.at(0).second[0].item<double>(), result.step + 0.5);
}

TEST(Results, OfAnotherWriterAreBroughtInOrder) {
  const TestFolder folder;
  const auto log = folder / "run/probes/p/results.jsonl";
  { new_run(folder / "run").save_probe_result("p", 20, "c", record_of(1, false)); }
  const std::string stored = read_lines(log)[0];
  const std::string line = stored.substr(0, stored.find(", \"sha256\"")) + "}";  // others write none
  const auto of_step = [&](const std::string& step, const std::string& x) {
    std::string other = line;
    other.replace(other.find("20"), 2, step);
    return other.replace(other.find("1.0"), 3, x) + "\n";
  };
  write_file(log, of_step("20", "1.0") + of_step("10", "2.0") + of_step("20", "3.0"));
  RunDirectory run = RunDirectory::open(folder / "run");
  run.save_probe_result("p", 30, "c", record_of(4, false));
  std::vector<std::pair<int64_t, double>> got;
  for (const ProbeResult& result : run.read_probe_results("p"))
    got.emplace_back(result.step, result.record.scalars.at(0).second);
  EXPECT_EQ(got, (std::vector<std::pair<int64_t, double>>{{10, 2}, {20, 3}, {30, 4}}));
}

TEST(Asides, ComeBackAndGoWithWhatTheyAreOf) {
  const TestFolder folder;
  RunDirectory run = new_run(folder / "run");
  EXPECT_FALSE(run.read_run_level("p", RunLevelResult::null).has_value());
  const Record record = record_of(3);
  for (const RunLevelResult aside : {RunLevelResult::null, RunLevelResult::conclusion})
    run.save_run_level("p", aside, pack_result(result_line(aside, {{"p", &record}}, sample()), record));
  EXPECT_EQ(read_lines(folder / "run/probes/p/null.json")[0].substr(0, 13), "{\"of\": \"null\"");
  for (const RunLevelResult aside : {RunLevelResult::null, RunLevelResult::conclusion}) {
    const auto read = run.read_run_level("p", aside);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->step, -1);
    EXPECT_EQ(read->provenance, sample());
    EXPECT_EQ(read->record.scalars, record.scalars);
    EXPECT_TRUE(read->record.tensors.at(0).second.equal(torch::full({2}, 3.0)));
    EXPECT_TRUE(run.read_run_level("p", aside, RunDirectory::ProbeData::leave_out)->record.tensors.empty());
  }
  EXPECT_TRUE(run.read_probe_results("p").empty());  // they are not results of checkpoints
  run.trim_after(0);
  EXPECT_FALSE(run.read_run_level("p", RunLevelResult::null).has_value());
  EXPECT_FALSE(std::filesystem::exists(folder / "run/probes/p/conclusion.safetensors"));
}

}  // namespace
}  // namespace orrery::engine::provenance_test
