// Networks that others have published, none of which is ours to ship: the folder ORRERY_PUBLISHED_NETWORKS
// has the files, with lists of their examples in tables/. Each gives the number that its authors' code gives,
// by one command, or the refusal that says what it is. Without the folder all are skipped;
// import_formats_test.cpp has the same formats.
#include <gtest/gtest.h>

#include <cstdlib>

#include "run_program.h"

namespace orrery {
namespace {

struct Published {
  const char* file;
  const char* table;  // of the examples; "": addition mod 13
  std::vector<std::string> arguments;
  std::vector<std::string> said;  // with a refusal (code 1 or 2), or with a network
};

void PrintTo(const Published& one, std::ostream* out) { *out << one.file; }

class PublishedNetworks : public ::testing::TestWithParam<Published> {};

TEST_P(PublishedNetworks, GiveTheirNumbersOrSayWhatTheyAre) {
  const char* folder = std::getenv("ORRERY_PUBLISHED_NETWORKS");
  const Published& one = GetParam();
  const std::filesystem::path file = std::filesystem::path(folder ? folder : "") / one.file;
  if (!folder || !std::filesystem::exists(file))
    GTEST_SKIP() << "ORRERY_PUBLISHED_NETWORKS has no " << one.file;
  const Workplace at;
  const std::string table = one.table;
  at.write("c.toml", table.empty() ? "[task]\nname = \"modular_arithmetic\"\np = 13\ntrain_fraction = 0.5\n"
                                   : "[task]\nname = \"table\"\ntrain_fraction = 1.0\nfile = \"" +
                                         std::string(folder) + "/tables/" + table + "\"\n");
  std::vector<std::string> arguments = {"import", file.string(), "--config", "c.toml", "--out", "run"};
  arguments.insert(arguments.end(), one.arguments.begin(), one.arguments.end());
  const Finished done = at.orrery(arguments);
  const bool expects =
      std::find(one.arguments.begin(), one.arguments.end(), "--expect") != one.arguments.end();
  EXPECT_EQ(done.code == 0, expects) << done.err;
  EXPECT_LT(done.code, 128) << "a crash";
  for (const std::string& part : one.said)
    EXPECT_NE(done.err.find(part), std::string::npos) << part << "\n" << done.err;
}

INSTANTIATE_TEST_SUITE_P(
    Read, PublishedNetworks,
    ::testing::Values(
        // What the authors' class gives for these weights in float64.
        Published{"porth_p13.pt",
                  "",
                  {"--set", "model.act_fn=gelu", "--expect", "test/loss=6.179951"},
                  {"n_heads = 4"}},
        Published{"gbmi_whole_module.pth",
                  "gbmi.txt",
                  {"--expect", "train/loss=1.26641583"},
                  {"HookedTransformerConfig"}},
        Published{"arena_brackets.pt",
                  "brackets.txt",
                  {"--set", "task.read_out=[0]", "--set", "task.d_vocab=5", "--set",
                   "model.attention_dir=bidirectional", "--expect", "train/loss=1.531704e-2"},
                  {"attention_dir = \"bidirectional\""}},
        Published{"arena_sum.pt",
                  "arena_sum.txt",
                  {"--set", "task.read_out=[9,10,11,12]", "--set", "task.d_vocab_out=12", "--expect",
                   "train/loss=6.772850e-3"},
                  {}},
        Published{"arena_cumsum.pt", "arena_cumsum.txt", {"--expect", "train/loss=7.180444e-2"}, {}},
        Published{"rakaar_heads.pt",
                  "rakaar.txt",
                  {"--set", "task.d_vocab=14", "--expect", "train/loss=4.99845979e-8"},
                  {"layout by names"}}));

INSTANTIATE_TEST_SUITE_P(
    Named, PublishedNetworks,
    ::testing::Values(
        Published{"gbmi_saved_as_text.pt", "gbmi.txt", {}, {"saved as text"}},
        Published{"staghado_122.npz", "", {}, {"what Orrery's has not: normalised queries and keys"}},
        Published{
            "vijec_rope.pt", "", {}, {"normalised queries and keys", "parameters of its own (arc_start"}},
        Published{"yinglunz_low_rank_rms.pt", "", {}, {"low rank) (pos_emb.A"}},
        Published{"microadder_nested.pt", "", {}, {"parameters of its own (spiral_amp", "low rank"}},
        Published{"taot_lfs_pointer.pt",
                  "",
                  {},
                  {"a Git LFS pointer, not the file itself, which has 679160 bytes"}}));

}  // namespace
}  // namespace orrery
