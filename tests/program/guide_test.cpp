// The guide to writing plugins (docs/authoring.md): its code is that of plugins/guide, which
// tests/plugins/guide builds, and of `orrery new`, which tests/plugins/template builds; its commands, config
// and Python work; and the host says what the guide says it does.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "markdown.h"
#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

const std::string task_folder = "plugins/guide/signed_subtraction/",
                  probe_folder = "plugins/guide/attention_entropy/",
                  carry_task = "plugins/guide/carry_addition/carry_addition",
                  carry_probe = "plugins/guide/carry_direction/carry_direction",
                  gradient_probe = "plugins/guide/gradient_times_activation/gradient_times_activation";

std::string guide() { return source_file("docs/authoring.md"); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// What the guide has `orrery new` write.
const std::vector<std::pair<std::string, std::string>> written_by_new = {
    {"loss", "hard_examples"}, {"update", "sign_descent"}, {"model", "bag_of_tokens"}};

std::string written_source(const std::string& kind, const std::string& name) {
  const Workplace at;
  const Finished done = at.orrery({"new", kind, name});
  EXPECT_EQ(done.code, 0) << done.err;
  return at.read(name + "/" + name + ".cpp");
}

// `part` as whole lines of `text`.
bool has_lines(const std::string& text, const std::string& part) {
  return ("\n" + text).find("\n" + part) != std::string::npos;
}

class Guide : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("ORRERY_PLUGIN_PATH", ORRERY_GUIDE_PLUGINS, 1); }
  static void TearDownTestSuite() { unsetenv("ORRERY_PLUGIN_PATH"); }
};

TEST_F(Guide, ItsCodeIsThatOfThePlugins) {
  std::vector<std::string> sources;
  for (const std::string& file : {task_folder + "signed_subtraction", probe_folder + "attention_entropy",
                                  carry_task, carry_probe, gradient_probe})
    for (const char* ending : {".cpp", "_test.cpp"}) sources.push_back(source_file(file + ending));
  for (const auto& [kind, name] : written_by_new) sources.push_back(written_source(kind, name));
  for (const std::string& block : blocks_in(guide(), "cpp"))
    EXPECT_TRUE(std::any_of(sources.begin(), sources.end(), [&](const std::string& source) {
      return has_lines(source, block);
    })) << block;
  for (const std::string& block : blocks_in(guide(), "toml"))
    EXPECT_TRUE(block == source_file(task_folder + "signed_subtraction.toml") ||
                block == source_file(probe_folder + "pipeline.toml") ||
                block == source_file("plugins/guide/training.toml"))
        << block;
}

// Line by line: none is left out.
TEST_F(Guide, ShowsAllOfEveryKind) {
  std::set<std::string> shown;
  for (const std::string& block : blocks_in(guide(), "cpp"))
    for (const std::string& line : lines_of(block)) shown.insert(line);
  for (const std::string& file :
       {task_folder + "signed_subtraction.cpp", probe_folder + "attention_entropy.cpp"})
    for (const std::string& line : lines_of(source_file(file)))
      EXPECT_TRUE(line.empty() || shown.count(line) == 1) << file << ": " << line;
  for (const auto& [kind, name] : written_by_new)
    for (const std::string& line : lines_of(written_source(kind, name)))
      EXPECT_TRUE(line.empty() || shown.count(line) == 1) << name << ": " << line;
}

// The probe of the guide is what `new` writes, taken further: nothing of that is gone.
TEST_F(Guide, ItsProbeIsThatOfTheTemplateAndMore) {
  const Workplace at;
  unsetenv("ORRERY_PLUGIN_PATH");  // where it is there already
  const Finished done = at.orrery({"new", "probe", "attention_entropy"});
  SetUpTestSuite();
  ASSERT_EQ(done.code, 0) << done.err;
  for (const std::string file : {"attention_entropy.cpp", "attention_entropy_test.cpp", "README.md"}) {
    const auto now = lines_of(source_file(probe_folder + file));
    auto from = now.begin();
    for (const std::string& line : at.lines("attention_entropy/" + file)) {
      const auto found = std::find(from, now.end(), line);
      ASSERT_NE(found, now.end()) << file << ": " << line;
      from = found + 1;
    }
  }
}

TEST_F(Guide, TheReadmesOfItsPluginsHaveTheDeclaredParameters) {
  const Workplace at;
  for (const std::string name : {"signed_subtraction", "attention_entropy", "carry_addition",
                                 "carry_direction", "gradient_times_activation"}) {
    const Finished table = at.orrery({"describe", name, "--markdown"});
    ASSERT_EQ(table.code, 0) << table.err;
    const std::string readme = source_file("plugins/guide/" + name + "/README.md");
    EXPECT_NE((readme + "\n").find("\n" + table.out + "\n"), std::string::npos) << table.out;
  }
}

// The members that `struct` or `class` `name` of a header declares, one a line.
std::vector<std::string> members(const std::string& header, const std::string& name) {
  const std::string text = source_file("framework/include/orrery/" + header);
  const size_t begin = text.find(name + " {");
  std::vector<std::string> found;
  static const std::regex member(R"(^  [A-Za-z][\w:<> ]* (\w+) = .*)");
  for (const std::string& line : lines_of(text.substr(begin, text.find("\n};", begin) - begin))) {
    std::smatch match;
    if (std::regex_match(line, match, member)) found.push_back(match[1]);
  }
  return found;
}

TEST_F(Guide, ItsTablesAreComplete) {
  const std::string text = guide();
  const auto needs = members("probe.h", "struct Needs");
  ASSERT_EQ(needs.size(), 13u);
  for (const std::string& member : needs)
    EXPECT_NE(text.find("`" + member + "`"), std::string::npos) << "Needs::" << member;
  for (const char* call : {"scalar", "headline", "panel", "tensor", "figure", "finding"}) {
    EXPECT_NE(source_file("framework/include/orrery/recorder.h").find(std::string("  void ") + call + "("),
              std::string::npos);
    EXPECT_NE(text.find("| `" + std::string(call) + "("), std::string::npos) << call;
  }
  for (const char* member :
       {"x_log", "y_log", "x_ticks", "y_ticks", "equal_axes", "y_error", "labels", "facet"})
    EXPECT_NE(text.find("`" + std::string(member) + "`"), std::string::npos) << member;
  for (const auto& header : fs::directory_iterator(ORRERY_SOURCE_DIR "/framework/include/orrery")) {
    const std::string name = header.path().filename().string();
    if (header.is_directory() || name == "export.h" || name == "version.h") continue;
    EXPECT_NE(text.find("`" + name + "`"), std::string::npos) << name << " is not in the reference";
  }
}

// To the accuracy that the guide shows.
TEST_F(Guide, ItsPartsOfTrainingTrain) {
  const Workplace at;
  at.write("training.toml", source_file("plugins/guide/training.toml"));
  setenv("ORRERY_PLUGIN_PATH", ORRERY_TEMPLATE_DIR "/plugins", 1);
  const Finished done = at.orrery({"train", "training.toml", "--out", "runs/parts"});
  SetUpTestSuite();
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("(test/accuracy >= 0.99)"), std::string::npos) << done.err;
}

// The commands of the guide, in its folders, on fewer steps.
TEST_F(Guide, ItsRunIsTrainedProbedAndRead) {
  Workplace at;
  at.write("signed_subtraction/signed_subtraction.toml",
           source_file(task_folder + "signed_subtraction.toml"));
  at.write("attention_entropy/pipeline.toml", source_file(probe_folder + "pipeline.toml"));
  const std::vector<std::string> train = {"train", "signed_subtraction.toml", "--set", "train.steps=200",
                                          "--set", "checkpoints.every=50"};
  auto offline = train, online = train;
  offline.insert(offline.end(), {"--out", "runs/signed"});
  online.insert(online.end(), {"--out", "runs/online", "--set", "probe=[{name='attention_entropy'}]"});
  Finished done = at.orrery(offline, "signed_subtraction");
  ASSERT_EQ(done.code, 0) << done.err;
  done = at.orrery({"probe", "--pipeline", "pipeline.toml", "../signed_subtraction/runs/signed"},
                   "attention_entropy");
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.out.find("head_0.3: head 3, layer 0, shares ["), std::string::npos) << done.out;

  const std::string python = python_with_pandas();
  ASSERT_NE(python, "");
  std::string script;
  for (const std::string& block : blocks_in(guide(), "python")) script += block + "\n";
  at.write("attention_entropy/read.py", script);
  EXPECT_EQ(std::system(("cd " + at.path("attention_entropy").string() + " && " + python +
                         " read.py > ../read.out 2> ../read.err")
                            .c_str()),
            0)
      << at.read("read.err");
  // What the guide tells: by step 200 no head looks at the sign.
  EXPECT_TRUE(std::regex_search(at.read("read.out"), std::regex("\n200( +0\\.00){4} ")))
      << at.read("read.out");

  // Measured while it trains, the numbers are the same to the last bit.
  done = at.orrery(online, "signed_subtraction");
  ASSERT_EQ(done.code, 0) << done.err;
  const auto of = [&](const std::string& run) {
    return at.tree("signed_subtraction/runs/" + run + "/probes/attention_entropy");
  };
  EXPECT_EQ(of("signed"), of("online"));
  EXPECT_EQ(of("signed").size(), 1u + 5 + 2);  // lines; steps 0, 50, ..., 200; the null
}

}  // namespace
}  // namespace orrery
