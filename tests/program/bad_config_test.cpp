// Whatever is wrong with a config, the message says where: the file, and line and column of the key, or of
// the table or [[probe]] whose key is at its default.
#include <gtest/gtest.h>

#include "run_program.h"

namespace orrery {
namespace {

// Line 1 is [task], 4 [model], 8 [train], 10 [[probe]].
const std::string addition =
    "[task]\nname = \"modular_arithmetic\"\np = 7\n[model]\nd_model = 8\nd_head = 4\nd_mlp = 8\n"
    "[train]\nsteps = 2\n[[probe]]\nname = \"fourier_basis\"\n";

std::string of_task(const std::string& task, const std::string& rest = "") {
  return "[task]\n" + task + "\n" + rest;
}

std::string repeated(const std::string& part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

struct BadConfig {
  std::string name, text;
  std::string place;  // "3:1" of bad.toml
  std::string said;
};

void PrintTo(const BadConfig& config, std::ostream* out) { *out << config.name; }

// `addition` with one part replaced.
BadConfig change(const std::string& name, const std::string& from, const std::string& to,
                 const std::string& place, const std::string& said) {
  std::string text = addition;
  const size_t at = text.find(from);
  if (at == text.npos) throw std::logic_error("no such part: " + from);
  return {name, text.replace(at, from.size(), to), place, said};
}
BadConfig add(const std::string& name, const std::string& lines, const std::string& place,
              const std::string& said) {
  return {name, addition + lines, place, said};
}

const std::vector<BadConfig>& bad_configs() {
  static const std::vector<BadConfig> all = {
      // TOML and its values.
      change("not_toml", "p = 7", "p = = 7", "3:5", "not valid TOML"),
      change("key_twice", "p = 7", "p = 7\np = 8", "4:5", "not valid TOML"),
      change("date", "p = 7", "p = 2026-01-31", "3:1", "dates and times"),
      change("infinite", "steps = 2", "lr = inf", "9:1", "infinities and NaN"),
      change("mixed_list", "steps = 2", "betas = [1, \"a\"]", "9:1", "a list holds either"),
      change("nested", "p = 7", "p" + repeated(".a", 40) + " = 7", "3:", "more than 32 parts"),
      // Tables and keys.
      change("unknown_table", "[train]", "[trian]", "8:1", "did you mean \"train\"?"),
      change("unknown_key", "steps = 2", "stesp = 2", "9:1", "did you mean \"steps\"?"),
      change("unknown_task_key", "p = 7", "q = 7", "3:1", "has no key \"q\""),
      change("unknown_model_key", "d_model = 8", "d_modle = 8", "5:1", "did you mean \"d_model\"?"),
      change("key_of_another_table", "p = 7", "steps = 7", "3:1", "train.steps"),
      change("key_outside_tables", "[task]", "lr = 1\n[task]", "1:1", "train.lr"),
      {"value_for_table", "train = 3\n" + of_task("name = \"sparse_parity\""), "1:1", "train"},
      change("table_for_value", "steps = 2", "steps = {a = 2}", "9:1", "expected one value"),
      add("unknown_log_key", "[log]\ntensorbord = true\n", "13:1", "did you mean \"tensorboard\"?"),
      // Types, bounds, names.
      change("text_for_integer", "steps = 2", "steps = \"two\"", "9:1", "train.steps: expected an integer"),
      change("real_for_integer", "p = 7", "p = 7.5", "3:1", "task.p: expected an integer"),
      change("too_small", "steps = 2", "steps = 0", "9:1", "got 0"),
      change("too_large", "steps = 2", "dropout = 1.5", "9:1", "train.dropout"),
      change("unknown_choice", "steps = 2", "optimizer = \"adan\"", "9:1", "did you mean \"adam\"?"),
      change("unknown_task", "modular_arithmetic", "modular_aritmetic", "2:1",
             "did you mean \"modular_arithmetic\"?"),
      change("unknown_model", "d_model = 8", "kind = \"cnn\"", "5:1", "cnn"),
      change("contradicting_model", "d_mlp = 8", "gated_mlp = true\nattn_only = true", "4:1",
             "leaves no MLP"),
      // Places of the operands: an mlp would take the operation for the second one.
      {"mlp_of_other_positions",
       of_task("name = \"modular_arithmetic\"\np = 7\noperator_token = true\nequals_token = false",
               "[model]\nkind = \"mlp\"\n"),
       "6:1", "an mlp reads the operands at positions 0 and 1, and the task has the second one at 2"},
      change("unknown_probe", "fourier_basis", "fourier_bases", "11:1", "did you mean \"fourier_basis\"?"),
      change("no_task_name", "name = \"modular_arithmetic\"\n", "", "1:1", "needs a key \"name\""),
      change("no_probe_name", "name = \"fourier_basis\"\n", "every = 2\n", "10:1", "needs a key \"name\""),
      change("bad_run_name", "[task]", "name = \"a/b\"\n[task]", "1:1", "a/b"),
      add("negative_seed", "[seeds]\ninit = -1\n", "13:1", "seeds.init"),
      add("negative_every", "[checkpoints]\nevery = -1\n", "13:1", "checkpoints.every"),
      add("negative_keep_last", "[checkpoints]\nkeep_last = -1\n", "13:1", "checkpoints.keep_last"),
      // [[probe]].
      add("label_twice", "[[probe]]\nname = \"fourier_basis\"\n", "12:1", "fourier_basis"),
      add("label_of_a_folder", "label = \"a/b\"\n", "12:1", "a/b"),
      add("bad_reference", "reference = \"lsat\"\n", "12:1", "did you mean \"last\"?"),
      add("unknown_probe_key", "evry = 2\n", "12:1", "did you mean \"every\"?"),
      add("negative_timeout", "timeout_s = -1\n", "12:1", "timeout_s"),
      add("probe_parameter_bounds", "[[probe]]\nname = \"fourier_basis\"\nlabel = \"b\"\nrule = \"none\"\n",
          "15:1", "rule"),
      add("given_without_frequencies", "[[probe]]\nname = \"trig_loss\"\nrule = \"given\"\n", "12:1",
          "needs the key frequencies"),
      add("subspace_file", "[[probe]]\nname = \"subspace_loss\"\nfile = \"absent.safetensors\"\n", "12:1",
          "a file or tensor is given"),
      add("probe_needs_no_mlp", "[[probe]]\nname = \"skip_trigrams\"\n", "12:1", "skip_trigrams"),
      change("probe_needs_mlp", "d_mlp = 8", "attn_only = true", "10:1", "mlp.hook_pre"),
      // [train].
      change("condition", "steps = 2", "stop_when = \"test/accuracy => 1\"", "9:1", "stop_when"),
      change("condition_of_no_metric", "steps = 2", "stop_when = \"test/acuracy >= 1\"", "9:1",
             "did you mean \"test/accuracy\"?"),
      change("one_beta", "steps = 2", "betas = [0.9]", "9:1", "expected two reals"),
      change("betas_of_one", "steps = 2", "betas = [1, 1]", "9:1", "train.betas"),
      change("eps", "steps = 2", "eps = 0", "9:1", "train.eps"),
      change("batch_too_large", "steps = 2", "batch_size = 400", "9:1", "train.batch_size is 400"),
      change("dropout_at_nothing", "steps = 2", "dropout = 0.1\ndropout_at = [\"*hook_x\"]", "9:1", "hook_x"),
      add("init_from_nothing", "[init]\nfrom = \"absent.safetensors\"\n", "13:1", "absent.safetensors"),
      add("init_from_and_draw",
          "[init]\nfrom = \"x.safetensors\"\n[[init.draw]]\nweights = [\"*\"]\nscale = 2\n", "14:1",
          "init.from replaces all weights"),
      add("seed_too_large", "[seeds]\ninit = 4294967296\n", "13:1", "seeds.init"),
      // The task and its data.
      change("not_prime", "p = 7", "p = 9\noperation = \"divide\"", "1:1", "9 is not prime"),
      change("too_many_examples", "p = 7", "p = 7\nn_train = 50", "1:1", "50"),
      change("split_without_file", "p = 7", "p = 7\nsplit.rule = \"file\"", "1:1", "split.file"),
      change("split_file_absent", "p = 7", "split.rule = \"file\"\nsplit.file = \"absent.txt\"", "1:1",
             "absent.txt"),
      change("split_seed", "p = 7", "split.seed = 4", "1:1", "split.seed"),
      {"parity_of_too_many", of_task("name = \"sparse_parity\"\nn = 3\nk = 5"), "1:1", "sparse_parity"},
      {"repeats_too_long",
       of_task("name = \"repeated_subsequence\"\nlength = 40", "[train]\nbatch_size = 8\n"), "1:1", "48"},
      {"endless_without_batches", of_task("name = \"repeated_subsequence\"", "[train]\nbatch_size = 0\n"),
       "4:1", "train.batch_size is 0"},
      {"digits_too_many", of_task("name = \"digit_addition\"\nn_digits = 0", "[train]\nbatch_size = 8\n"),
       "3:1", "n_digits"},
      {"no_model_of_its_own", of_task("name = \"sparse_parity\"", "[model]\nkind = \"task\"\n"), "4:1",
       "brings no model"},
      // The model.
      {"circular_of_three",
       of_task("name = \"modular_arithmetic\"",
               "[model]\nkind = \"mlp\"\nembedding = \"circular\"\nd_embed = 3\n"),
       "3:1", "d_embed 2, got 3"},
      {"collapse_of_tied",
       of_task("name = \"modular_arithmetic\"", "[model]\nkind = \"mlp\"\ncollapse = \"both\"\n"), "3:1",
       "collapse"},
      {"bits_of_many_tokens",
       of_task("name = \"modular_arithmetic\"", "[model]\nkind = \"mlp\"\ninput = \"bits\"\n"), "3:1",
       "needs a task with 2 tokens"},
      // [[expect]] and [verify].
      add("expect_without_bound", "[[expect]]\nmetric = \"test/loss\"\nsource = \"x\"\n", "12:1", "bound"),
      add("expect_bad_bound", "[[expect]]\nmetric = \"test/loss\"\nbound = \"> = 1\"\nsource = \"x\"\n",
          "14:1", "bound"),
      add("expect_bad_when",
          "[[expect]]\nmetric = \"test/loss\"\nwhen = \"soon\"\nbound = \">= 1\"\nsource = \"x\"\n", "14:1",
          "when"),
      add("expect_bad_of",
          "[[expect]]\nmetric = \"test/loss\"\nof = \"most\"\nbound = \">= 1\"\nsource = \"x\"\n", "14:1",
          "of"),
      add("expect_of_no_probe",
          "[[expect]]\nmetric = \"probe/trig_los/loss\"\nbound = \">= 1\"\nsource = \"x\"\n", "13:1",
          "trig_los"),
      add("unknown_tier", "[verify]\ntier = \"slow\"\n", "13:1", "tier"),
  };
  return all;
}

class BadConfigs : public ::testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigs, AreSaidWithTheirPlace) {
  const Workplace at;
  at.write("bad.toml", GetParam().text);
  const Finished done = at.orrery({"train", "bad.toml", "--out", "run"});
  EXPECT_EQ(done.code, 2) << done.err;
  EXPECT_EQ(done.out, "");
  EXPECT_EQ(done.err.find("error: bad.toml:" + GetParam().place), 0u) << done.err;
  EXPECT_NE(done.err.find(GetParam().said), std::string::npos) << done.err;
  EXPECT_FALSE(std::filesystem::exists(at.path("run")));
}

INSTANTIATE_TEST_SUITE_P(Kinds, BadConfigs, ::testing::ValuesIn(bad_configs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace orrery
