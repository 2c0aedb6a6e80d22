#include "engine/import/zip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/support/run_test_folder.h"

namespace orrery::engine::zip {
namespace {

using orrery::testing::error_of;
using orrery::testing::expect_holds;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const std::string first = "the first member", second(1000, 'x'), nothing;

std::string archive() {
  return text_of(
      write({{"a/first", bytes_of(first)}, {"a/nothing", {}}, {"a/second", bytes_of(second)}}, "test"));
}

std::string refusal(const std::string& bytes) {
  return error_of([&] { read(bytes_of(bytes), "x.pth"); });
}

// The record of `name` in the list of members, or its local header.
size_t record_of(const std::string& bytes, const std::string& name, const char* signature, size_t size) {
  for (size_t at = 0; (at = bytes.find(name, at)) != std::string::npos; ++at)
    if (at >= size && bytes.compare(at - size, 4, signature) == 0) return at - size;
  throw std::runtime_error("no record");
}
size_t listed(const std::string& bytes, const std::string& name) {
  return record_of(bytes, name, "PK\1\2", 46);
}
size_t local(const std::string& bytes, const std::string& name) {
  return record_of(bytes, name, "PK\3\4", 30);
}

template <class Integer>
void set(std::string& bytes, size_t at, Integer value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

TEST(Zip, what_is_written_is_read) {
  const std::string bytes = archive();
  ASSERT_TRUE(is_archive(bytes_of(bytes)));
  const std::vector<Member> members = read(bytes_of(bytes), "test");
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].name, "a/first");
  EXPECT_EQ(text_of(members[0].data), first);
  EXPECT_EQ(text_of(members[1].data), "");
  EXPECT_EQ(text_of(members[2].data), second);
  for (const Member& member : members)
    EXPECT_EQ((reinterpret_cast<const char*>(member.data.data()) - bytes.data()) % 64, 0) << member.name;
}

TEST(Zip, an_archive_cut_short_anywhere_is_refused) {
  const std::string bytes = archive();
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_NE(refusal(bytes.substr(0, size)), "no error") << size;
}

TEST(Zip, a_changed_byte_of_data_is_seen) {
  for (const size_t offset : {size_t{0}, second.size() / 2, second.size() - 1}) {
    std::string bytes = archive();
    bytes[bytes.find(second) + offset] ^= 1;
    expect_holds(refusal(bytes), "x.pth: \"a/second\": its checksum is wrong");
  }
}

TEST(Zip, a_checksum_of_zero_is_none) {
  std::string bytes = archive();
  set<uint32_t>(bytes, listed(bytes, "a/second") + 16, 0);
  EXPECT_EQ(refusal(bytes), "no error");
}

TEST(Zip, compressed_and_encrypted_members_are_refused_by_name) {
  std::string bytes = archive();
  set<uint16_t>(bytes, listed(bytes, "a/second") + 10, 8);
  expect_holds(refusal(bytes), "\"a/second\" is compressed");
  expect_holds(refusal(bytes), "zip -0");
  bytes = archive();
  set<uint16_t>(bytes, listed(bytes, "a/second") + 8, 1);
  expect_holds(refusal(bytes), "\"a/second\" is encrypted");
}

// A bomb is many members that share the bytes of one.
TEST(Zip, members_that_overlap_are_refused) {
  std::string bytes = archive();
  set<uint32_t>(bytes, listed(bytes, "a/first") + 42, static_cast<uint32_t>(local(bytes, "a/second")));
  set<uint32_t>(bytes, listed(bytes, "a/first") + 16, 0);
  expect_holds(refusal(bytes), "overlap");
}

TEST(Zip, two_members_of_one_name_are_refused) {
  std::string bytes = archive();
  bytes.replace(listed(bytes, "a/first") + 46, 7, "a/secon");
  bytes.replace(listed(bytes, "a/second") + 46, 8, "a/secon\1");
  EXPECT_EQ(refusal(bytes), "no error");  // what the list says counts
  const std::string same = text_of(write({{"a", {}}, {"a", {}}}, "test"));
  expect_holds(refusal(same), "two members are called \"a\"");
}

TEST(Zip, sizes_and_places_beyond_the_file_are_refused) {
  for (const size_t field : {20u, 24u, 42u}) {  // packed size, size, local header
    std::string bytes = archive();
    for (const size_t other : {20u, 24u})
      if (field != 42) set<uint32_t>(bytes, listed(bytes, "a/second") + other, 0xfffffff0);
    set<uint32_t>(bytes, listed(bytes, "a/second") + field, 0xfffffff0);
    expect_holds(refusal(bytes), "\"a/second\"");
  }
  std::string bytes = archive();
  set<uint16_t>(bytes, bytes.size() - 22 + 10, 4);
  expect_holds(refusal(bytes), "expected 4 members in the zip archive, found 3");
}

uint32_t number_at(const std::string& bytes, size_t at) {
  uint32_t number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

// As PyTorch ends files above 4 GiB: an end record of 64-bit numbers, and its place.
TEST(Zip, large_archives_have_another_end) {
  const std::string bytes = archive();
  const size_t end = bytes.size() - 22;
  std::string large = bytes.substr(0, end), record(56, '\0'), locator(20, '\0'), last = bytes.substr(end);
  std::memcpy(record.data(), "PK\6\6", 4);
  set<uint64_t>(record, 32, 3);
  set<uint64_t>(record, 40, number_at(bytes, end + 12));
  set<uint64_t>(record, 48, number_at(bytes, end + 16));
  std::memcpy(locator.data(), "PK\6\7", 4);
  set<uint64_t>(locator, 8, end);
  set<uint16_t>(last, 10, 0xffff);
  set<uint32_t>(last, 12, 0xffffffff);
  set<uint32_t>(last, 16, 0xffffffff);
  EXPECT_EQ(read(bytes_of(large + record + locator + last), "test").size(), 3u);
  set<uint64_t>(locator, 8, uint64_t{1} << 60);
  expect_holds(refusal(large + record + locator + last), "zip64");
  set<uint64_t>(locator, 8, end);
  set<uint64_t>(record, 40, ~uint64_t{0});
  expect_holds(refusal(large + record + locator + last), "not within the file");
}

}  // namespace
}  // namespace orrery::engine::zip
