// Runs with fewer checkpoints: thinned while they train, or pruned afterwards. What probes measured stays.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Prune : public ::testing::Test {
 protected:
  Prune() {
    at.write("small.toml",
             "[task]\nname = \"modular_arithmetic\"\np = 7\n[model]\nd_model = 8\nn_heads = 2\nd_head = 4\n"
             "d_mlp = 16\n[train]\nsteps = 100\neval_every = 10\n[checkpoints]\nevery = 10\n[[probe]]\n"
             "name = \"fourier_basis\"\n[[probe]]\nname = \"trig_loss\"\n");
  }
  void train(const std::string& out = "runs/a", const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"train", "small.toml", "--out", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = at.orrery(arguments);
    ASSERT_EQ(done.code, 0) << done.err;
  }
  std::vector<int64_t> checkpoints(const std::string& run = "runs/a") {
    return json::parse(at.orrery({"show", "--json", run}).out)["checkpoints"]["steps"];
  }
  Finished well(const std::vector<std::string>& arguments) {
    Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 0) << arguments[0] << ": " << done.err;
    return done;
  }
  // All of `parts`, in what a command prints.
  void expect_said(const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
      EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
  }
  using Steps = std::vector<int64_t>;

  Workplace at;
};

TEST_F(Prune, SaysWhatGoesAndDeletesIt) {
  train();
  const auto before = at.tree("runs/a");
  const Finished dry = well({"prune", "runs/a", "--keep-last", "2", "--dry-run"});
  expect_said(dry.out, {"runs/a: would delete 8 of 11 checkpoints, ", " kB", "0; 90; 100"});
  EXPECT_EQ(at.tree("runs/a"), before);

  const Finished done = well({"prune", "runs/a", "--every", "50", "--json"});
  const json said = json::parse(done.out);
  EXPECT_EQ(said["kept"], json({0, 50, 100}));
  EXPECT_EQ(said["deleted"].size(), 8u);
  EXPECT_GT(said["bytes"], 8000);
  EXPECT_FALSE(said["dry_run"]);
  EXPECT_EQ(checkpoints(), (Steps{0, 50, 100}));
  for (const char* file :
       {"probes/fourier_basis/results.jsonl", "probes/trig_loss/null.json", "metrics.jsonl"})
    for (const auto& [name, text] : before) {
      if (name == file) EXPECT_EQ(at.read(std::string("runs/a/") + file), text) << file;
    }
}

TEST_F(Prune, EveryCommandTellsOfWhatIsGone) {
  train();
  well({"prune", "runs/a", "--keep-last", "1"});
  const Finished checked = well({"show", "--check", "runs/a"});
  expect_said(checked.err, {"probe fourier_basis: 9 of its results are of checkpoints that were thinned"});
  EXPECT_EQ(checked.err.find("warning"), std::string::npos) << checked.err;
  expect_said(well({"show", "runs/a"}).out, {"at 11 checkpoints, 9 of them pruned since"});
  expect_said(well({"probe", "runs/a"}).err,
              {"18 stored results are of checkpoints that are gone: they stay"});
  expect_said(well({"report", "runs/a"}).err + at.read("runs/a/report.html"),
              {"18 results are of checkpoints that are gone"});
  fs::copy(at.path("runs/a"), at.path("runs/b"), fs::copy_options::recursive);
  well({"compare", "runs/a", "runs/b"});
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"probe", "runs/a", "--steps", "50"}, {"compare", "runs/a", "runs/b", "--step", "50"}}) {
    const Finished done = at.orrery(command);
    EXPECT_EQ(done.code, 2);
    expect_said(done.err, {"there is no checkpoint of step 50 in runs/a any more",
                           "what probes measured from it stays"});
  }
  well({"train", "--resume", "runs/a", "--set", "train.steps=120"});
  EXPECT_EQ(checkpoints(), (Steps{0, 100, 110, 120}));
  EXPECT_EQ(well({"show", "--check", "runs/a"}).err.find("warning"), std::string::npos);
}

// Results of other steps than those at which a probe is due now, as of an earlier session, count as well.
TEST_F(Prune, CountsResultsAndNotWhatIsDue) {
  train();
  well({"train", "--resume", "runs/a", "--set", "train.steps=120", "--set", "probe.fourier_basis.every=60"});
  expect_said(well({"show", "runs/a"}).out, {", at 12 checkpoints\n"});
}

// The training thinned, and then no longer: what it deleted is not missed for ever.
TEST_F(Prune, CheckKnowsWhatEarlierSessionsThinned) {
  train("runs/a", {"--set", "checkpoints.keep_last=2"});
  well({"train", "--resume", "runs/a", "--set", "train.steps=120", "--set", "checkpoints.keep_last=0"});
  const Finished checked = well({"show", "--check", "runs/a"});
  EXPECT_EQ(checked.err.find("warning"), std::string::npos) << checked.err;
  expect_said(checked.err, {"were thinned"});
  fs::remove(at.path("runs/a/checkpoints/step_00000110.safetensors"));  // nobody thinned this one
  expect_said(well({"show", "--check", "runs/a"}).err,
              {"warning: probe fourier_basis: the checkpoints of 1 of its results are missing"});
}

// A probe that comes after its checkpoints were pruned concludes from those that are left, and says so.
TEST_F(Prune, AConclusionFromWhatIsLeftSaysSo) {
  train();
  well({"prune", "runs/a", "--every", "50"});
  at.write("late.toml",
           "[[probe]]\nname = \"weight_structure\"\n[[probe]]\nname = \"phase_changes\"\n"
           "curves = [\"probe/weight_structure/*\"]\n[[probe]]\nname = \"phase_changes\"\n"
           "label = \"of_metrics\"\n");
  const Finished done = well({"probe", "runs/a", "--pipeline", "late.toml"});
  expect_said(done.err, {"warning: probe phase_changes: it concludes from 3 of 11 checkpoints of "
                         "weight_structure: the others were pruned without a result"});
  EXPECT_EQ(done.err.find("probe of_metrics"), std::string::npos) << done.err;
  const json said = json::parse(well({"show", "--json", "runs/a"}).out)["probes"];
  EXPECT_EQ(said["phase_changes"]["conclusion"]["checkpoints"], json({{"seen", 3}, {"made", 11}}));
  EXPECT_FALSE(said["of_metrics"]["conclusion"].contains("checkpoints"));
  expect_said(well({"show", "runs/a"}).out, {"from 3 of 11 checkpoints: the others were pruned"});
  well({"report", "runs/a"});
  expect_said(at.read("runs/a/report.html"), {"The conclusion of phase_changes is from 3 of 11 checkpoints"});
  // Later, alone, from what is stored by then.
  at.write("later.toml", "[[probe]]\nname = \"phase_changes\"\ncurves = [\"probe/weight_structure/*\"]\n");
  expect_said(well({"probe", "runs/a", "--pipeline", "later.toml", "--again"}).err, {"from 3 of 11"});
}

TEST_F(Prune, AConclusionOfAThinnedTrainingSaysSo) {
  const std::string waiting =
      "probe=[{name = \"trig_loss\"}, {name = \"phase_changes\", curves = [\"probe/trig_loss/*\"]}]";
  train("runs/a", {"--set", "checkpoints.keep_last=1", "--set", waiting});
  expect_said(well({"show", "runs/a"}).out, {"from 2 of 11 checkpoints"});
  train("runs/b");
  expect_said(
      well({"compare", "runs/a", "runs/b", "--no-activations", "--html", "page.html"}).out,
      {"concluded from a part of a run\n  a: phase_changes, from 2 of 11 checkpoints: the others were "
       "pruned"});
  expect_said(at.read("page.html"),
              {R"("partly_concluded":[{"run":0,"probe":"phase_changes","seen":2,"made":11}])"});
}

TEST_F(Prune, KeepsWhatOthersStartFrom) {
  train();
  train("runs/b",
        {"--set", "init.from=\"runs/a/checkpoints/step_00000030.safetensors\"", "--set", "train.steps=10"});
  const Finished done = well({"prune", "runs/a", "--keep-last", "1"});
  expect_said(done.out, {"step 30 stays, because runs/b starts from it"});
  EXPECT_EQ(checkpoints(), (Steps{0, 30, 100}));
}

TEST_F(Prune, RefusesWhatItCannotDo) {
  train();
  const auto before = at.tree("runs/a");
  const Finished nothing = at.orrery({"prune", "runs/a"});
  EXPECT_EQ(nothing.code, 2);
  expect_said(nothing.err, {"--keep-last N, --every K"});
  EXPECT_EQ(at.tree("runs/a"), before);
  EXPECT_EQ(at.orrery({"prune", "runs/a", "--keep-last", "0"}).code, 2);
  EXPECT_EQ(at.orrery({"prune", "absent", "--keep-last", "1"}).code, 2);

  const pid_t pid = at.start({"train", "small.toml", "--out", "runs/long", "--set", "train.steps=1000000"});
  while (at.lines("runs/long/metrics.jsonl").size() < 3) usleep(1000);
  EXPECT_EQ(at.run(ORRERY_PROGRAM, {"prune", "runs/long", "--keep-last", "1"}).code,
            1);  // it is being written
  kill(pid, SIGKILL);
  at.wait(pid);
  const Finished killed = at.orrery({"prune", "runs/long", "--keep-last", "1"});
  EXPECT_EQ(killed.code, 2);
  expect_said(killed.err, {"its training has not ended", "checkpoints.keep_last"});
}

TEST_F(Prune, WarnsOfWhatWasNotMeasured) {
  train();
  at.write("runs/a/probes/trig_loss/results.jsonl", "");
  expect_said(at.orrery({"prune", "runs/a", "--keep-last", "1", "--dry-run"}).err,
              {"probe trig_loss has not measured 9 of the checkpoints that would go"});
  const Finished refused = at.orrery({"prune", "runs/a", "--keep-last", "1"});
  EXPECT_EQ(refused.code, 2);
  expect_said(refused.err, {"trig_loss has not measured 9", "orrery probe runs/a", "--force"});
  EXPECT_EQ(checkpoints().size(), 11u);
  well({"prune", "runs/a", "--keep-last", "1", "--force"});
  EXPECT_EQ(checkpoints(), (Steps{0, 100}));
}

// By its rule a prune would keep the damaged ones, and delete the whole ones beside them.
TEST_F(Prune, KeepsAWholeCheckpointForADamagedOne) {
  train();
  const std::string last = "runs/a/checkpoints/step_00000100.safetensors";
  std::string bytes = at.read(last);
  bytes[bytes.size() - 5] ^= 1;
  at.write(last, bytes);
  at.write("runs/a/checkpoints/step_00000090.safetensors", "short");
  const Finished dry = well({"prune", "runs/a", "--keep-last", "1", "--dry-run"});
  expect_said(dry.err, {"warning: " + last, "damaged", "step 100 stays as it is, and so does 80"});
  expect_said(dry.out, {"0; 80; 100"});
  const json said = json::parse(well({"prune", "runs/a", "--keep-last", "1", "--json"}).out);
  EXPECT_EQ(said["kept"], json({0, 80, 100}));
  EXPECT_EQ(said["damaged"][0]["step"], 100);
  EXPECT_EQ(said["damaged"][0]["instead"], 80);
  EXPECT_EQ(at.read(last), bytes);

  const Finished again =
      well({"prune", "runs/a", "--keep-last", "1", "--json"});  // nothing whole is lost now
  EXPECT_EQ(json::parse(again.out)["deleted"], json::array());
  well({"probe", "runs/a", "--probe", "weight_structure", "--steps", "80"});
}

// What a damaged neighbour starts from is not known; through a link it is.
TEST_F(Prune, DeletesNothingThatANeighbourMayNeed) {
  train();
  fs::create_directory_symlink("a", at.path("runs/link"));
  train("runs/b", {"--set", "init.from=\"runs/link/checkpoints/step_00000030.safetensors\"", "--set",
                   "train.steps=10"});
  expect_said(well({"prune", "runs/a", "--keep-last", "1", "--dry-run"}).out, {"step 30 stays"});
  at.write("runs/b/run.json", "{");
  const Finished refused = at.orrery({"prune", "runs/a", "--keep-last", "1"});
  EXPECT_EQ(refused.code, 1);
  expect_said(refused.err, {"run.json", "nothing is deleted"});
  EXPECT_EQ(checkpoints().size(), 11u);
}

TEST_F(Prune, KilledAnywhereItLeavesAWholeRun) {
  train("whole");
  bool all = false;
  for (int number = 1; number < 40 && !all; ++number) {
    fs::remove_all(at.path("run"));
    fs::copy(at.path("whole"), at.path("run"), fs::copy_options::recursive);
    const Finished done = at.run(
        "/usr/bin/env",
        {"LD_PRELOAD=" ORRERY_FILE_FAULTS, "FILE_FAULTS_ROOT=" + at.path("run").string(),
         "FILE_FAULTS_KILL=" + std::to_string(number), ORRERY_PROGRAM, "prune", "run", "--keep-last", "1"});
    all = done.code == 0;
    if (!all) {
      EXPECT_EQ(done.code, 128 + SIGKILL) << done.err;
    }
    if (number % 3 == 1) {
      EXPECT_EQ(at.orrery({"show", "--check", "run"}).code, 0) << number;
    }
    well({"prune", "run", "--keep-last", "1"});
    EXPECT_EQ(checkpoints("run"), (Steps{0, 100})) << number;
  }
  EXPECT_TRUE(all);
}

TEST_F(Prune, ATrainingKeepsTheLast) {
  const std::vector<std::string> keep = {"--set", "checkpoints.keep_last=3", "--set",
                                         "probe.trig_loss.reference=self"};
  train("runs/a", keep);
  EXPECT_EQ(checkpoints(), (Steps{0, 80, 90, 100}));
  for (const char* label : {"fourier_basis", "trig_loss"})
    EXPECT_EQ(at.lines(std::string("runs/a/probes/") + label + "/results.jsonl").size(), 11u);
  expect_said(well({"show", "--check", "runs/a"}).err, {"were thinned"});
  std::vector<std::string> arguments = {"train", "small.toml", "--out", "parts"};
  arguments.insert(arguments.end(), keep.begin(), keep.end());
  const pid_t pid = at.start(arguments);
  while (at.lines("parts/metrics.jsonl").size() < 6) usleep(200);
  kill(pid, SIGKILL);
  at.wait(pid);
  well({"train", "--resume", "parts"});
  auto whole = at.tree("runs/a"), parts = at.tree("parts");
  for (auto* tree : {&whole, &parts})
    std::erase_if(*tree, [](auto& file) { return file.first == "run.json"; });
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(whole[i].first, parts[i].first);
    EXPECT_TRUE(whole[i].second == parts[i].second) << whole[i].first;
  }
}

// A resumed run that has lost a probe does not show its old numbers as its own.
TEST_F(Prune, ARemovedProbeIsSaidToBeOfEarlier) {
  train();
  const Finished done = well({"train", "--resume", "runs/a", "--json", "--set", "train.steps=120", "--set",
                              "probe=[{name = \"trig_loss\"}]"});
  const json said = json::parse(done.out);
  EXPECT_FALSE(said["probes"].contains("fourier_basis"));
  EXPECT_TRUE(said["probes"].contains("trig_loss"));
  EXPECT_EQ(said["earlier_probes"]["fourier_basis"]["step"], 100);
  EXPECT_EQ(said["earlier_probes"]["fourier_basis"]["session"], 1);
  expect_said(
      done.err,
      {"fourier_basis           not in this config; its last result is of step 100 (session 1 of 2)"});
  EXPECT_EQ(done.err.find("logit_variance_explained"), std::string::npos) << done.err;
  expect_said(well({"show", "runs/a"}).out,
              {"not in the config; its last result is of step 100 (session 1 of 2)"});
  const json shown = json::parse(well({"show", "--json", "runs/a"}).out)["probes"];
  EXPECT_FALSE(shown["fourier_basis"]["configured"]);
  EXPECT_EQ(shown["fourier_basis"]["last"]["step"], 100);
  EXPECT_FALSE(shown["fourier_basis"]["null"].is_null());
  EXPECT_TRUE(shown["trig_loss"]["configured"]);
}

// Both runs are at step 120; one no longer asks the probe, whose conclusion looked at steps up to 100.
TEST_F(Prune, AConclusionOfAnEarlierSessionIsNotCompared) {
  const std::string with = "probe=[{name = \"fourier_basis\"}, {name = \"phase_changes\"}]";
  train("runs/a", {"--set", with});
  fs::copy(at.path("runs/a"), at.path("runs/b"), fs::copy_options::recursive);
  well({"train", "--resume", "runs/a", "--set", "train.steps=120", "--set",
        "probe=[{name = \"fourier_basis\"}]"});
  well({"train", "--resume", "runs/b", "--set", "train.steps=120"});
  const std::string out = well({"compare", "runs/a", "runs/b"}).out;
  const size_t row = out.find("phase/test/loss/n_falls");
  ASSERT_NE(row, std::string::npos) << out;
  expect_said(out.substr(row, out.find('\n', row) - row), {"not measured"});
}

// Runs of the same config on other kernels end in other bits, and only then is the column there.
TEST_F(Prune, RunsShowKernelsWhereTheyDiffer) {
  train("runs/a", {"--set", "train.steps=1"});
  train("runs/b", {"--set", "train.steps=1"});
  EXPECT_EQ(well({"runs"}).out.find("kernels"), std::string::npos);
  json about = json::parse(at.read("runs/b/run.json"));
  about.erase("sha256");
  about["sessions"][0]["loops"] = "baseline";
  at.write("runs/b/run.json", about.dump());
  const Finished listed = well({"runs"});
  expect_said(listed.out, {"kernels", "loops=baseline"});
  EXPECT_EQ(listed.out.find("blas_core="), std::string::npos) << listed.out;
  const std::string lines = well({"runs", "--json"}).out;
  EXPECT_EQ(json::parse(lines.substr(lines.find('\n') + 1))["kernels"],
            json::parse(R"({"loops": "baseline"})"));
}

}  // namespace
}  // namespace orrery
