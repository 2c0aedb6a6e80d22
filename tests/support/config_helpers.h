// Shared by the tests of framework/engine/config: files under short relative names, messages, made-up
// plugins.
#pragma once

#include <gtest/gtest.h>
#include <orrery/error.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/config/settings.h"
#include "sdk/files/temporary_folder.h"

namespace orrery::config_test {

using namespace engine;

/// Runs in an empty folder of its own, so that a message reads "configs/x.toml:1:1: ...".
class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    home_ = std::filesystem::current_path();
    std::filesystem::create_directory(folder_ / "configs");
    std::filesystem::current_path(folder_.path());
  }
  void TearDown() override { std::filesystem::current_path(home_); }

  static Document load(const std::string& text, const std::vector<std::string>& overrides = {}) {
    std::ofstream("configs/x.toml", std::ios::binary) << text;
    return Document::load("configs/x.toml", overrides);
  }

 private:
  std::filesystem::path home_;
  TemporaryFolder folder_;
};

/// The message of the UsageError that `run` throws, followed by " | " and its hint if it has one.
template <class Run>
std::string complaint(Run&& run) {
  try {
    run();
  } catch (const UsageError& error) {
    return error.what() + (error.hint().empty() ? "" : " | " + error.hint());
  }
  return "no complaint";
}

inline std::vector<Field> field_list(std::initializer_list<std::pair<std::string, Value>> named) {
  std::vector<Field> list;
  for (const auto& [name, fallback] : named) list.push_back({name, fallback, "a parameter", {}, {}, {}});
  return list;
}

/// The task "sums", the probes "spectrum" and "norms", the model "transformer".
inline std::vector<Field> parameters_of(const std::string& kind, const std::string& name) {
  if (kind == "task" && name == "sums") {
    auto list = field_list({{"p", int64_t{113}},
                            {"operation", std::string("add")},
                            {"fraction", 0.3},
                            {"split.rule", std::string("random")},
                            {"split.rows", std::vector<int64_t>{}}});
    list[0].at_least(2);
    list[1].one_of({"add", "subtract"});
    list[2].between(0, 1);
    return list;
  }
  if (kind == "model" && name == "transformer")
    return field_list({{"n_layers", int64_t{1}}, {"attn_only", false}, {"act_fn", std::string("relu")}});
  if (kind == "probe" && name == "spectrum")
    return field_list({{"rule", std::string("neurons")},
                       {"threshold", 1.0},
                       {"keys", std::vector<int64_t>{}},
                       {"scales", std::vector<double>{1.0, 0.5}},
                       {"names", std::vector<std::string>{}}});
  if (kind == "probe" && name == "norms") return {};
  throw UsageError("no " + kind + " is called \"" + name + "\"", "see `orrery plugins`");
}

}  // namespace orrery::config_test
