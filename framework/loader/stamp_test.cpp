// Stamps are read from bytes and compared field by field.
#include <loader/elf.h>
#include <loader/stamp.h>
#include <orrery/abi/stamp.h>

#include "tests/support/loader_fixtures.h"

namespace orrery::test {
namespace {

TEST(Stamp, OfAPluginBuiltHereIsTheHosts) {
  const auto stamp = find_stamp(bad_plugin("good_task"));
  ASSERT_TRUE(stamp);
  EXPECT_EQ(*stamp, host_stamp());
  EXPECT_TRUE(compare(*parse_stamp(host_stamp()), *parse_stamp(*stamp)).empty());
}

TEST(Stamp, IsNotThePrefixAloneOrInASentence) {
  EXPECT_FALSE(find_stamp(bad_plugin("no_stamp")));
  EXPECT_FALSE(find_stamp(ORRERY_BAD_PLUGINS "/../../../../framework/sdk/liborrery.so"));
}

TEST(Stamp, ParsesFieldsInOrder) {
  const auto stamp = parse_stamp("ORRERY-STAMP/1 abi=3 torch=2.1.0+cpu");
  ASSERT_TRUE(stamp);
  EXPECT_EQ(*stamp, (Stamp{{"abi", "3"}, {"torch", "2.1.0+cpu"}}));
}

TEST(Stamp, RefusesWhatIsNotOne) {
  for (const char* text :
       {"", "ORRERY-STAMP/1 ", "ORRERY-STAMP/2 abi=1", "ORRERY-STAMP/1 torch=1", "ORRERY-STAMP/1 abi",
        "ORRERY-STAMP/1 abi=", "ORRERY-STAMP/1 abi=1 =2", "ORRERY-STAMP/1 abi=1  torch=1",
        "ORRERY-STAMP/1 abi=1 torch=\t", " ORRERY-STAMP/1 abi=1"})
    EXPECT_FALSE(parse_stamp(text)) << text;
}

TEST(Stamp, EveryDifferenceIsAMismatch) {
  const Stamp host = {{"abi", "1"}, {"torch", "1.13.1"}, {"std", "20"}};
  EXPECT_TRUE(compare(host, {{"std", "20"}, {"torch", "1.13.1"}, {"abi", "1"}}).empty());
  const auto mismatches = compare(host, {{"abi", "2"}, {"std", "20"}, {"planet", "mars"}});
  ASSERT_EQ(mismatches.size(), 3u);
  EXPECT_EQ(mismatches[0].field + mismatches[0].host + mismatches[0].plugin, "abi12");
  EXPECT_EQ(mismatches[1].field + mismatches[1].host + mismatches[1].plugin, "torch1.13.1");
  EXPECT_EQ(mismatches[2].field + mismatches[2].host + mismatches[2].plugin, "planetmars");
  const std::string text = refusal([&] { refuse_mismatches(mismatches); });
  EXPECT_CONTAINS(text, "LibTorch: this program has 1.13.1, the plugin (none)");
  EXPECT_CONTAINS(text, "planet: this program has (none), the plugin mars");
  EXPECT_CONTAINS(text, "cmake -S . -B build && cmake --build build");
  EXPECT_NO_THROW(refuse_mismatches({}));
}

// A library whose headers lie, at every byte of its header in turn: refused or accepted, never out of bounds.
TEST(Elf, SurvivesADamagedHeader) {
  const std::string whole = contents(bad_plugin("no_symbol"));
  for (size_t at = 0; at < 64 + 56 * 4; ++at)
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string bytes = whole;
      bytes[at] ^= flip;
      try {
        for (const std::string_view segment : loadable_segments(bytes)) {
          EXPECT_GE(segment.data(), bytes.data());
          EXPECT_LE(segment.data() + segment.size(), bytes.data() + bytes.size());
        }
      } catch (const Error&) {
      }
    }
}

}  // namespace
}  // namespace orrery::test
