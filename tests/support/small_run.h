// A run small enough to train in a unit test, and a reporter that keeps its messages.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/experiment/experiment.h"
#include "engine/training/training_run.h"
#include "tests/support/run_test_folder.h"

namespace orrery::testing {

using namespace engine;

/// Keeps notes, warnings and progress; asks to stop once `stop_at` units of some progress are done.
class CollectingReporter final : public Reporter {
 public:
  void note(const std::string& text) override { notes.push_back(text); }
  void warning(const std::string& what, const std::string& hint) override {
    warnings.push_back(what + "\n" + hint);
  }
  std::unique_ptr<Progress> progress(int64_t total, const std::string& unit) override {
    units.push_back(std::to_string(total) + " " + unit);
    return std::make_unique<Steps>(*this);
  }
  bool stop_requested() const override { return stop_at >= 0 && done >= stop_at; }

  std::vector<std::string> notes, warnings, units;
  int64_t stop_at = -1, done = 0;

 private:
  class Steps final : public Progress {
   public:
    explicit Steps(CollectingReporter& reporter) : reporter_(reporter) {}
    void show(int64_t done, const std::string&, bool) override { reporter_.done = done; }
    bool due() const override { return true; }

   private:
    CollectingReporter& reporter_;
  };
};

/// The built-in plugins of the build.
inline const Registry& built_in_plugins() {
  static const Registry* const registry = [] {
    auto* made = new Registry;  // libraries are never unloaded
    made->load_folder(ORRERY_PLUGIN_DIR, Trial::no);
    return made;
  }();
  return *registry;
}

/// Addition mod 7 in a tiny transformer, 20 steps, checkpoints at 0, 10 and 20; appends the TOML `more`.
inline Settings small_settings(const std::string& more = "", int64_t steps = 20) {
  const std::string text =
      "name = \"small\"\n[task]\nname = \"modular_arithmetic\"\np = 7\n[model]\nd_model = 8\n"
      "n_heads = 2\nd_head = 4\nd_mlp = 16\n[train]\nsteps = " +
      std::to_string(steps) + "\nlr = 1e-2\neval_every = 5\n[checkpoints]\nevery = 10\n" + more;
  return resolve(Document::from_toml(text, "small.toml"), parameters_from(built_in_plugins()));
}

/// Every byte of a file.
inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  EXPECT_TRUE(stream) << file;
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace orrery::testing
