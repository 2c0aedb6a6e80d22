// Runs out of published networks, and checkpoints for others: as a user does it, on files that PyTorch wrote.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "python.h"
#include "run_program.h"
#include "sdk/files/safetensors.h"

namespace orrery {
namespace {

using nlohmann::json;

const std::string fixture_folder = ORRERY_SOURCE_DIR "/tests/fixtures/";

// [model] leaves out what the shapes of the networks say.
constexpr const char* config = R"(
[task]
name = "modular_arithmetic"
p = 5
train_fraction = 0.5

[[probe]]
name = "fourier_basis"
)";

class Import : public ::testing::Test {
 protected:
  void SetUp() override { at.write("sums.toml", config); }

  Finished import(const std::string& file, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"import", file, "--config", "sums.toml", "--out", "run"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments);
  }
  // Refused with one message that holds all of `said`, and nothing left behind.
  void expect_refused(const Finished& done, const std::vector<std::string>& said) {
    EXPECT_NE(done.code, 0);
    EXPECT_LT(done.code, 128) << "a crash";
    EXPECT_EQ(done.out, "");
    EXPECT_EQ(done.err.rfind("error: ", 0), 0u) << done.err;
    for (const std::string& part : said) EXPECT_NE(done.err.find(part), std::string::npos) << done.err;
    for (const auto& [name, content] : at.tree("."))
      EXPECT_EQ(name.find("run"), std::string::npos) << name << " was left behind";
  }
  void run_python(const std::string& script) {
    at.write("script.py", script);
    const std::string command =
        "cd " + at.path("").string() + " && " + python_with_torch() + " script.py > py.out 2> py.err";
    EXPECT_EQ(std::system(command.c_str()), 0) << at.read("py.err");
  }

  Workplace at;
};

TEST_F(Import, APublishedNetworkIsARunLikeAnyOther) {
  const Finished done = import(fixture_folder + "progress_measures.pth");
  ASSERT_EQ(done.code, 0) << done.err;
  for (const char* said :
       {"model, layout progress_measures", "the output of token 5 is set aside", "orrery probe run"})
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
  const json run = json::parse(at.read("run/run.json"));
  EXPECT_EQ(run["config"]["model"]["d_head"], 3);
  EXPECT_EQ(run["config"]["model"]["d_mlp"], 5);
  EXPECT_EQ(run["import"]["layout"], "progress_measures");
  EXPECT_EQ(run["import"]["networks"], json::parse(R"([{"step": 42, "key": "model"}])"));
  const json metrics = json::parse(at.lines("run/metrics.jsonl").at(0));
  EXPECT_EQ(metrics["step"], 42);
  for (const char* name : {"train/loss", "test/accuracy", "all/loss", "weights/norm"})
    EXPECT_TRUE(metrics.contains(name)) << name;

  const Finished probed = at.orrery({"probe", "run", "--json"});
  ASSERT_EQ(probed.code, 0) << probed.err;
  EXPECT_EQ(json::parse(probed.out.substr(0, probed.out.find('\n')))["checkpoint"],
            "checkpoints/step_00000042.safetensors");
}

// It has weights and no state of an optimiser; what --resume cannot do, [init] can.
TEST_F(Import, ItsTrainingCannotGoOnButAnotherCanBegin) {
  ASSERT_EQ(import(fixture_folder + "progress_measures.pth").code, 0);
  const auto before = at.tree("run");
  const Finished refused = at.orrery({"train", "--resume", "run", "--set", "train.steps=100"});
  EXPECT_EQ(refused.code, 2) << refused.err;
  const std::string weights = "run/checkpoints/step_00000042.safetensors";
  for (const std::string& said :
       {std::string("an imported network has no state of its training"), "init.from=\"" + weights + "\""})
    EXPECT_NE(refused.err.find(said), std::string::npos) << refused.err;
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Import, AListOfNetworksIsATraining) {
  const Finished done = import(fixture_folder + "checkpoints.pth");
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("not taken: model"), std::string::npos) << done.err;
  EXPECT_EQ(at.lines("run/metrics.jsonl").size(), 3u);
  for (const char* step : {"000", "100", "250"})
    EXPECT_TRUE(
        std::filesystem::exists(at.path(std::string("run/checkpoints/step_00000") + step + ".safetensors")));
  // "model" is the last of the list.
  ASSERT_EQ(at.orrery({"import", fixture_folder + "checkpoints.pth", "--config", "sums.toml", "--out", "one",
                       "--key", "model", "--step", "250"})
                .code,
            0);
  EXPECT_EQ(at.read("run/checkpoints/step_00000250.safetensors"),
            at.read("one/checkpoints/step_00000250.safetensors"));
}

TEST_F(Import, ExportAndImportGiveTheSameNetwork) {
  ASSERT_EQ(import(fixture_folder + "progress_measures.pth").code, 0);
  for (const std::string ending : {"pth", "safetensors"}) {
    const Finished exported = at.orrery({"export", "run", "--out", "network." + ending});
    ASSERT_EQ(exported.code, 0) << exported.err;
    EXPECT_NE(exported.err.find("--all-outputs"), std::string::npos) << exported.err;
    const Finished again =
        at.orrery({"import", "network." + ending, "--config", "sums.toml", "--out", ending, "--step", "42"});
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_NE(again.err.find("layout transformer_lens"), std::string::npos) << again.err;
    EXPECT_EQ(at.read(ending + "/checkpoints/step_00000042.safetensors"),
              at.read("run/checkpoints/step_00000042.safetensors"));
  }
  // With the output that was set aside it is set aside again.
  ASSERT_EQ(at.orrery({"export", "run", "--out", "all.pth", "--all-outputs"}).code, 0);
  ASSERT_EQ(at.orrery({"import", "all.pth", "--config", "sums.toml", "--out", "all", "--step", "42"}).code,
            0);
  EXPECT_EQ(at.tree("all/set_aside"), at.tree("run/set_aside"));
  EXPECT_EQ(at.tree("all/checkpoints"), at.tree("run/checkpoints"));
}

TEST_F(Import, PythonReadsWhatIsExported) {
  if (python_with_torch().empty())
    GTEST_SKIP() << "no python3 with torch; on Debian: apt-get install python3-torch";
  ASSERT_EQ(import(fixture_folder + "progress_measures.pth").code, 0);
  ASSERT_EQ(at.orrery({"export", "run", "--out", "all.pth", "--all-outputs"}).code, 0);
  run_python(R"(
import collections, torch
knows = "weights_only" in torch.load.__code__.co_varnames
trusted = {"weights_only": False} if knows else {}  # a fixture of ours, with more than tensors
there = torch.load(")" +
             fixture_folder + R"(progress_measures.pth", map_location="cpu", **trusted)["model"]
here = torch.load("all.pth")
assert type(here) is collections.OrderedDict
if knows:
    torch.load("all.pth", weights_only=True)
assert torch.equal(here["embed.W_E"], there["embed.W_E"].T)
assert torch.equal(here["unembed.W_U"], there["unembed.W_U"])
assert torch.equal(here["blocks.0.attn.W_Q"], there["blocks.0.attn.W_Q"].transpose(1, 2))
assert torch.equal(here["blocks.0.attn.W_O"].reshape(6, 4), there["blocks.0.attn.W_O"].T)
assert torch.equal(here["blocks.0.mlp.W_in"], there["blocks.0.mlp.W_in"].T)
assert torch.equal(here["blocks.0.mlp.b_in"], there["blocks.0.mlp.b_in"])
assert len(here) == 11 and all(tensor.is_contiguous() for tensor in here.values())
)");
}

TEST_F(Import, WhatPythonSavesIsImported) {
  if (python_with_torch().empty())
    GTEST_SKIP() << "no python3 with torch; on Debian: apt-get install python3-torch";
  run_python("import sys; sys.argv = ['', '.']\n" + [] {
    std::ostringstream text;
    text << std::ifstream(fixture_folder + "make_networks.py").rdbuf();
    return text.str();
  }());
  const Finished done = import("transformer_lens.pt");
  EXPECT_EQ(done.code, 0) << done.err;
}

// Before its first step a network has biases of zero, or what looks like none.
TEST_F(Import, ASeriesIsOneNetworkThoughItsFirstBiasesAreZero) {
  if (python_with_torch().empty())
    GTEST_SKIP() << "no python3 with torch; on Debian: apt-get install python3-torch";
  run_python(R"(
import os, torch
os.mkdir("many")
network = torch.load(")" +
             fixture_folder + R"(transformer_lens.pt", map_location="cpu")
for step in (0, 10, 20):
    for name in network:
        if ".b_" in name or name.endswith("b_U"):
            network[name] = torch.full_like(network[name], step / 10)
    torch.save(network, f"many/net_{step}.pt")
)");
  const Finished done = import("many");
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(json::parse(at.read("run/run.json"))["config"]["model"]["biases"], "all");
  const auto first_of = [&](const std::string& step, const std::string& name) {
    const safetensors::File file(at.path("run/checkpoints/step_000000" + step + ".safetensors"));
    for (const auto& tensor : file.tensors())
      if (tensor.name == name) return *reinterpret_cast<const float*>(tensor.data.data());
    return -1.0f;
  };
  for (const char* name : {"blocks.0.attn.b_Q", "blocks.0.mlp.b_in", "unembed.b_U"}) {
    EXPECT_EQ(first_of("00", name), 0) << name;
    EXPECT_EQ(first_of("20", name), 2) << name;
  }
}

TEST_F(Import, ARunMayLieInTheFolderItCameFrom) {
  std::filesystem::create_directories(at.path("many"));
  for (const char* name : {"net_1.pth", "net_2.pth"})
    std::filesystem::copy_file(fixture_folder + "transformer_lens.pt", at.path(std::string("many/") + name));
  const auto import_it = [&](const std::string& out) {
    return at.orrery({"import", "many", "--config", "sums.toml", "--out", "many/" + out});
  };
  ASSERT_EQ(import_it("one").code, 0);
  const Finished again = import_it("two");
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("not read: one (a run of Orrery)"), std::string::npos) << again.err;
  EXPECT_EQ(at.read("many/one/metrics.jsonl"), at.read("many/two/metrics.jsonl"));
}

TEST_F(Import, AProgramIsNotAnArchiveOfSomething) {
  if (python_with_torch().empty())
    GTEST_SKIP() << "no python3 with torch; on Debian: apt-get install python3-torch";
  run_python("import torch\ntorch.jit.script(torch.nn.Linear(2, 3)).save('program.pt')\n");
  expect_refused(import("program.pt"), {"program.pt: a TorchScript module", "state_dict()"});
}

TEST_F(Import, NothingInAFileIsExecuted) {
  expect_refused(import(fixture_folder + "malicious.pth"),
                 {"malicious.pth", "system\"", "nothing was executed"});
  EXPECT_FALSE(std::filesystem::exists(at.path("executed")));
}

TEST_F(Import, BadFilesAreRefusedWithOneMessage) {
  const auto bytes = [](const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(fixture_folder + name, std::ios::binary).rdbuf();
    return text.str();
  };
  const std::string whole = bytes("transformer_lens.pt");
  at.write("cut.pth", whole.substr(0, whole.size() / 2));
  expect_refused(import("cut.pth"), {"cut.pth", "cut short"});
  std::string changed = whole;
  changed[changed.size() / 2] ^= 1;
  at.write("changed.pth", changed);
  expect_refused(import("changed.pth"), {"changed.pth", "checksum"});
  at.write("huge.safetensors", std::string("\0\0\0\0\0\0\0\x10{}", 10));
  expect_refused(import("huge.safetensors"), {"1152921504606846976 bytes", "safetensors"});
  const std::string header = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})";
  at.write("overlap.safetensors",
           static_cast<char>(header.size()) + std::string(7, '\0') + header + std::string(6, 'x'));
  expect_refused(import("overlap.safetensors"), {"\"b\"", "overlap"});
  expect_refused(import(fixture_folder + "module.pth"), {"match no known layout: weight, bias"});
  expect_refused(import("absent.pth"), {"absent.pth: no such file"});
  std::filesystem::create_directories(at.path("empty"));
  expect_refused(import("empty"), {"a folder without files of weights"});
  expect_refused(import(fixture_folder + "transformer_lens.pt", {"--key", "model"}),
                 {"there is nothing at \"model\""});
}

TEST_F(Import, WhatDoesNotFitIsNamed) {
  const std::string file = fixture_folder + "progress_measures.pth";
  expect_refused(import(file, {"--set", "task.p=7"}),
                 {"embed.W_E: shape [4, 6], expected [4, 8] (d_model d_vocab)",
                  "unembed.W_U: shape [4, 6], expected [4, 7] (d_model d_vocab_out)"});
  // What the file tells and the config contradicts comes in one sentence.
  expect_refused(import(file, {"--set", "model.d_model=16", "--set", "model.n_layers=2"}),
                 {"its network has d_model = 4, n_layers = 1, and", "says d_model = 16, n_layers = 2",
                  "leave d_model, n_layers out of [model]"});
  expect_refused(import(file, {"--set", "model.attn_only=true"}), {"its network has attn_only = false"});
  expect_refused(import(file, {"--layout", "transformer_lens"}), {"blocks.0.attn.W_O: shape [4, 6]"});
  expect_refused(import(file, {"--layout", "nanda"}), {"there is no layout \"nanda\""});
  expect_refused(import(file, {"--layout", "as_is", "--map", "m"}), {"--layout and --map"});
  expect_refused(import(file, {"--map", "absent.toml"}), {"absent.toml"});
  expect_refused(import(fixture_folder + "checkpoints.pth", {"--step", "3"}), {"there are 3 networks"});
  at.write("plain.toml", "[task]\nname = \"modular_arithmetic\"\np = 3\n");
  at.write("long.toml",
           "[task]\nname = \"modular_arithmetic\"\np = 5\noperator_token = true\n[model]\nd_mlp = 5\n");
  // What the file tells is not the user's word.
  const Finished short_context = at.orrery({"import", file, "--config", "long.toml", "--out", "run"});
  expect_refused(short_context, {" (with n_ctx from the file " + file + "): model: n_ctx is 3"});
  EXPECT_EQ(short_context.err.find("--set"), std::string::npos) << short_context.err;
  const Finished longer =
      at.orrery({"import", fixture_folder + "induction.pth", "--config", "plain.toml", "--out", "longer"});
  EXPECT_EQ(longer.code, 0);
  EXPECT_NE(longer.err.find("its context has 12 positions, of which the task uses the first 3"),
            std::string::npos);
}

TEST_F(Import, ARunThatIsThereIsLeftAlone) {
  ASSERT_EQ(import(fixture_folder + "progress_measures.pth").code, 0);
  const auto before = at.tree("run");
  const Finished again = import(fixture_folder + "checkpoints.pth");
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("never overwrites"), std::string::npos) << again.err;
  EXPECT_EQ(at.tree("run"), before);
}

TEST_F(Import, MapsAreFollowed) {
  at.write("map.toml", R"(
based_on = "progress_measures"
[[weight]]
name = "embed.W_E"
axes = "d_model d_vocab"
factor = 2
)");
  ASSERT_EQ(import(fixture_folder + "progress_measures.pth", {"--map", "map.toml"}).code, 0);
  ASSERT_EQ(at.orrery({"import", fixture_folder + "progress_measures.pth", "--config", "sums.toml", "--out",
                       "plain"})
                .code,
            0);
  const auto first = [&](const std::string& run) {
    const safetensors::File file(at.path(run + "/checkpoints/step_00000042.safetensors"));
    for (const auto& tensor : file.tensors())
      if (tensor.name == "embed.W_E") return *reinterpret_cast<const float*>(tensor.data.data());
    return 0.0f;
  };
  EXPECT_EQ(first("run"), 2 * first("plain"));
}

TEST_F(Import, ExportMistakesAreAnsweredKindly) {
  ASSERT_EQ(import(fixture_folder + "progress_measures.pth").code, 0);
  const auto said = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "export");
    const Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 2) << done.err;
    return done.err;
  };
  EXPECT_NE(said({"run", "--out", "network.bin"}).find("--format"), std::string::npos);
  EXPECT_NE(said({"run", "--out", "n.pth", "--step", "7"}).find("no checkpoint of step 7"),
            std::string::npos);
  EXPECT_NE(said({"run", "--out", "sums.toml", "--format", "pytorch"}).find("never overwrites"),
            std::string::npos);
  EXPECT_NE(said({"absent", "--out", "n.pth"}).find("absent"), std::string::npos);
}

}  // namespace
}  // namespace orrery
