// Networks as people build and save them (tests/fixtures/make_architectures.py): each gives the loss that
// PyTorch computed, by one command; what the file does not tell is said; what cannot be right is not
// imported.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "python.h"
#include "run_program.h"

namespace orrery {
namespace {

using nlohmann::json;

const std::string fixtures = ORRERY_SOURCE_DIR "/tests/fixtures/architectures/";

class ImportFormats : public ::testing::Test {
 protected:
  void SetUp() override {
    at.write("sums.toml", "[task]\nname = \"modular_arithmetic\"\np = 5\ntrain_fraction = 0.5\n");
    expected = json::parse(std::ifstream(fixtures + "expected.json"));
  }

  Finished import(const std::string& file, const std::string& run, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"import", file, "--config", "sums.toml", "--out", run};
    const std::string name = file.substr(file.rfind('/') + 1);
    if (expected.contains(name))
      for (const json& argument : expected[name]["arguments"])
        arguments.push_back(argument.get<std::string>());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments);
  }
  double loss_of(const std::string& run) {
    return json::parse(at.lines(run + "/metrics.jsonl").at(0))["all/loss"];
  }
  void expect_said(const Finished& done, const std::vector<std::string>& said) {
    for (const std::string& part : said)
      EXPECT_NE(done.err.find(part), std::string::npos) << part << "\n" << done.err;
  }
  void run_python(const std::string& script) {
    at.write("script.py", script);
    const std::string command =
        "cd " + at.path("").string() + " && " + python_with_torch() + " script.py > py.out 2> py.err";
    EXPECT_EQ(std::system(command.c_str()), 0) << at.read("py.err");
  }

  Workplace at;
  json expected;
};

TEST_F(ImportFormats, EachGivesWhatPyTorchComputed) {
  ASSERT_GE(expected.size(), 6u);
  for (const auto& [name, about] : expected.items()) {
    const Finished done = import(fixtures + name, name + ".run");
    ASSERT_EQ(done.code, 0) << name << "\n" << done.err;
    const double loss = about["loss"];
    EXPECT_NEAR(loss_of(name + ".run"), loss, 1e-6 * loss) << name << "\n" << done.err;
  }
}

TEST_F(ImportFormats, WhatTheFileDoesNotTellIsSaid) {
  expect_said(import(fixtures + "nanogpt.pt", "a"),
              {"model, layout by names", "from model_args in the file: n_heads = 2",
               "not in the file, taken from the config: act_fn = \"gelu\"", "attention_dir = \"causal\"",
               "the output of token 5 is set aside, and losses are over the task's classes alone"});
  expect_said(import(fixtures + "hooked_transformer.pth", "b"),
              {"HookedTransformerConfig in the file: ", "attention_dir = \"bidirectional\"",
               "attn_scale = 2.5", "normalization_type = \"LNPre\""});
  // Told by its tensors: no positions, no unembedding.
  const Finished llama = import(fixtures + "llama.ckpt", "c");
  expect_said(llama, {"state_dict, layout by names", "unembedding = \"tied\""});
  EXPECT_NE(at.read("c/run.json").find("\"normalization_type\": \"RMS\""), std::string::npos);
  expect_said(llama, {"normalization_type = \"RMS\""});  // or a LayerNorm without bias
  EXPECT_NE(llama.err.find("step 7"), std::string::npos) << llama.err;
}

// A network that normalises behind each part, read as one that does so before, is another one, with nothing
// to show for it.
TEST_F(ImportFormats, AnotherNumberThanExpectedImportsNothing) {
  const std::string loss = std::to_string(expected["encoder.pt"]["loss"].get<double>());
  EXPECT_EQ(import(fixtures + "encoder.pt", "right", {"--expect", "all/loss=" + loss}).code, 0);
  const Finished before = import(fixtures + "encoder.pt", "wrong",
                                 {"--set", "model.normalization_place=pre", "--expect", "all/loss=" + loss});
  EXPECT_EQ(before.code, 2);
  expect_said(before, {"all/loss is ", "expected " + loss, "nothing was imported"});
  EXPECT_FALSE(std::filesystem::exists(at.path("wrong")));
  expect_said(import(fixtures + "encoder.pt", "x", {"--expect", "all/los=1"}),
              {"did you mean \"all/loss\"?"});
  expect_said(import(fixtures + "encoder.pt", "x", {"--expect", "all/loss"}), {"expected METRIC=NUMBER"});
  // A whole number is meant as it stands.
  EXPECT_EQ(import(fixtures + "encoder.pt", "x", {"--expect", "all/loss=2"}).code, 2);
  EXPECT_EQ(import(fixtures + "encoder.pt", "x", {"--expect", "all/loss=0x1e5"}).code, 2);
}

TEST_F(ImportFormats, NumbersOfHeadsAreNotGuessed) {
  expect_said(
      import(fixtures + "encoder.pt", "x", {"--set", "model.n_heads=3"}),
      {"its heads have 8 rows together, and n_heads = 3 does not divide that", "--set model.n_heads=N"});
  expect_said(import(fixtures + "heads.pt", "x", {"--set", "model.n_heads=2"}),
              {"its network has n_heads = 4, and", "says n_heads = 2", "leave n_heads out of [model]"});
}

TEST_F(ImportFormats, AFolderIsOneRun) {
  std::filesystem::create_directories(at.path("many"));
  for (const char* name : {"net_100.pt", "net_20.pt"})
    std::filesystem::copy_file(fixtures + "heads.pt", at.path(std::string("many/") + name));
  const Finished done = import("many", "run");
  ASSERT_EQ(done.code, 0) << done.err;
  expect_said(done, {"2 networks", "steps from the names of the files"});
  EXPECT_EQ(at.lines("run/metrics.jsonl").size(), 2u);
  const json about = json::parse(at.read("run/run.json"))["import"];
  EXPECT_EQ(about["networks"][0]["step"], 20);
  EXPECT_NE(about["networks"][1]["file"].get<std::string>().find("many/net_100.pt"), std::string::npos);
  // One that is another network is named.
  std::filesystem::copy_file(fixtures + "nanogpt.pt", at.path("many/net_300.pt"));
  const Finished mixed = import("many", "mixed");
  EXPECT_EQ(mixed.code, 2);
  expect_said(mixed, {"net_300.pt"});
  EXPECT_FALSE(std::filesystem::exists(at.path("mixed")));
}

TEST_F(ImportFormats, AMapMayRestOnNames) {
  const std::string loss = std::to_string(expected["heads.pt"]["loss"].get<double>());
  at.write("map.toml",
           "based_on = \"by_names\"\n[[weight]]\nname = \"unembed.W_U\"\nfrom = \"unembed.weight\"\n"
           "axes = \"d_vocab_out d_model\"\n");
  const Finished mapped =
      import(fixtures + "heads.pt", "a", {"--map", "map.toml", "--expect", "all/loss=" + loss});
  EXPECT_EQ(mapped.code, 0) << mapped.err;
  at.write("without.toml", "based_on = \"by_names\"\nignore = [\"tok_embed*\"]\n");
  expect_said(import(fixtures + "heads.pt", "b", {"--map", "without.toml"}),
              {"without a matrix of token embeddings"});
}

TEST_F(ImportFormats, PerceptronsOfLinearLayersAreRead) {
  if (python_with_torch().empty())
    GTEST_SKIP() << "no python3 with torch; on Debian: apt-get install python3-torch";
  run_python(R"(
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
pairs = torch.cartesian_prod(torch.arange(5), torch.arange(5))
net = nn.Sequential(nn.Linear(10, 12), nn.GELU(), nn.Linear(12, 5)).double()
x = torch.cat([F.one_hot(pairs[:, 0], 5), F.one_hot(pairs[:, 1], 5)], 1).double()
print(F.cross_entropy(net(x), pairs.sum(1) % 5).item())
torch.save(net.float().state_dict(), "sequential.pt")
)");
  const Finished done = import("sequential.pt", "run",
                               {"--set", "task.equals_token=false", "--set", "model.act_fn=gelu", "--expect",
                                "all/loss=" + at.lines("py.out").at(0).substr(0, 8)});
  EXPECT_EQ(done.code, 0) << done.err;
  expect_said(done, {"layout by names", "not in the file, taken from the config: act_fn = \"gelu\"",
                     "0.weight reads the one-hot vectors of both operands, side by side"});
}

// Their names say that attention and MLP read the same stream; only a configuration says that they do not.
TEST_F(ImportFormats, GptNeoxIsReadWhereItIsSequential) {
  if (python_with_torch().empty())
    GTEST_SKIP() << "no python3 with torch; on Debian: apt-get install python3-torch";
  run_python(R"(
import torch, torch.nn.functional as F
torch.manual_seed(0)
p, d, heads, width, hidden = 5, 8, 2, 4, 12
made = {}
def add(name, *shape):
    made[name] = torch.randn(*shape)
    return made[name]
def linear(name, out, into):
    weight, bias = add(name + ".weight", out, into), add(name + ".bias", out)
    return lambda x: x @ weight.double().T + bias.double()
def norm(name):
    gain, shift = add(name + ".weight", d), add(name + ".bias", d)
    return lambda x: F.layer_norm(x, (d,), gain.double(), shift.double())
block = "gpt_neox.layers.0."
embed = add("gpt_neox.embed_in.weight", p + 1, d)
ln1, ln2 = norm(block + "input_layernorm"), norm(block + "post_attention_layernorm")
qkv, out = linear(block + "attention.query_key_value", 3 * d, d), linear(block + "attention.dense", d, d)
up, down = linear(block + "mlp.dense_h_to_4h", hidden, d), linear(block + "mlp.dense_4h_to_h", d, hidden)
last, unembed = norm("gpt_neox.final_layer_norm"), add("embed_out.weight", p + 1, d)
inv_freq = torch.tensor([1.0, 0.1])
made[block + "attention.rotary_emb.inv_freq"] = inv_freq
made[block + "attention.bias"] = torch.ones(9, 9).tril().bool()[None, None]
made[block + "attention.masked_bias"] = torch.tensor(-1e9)

pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
tokens = torch.cat([pairs, torch.full((p * p, 1), p)], 1)
angles = torch.arange(3).double()[:, None, None] * inv_freq.double().repeat(2)
def turned(x):
    return x * angles.cos() + torch.cat([-x[..., 2:], x[..., :2]], -1) * angles.sin()
x = embed.double()[tokens]
q, k, v = qkv(ln1(x)).view(p * p, 3, heads, 3, width).unbind(3)
scores = torch.einsum("bqhe,bkhe->bhqk", turned(q), turned(k)) / 2
pattern = scores.masked_fill(~torch.ones(3, 3).tril().bool(), float("-inf")).softmax(-1)
x = x + out(torch.einsum("bhqk,bkhe->bqhe", pattern, v).reshape(p * p, 3, d))
x = x + down(F.gelu(up(ln2(x))))
logits = (last(x) @ unembed.double().T)[:, -1, :p]
print(F.cross_entropy(logits, pairs.sum(1) % p).item())
torch.save(made, "parallel.pt")
config = {"num_attention_heads": heads, "use_parallel_residual": False}
torch.save({"model": made, "config": config}, "sequential.pt")
)");
  const Finished parallel = import("parallel.pt", "x", {"--set", "model.n_heads=2"});
  EXPECT_EQ(parallel.code, 2);
  expect_said(parallel,
              {"parallel.pt: of GPT-NeoX, whose attention and MLP both read the stream before the block",
               "use_parallel_residual = false"});
  const Finished done =
      import("sequential.pt", "run",
             {"--set", "model.act_fn=gelu", "--expect", "all/loss=" + at.lines("py.out").at(0).substr(0, 8)});
  EXPECT_EQ(done.code, 0) << done.err;
  const json model = json::parse(at.read("run/run.json"))["config"]["model"];
  EXPECT_EQ(model["positional_embedding_type"], "rotary");
  EXPECT_EQ(model["rotary_base"], 100);
}

TEST_F(ImportFormats, AccuracyAtChanceIsAWarning) {
  expect_said(import(fixtures + "heads.pt", "run"), {"always giving the most frequent label has 20 %"});
}

TEST_F(ImportFormats, ExportedNamesAreThoseOfTheirCode) {
  if (python_with_torch().empty())
    GTEST_SKIP() << "no python3 with torch; on Debian: apt-get install python3-torch";
  ASSERT_EQ(import(fixtures + "hooked_transformer.pth", "hooked").code, 0);
  ASSERT_EQ(import(fixtures + "nanogpt.pt", "nano").code, 0);
  ASSERT_EQ(import(fixtures + "llama.ckpt", "llama").code, 0);
  ASSERT_EQ(at.orrery({"export", "hooked", "--names", "transformer_lens", "--out", "h.pth"}).code, 0);
  ASSERT_EQ(at.orrery({"export", "llama", "--names", "transformer_lens", "--out", "rotary.pth"}).code, 0);
  ASSERT_EQ(at.orrery({"export", "nano", "--names", "nanogpt", "--all-outputs", "--out", "n.pth"}).code, 0);
  // Their classes load them, every name, and give the same loss.
  run_python("import sys, os, json; os.mkdir('made'); sys.argv = ['', 'made']\n" +
             [] {
               std::ostringstream text;
               text << std::ifstream(ORRERY_SOURCE_DIR "/tests/fixtures/make_architectures.py").rdbuf();
               return text.str();
             }() +
             R"(
kept = json.load(open(")" +
             fixtures + R"(expected.json"))
config = json.load(open("h.json"))
for key, value in Hooked().cfg.__dict__.items():
    if key in config and key != "act_fn": assert config[key] == value, key
model = Hooked()
model.load_state_dict(torch.load("h.pth"), strict=True)
def loss(model):
    with torch.no_grad():
        return F.cross_entropy(model.double()(with_equals)[:, -1, :p], labels).item()
assert abs(loss(model) - kept["hooked_transformer.pth"]["loss"]) < 1e-6, loss(model)
# The buffers of rotary positions turn q and k as LLaMA does.
buffers = torch.load("rotary.pth")
sin, cos = (buffers["blocks.0.attn.rotary_" + name] for name in ("sin", "cos"))
assert sin.shape == (3, 4), sin.shape
x = torch.randn(3, 4)
turned = x * cos + torch.cat([-x[:, 2:], x[:, :2]], -1) * sin
assert torch.allclose(turned, rotate(x), atol=1e-6), turned - rotate(x)
model = NanoGPT()
missing = model.load_state_dict(torch.load("n.pth"), strict=False)
assert not missing.unexpected_keys and all(k.endswith("attn.bias") for k in missing.missing_keys), missing
assert abs(loss(model) - kept["nanogpt.pt"]["loss"]) < 1e-6, loss(model)
)");
  // They tell of the positions when it is read again.
  const std::string loss = std::to_string(expected["llama.ckpt"]["loss"].get<double>());
  const Finished again = import("rotary.pth", "again",
                                {"--set", "model.act_fn=silu", "--set", "model.normalization_eps=1e-6",
                                 "--expect", "all/loss=" + loss});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(json::parse(at.read("again/run.json"))["config"]["model"]["rotary_base"], 10000);
  // And what they have not is refused.
  const Finished refused = at.orrery({"export", "llama", "--names", "nanogpt", "--out", "l.pth"});
  EXPECT_EQ(refused.code, 2);
  expect_said(refused, {"nanoGPT has no name for the gate of an MLP", "leave out --names"});
  EXPECT_FALSE(std::filesystem::exists(at.path("l.pth")));
}

}  // namespace
}  // namespace orrery
