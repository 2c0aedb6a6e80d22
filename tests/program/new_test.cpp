// orrery new: the files it writes, the names it refuses, and that it never overwrites.
// tests/plugins/template builds the same templates under the names below; here the program trains them.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

struct Sample {
  std::string kind, name, room;  // the folder of its kind in the source tree
};
const Sample samples[] = {{"task", "sample_task", "tasks"},
                          {"probe", "sample_probe", "probes"},
                          {"loss", "hard_examples", "plugins/losses"},
                          {"update", "sign_descent", "plugins/updates"},
                          {"model", "bag_of_tokens", "plugins/models"}};

using Files = std::vector<std::pair<std::string, std::string>>;

// What of Orrery's source tree makes it recognised as such.
void make_source_tree(const Workplace& at) {
  for (const char* folder : {"framework/include/orrery", "tasks", "probes", "configs"})
    fs::create_directories(at.path(folder));
}

// Everything in the workplace but what the program printed.
Files files_in(const Workplace& at) {
  Files files = at.tree("");
  files.erase(std::remove_if(files.begin(), files.end(),
                             [](const auto& file) { return file.first == "out" || file.first == "err"; }),
              files.end());
  return files;
}

std::string names_of(const Files& files) {
  std::string names;
  for (const auto& [name, text] : files) names += name + "\n";
  return names;
}

std::string sorted_lines(const std::vector<std::string>& lines) {
  const std::set<std::string> sorted(lines.begin(), lines.end());
  std::string out;
  for (const std::string& line : sorted) out += line + "\n";
  return out;
}

std::string contents(const fs::path& path) {
  EXPECT_TRUE(fs::exists(path)) << path;
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string built(const std::string& file) { return contents(fs::path(ORRERY_TEMPLATE_DIR) / file); }

std::string plugin_file(const std::string& target) {
  return (fs::path(ORRERY_TEMPLATE_DIR) / "plugins" / (target + ".so")).string();
}

TEST(New, JoinsTheOthersInTheSourceTree) {
  for (const auto& [kind, name, folder] : samples) {
    const Workplace at;
    make_source_tree(at);
    const std::string room = folder + "/" + name + "/";
    const Finished done = at.orrery({"new", kind, name});
    ASSERT_EQ(done.code, 0) << done.err;
    const std::string expected = "configs/" + name + ".toml\n" + room + "CMakeLists.txt\n" + room +
                                 "README.md\n" + room + name + ".cpp\n" + room + name + "_test.cpp\n";
    EXPECT_EQ(names_of(files_in(at)), expected);
    EXPECT_EQ(sorted_lines(at.lines("out")), expected);
    for (const std::string& command :
         {"  ./orrery train configs/" + name + ".toml\n", "  ./orrery test -R " + kind + "_" + name + "\n",
          "  ./orrery describe " + name + " --markdown"})
      EXPECT_NE(done.err.find(command), std::string::npos) << done.err;
    // What was built and is tested is what is written.
    for (const auto& [file, text] : files_in(at))
      EXPECT_EQ(text, built(name + "/" + fs::path(file).filename().string())) << file;
  }
}

TEST(New, FindsTheSourceTreeFromBelow) {
  const Workplace at;
  make_source_tree(at);
  const Finished done = at.orrery({"new", "task", "sums"}, "tasks");
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(fs::exists(at.path("tasks/sums/sums.cpp")));
  EXPECT_TRUE(fs::exists(at.path("configs/sums.toml")));
  EXPECT_NE(done.err.find("  ../orrery train ../configs/sums.toml\n"), std::string::npos) << done.err;
}

// Nothing of the template's own name or placeholders is left.
TEST(New, FillsInTheName) {
  const Workplace at;
  for (const auto& [kind, sample, room] : samples) {
    ASSERT_EQ(at.orrery({"new", kind, "my_2nd_" + kind}).code, 0);
    for (const auto& [file, text] : files_in(at)) EXPECT_EQ(text.find('@'), std::string::npos) << file;
    EXPECT_NE(at.read("my_2nd_" + kind + "/my_2nd_" + kind + ".cpp").find("class My2nd"), std::string::npos);
  }
}

TEST(New, ElsewhereItIsAProjectOfItsOwn) {
  for (const bool in_tree : {false, true}) {
    const Workplace at;
    if (in_tree) make_source_tree(at);
    const std::string folder = in_tree ? "mine/sums" : "sums";
    const Finished done =
        in_tree ? at.orrery({"new", "task", "sums", "--out", "mine"}) : at.orrery({"new", "task", "sums"});
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(names_of(files_in(at)), folder + "/CMakeLists.txt\n" + folder + "/README.md\n" + folder +
                                          "/sums.cpp\n" + folder + "/sums.toml\n" + folder +
                                          "/sums_test.cpp\n");
    const std::string list = at.read(folder + "/CMakeLists.txt");
    size_t from = 0;
    for (const char* line : {"cmake_minimum_required(VERSION 3.25)\n", "project(sums)\n",
                             "find_package(orrery CONFIG REQUIRED)\n",
                             "orrery_add_plugin(sums KIND task SOURCES sums.cpp TESTS sums_test.cpp)\n"}) {
      const size_t found = list.find(line, from);
      EXPECT_NE(found, std::string::npos) << line << "in this order in\n" << list;
      from = found;
    }
    EXPECT_NE(done.err.find("next, in " + folder + ":\n"), std::string::npos) << done.err;
    EXPECT_NE(done.err.find("orrery train sums.toml --plugin build/plugins/task_sums.so\n"),
              std::string::npos)
        << done.err;
  }
}

TEST(New, RefusesNames) {
  const struct {
    std::string name;
    std::vector<std::string> said;
  } bad[] = {{"Sums", {"\"Sums\"", "lower case letters", "for example: sums"}},
             {"head-entropy", {"\"head-entropy\"", "for example: head_entropy"}},
             {"HeadEntropy", {"for example: head_entropy"}},
             {"2nd", {"\"2nd\"", "for example: nd"}},
             {"_x", {"\"_x\""}},
             {"", {"\"\"", "for example: my_plugin"}},
             {"../x", {"\"../x\"", "for example: x"}},
             {"größe", {"lower case letters"}},
             {"sums\n", {"lower case letters"}},
             {"class", {"\"class\"", "a C++ keyword"}},
             {"co_await", {"a C++ keyword"}},
             {"params", {"\"params\""}},
             {"sparse_parity", {"there is a task \"sparse_parity\" already", "choose another name"}},
             {"trig_loss", {"there is a probe \"trig_loss\" already"}},
             {"stablemax", {"there is a loss \"stablemax\" already"}},
             {"grokfast_ema", {"there is an update \"grokfast_ema\" already"}},
             {"rnn", {"there is a model \"rnn\" already"}}};
  const Workplace at;
  make_source_tree(at);
  size_t turn = 0;  // one rule for all kinds, so each name is tried with one of them
  for (const auto& [name, said] : bad) {
    const auto& [kind, sample, room] = samples[turn++ % std::size(samples)];
    const Finished done = at.orrery({"new", kind, name});
    EXPECT_EQ(done.code, 2) << name;
    EXPECT_EQ(done.out, "");
    for (const std::string& part : said) EXPECT_NE(done.err.find(part), std::string::npos) << done.err;
  }
  EXPECT_EQ(names_of(files_in(at)), "");
}

TEST(New, RefusesAKindThatThereIsNot) {
  const Workplace at;
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"new"},
                                                    {"new", "task"},
                                                    {"new", "metric", "sums"},
                                                    {"new", "sums", "task"}}) {
    const Finished done = at.orrery(arguments);
    EXPECT_EQ(done.code, 2);
    EXPECT_NE(done.err, "");
  }
  EXPECT_EQ(names_of(files_in(at)), "");
}

// Whichever of its files exists: it is named and kept, and no other is written.
TEST(New, NeverOverwrites) {
  for (const bool in_tree : {true, false}) {
    const std::vector<std::string> files =
        in_tree ? std::vector<std::string>{"tasks/sums/sums.cpp", "tasks/sums/sums_test.cpp",
                                           "tasks/sums/README.md", "configs/sums.toml"}
                : std::vector<std::string>{"sums/sums.cpp", "sums/CMakeLists.txt", "sums/sums.toml"};
    for (const std::string& file : files) {
      const Workplace at;
      if (in_tree) make_source_tree(at);
      at.write(file, "mine");
      const Finished done = at.orrery({"new", "task", "sums"});
      EXPECT_EQ(done.code, 2);
      EXPECT_EQ(done.out, "");
      EXPECT_NE(done.err.find(file + " exists already"), std::string::npos) << done.err;
      EXPECT_EQ(files_in(at), (Files{{file, "mine"}}));
    }
  }
}

TEST(New, RefusesAPluginOfTheTreeThatIsNotBuiltYet) {
  const Workplace at;
  make_source_tree(at);
  ASSERT_EQ(at.orrery({"new", "task", "sums"}).code, 0);
  const Files before = files_in(at);
  for (const auto& [kind, sample, room] : samples) {
    const Finished done = at.orrery({"new", kind, "sums"});
    EXPECT_EQ(done.code, 2);
    EXPECT_NE(done.err.find("tasks/sums exists already"), std::string::npos) << done.err;
  }
  EXPECT_EQ(files_in(at), before);
}

TEST(New, LeavesNothingHalfWritten) {
  const Workplace at;
  make_source_tree(at);
  fs::remove(at.path("configs"));
  at.write("configs", "a file where the folder should be");
  const Finished done = at.orrery({"new", "task", "sums"});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("configs"), std::string::npos) << done.err;
  EXPECT_EQ(names_of(files_in(at)), "configs\n");
  EXPECT_FALSE(fs::exists(at.path("tasks/sums")));
}

TEST(New, TheTaskOfTheTemplateIsLearned) {
  const Workplace at;
  ASSERT_EQ(at.orrery({"new", "task", "sample_task"}).code, 0);
  const Finished done = at.orrery(
      {"train", "sample_task/sample_task.toml", "--plugin", plugin_file("task_sample_task"), "--out", "run"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("test accuracy           reached 100 %"), std::string::npos) << done.err;
}

TEST(New, TheProbeOfTheTemplateMeasures) {
  const Workplace at;
  ASSERT_EQ(at.orrery({"new", "probe", "sample_probe"}).code, 0);
  const Finished done =
      at.orrery({"train", "sample_probe/sample_probe.toml", "--plugin", plugin_file("probe_sample_probe"),
                 "--out", "run", "--set", "train.steps=10"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("entropy/mean"), std::string::npos) << done.err;
  EXPECT_EQ(at.lines("run/probes/sample_probe/results.jsonl").size(), 3u);  // steps 0, 5 and 10
}

const fs::path python_file = fs::path(ORRERY_SOURCE_DIR) / "tests/plugins/template/begun_in_python.py";

// It is built and its test runs, but measure() is to be written, and the check says so.
TEST(New, AProbeStartsFromAPythonFunction) {
  const Workplace at;
  at.write("look.py", "import orrery\n\n@orrery.probe\ndef another(seen):\n    return 0\n\n" +
                          contents(python_file) + "\nprint(begun_in_python)\n");
  const Finished done = at.orrery({"new", "probe", "begun_in_python", "--from", "look.py", "--out", "."});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_NE(done.err.find("measure() in begun_in_python.cpp is to be written"), std::string::npos)
      << done.err;
  for (const char* file : {"begun_in_python.cpp", "begun_in_python_test.cpp", "README.md"})
    EXPECT_EQ(at.read("begun_in_python/" + std::string(file)), built("begun_in_python/" + std::string(file)));
  const Finished checked = at.orrery({"check", plugin_file("probe_begun_in_python")});
  EXPECT_EQ(checked.code, 1) << checked.out;
  EXPECT_NE(checked.out.find("begun_in_python: measure() is not written yet"), std::string::npos)
      << checked.out;
}

TEST(New, SaysWhatIsWrongWithAPythonFile) {
  const struct {
    std::string file, said;
  } bad[] = {
      {"", "look.py: there is no function under @orrery.probe"},
      {"def one(seen):\n  return 0\n", "there is no function under @orrery.probe"},
      {"@probe\ndef a(s):\n  return 0\n@orrery.probe()\ndef b(s): return 0\n", "there are: a, b"},
      {"\n@orrery.probe(inputs=GRID)\ndef one(seen):\n  return 0\n",
       "look.py:2: the argument \"inputs\" of the decorator is not a text"},
      {"@orrery.probe(activations=[f\"{x}\"])\ndef one(seen):\n  return 0\n", "\"activations\""},
      {"@orrery.probe(activations=\"a\\\"b\")\ndef one(seen):\n  return 0\n", "\"activations\""},
      {"@orrery.probe(null=None)\ndef one(seen):\n  return 0\n", "\"null\""},
      {"@orrery.probe(other=3)\ndef one(seen):\n  return 0\n", "\"other\""},
      {"@orrery.probe(\ndef one(seen):\n  return 0\n", "after the last one read"},
      {"@orrery.probe(inputs=\"all\")\ndef one(seen):\n  return 0\n", "expected train, test or grid"},
      {"# caf\xe9\n@orrery.probe\ndef one(seen):\n  return 0\n", "look.py: it is not UTF-8"},
      {"\"\"\"\n@orrery.probe\ndef one(seen): ...\n\"\"\"\n", "there is no function under @orrery.probe"}};
  for (const auto& [file, said] : bad) {
    const Workplace at;
    at.write("look.py", file);
    const Finished done = at.orrery({"new", "probe", "looked", "--from", "look.py"});
    EXPECT_EQ(done.code, 2) << file;
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
    EXPECT_FALSE(fs::exists(at.path("looked")));
  }
  const Workplace at;
  EXPECT_EQ(at.orrery({"new", "probe", "looked", "--from", "absent.py"}).code, 2);
  // What stands at the margin of a text is no end of the function.
  at.write("text.py",
           "@orrery.probe\ndef texts(seen):\n  return len(\'\'\'\n@probe\nend\'\'\')  # one\nrest = 1\n");
  ASSERT_EQ(at.orrery({"new", "probe", "texts", "--from", "text.py"}).code, 0);
  EXPECT_NE(at.read("texts/texts.cpp").find("end\'\'\')  # one"), std::string::npos);
  EXPECT_EQ(at.read("texts/texts.cpp").find("rest = 1"), std::string::npos);
  at.write("look.py", contents(python_file));
  EXPECT_NE(
      at.orrery({"new", "task", "looked", "--from", "look.py"}).err.find("a task cannot start from Python"),
      std::string::npos);
  // The only one there is, under another name.
  ASSERT_EQ(at.orrery({"new", "probe", "looked", "--from", "look.py"}).code, 0);
  EXPECT_NE(at.read("looked/looked.cpp").find("class Looked final"), std::string::npos);
}

// Each as its config has it, to the accuracy that the config asks for.
TEST(New, TheLossTheUpdateAndTheModelOfTheTemplatesTrain) {
  for (const auto& [kind, name, room] : samples) {
    if (kind == "task" || kind == "probe") continue;
    SCOPED_TRACE(kind);
    const Workplace at;
    ASSERT_EQ(at.orrery({"new", kind, name}).code, 0);
    const Finished done = at.orrery(
        {"train", name + "/" + name + ".toml", "--plugin", plugin_file(kind + "_" + name), "--out", "run"});
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_NE(done.err.find("(test/accuracy >= 0.99)"), std::string::npos) << done.err;
    EXPECT_NE(at.read("run/run.json").find("\"name\": \"" + name + "\""), std::string::npos);
  }
}

TEST(New, TheReadmesOfTheTemplatesHaveTheDeclaredParameters) {
  const Workplace at;
  for (const auto& [kind, name, room] : samples) {
    const Finished table =
        at.orrery({"describe", name, "--markdown", "--plugin", plugin_file(kind + "_" + name)});
    ASSERT_EQ(table.code, 0) << table.err;
    EXPECT_NE(built(name + "/README.md").find("\n" + table.out + "\n"), std::string::npos) << table.out;
  }
}

}  // namespace
}  // namespace orrery
