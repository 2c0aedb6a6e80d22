// A sweep of six runs that takes a second, and what its tests share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "run_program.h"

namespace orrery {

namespace fs = std::filesystem;

inline constexpr const char* base = R"(
[task]
name = "modular_arithmetic"
p = 5
[model]
d_model = 4
n_heads = 1
d_head = 4
d_mlp = 4
[train]
steps = 20
eval_every = 5
[checkpoints]
every = 10
[[probe]]
name = "weight_structure"
)";

inline constexpr const char* sweep = R"(base = "base.toml"
seeds = 3
[grid]
train.weight_decay = [0.1, 1]
[[reading]]
name = "loss"
metric = "train/loss"
[[reading]]
name = "never"
metric = "test/accuracy"
of = "first step >= 2"
[[class]]
name = "trained"
if = "loss < 100"
[[expect]]
share = "trained"
bound = ">= 1"
source = "by construction"
[[expect]]
median = "never"
bound = "> 10"
source = "no accuracy is above 1"
)";

class Sweep : public ::testing::Test {
 protected:
  void SetUp() override {
    at.write("base.toml", base);
    at.write("s.toml", sweep);
  }
  Finished run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"sweep", "run", "s.toml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments);
  }
  fs::path folder_of(size_t index) {
    const nlohmann::json plan = nlohmann::json::parse(at.read("runs/sweeps/s/plan.json"));
    return at.path("runs/sweeps/s/runs") / plan["runs"][index]["id"].get<std::string>();
  }
  // Relative to the workplace.
  std::string file_of(size_t index, const std::string& name) {
    return fs::relative(folder_of(index) / name, at.path("")).string();
  }
  std::string csv(const std::string& of = "s.toml") {
    const Finished done = at.orrery({"sweep", "table", of, "--csv"});
    EXPECT_EQ(done.code, 0) << done.err;
    return done.out;
  }
  std::vector<fs::path> folders() {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(at.path("runs/sweeps/s/runs")))
      found.push_back(entry.path());
    return found;
  }
  std::string status(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"sweep", "status", "s.toml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments).out;
  }
  static size_t count(const std::string& text, const std::string& part) {
    size_t found = 0;
    for (size_t i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) ++found;
    return found;
  }

  Workplace at;
};

inline void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in:\n" << text;
}

// Longer runs, so that a signal meets them.
class LongSweep : public Sweep {
 protected:
  void SetUp() override {
    Sweep::SetUp();
    std::string longer = base;
    longer.replace(longer.find("steps = 20"), 10, "steps = 300");
    at.write("base.toml", longer);
    at.write("whole.toml", sweep);
    const Finished done = at.orrery({"sweep", "run", "whole.toml", "--out", "whole"});
    ASSERT_EQ(done.code, 0) << done.err;
    expected = csv("whole");
  }
  size_t runs_begun() {
    size_t begun = 0;
    if (fs::exists(at.path("runs/sweeps/s/runs")))
      for (const fs::path& folder : folders()) begun += fs::exists(folder / "metrics.jsonl");
    return begun;
  }
  std::string expected;
};

// The children of a process.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::ifstream list("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
  for (pid_t child; list >> child;) found.push_back(child);
  return found;
}

}  // namespace orrery
