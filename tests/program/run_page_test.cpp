// The page on the run directory (docs/run_directory.md): its Python runs in order on the run of its own
// config, and what it reads is what `orrery` itself prints.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "markdown.h"
#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

// What the page's variables must agree with: the lines of `orrery probe --json`, the summary of `orrery
// train`.
const char* const checks = R"py(
printed = [json.loads(line) for line in Path("probe.jsonl").read_text().splitlines()]
by_step = {(line["step"], label): said for line in printed if "step" in line for label, said in line["probes"].items()}
asides = {(line["of"], label): said for line in printed if "of" in line for label, said in line["probes"].items()}
summary = Path("train.err").read_text()

assert f"after {metrics.index[-1]:,} steps" in summary
for name in ("train/loss", "test/loss"):
    text = summary.split(name.split("/")[0] + " accuracy")[1].split(", loss ")[1].split()[0].rstrip(";")
    assert abs(metrics[name].iloc[-1] / float(text) - 1) < 0.06, (name, text)  # two or three digits
assert f"train accuracy          reached 100 % at step {first_right:,};" in summary

last = metrics.index[-1]
squares = by_step[last, "fourier_basis"]["scalars"]["sum_of_squares/embed.W_E"]
assert abs((W_E.astype("f8") ** 2).sum() / squares - 1) < 1e-12
assert W_E.shape == (24, 64) and W_E.dtype == np.float32

steps = [step for step, label in by_step if label == "trig_loss"]
assert len(steps) == len(checkpoints) == len(trig_loss) > 5
for step in steps:
    assert trig_loss[step] == by_step[step, "trig_loss"]["scalars"]["loss/test"]
    found = by_step[step, "fourier_basis"]["findings"]["key_frequencies"]
    mine = keys[keys["step"] == step]
    assert list(mine["frequency"]) == found["frequencies"] and list(mine["share"]) == found["shares"]
assert len(keys) > 0

assert np.allclose(waves[1:] * np.sqrt(2 / 23), norms[1:], rtol=1e-5) and np.isclose(waves[0] / np.sqrt(23), norms[0])
assert list(bars) == ["cos k", "sin k"] and np.allclose(np.hypot(*bars.values()), norms[bars["cos k"].index], rtol=1e-6)

assert null["loss/test"] == asides["null", "trig_loss"]["scalars"]["loss/test"]
assert phases["scalars"] == asides["conclusion", "phase_changes"]["scalars"]
)py";

class RunPage : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    at_ = new Workplace;
    const auto configs = blocks_in(source_file("docs/run_directory.md"), "toml");
    ASSERT_EQ(configs.size(), 1u);
    at_->write("circle.toml", configs[0]);
    const Finished trained = at_->orrery({"train", "circle.toml", "--out", "runs/circle"});
    ASSERT_EQ(trained.code, 0) << trained.err;
    at_->write("train.err", trained.err);
    const Finished probed = at_->orrery({"probe", "runs/circle", "--json"});
    ASSERT_EQ(probed.code, 0) << probed.err;
    at_->write("probe.jsonl", probed.out);
  }
  static void TearDownTestSuite() { delete at_; }

  static std::string page() { return source_file("docs/run_directory.md"); }
  static Workplace& at() { return *at_; }

 private:
  inline static Workplace* at_ = nullptr;
};

TEST_F(RunPage, ItsPythonReadsWhatTheProgramPrints) {
  const std::string python = python_with_pandas();
  ASSERT_NE(python, "");
  const auto parts = blocks_in(page(), "python");
  ASSERT_GE(parts.size(), 7u);
  std::string script;
  for (const std::string& part : parts) script += part + "\n";
  at().write("page.py", script + checks);
  const std::string command =
      "cd " + at().path("").string() + " && " + python + " -W error page.py > page.out 2> page.err";
  EXPECT_EQ(std::system(command.c_str()), 0) << at().read("page.err") << at().read("page.out");
}

// A file name with its steps and labels taken out, as the table of the page has it.
std::string kind_of(const std::string& file) {
  const std::string by_step = std::regex_replace(file, std::regex("step_[0-9]{8}"), "step_N");
  return std::regex_replace(by_step, std::regex("^probes/[^/]+/"), "probes/LABEL/");
}

TEST_F(RunPage, NamesEveryFile) {
  std::set<std::string> named;
  const std::string text = page();
  const std::regex quoted("`([a-zA-Z_/0-9.]+\\.(json|jsonl|safetensors))`");
  for (std::sregex_iterator it(text.begin(), text.end(), quoted), end; it != end; ++it)
    named.insert(kind_of((*it)[1]));
  for (const char* aside : {"null.safetensors", "conclusion.json", "conclusion.safetensors"})
    if (named.count(aside) != 0) named.insert(std::string("probes/LABEL/") + aside);
  std::set<std::string> seen;
  for (const auto& [file, content] : at().tree("runs/circle")) {
    EXPECT_EQ(named.count(kind_of(file)), 1u) << file << " is not on the page";
    seen.insert(kind_of(file));
  }
  EXPECT_EQ(seen.size(), 10u) << "the run of the page has a file of each kind, but what is set aside";
}

// "The same seeds give the same bytes".
TEST_F(RunPage, IsTheSameAgain) {
  ASSERT_EQ(at().orrery({"train", "circle.toml", "--out", "runs/again"}).code, 0);
  auto once = at().tree("runs/circle"), again = at().tree("runs/again");
  ASSERT_EQ(once.size(), again.size());
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].first, again[i].first);
    if (once[i].first == "run.json") continue;  // it has times
    EXPECT_EQ(once[i].second, again[i].second) << once[i].first;
  }
}

}  // namespace
}  // namespace orrery
