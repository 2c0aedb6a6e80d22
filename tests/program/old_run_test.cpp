// A run that version 0.1.0 wrote opens as before, with every command; and as [init] from names a run that is
// nowhere any more, so does any run whose origin was moved or deleted.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

class OldRun : public ::testing::Test {
 protected:
  OldRun() {
    fs::copy(ORRERY_SOURCE_DIR "/tests/fixtures/run_0.1.0", at.path("old"), fs::copy_options::recursive);
    EXPECT_NE(at.read("old/run.json").find("first/checkpoints/step_00000010.safetensors"), std::string::npos);
  }

  Finished well(const std::vector<std::string>& arguments) {
    Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 0) << arguments[0] << ": " << done.err;
    return done;
  }

  Workplace at;
};

// But what a later version of a probe measures: fourier_basis was 1.1.0. That the task has more parameters by
// now changes nothing.
TEST_F(OldRun, IsProbedWithoutComputingAnythingAgain) {
  const std::string before = at.read("old/probes/trig_loss/results.jsonl");
  const Finished done = well({"probe", "old", "--json"});
  EXPECT_NE(done.err.find("6 of 9 results were there already"), std::string::npos) << done.err;
  EXPECT_EQ(at.read("old/probes/trig_loss/results.jsonl"), before);
}

TEST_F(OldRun, IsProbedAnewToTheSameNumbers) {
  const std::string stored = at.read("old/probes/trig_loss/results.jsonl");
  well({"probe", "old", "--again"});
  const auto loss = [](const std::string& lines, size_t row) {
    std::istringstream text(lines);
    std::string line;
    for (size_t i = 0; i <= row; ++i) std::getline(text, line);
    return nlohmann::json::parse(line)["probes"]["trig_loss"]["scalars"]["loss/test"].get<double>();
  };
  for (size_t row = 0; row < 3; ++row)
    EXPECT_NEAR(loss(at.read("old/probes/trig_loss/results.jsonl"), row), loss(stored, row), 1e-6);
}

TEST_F(OldRun, GoesOn) {
  const Finished done = well({"train", "--resume", "old", "--set", "train.steps=30"});
  EXPECT_NE(done.err.find("going on from step 20"), std::string::npos) << done.err;
  EXPECT_TRUE(fs::exists(at.path("old/checkpoints/step_00000030.safetensors")));
  const auto about = nlohmann::json::parse(at.read("old/run.json"));
  EXPECT_EQ(about["config"]["init"]["from"], "first/checkpoints/step_00000010.safetensors");
  EXPECT_EQ(about["sessions"].size(), 2u);
  // A parameter that the task has had since is not part of this run, and cannot become one.
  EXPECT_FALSE(about["config"]["task"].contains("operator_token"));
  const Finished refused =
      at.orrery({"train", "--resume", "old", "--set", "task.operator_token=true", "--set", "train.steps=40"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("task.operator_token is null in this run"), std::string::npos) << refused.err;
}

TEST_F(OldRun, IsShownListedAndDrawn) {
  EXPECT_NE(well({"show", "old"}).out.find("finished"), std::string::npos);
  EXPECT_NE(well({"runs", "."}).out.find("old"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(well({"show", "old", "--json"}).out)["state"], "finished");
}

TEST_F(OldRun, IsIntervenedOn) {
  EXPECT_NE(well({"ablate", "old", "--step", "10"}).out.find("head 0.1"), std::string::npos);
  EXPECT_NE(well({"patch", "old", "--from-step", "0"}).out.find("head 0.0"), std::string::npos);
}

TEST_F(OldRun, IsComparedAndExported) {
  fs::copy(at.path("old"), at.path("twin"), fs::copy_options::recursive);
  EXPECT_NE(well({"compare", "old", "twin"}).out.find("twin"), std::string::npos);
  well({"export", "old", "--step", "10", "--out", "network.safetensors"});
  well({"export", "old", "--tensorboard", "--out", "events"});
  EXPECT_TRUE(fs::exists(at.path("network.safetensors")));
}

// Every command that takes a step says the same of one that is not there.
TEST_F(OldRun, AMissingStepIsSaidInOneWay) {
  fs::copy(at.path("old"), at.path("twin"), fs::copy_options::recursive);
  const std::vector<std::vector<std::string>> commands = {{"ablate", "old", "--step", "11"},
                                                          {"patch", "old", "--from-step", "11"},
                                                          {"compare", "old", "twin", "--step", "11"},
                                                          {"export", "old", "--step", "11", "--out", "n.pth"},
                                                          {"probe", "old", "--steps", "11"}};
  for (const auto& command : commands) {
    const Finished done = at.orrery(command);
    EXPECT_EQ(done.code, 2) << command[0];
    EXPECT_NE(done.err.find("there is no checkpoint of step 11 in old"), std::string::npos) << done.err;
    EXPECT_NE(done.err.find("there are 3, from step 0 to 20"), std::string::npos) << done.err;
  }
}

// A training that begins needs what [init] names, and says so.
TEST_F(OldRun, OnlyANewTrainingNeedsWhatItBeganWith) {
  at.write("again.toml",
           "[task]\nname = \"modular_arithmetic\"\np = 7\n[model]\nd_model = 8\nn_heads = 2\nd_head = 4\n"
           "d_mlp = 16\n[train]\nsteps = 1\n[init]\nfrom = \"first/nowhere.safetensors\"\n");
  const Finished done = at.orrery({"train", "again.toml", "--out", "again"});
  EXPECT_EQ(done.code, 2);
  EXPECT_NE(done.err.find("init.from"), std::string::npos) << done.err;
  EXPECT_FALSE(fs::exists(at.path("again")));
}

}  // namespace
}  // namespace orrery
