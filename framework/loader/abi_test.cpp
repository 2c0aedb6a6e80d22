// One number, ORRERY_ABI, decides whether a plugin fits. It rises when a public header changes, and need not
// when one is added.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <orrery/abi/abi.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "tests/support/source_text.h"

namespace orrery::test {
namespace {

namespace fs = std::filesystem;

const fs::path root = ORRERY_SOURCE_DIR;
const fs::path recorded = root / "framework/loader/public_headers.txt";

// 64-bit FNV-1a (Fowler, Noll, Vo).
uint64_t fnv1a(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

// The tokens of a header: a compiled plugin depends neither on comments nor on layout.
std::string essence(std::string_view source) { return without_space(without_comments(source)); }

// The number of the interface, and by name the hash of each header that a plugin may have been compiled with.
struct Interface {
  int abi = 0;
  std::map<std::string, std::string> headers;
};

Interface present() {
  Interface now{ORRERY_ABI, {}};
  const fs::path folder = root / "framework/include";
  for (const fs::path& file : files_below(folder / "orrery", {".h"})) {
    const std::string name = fs::relative(file, folder).generic_string();
    if (name.rfind("orrery/testing/", 0) != 0)  // only tests of plugins see these
      now.headers[name] = fmt::format("{:016x}", fnv1a(essence(read_text(file))));
  }
  return now;
}

std::string text_of(const Interface& interface) {
  std::string text = fmt::format("abi {}\n", interface.abi);
  for (const auto& [name, hash] : interface.headers) text += fmt::format("{} {}\n", hash, name);
  return text;
}

Interface parse(const std::string& text) {
  Interface interface;
  std::istringstream words(text);
  std::string word, name;
  words >> word >> interface.abi;
  while (words >> word >> name) interface.headers[name] = word;
  return interface;
}

// The headers that a plugin built against `before` may have seen and that have changed.
std::vector<std::string> broken(const Interface& before, const Interface& now) {
  std::vector<std::string> names;
  for (const auto& [name, hash] : before.headers)
    if (const auto found = now.headers.find(name); found == now.headers.end() || found->second != hash)
      names.push_back(name);
  return names;
}

TEST(Abi, HashIsFnv1a) {
  EXPECT_EQ(fnv1a(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(fnv1a("foobar"), 0x85944171f73967e8u);
}

TEST(Abi, HashIgnoresCommentsAndLayoutOnly) {
  const std::string plain = "struct A { int a = 1'000; const char* b = \"x // y\"; char c = '\"'; };";
  EXPECT_EQ(essence(plain),
            essence("// why\nstruct A {\n  int a = 1'000; /* so */\n  const char* b = \"x // y\";"
                    "\n  char c = '\"';  // end\n};\n"));
  for (const char* other : {"struct A { int a = 1'001; const char* b = \"x // y\"; char c = '\"'; };",
                            "struct A { int a = 1'000; const char* b = \"x // z\"; char c = '\"'; };",
                            "struct A { int a = 1'000; const char* b = \"x //y\"; char c = '\"'; };"})
    EXPECT_NE(essence(plain), essence(other));
  EXPECT_EQ(essence("R\"(a // \" b)\" // c"), "R\"(a // \" b)\"");
}

TEST(Abi, ANewHeaderBreaksNobody) {
  const Interface before{5, {{"orrery/a.h", "1"}, {"orrery/b.h", "2"}}};
  Interface now = before;
  now.headers["orrery/c.h"] = "3";
  EXPECT_TRUE(broken(before, now).empty());
  EXPECT_EQ(broken(now, before), std::vector<std::string>{"orrery/c.h"});
  now.headers["orrery/b.h"] = "4";
  EXPECT_EQ(broken(before, now), std::vector<std::string>{"orrery/b.h"});
  EXPECT_EQ(text_of(parse(text_of(now))), text_of(now));
}

// ORRERY_RECORD_HEADERS=1 records the headers as they are; "compatible" does so without a new number, for a
// change that a compiled plugin cannot notice.
TEST(Abi, RisesWhereAHeaderChanges) {
  const Interface before = parse(read_text(recorded)), now = present();
  ASSERT_GT(now.headers.size(), 15u);
  const char* wish = std::getenv("ORRERY_RECORD_HEADERS");
  const std::vector<std::string> changed = broken(before, now);
  if (!(wish && std::string_view(wish) == "compatible"))
    ASSERT_TRUE(changed.empty() || now.abi > before.abi)
        << fmt::format("{} changed. A plugin built before the change may break: raise ORRERY_ABI in\n",
                       changed)
        << "framework/include/orrery/abi/abi.h, and record the headers. If no compiled plugin can notice\n"
           "the change, record it with ORRERY_RECORD_HEADERS=compatible.";
  if (wish) std::ofstream(recorded) << text_of(now);
  EXPECT_EQ(read_text(recorded), text_of(now))
      << "Public headers were added or changed. Record them:\n"
         "  ORRERY_RECORD_HEADERS=1 build/release/tests/unit_tests --gtest_filter='Abi.*'";
}

}  // namespace
}  // namespace orrery::test
