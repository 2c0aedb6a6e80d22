// The page of a sweep: of one that is done, of one that is not, and of one that is not there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "small_sweep.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* reported_sweep = R"(base = "base.toml"
seeds = 3
[grid]
train.weight_decay = [0.1, 1]
task.p = [5, 7]
[[reading]]
name = "loss"
metric = "train/loss"
[[reading]]
name = "never"
metric = "test/accuracy"
of = "first step >= 2"
[[reading]]
name = "norm"
metric = "probe/weight_structure/norm/L2"
[[class]]
name = "trained"
if = "loss < 100"
[[expect]]
share = "trained"
bound = ">= 1"
source = "by construction"
)";

class SweepReport : public ::testing::Test {
 protected:
  void SetUp() override {
    at.write("base.toml", base);
    at.write("s.toml", reported_sweep);
  }
  Finished report(std::vector<std::string> more = {}, const std::string& of = "s.toml") {
    std::vector<std::string> arguments = {"sweep", "report", of};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return at.orrery(arguments);
  }
  // What the page's scripts draw.
  json data(const std::string& file) {
    const std::string html = at.read(file), opening = "<script type=\"application/json\" id=\"data\">";
    const size_t begin = html.find(opening) + opening.size();
    return json::parse(html.substr(begin, html.find("</script>", begin) - begin));
  }
  Workplace at;
};

void expect_words(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in:\n" << text;
}

TEST_F(SweepReport, IsOnePageWithTheNumbersOfTheTable) {
  ASSERT_EQ(at.orrery({"sweep", "run", "s.toml", "--jobs", "2"}).code, 0);
  const Finished drawn = report();
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  expect_words(drawn.err, "runs/sweeps/s/report.html");
  expect_words(drawn.err, "12 runs: 12 done");
  const std::string html = at.read("runs/sweeps/s/report.html");
  EXPECT_EQ(html.find("src=\"http"), std::string::npos);
  expect_words(html, "default-src 'none'");
  const json page = data("runs/sweeps/s/report.html");
  EXPECT_EQ(page["runs"].size(), 12u);
  EXPECT_EQ(page["claims"][0]["got"], "1 (12 of 12)");
  EXPECT_EQ(page["claims"][0]["verdict"], "ok");
  EXPECT_EQ(page["runs"][0]["readings"][1]["censored_at"], 20);
  const Finished table = at.orrery({"sweep", "table", "s.toml", "--json"});
  const json first = json::parse(table.out.substr(0, table.out.find('\n')));
  EXPECT_EQ(page["runs"][0]["id"], first["run"]);
  EXPECT_EQ(page["runs"][0]["readings"][0]["value"], first["readings"]["loss"]["value"]);
  // The folder alone is enough, and the page can lie elsewhere.
  ASSERT_EQ(at.orrery({"report", page["runs"][3]["folder"].get<std::string>()}).code, 0);
  at.write("pages/empty", "");
  ASSERT_EQ(report({"--out", "pages/s.html"}, "runs/sweeps/s").code, 0);
  const json elsewhere = data("pages/s.html");
  EXPECT_TRUE(elsewhere["runs"][0]["report"].is_null());
  const std::string link = elsewhere["runs"][3]["report"];
  EXPECT_TRUE(fs::exists(at.path("pages") / link)) << link;
}

TEST_F(SweepReport, AgainReplacesThePageAtOnce) {
  ASSERT_EQ(at.orrery({"sweep", "plan", "s.toml"}).code, 0);
  ASSERT_EQ(report().code, 0);
  const fs::path file = at.path("runs/sweeps/s/report.html");
  const auto size = fs::file_size(file);
  std::ifstream still_open(file);
  ASSERT_EQ(at.orrery({"sweep", "run", "s.toml"}).code, 0);
  ASSERT_EQ(report().code, 0);
  EXPECT_EQ(data("runs/sweeps/s/report.html")["states"][0]["n"], 12);
  const std::string before{std::istreambuf_iterator<char>(still_open), {}};
  EXPECT_EQ(before.size(), size) << "who reads the old page reads it to its end";
  for (const auto& entry : fs::directory_iterator(file.parent_path()))
    EXPECT_TRUE(entry.is_directory() || entry.path().extension() == ".html" ||
                entry.path().filename() == "plan.json")
        << entry.path() << " is left over";
  // What cannot be written leaves what was there.
  EXPECT_EQ(report({"--out", "no/such/folder/s.html"}).code, 1);
  EXPECT_EQ(data("runs/sweeps/s/report.html")["states"][0]["n"], 12);
}

TEST_F(SweepReport, SaysWhatIsMissing) {
  ASSERT_EQ(at.orrery({"sweep", "plan", "s.toml"}).code, 0);
  const Finished drawn = report();
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  expect_words(drawn.err, "12 runs: 0 done, 12 missing");
  const json page = data("runs/sweeps/s/report.html");
  EXPECT_EQ(page["claims"][0]["verdict"], "open");
  EXPECT_EQ(page["claims"][0]["got"], "12 of 12 runs are not done");
}

TEST_F(SweepReport, OfWhatIsNotThereIsAWrongRequest) {
  const Finished not_begun = report();
  EXPECT_EQ(not_begun.code, 2);
  expect_words(not_begun.err, "runs/sweeps/s: this sweep has not begun");
  expect_words(not_begun.err, "orrery sweep run s.toml");
  EXPECT_FALSE(fs::exists(at.path("runs")));
  const Finished no_file = report({}, "none.toml");
  EXPECT_EQ(no_file.code, 2);
  expect_words(no_file.err, "none.toml");
  at.write("folder/empty", "");
  const Finished no_plan = report({}, "folder");
  EXPECT_EQ(no_plan.code, 2);
  expect_words(no_plan.err, "there is no plan.json in this folder");
}

}  // namespace
}  // namespace orrery
