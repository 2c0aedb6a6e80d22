// Every way a plugin can be broken: one clear message that names the file and the cure, and the host lives
// on.
#include <sys/stat.h>

#include <functional>

#include <tests/support/as_nobody.h>

#include "tests/support/loader_fixtures.h"

namespace orrery::test {
namespace {

namespace fs = std::filesystem;

// Loads `file`, which must be refused; then a good plugin into the same registry, which must not suffer.
std::string refused(const fs::path& file) {
  Registry registry;
  const std::string text = refusal([&] { registry.load_file(file); });
  EXPECT_EQ(text.rfind(file.string() + ": ", 0), 0u) << "the file is not named first: " << text;
  EXPECT_EQ(text.find("Exception raised from"), std::string::npos) << text;
  EXPECT_TRUE(registry.plugins().empty());
  registry.load_file(bad_plugin("good_task"));
  EXPECT_EQ(registry.plugins().size(), 1u);
  return text;
}

struct Fault {
  const char* plugin;
  std::vector<std::string> says;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.plugin; }

class BadPlugin : public testing::TestWithParam<Fault> {};

TEST_P(BadPlugin, IsRefusedWithTheReasonAndTheCure) {
  const std::string text = refused(bad_plugin(GetParam().plugin));
  for (const std::string& part : GetParam().says) EXPECT_CONTAINS(text, part);
}

const Fault faults[] = {
    {"wrong_abi", {"plugin interface (abi): this program has", "the plugin 999", "cmake --build build"}},
    {"wrong_torch", {"LibTorch: this program has", "the plugin 0.4.1", "not opened", "cmake --build build"}},
    {"wrong_cxx11abi", {"_GLIBCXX_USE_CXX11_ABI", "the plugin 7", "cmake --build build"}},
    {"many_mismatches",
     {"abi", "the plugin 999", "LibTorch", "0.4.1", "_GLIBCXX_USE_CXX11_ABI", "the plugin 7"}},
    {"no_stamp", {"without an Orrery stamp", "ORRERY_TASK"}},
    {"no_symbol", {"orrery_plugin()", "ORRERY_TASK"}},
    {"small_descriptor", {"descriptor has 16 bytes", "cmake --build build"}},
    {"wrong_descriptor_abi", {"descriptor", "999", "cmake --build build"}},
    {"unknown_kind", {"kind 6", "task (1)", "probe (2)", "model (5)", "ORRERY_TASK"}},
    {"bad_name", {"\"../elsewhere\"", "lower case"}},
    {"bad_type", {"parameter 0 (\"p\")", "\"complex\"", "rebuild"}},
    {"bad_default", {"parameter 0 (\"p\")", "seven"}},
    {"default_out_of_bounds", {"parameter \"p\"", "expected an integer >= 2, got 1"}},
    {"no_doc", {"parameter \"p\" has no doc"}},
    {"undocumented", {"undocumented", "parameter \"p\" has no doc", "rebuild"}},
    {"faulted", {"parameter \"q\" is declared twice", "rebuild"}},
    {"no_create", {"no create", "ORRERY_TASK"}},
    {"static_throw",
     {"cannot be opened: its static initialisers threw: no table.csv here",
      "in the constructor of the plugin's class"}},
    {"static_throw_int", {"its static initialisers threw: a value of type int was thrown"}},
    {"static_crash",
     {"its static initialisers crashed: SIGSEGV (Segmentation fault)", "out of bounds",
      "in the constructor"}},
    {"static_exit", {"its static initialisers ended the program: exit code 3", "in the constructor"}},
    {"unresolved_symbol", {"undefined symbol", "defined_nowhere", "rebuild"}},
};
INSTANTIATE_TEST_SUITE_P(Loader, BadPlugin, testing::ValuesIn(faults),
                         [](const auto& info) { return std::string(info.param.plugin); });

TEST(BadFile, OneMismatchIsNotReportedAsSeveral) {
  const std::string text = refused(bad_plugin("wrong_torch"));
  EXPECT_EQ(text.find("(abi)"), std::string::npos) << text;
  EXPECT_EQ(text.find("CXX11"), std::string::npos) << text;
}

TEST(BadFile, IsTextOrEmptyOrMissing) {
  const TempFolder folder;
  write(folder / "text.so",
        "this is a shopping list, long enough to hold a header if it were one: eggs, milk\n");
  EXPECT_CONTAINS(refused(folder / "text.so"), "not a shared library");
  write(folder / "empty.so", "");
  EXPECT_CONTAINS(refused(folder / "empty.so"), "empty file");
  EXPECT_CONTAINS(refused(folder / "missing.so"), "no such file");
  EXPECT_THROW(Registry().load_file(folder / "missing.so"), UsageError);
}

TEST(BadFile, IsAFolderAPipeOrADanglingLink) {
  const TempFolder folder;
  fs::create_directory(folder / "folder.so");
  EXPECT_CONTAINS(refused(folder / "folder.so"), "a folder");
  ASSERT_EQ(mkfifo((folder / "pipe.so").c_str(), 0600), 0);
  EXPECT_CONTAINS(refused(folder / "pipe.so"), "neither a file");
  fs::create_symlink("gone.so", folder / "link.so");
  EXPECT_CONTAINS(refused(folder / "link.so"), "gone.so, which does not exist");
}

TEST(BadFile, IsAProgram) { EXPECT_CONTAINS(refused("/proc/self/exe"), "a program, not a shared library"); }

TEST(BadFile, IsForAnotherMachine) {
  const TempFolder folder;
  std::string bytes = contents(bad_plugin("good_task"));
  bytes[4] ^= 3;  // EI_CLASS: 32 bits in place of 64, or the reverse
  write(folder / "other.so", bytes);
  EXPECT_CONTAINS(refused(folder / "other.so"), "another kind of machine");
}

// dlopen on some of these would end the process with SIGBUS.
TEST(BadFile, IsTruncatedAnywhere) {
  const TempFolder folder;
  const std::string whole = contents(bad_plugin("good_task"));
  ASSERT_GT(whole.size(), 4096u);
  std::vector<size_t> lengths = {4, 63, 64, 65, whole.size() - 1};
  for (size_t i = 1; i < 16; ++i) lengths.push_back(whole.size() * i / 16);
  for (const size_t length : lengths) {
    const fs::path file = folder / ("truncated_" + std::to_string(length) + ".so");
    write(file, whole.substr(0, length));
    const std::string text = refused(file);
    EXPECT_CONTAINS(text, "truncated");
    EXPECT_CONTAINS(text, "copy the plugin again");
  }
  write(folder / "whole.so", whole);
  Registry registry;
  registry.load_file(folder / "whole.so");
  EXPECT_EQ(registry.plugins().size(), 1u);
}

TEST(BadFile, MayNotBeRead) {
  const TempFolder folder;
  const fs::path file = folder / "secret.so";
  fs::copy_file(bad_plugin("good_task"), file);
  fs::permissions(file, fs::perms::none);
  std::string text;
  {
    const orrery::test::AsNobody nobody;
    text = refusal([&] { Registry().load_file(file); });
  }
  EXPECT_CONTAINS(text, file.string() + ": cannot be read: Permission denied");
  EXPECT_CONTAINS(text, "chmod a+r " + file.string());
}

TEST(BadFile, LiesInAFolderThatMayNotBeListed) {
  const TempFolder folder;
  fs::create_directory(folder / "closed");
  fs::permissions(folder / "closed", fs::perms::none);
  Registry registry;
  {
    const orrery::test::AsNobody nobody;
    registry.load_folder(folder / "closed");
  }
  ASSERT_EQ(registry.problems().size(), 1u);
  EXPECT_CONTAINS(registry.problems()[0].text(), (folder / "closed").string() + ": ");
  EXPECT_CONTAINS(registry.problems()[0].text(), "Permission denied");
}

// All of them at once: each becomes a problem of its own, and whatever can be used is.
TEST(BadFolder, LosesNoGoodPlugin) {
  Registry registry;
  registry.load_folder(ORRERY_BAD_PLUGINS);
  const auto problem_with = [&](const std::string& plugin) {
    return std::count_if(registry.problems().begin(), registry.problems().end(), [&](const Problem& problem) {
      return problem.file == bad_plugin(plugin) && !problem.hint.empty();
    });
  };
  for (const Fault& fault : faults) EXPECT_EQ(problem_with(fault.plugin), 1) << fault.plugin;
  EXPECT_EQ(problem_with("name_clash_b"), 1);
  EXPECT_EQ(registry.problems().size(), std::size(faults) + 1);
  EXPECT_EQ(registry.find(PluginKind::task, "good_task").version, "1.2.3");
  EXPECT_EQ(registry.find(PluginKind::probe, "good_probe").version, "0.9.0");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(_GLIBCXX_DEBUG)
// Objects of these would not be what this program takes them for.
TEST(Flavours, ThatChangeObjectsAreRefused) {
  const struct {
    const char *name, *says;
  } flavours[] = {{"address", "sanitizer: this program has none, the plugin address"},
                  {"thread", "sanitizer: this program has none, the plugin thread"},
                  {"checked", "containers (_GLIBCXX_DEBUG): this program has plain, the plugin checked"}};
  for (const auto& [name, says] : flavours) {
    const std::string text = refused(fs::path(ORRERY_FLAVOURS) / (std::string(name) + ".so"));
    EXPECT_CONTAINS(text, says);
    EXPECT_CONTAINS(text, "build the plugin without that flag");
    EXPECT_EQ(text.find("--clean-first"), std::string::npos) << text;
  }
}

TEST(Flavours, ThatDoNotAreLoaded) {
  Registry registry;
  registry.load_file(fs::path(ORRERY_FLAVOURS) / "undefined.so");
  registry.load_file(fs::path(ORRERY_FLAVOURS) / "debug.so");
  const auto task = registry.make_task(registry.find(PluginKind::task, "good_task"), {});
  EXPECT_EQ(task->split(make_generator(0)).train.size(), 4);
}
#endif

struct Throws {
  const char* plugin;
  const char* says;
};
void PrintTo(const Throws& fault, std::ostream* out) { *out << fault.plugin; }
class BadCreate : public testing::TestWithParam<Throws> {};

TEST_P(BadCreate, BecomesAnErrorThatSaysWho) {
  Registry registry;
  registry.load_file(bad_plugin(GetParam().plugin));
  const Plugin& plugin = *registry.plugins().at(0);
  try {
    registry.make_task(plugin, {});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), "task " + plugin.name + " 1.0.0, create: " + GetParam().says);
  }
}

INSTANTIATE_TEST_SUITE_P(Loader, BadCreate,
                         testing::Values(Throws{"create_throws_std", "no modulus today"},
                                         Throws{"create_throws_int", "a value of type int was thrown"},
                                         Throws{"create_throws_torch", "shapes do not match"},
                                         Throws{"create_returns_null", "nothing was made"}),
                         [](const auto& info) { return std::string(info.param.plugin); });

TEST(BadDestroy, IsReportedAndSurvived) {
  Registry registry;
  registry.load_file(bad_plugin("destroy_throws"));
  Instance<Task> task = registry.make_task(*registry.plugins().at(0), {});
  testing::internal::CaptureStderr();
  task.reset();
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "warning: task destroy_throws 1.0.0, destroy: will not go\n");
}

}  // namespace
}  // namespace orrery::test
