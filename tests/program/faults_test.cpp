// What a user meets when a disk, a signal or a received run is not as it should be.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

class Faults : public ::testing::Test {
 protected:
  Faults() {
    at.write("small.toml",
             "[task]\nname = \"modular_arithmetic\"\np = 7\n[model]\nd_model = 8\nn_heads = 2\nd_head = 4\n"
             "d_mlp = 16\n[train]\nsteps = 20\neval_every = 5\n[checkpoints]\nevery = 10\n[[probe]]\n"
             "name = \"trig_loss\"\n");
  }
  void train() { ASSERT_EQ(at.orrery({"train", "small.toml", "--out", "run"}).code, 0); }

  // Everything that opens a run refuses it, saying `part`.
  void expect_refused(const std::string& part, const std::vector<std::vector<std::string>>& commands) {
    for (const auto& command : commands) {
      const Finished done = at.orrery(command);
      EXPECT_EQ(done.code, 1) << command[0] << ": " << done.err;
      EXPECT_NE((done.out + done.err).find(part), std::string::npos) << command[0] << ": " << done.err;
    }
  }

  const std::vector<std::vector<std::string>> all = {{"show", "run"},
                                                     {"show", "--check", "run"},
                                                     {"report", "run"},
                                                     {"probe", "run"},
                                                     {"train", "--resume", "run", "--set", "train.steps=30"}};
  Workplace at;
};

TEST_F(Faults, NestedJsonIsRefused) {
  train();
  at.write("run/run.json", "{\"config\": " + std::string(60000, '[') + std::string(60000, ']') + "}");
  expect_refused("run.json: nested more than 64 deep", all);
  const Finished listed = at.orrery({"runs", "."});
  EXPECT_EQ(listed.code, 0) << listed.err;
  EXPECT_NE(listed.out.find("damaged"), std::string::npos) << listed.out;
}

TEST_F(Faults, LinksLeadNowhere) {
  train();
  at.write("notes", "mine\nand not ended");
  fs::rename(at.path("run/metrics.jsonl"), at.path("kept"));
  fs::create_symlink(at.path("notes"), at.path("run/metrics.jsonl"));
  expect_refused("metrics.jsonl: a link", all);
  EXPECT_EQ(at.read("notes"), "mine\nand not ended");
  fs::remove(at.path("run/metrics.jsonl"));
  ASSERT_EQ(mkfifo(at.path("run/metrics.jsonl").c_str(), 0644), 0);
  expect_refused("metrics.jsonl: a pipe or device", all);
  EXPECT_EQ(at.orrery({"runs", "."}).code, 0);
}

TEST_F(Faults, LostCurvesAreMissed) {
  train();
  fs::copy(at.path("run"), at.path("twin"), fs::copy_options::recursive);
  at.write("run/metrics.jsonl", "");
  const std::string said = "metrics.jsonl: it has 0 lines, but when step 20 was saved it had 5";
  expect_refused(said, {{"show", "run"},
                        {"show", "--check", "run"},
                        {"report", "run"},
                        {"train", "--resume", "run", "--set", "train.steps=30"},
                        {"train", "--resume", "run"},
                        {"compare", "run", "twin"}});
  const Finished listed = at.orrery({"runs", "."});
  EXPECT_NE(listed.out.find("damaged"), std::string::npos) << listed.out;
}

TEST_F(Faults, CheckReadsEverything) {
  train();
  const Finished whole = at.orrery({"show", "--check", "run"});
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_NE(whole.err.find("run: 8 files match their checksums"), std::string::npos) << whole.err;
  const std::string checkpoint = "run/checkpoints/step_00000010.safetensors";
  std::string bytes = at.read(checkpoint);
  bytes.back() ^= 64;
  at.write(checkpoint, bytes);
  const Finished damaged = at.orrery({"show", "--check", "run"});
  EXPECT_EQ(damaged.code, 1);
  EXPECT_NE(damaged.err.find("step_00000010.safetensors: damaged"), std::string::npos) << damaged.err;
}

TEST_F(Faults, AClosedTerminalLeavesACheckpoint) {
  const pid_t pid = at.start({"train", "small.toml", "--out", "run", "--set", "train.steps=1000000"});
  while (at.lines("run/metrics.jsonl").size() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGHUP);
  const Finished done = at.wait(pid);
  EXPECT_EQ(done.code, 130) << done.err;
  const auto run = nlohmann::json::parse(at.read("run/run.json"));
  EXPECT_EQ(run["sessions"][0]["ended"], "stopped");
  const auto last = std::to_string(run["sessions"][0]["to"].get<int64_t>());
  for (const char* ending : {".safetensors", ".state.safetensors"})
    EXPECT_TRUE(
        fs::exists(at.path("run/checkpoints/step_" + std::string(8 - last.size(), '0') + last + ending)))
        << last << ending;
}

TEST_F(Faults, ALimitOnFileSizesIsSaid) {
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const Finished done = at.orrery({"train", "small.toml", "--out", "run"});
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(done.code, 1) << done.err;
  EXPECT_NE(done.err.find("ulimit -f"), std::string::npos) << done.err;
}

// The logs outgrow the limit while the checkpoints do not: the run ends with a message, and goes on without
// the limit.
TEST_F(Faults, ALimitOnFileSizesMetWhileTrainingLosesNothing) {
  const std::vector<std::string> longer = {"train", "small.toml",         "--set", "train.steps=400",
                                           "--set", "train.eval_every=1", "--out"};
  const auto in = [&](std::vector<std::string> command, const char* run) {
    command.emplace_back(run);
    return at.orrery(command);
  };
  ASSERT_EQ(in(longer, "whole").code, 0);
  ASSERT_GT(fs::file_size(at.path("whole/metrics.jsonl")), 40000u);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit limit{30000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const Finished done = in(longer, "run");
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(done.code, 1) << done.err;
  EXPECT_NE(done.err.find("metrics.jsonl"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("ulimit -f"), std::string::npos) << done.err;
  EXPECT_EQ(at.orrery({"show", "--check", "run"}).code, 0);
  const Finished resumed = at.orrery({"train", "--resume", "run"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  for (const char* file : {"metrics.jsonl", "probes/trig_loss/results.jsonl"})
    EXPECT_EQ(at.read(std::string("run/") + file), at.read(std::string("whole/") + file)) << file;
}

// Under the library of the campaigns, which counts file operations below `folder`.
class FileFaults : public Faults {
 protected:
  Finished under(const std::string& fault, int number, const std::vector<std::string>& command) {
    std::vector<std::string> arguments = {"LD_PRELOAD=" ORRERY_FILE_FAULTS,
                                          "FILE_FAULTS_ROOT=" + at.path("out_of").string(),
                                          fault + "=" + std::to_string(number), ORRERY_PROGRAM};
    arguments.insert(arguments.end(), command.begin(), command.end());
    return at.run("/usr/bin/env", arguments);
  }
};

TEST_F(FileFaults, AFullDiskLeavesNothingOfAnImport) {
  at.write("sums.toml", "[task]\nname = \"modular_arithmetic\"\np = 5\ntrain_fraction = 0.5\n");
  const std::vector<std::string> import = {"import",   ORRERY_SOURCE_DIR "/tests/fixtures/checkpoints.pth",
                                           "--config", "sums.toml",
                                           "--out",    "out_of/run"};
  bool whole = false;
  for (int number = 1; number < 200 && !whole; number += number < 12 ? 1 : 7) {
    fs::remove_all(at.path("out_of"));
    fs::create_directory(at.path("out_of"));
    const Finished done = under("FILE_FAULTS_FULL", number, import);
    whole = done.code == 0;
    if (whole) break;
    EXPECT_EQ(done.code, 1) << number << ": " << done.err;
    EXPECT_NE(done.err.find("No space left on device"), std::string::npos) << number << ": " << done.err;
    EXPECT_TRUE(fs::is_empty(at.path("out_of")))
        << number << ": " << fs::directory_iterator(at.path("out_of"))->path();
  }
  EXPECT_TRUE(whole) << "the disk was full until the end";
}

TEST_F(FileFaults, ATensorBoardExportIsMadeAgainAfterAKill) {
  ASSERT_EQ(at.orrery({"train", "small.toml", "--out", "out_of/run"}).code, 0);
  const std::vector<std::string> exporting = {"export", "out_of/run", "--tensorboard"};
  bool whole = false;
  for (int number = 1; number < 30 && !whole; ++number) {
    const Finished killed = under("FILE_FAULTS_KILL", number, exporting);
    whole = killed.code == 0;
    if (!whole) {
      EXPECT_EQ(killed.code, 128 + SIGKILL) << number << ": " << killed.err;
    }
    const Finished again = at.orrery(exporting);
    ASSERT_EQ(again.code, 0) << number << ": " << again.err;
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(at.path("out_of/run/tensorboard")))
      if (entry.path().extension() == ".export") names.push_back(entry.path());
    EXPECT_EQ(names.size(), 1u) << number;
  }
  EXPECT_TRUE(whole);
}

TEST_F(Faults, ASplitWithoutEndIsRefused) {
  const Finished done = at.orrery({"train", "small.toml", "--out", "run", "--set", "task.split.rule=file",
                                   "--set", "task.split.file=/dev/zero"});
  EXPECT_EQ(done.code, 2) << done.err;
  EXPECT_NE(done.err.find("/dev/zero: a device or pipe"), std::string::npos) << done.err;
}

TEST_F(Faults, AResumedRunKeepsItsTask) {
  train();
  const auto before = at.tree("run");
  const Finished other =
      at.orrery({"train", "--resume", "run", "--set", "train.steps=40", "--set", "task.operation=multiply"});
  EXPECT_EQ(other.code, 2) << other.err;
  EXPECT_NE(other.err.find("task.operation is add in this run, and cannot become multiply"),
            std::string::npos)
      << other.err;
  const Finished nothing = at.orrery({"train", "--resume", "run", "--set", "train.lr=0.5"});
  EXPECT_EQ(nothing.code, 2) << nothing.err;
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Faults, ALostNullIsMeasuredAgainForComparing) {
  train();
  fs::copy(at.path("run"), at.path("twin"), fs::copy_options::recursive);
  const std::string null = at.read("run/probes/trig_loss/null.json");
  fs::remove(at.path("run/probes/trig_loss/null.json"));
  EXPECT_EQ(at.orrery({"compare", "run", "twin", "--probe-missing"}).code, 0);
  EXPECT_EQ(at.read("run/probes/trig_loss/null.json"), null);
}

}  // namespace
}  // namespace orrery
