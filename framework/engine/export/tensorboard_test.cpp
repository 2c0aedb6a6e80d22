#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/export/crc32c.h"
#include "engine/export/event_file.h"
#include "engine/export/events.h"
#include "tests/support/event_reader.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine::tensorboard {
namespace {

using testing::decode_event;
using testing::error_of;
using testing::expect_holds;
using testing::has_protoc;
using testing::no_protoc;
using testing::read_records;
using testing::TestFolder;

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Crc32c, is_that_of_rfc_3720) {
  std::string up, down;
  for (int i = 0; i < 32; ++i) {
    up += static_cast<char>(i);
    down += static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(up), 0x46dd794eu);
  EXPECT_EQ(crc32c(down), 0x113fdb5cu);
  // An iSCSI read command.
  std::string command(48, '\0');
  for (const auto& [at, byte] : {std::pair{0, '\x01'},
                                 {1, '\xc0'},
                                 {16, '\x14'},
                                 {22, '\x04'},
                                 {27, '\x14'},
                                 {31, '\x18'},
                                 {32, '\x28'},
                                 {40, '\x02'}})
    command[at] = byte;
  EXPECT_EQ(crc32c(command), 0xd9963a56u);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
}

TEST(EventRecords, begin_as_every_event_file_does) {
  // 24 bytes of version event behind a length and its masked checksum: what TensorFlow's files begin with.
  const std::string file = record_of(version_event(1.0));
  EXPECT_EQ(file.substr(0, 12), std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22", 12));
}

TEST(EventRecords, are_read_back_and_every_flipped_bit_is_seen) {
  std::string file;
  std::vector<std::string> data;
  for (const size_t size : {0, 1, 127, 128, 5000}) {
    data.emplace_back(size, static_cast<char>(size % 251));
    file += record_of(data.back());
  }
  EXPECT_EQ(read_records(file), data);
  const std::string one = record_of("some data");
  for (size_t bit = 0; bit < 8 * one.size(); ++bit) {
    std::string damaged = one;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
    EXPECT_ANY_THROW(read_records(damaged)) << bit;
  }
}

TEST(Events, are_what_protoc_reads) {
  if (!has_protoc()) GTEST_SKIP() << no_protoc;
  EXPECT_EQ(decode_event(version_event(1234567.5)),
            "wall_time: 1234567.5\nfile_version: \"brain.Event:2\"\n");
  EXPECT_EQ(decode_event(session_start_event(2, 401)),
            "wall_time: 2\nstep: 401\nsession_log {\n  status: START\n}\n");
  EXPECT_EQ(
      decode_event(scalars_event(0.25, 40000, {{"train/loss", 0.5}, {"probe/trig_loss/loss/test", -3}})),
      "wall_time: 0.25\nstep: 40000\nsummary {\n"
      "  value {\n    tag: \"train/loss\"\n    simple_value: 0.5\n  }\n"
      "  value {\n    tag: \"probe/trig_loss/loss/test\"\n    simple_value: -3\n  }\n}\n");
}

TEST(Events, have_numbers_at_their_limits) {
  if (!has_protoc()) GTEST_SKIP() << no_protoc;
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string values = decode_event(
      scalars_event(1, int64_t{1} << 40,
                    {{"a", std::nan("")}, {"b", infinity}, {"c", -infinity}, {"d", 1e-60}, {"e", 2.4e-7}}));
  for (const char* text : {"step: 1099511627776", "simple_value: nan", "simple_value: inf",
                           "simple_value: -inf", "simple_value: 0\n", "simple_value: 2.4e-07"})
    expect_holds(values, text);
  const std::string long_tag(300, 'x');
  expect_holds(decode_event(scalars_event(1, 2, {{long_tag, 1}})), "tag: \"" + long_tag + "\"");
  expect_holds(decode_event(scalars_event(1, 3, {{"größe", 1}})), "gr\\303\\266\\303\\237e");
}

TEST(EventFile, grows_by_whole_records) {
  const TestFolder folder;
  EventFile file(folder / "new/tensorboard", std::nullopt);
  EXPECT_EQ(read_records(read_file(file.path())).size(), 1u);
  file.add(0, {{"train/loss", 4.5}});
  file.add(100, {{"loss/test", 0.5}}, "probe/trig_loss/");
  const auto records = read_records(read_file(file.path()));
  ASSERT_EQ(records.size(), 3u);
  if (!has_protoc()) GTEST_SKIP() << no_protoc;
  expect_holds(decode_event(records[0]), "file_version: \"brain.Event:2\"");
  expect_holds(decode_event(records[1]),
               "summary {\n  value {\n    tag: \"train/loss\"\n    simple_value: 4.5");
  expect_holds(decode_event(records[2]),
               "step: 100\nsummary {\n  value {\n    tag: \"probe/trig_loss/loss/test\"");
}

TEST(EventFile, a_resumed_run_has_a_file_that_voids_what_comes_anew) {
  const TestFolder folder;
  EventFile first(folder.path(), std::nullopt), second(folder.path(), 400);
  EXPECT_NE(first.path(), second.path());
  EXPECT_LT(first.path(), second.path());  // read in this order
  const auto records = read_records(read_file(second.path()));
  ASSERT_EQ(records.size(), 2u);
  if (!has_protoc()) GTEST_SKIP() << no_protoc;
  expect_holds(decode_event(records[1]), "step: 400\nsession_log {\n  status: START\n}");
}

TEST(EventFile, whole_ones_replace_those_of_their_kind) {
  const TestFolder folder;
  EXPECT_FALSE(has_event_files(folder / "none"));
  EXPECT_FALSE(has_event_files(folder.path()));
  const EventFile live(folder.path(), std::nullopt);
  EXPECT_TRUE(has_event_files(folder.path()));
  const auto bytes =
      event_file_of({{0, {{"a", 1}}}, {7, {{"a", 2}, {"b", 3}}}}, [](int64_t step) { return 10.0 * step; });
  replace_event_file(folder.path(), "waiting", event_file_of({}, [](int64_t) { return 0; }));
  replace_event_file(folder.path(), "waiting", bytes);
  const auto files = files_in(folder.path());
  ASSERT_EQ(files.size(), 2u);
  const auto written = files[0] == live.path() ? files[1] : files[0];
  EXPECT_EQ(read_file(written), bytes);
  const auto records = read_records(bytes);
  ASSERT_EQ(records.size(), 3u);
  if (!has_protoc()) GTEST_SKIP() << no_protoc;
  expect_holds(decode_event(records[2]), "wall_time: 70\nstep: 7\nsummary");
}

TEST(EventFile, names_are_in_the_order_of_writing) {
  const TestFolder folder;
  const auto last = [&] { return files_in(folder.path()).back(); };
  const auto whole = [&] {
    replace_event_file(folder.path(), "waiting", event_file_of({}, [](int64_t) { return 0; }));
  };
  for (int session = 0; session < 12; ++session) {  // most within a second
    const EventFile live(folder.path(), 7);
    EXPECT_EQ(live.path(), last());
    whole();
    EXPECT_TRUE(last().string().ends_with(".waiting")) << last();
  }
  // After the clock was set back, existing files lie in the future.
  write_file(folder / "events.out.tfevents.9000000000.elsewhere.0", "");
  const EventFile live(folder.path(), 7);
  whole();
  const auto files = files_in(folder.path());
  EXPECT_EQ(files.size(), 15u);
  EXPECT_TRUE(files[13] == live.path()) << files[13];
  EXPECT_TRUE(files[14].string().ends_with(".waiting")) << files[14];
}

TEST(EventFile, says_where_it_cannot_be_written) {
  const TestFolder folder;
  write_file(folder / "file", "");
  expect_holds(error_of([&] { EventFile(folder / "file", std::nullopt); }), "file: cannot make this folder");
}

}  // namespace
}  // namespace orrery::engine::tensorboard
