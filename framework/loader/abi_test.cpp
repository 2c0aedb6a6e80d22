// The public headers and the number of their interface change together, or not at all.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <orrery/abi/abi.h>

#include <cstdlib>

#include "tests/support/source_text.h"

namespace orrery::test {
namespace {

namespace fs = std::filesystem;

const fs::path root = ORRERY_SOURCE_DIR;
const fs::path recorded = root / "framework/include/orrery/abi/header_hash.h";

// 64-bit FNV-1a (Fowler, Noll, Vo).
uint64_t fnv1a(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

// What a compiled plugin depends on: neither comments nor layout.
std::string essence(std::string_view source) { return without_space(without_comments(source)); }

std::string present_text() {
  std::string all;
  for (const fs::path& file : files_below(root / "framework/include/orrery", {".h"}))
    if (file != recorded)
      all += fs::relative(file, root).generic_string() + '\0' + essence(read_text(file)) + '\0';
  return fmt::format(
      "// The hash of every public header, which a plugin carries in its stamp. Written by the test Abi.*\n"
      "// (framework/loader/abi_test.cpp says how).\n#pragma once\n\n"
      "// of abi {}\n#define ORRERY_HEADER_HASH \"{:016x}\"\n",
      ORRERY_ABI, fnv1a(all));
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

TEST(Abi, RisesWithThePublicHeaders) {
  ASSERT_FALSE(files_below(root / "framework/include/orrery", {".h"}).empty());
  const std::string text = present_text();
  if (std::getenv("ORRERY_UPDATE_HEADER_HASH")) std::ofstream(recorded) << text;
  EXPECT_EQ(read_text(recorded), text)
      << "The public headers changed. If a plugin built before the change would break, raise ORRERY_ABI in\n"
         "framework/include/orrery/abi/abi.h. Then write the text above into "
         "framework/include/orrery/abi/header_hash.h, which this does:\n"
         "  ORRERY_UPDATE_HEADER_HASH=1 unit_tests --gtest_filter='Abi.*'";
}

}  // namespace
}  // namespace orrery::test
