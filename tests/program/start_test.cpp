// The program that people start answers for orrery-core, and starts it in an environment put in order.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include "run_program.h"

namespace orrery {
namespace {

namespace fs = std::filesystem;

std::string said_by_core(const std::string& arguments) {
  std::string text;
  FILE* pipe = popen((std::string(ORRERY_PROGRAM) + "-core " + arguments).c_str(), "r");
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), n);
  EXPECT_EQ(pclose(pipe), 0);
  return text;
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Sets or, with nullopt, unsets a variable for as long as the object lives.
class Variable {
 public:
  Variable(const char* name, std::optional<std::string> value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_); }

 private:
  void set(const std::optional<std::string>& value) const {
    value ? setenv(name_, value->c_str(), 1) : unsetenv(name_);
  }
  const char* name_;
  std::optional<std::string> before_;
};

TEST(Start, HelpIsThatOfTheCore) {
  const Workplace place;
  for (const std::string command : {"", "train", "probe", "verify", "import", "new"}) {
    std::vector<std::string> arguments = {"--help"};
    if (!command.empty()) arguments.insert(arguments.begin(), command);
    const Finished program = place.orrery(arguments);
    EXPECT_EQ(program.code, 0);
    EXPECT_EQ(program.out, said_by_core(command + " --help"));
    EXPECT_NE(program.out.find("Usage"), std::string::npos);
  }
  EXPECT_EQ(place.orrery({"--version"}).out, said_by_core("--version"));
}

// The launcher prints these before anything is built.
TEST(Start, HelpTextsAreKeptAsFiles) {
  const Workplace place;
  const fs::path kept = ORRERY_SOURCE_DIR "/framework/start/help";
  const char* update = std::getenv("ORRERY_UPDATE_HELP");
  const fs::path written = update ? kept : fs::path(place.path("help"));
  fs::create_directories(written);
  said_by_core("--help-texts " + written.string());
  std::set<std::string> names;
  for (const fs::path& folder : {kept, written})
    for (const auto& file : fs::directory_iterator(folder)) names.insert(file.path().filename().string());
  EXPECT_GT(names.size(), 15u);
  for (const std::string& name : names)
    EXPECT_EQ(text_of(kept / name), text_of(written / name))
        << "write them anew: ORRERY_UPDATE_HELP=1 build/release/tests/program/integration_tests "
           "--gtest_filter=Start.HelpTextsAreKeptAsFiles";
}

// Only commands that are to be copied may be longer.
TEST(Start, HelpFitsEightyColumns) {
  for (const auto& file : fs::directory_iterator(ORRERY_SOURCE_DIR "/framework/start/help")) {
    std::istringstream lines(text_of(file.path()));
    for (std::string line; std::getline(lines, line);)
      EXPECT_TRUE(line.size() <= 80 || line.starts_with("  orrery ")) << file.path() << ": " << line;
  }
}

// The launcher says how it was called, so that hints can be pasted.
TEST(Start, HintsNameTheProgramAsItWasCalled) {
  const Variable called("ORRERY_CALLED_AS", "./orrery");
  const Finished nothing = Workplace().orrery({"train"});
  EXPECT_EQ(nothing.code, 2);
  EXPECT_NE(nothing.err.find("for example: ./orrery train configs/"), std::string::npos) << nothing.err;
}

TEST(Start, HelpOfNoCommandIsAMistake) {
  const Finished program = Workplace().orrery({"trian", "--help"});
  EXPECT_EQ(program.code, 2);
  EXPECT_NE(program.err.find("did you mean \"train\"?"), std::string::npos);
}

// The first session of a short run.
nlohmann::json session_of_a_run() {
  const Workplace place;
  place.write("c.toml",
              "[task]\nname = \"modular_arithmetic\"\np = 5\n[model]\nd_model = 4\nd_head = 2\nd_mlp = 4\n"
              "[train]\nsteps = 1\n");
  const Finished program = place.orrery({"train", "c.toml", "--out", "run"});
  EXPECT_EQ(program.code, 0) << program.err;
  return nlohmann::json::parse(place.read("run/run.json"))["sessions"][0];
}

bool runs_with_openblas() {
  const nlohmann::json blas = session_of_a_run()["blas"];
  return blas.is_string() && blas.get<std::string>().starts_with("OpenBLAS");
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  if (fs::exists(folder))
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

TEST(Start, LeavesTheChoiceOfKernelsToTheUser) {
  if (!runs_with_openblas()) GTEST_SKIP() << "the BLAS is not OpenBLAS";
  const Workplace place;
  const Variable cache("XDG_CACHE_HOME", place.path("cache"));
  {
    const Variable chosen("OPENBLAS_CORETYPE", "Haswell");
    EXPECT_EQ(session_of_a_run()["blas_core"], "Haswell");
  }
  {
    const Variable unknown("OPENBLAS_CORETYPE", "Nonsense");  // which OpenBLAS passes over
    EXPECT_NE(session_of_a_run()["blas_core"], "Nonsense");
  }
  const Variable none("OPENBLAS_CORETYPE", std::nullopt), off("ORRERY_TUNE", "0");
  EXPECT_TRUE(session_of_a_run()["blas_core"].is_string());  // what OpenBLAS itself chose
  EXPECT_TRUE(files_in(place.path("cache/orrery")).empty());
}

TEST(Start, MeasuresKernelsOnceAndKeepsTheAnswer) {
  const bool has_avx512 = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (!runs_with_openblas() || !has_avx512) GTEST_SKIP() << "nothing to choose here";
  const Workplace place;
  const Variable cache("XDG_CACHE_HOME", place.path("cache")), none("OPENBLAS_CORETYPE", std::nullopt);
  session_of_a_run();
  const std::vector<fs::path> kept = files_in(place.path("cache/orrery"));
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_NE(text_of(kept[0]).find("GFLOP/s"), std::string::npos);
  std::ofstream(kept[0]) << "Haswell\n";
  EXPECT_EQ(session_of_a_run()["blas_core"], "Haswell");  // not measured again
}

TEST(Start, NeedsNoCache) {
  const Variable cache("XDG_CACHE_HOME", "/proc/nowhere"), none("OPENBLAS_CORETYPE", std::nullopt);
  EXPECT_EQ(session_of_a_run()["ended"], "finished");
}

TEST(Start, FlushesSubnormalsUnlessToldNotTo) { EXPECT_EQ(session_of_a_run()["flush_subnormals"], true); }

}  // namespace
}  // namespace orrery
