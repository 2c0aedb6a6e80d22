#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "sdk/files/atomic_file.h"
#include "tests/support/run_test_folder.h"

namespace orrery {
namespace {

using testing::error_of;
using testing::expect_holds;
using testing::TestFolder;

// While this lives no file may grow beyond `bytes`: write(2) writes what fits and then fails, as on a full
// disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  sighandler_t handler_;
  rlimit before_;
};

// Runs `work` in another process, waits until `begun`, and kills it `milliseconds` later, wherever it happens
// to be.
void kill_during(const std::function<void()>& work, const std::function<bool()>& begun, int milliseconds) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      work();
    } catch (...) {
    }
    _exit(1);
  }
  int status = 0;
  while (!begun()) ASSERT_EQ(waitpid(child, &status, WNOHANG), 0) << "the child ended before it was killed";
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended before it was killed";
}

TEST(AtomicFile, writes_replaces_and_leaves_nothing_else) {
  const TestFolder folder;
  const std::string binary("a\0b\xff\n", 5);
  write_file(folder / "x", binary);
  EXPECT_EQ(read_file(folder / "x"), binary);
  write_file(folder / "x", "");
  EXPECT_EQ(read_file(folder / "x"), "");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(AtomicFile, has_the_permissions_of_any_new_file) {
  const TestFolder folder;
  const mode_t mask = umask(022);
  write_file(folder / "x", "text");
  umask(mask);
  EXPECT_EQ(std::filesystem::status(folder / "x").permissions(), std::filesystem::perms(0644));
}

TEST(AtomicFile, a_full_disk_leaves_the_old_file) {
  const TestFolder folder;
  write_file(folder / "x", "old");
  std::string message;
  {
    const FullDisk full(4096);
    message = error_of([&] { write_file(folder / "x", std::string(100000, 'n')); });
  }
  expect_holds(message, "x: cannot write: ");
  expect_holds(message, "ulimit -f");
  EXPECT_EQ(read_file(folder / "x"), "old");
  EXPECT_EQ(folder.count(), 1u) << "the temporary file is still there";
}

TEST(AtomicFile, what_has_no_end_is_refused) {
  expect_holds(error_of([] { read_file("/dev/zero"); }), "/dev/zero: cannot read: it goes on and on");
  const TestFolder folder;
  write_file(folder / "x", "");
  std::filesystem::resize_file(folder / "x", uint64_t{40} << 30);  // takes no space
  expect_holds(error_of([&] { read_file(folder / "x"); }), "x: cannot read: 42949672960 bytes");
}

TEST(AtomicFile, removes_what_the_dead_left) {
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  waitpid(dead, nullptr, 0);
  const TestFolder folder;
  const auto leave = [&](pid_t pid, int hours) {
    const std::filesystem::path path = folder / (".report.html." + std::to_string(pid) + "-0.tmp");
    std::ofstream(path) << "half";
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(hours));
    return path;
  };
  const auto old = leave(dead, 1), mine = leave(getpid(), 1);
  write_file(folder / "report.html", "text");
  EXPECT_FALSE(std::filesystem::exists(old));
  EXPECT_TRUE(std::filesystem::exists(mine)) << "a living process may still write it";
}

TEST(AtomicFile, folders_are_made_with_their_parents) {
  const TestFolder folder;
  make_folders(folder / "a/b/c");
  make_folders(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
  write_file(folder / "file", "");
  expect_holds(error_of([&] { make_folders(folder / "file/x"); }), "cannot make this folder");
}

TEST(TemporaryFolder, the_next_removes_those_of_killed_processes) {
  const auto make = [](const char* name) {
    const auto path = std::filesystem::temp_directory_path() / name;
    std::filesystem::create_directory(path);
    write_file(path / "x", "");
    std::filesystem::last_write_time(path,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    return path;
  };
  const auto dead = make("orrery-temporary-test-dead"), other = make("orrery-test-other");
  const TemporaryFolder first;
  std::filesystem::last_write_time(first.path(),
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const TemporaryFolder second;
  EXPECT_FALSE(std::filesystem::exists(dead));
  EXPECT_TRUE(std::filesystem::exists(other));
  EXPECT_TRUE(std::filesystem::exists(first.path())) << "it is in use";
  std::filesystem::remove_all(other);
}

TEST(LineLog, tells_what_it_holds) {
  const TestFolder folder;
  LineLog log(folder / "log");
  EXPECT_EQ(log.content().sha256, sha256(""));
  log.append("one");
  log.append("two");
  EXPECT_EQ(log.content().lines, 2);
  EXPECT_EQ(log.content().bytes, 8u);
  EXPECT_EQ(log.content().sha256, sha256("one\ntwo\n"));
  log.drop_lines([](std::string_view line) { return line == "one"; });
  log.append("three");
  EXPECT_EQ(log.content().lines, 2);
  EXPECT_EQ(log.content().sha256, sha256("two\nthree\n"));
  LineLog again(folder / "log");
  EXPECT_EQ(again.content().sha256, sha256("two\nthree\n"));
}

TEST(AtomicFile, a_missing_folder_a_folder_and_a_device_are_errors) {
  const TestFolder folder;
  const std::string missing = error_of([&] { write_file(folder / "none/x", "text"); });
  expect_holds(missing, "none/x: cannot write here: No such file");
  expect_holds(missing, "one of its folders does not exist");
  expect_holds(error_of([&] { write_file(folder.path(), "text"); }), "expected a file, found a folder");
  expect_holds(error_of([] { write_file("/dev/full", "text"); }),
               "expected a file, found a folder or device");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  expect_holds(error_of([&] { read_file(folder / "none"); }), "none: cannot read: No such file");
  expect_holds(error_of([&] { read_file(folder.path()); }), "cannot read: Is a directory");
}

TEST(AtomicFile, a_killed_writer_leaves_one_version_or_the_other) {
  const TestFolder folder;
  const std::string a(300000, 'a'), b(700000, 'b');
  write_file(folder / "x", a);
  for (const int milliseconds : {3, 7, 12, 20, 31}) {
    kill_during(
        [&] {
          for (;;) {
            write_file(folder / "x", b);
            write_file(folder / "x", a);
          }
        },
        [&] { return folder.count() > 1; }, milliseconds);
    const std::string left = read_file(folder / "x");
    EXPECT_TRUE(left == a || left == b) << left.size() << " bytes";
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_TRUE(entry.path().filename() == "x" || is_temporary(entry.path())) << entry.path();
  }
}

TEST(AtomicFile, knows_its_temporary_files) {
  EXPECT_TRUE(is_temporary("folder/.x.safetensors.12-0.tmp"));
  EXPECT_FALSE(is_temporary("folder/x.safetensors"));
  EXPECT_FALSE(is_temporary("folder/.lock"));
  EXPECT_FALSE(is_temporary("folder/mine.tmp"));
}

TEST(LineLog, appends_and_is_read_while_it_grows) {
  const TestFolder folder;
  LineLog log(folder / "x");
  log.append("one");
  EXPECT_EQ(read_file(folder / "x"), "one\n");
  log.append("");
  LineLog moved = std::move(log);
  moved.append("three");
  moved.sync();
  EXPECT_EQ(read_lines(folder / "x"), (std::vector<std::string>{"one", "", "three"}));
  expect_holds(error_of([&] { moved.append("two\nlines"); }), "may not hold a newline");
  LineLog(folder / "x").append("four");
  EXPECT_EQ(read_file(folder / "x"), "one\n\nthree\nfour\n");
}

TEST(LineLog, cuts_off_a_half_written_line) {
  const TestFolder folder;
  const std::string whole = std::string(5000, 'w') + "\n";
  const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                       {"{\"step\": 1", ""},
                                                       {"one\ntw", "one\n"},
                                                       {"one\ntwo\n", "one\ntwo\n"},
                                                       {"\n", "\n"},
                                                       {std::string(10000, 'h'), ""},
                                                       {whole + std::string(4095, 'h'), whole},
                                                       {whole + std::string(4096, 'h'), whole},
                                                       {whole + std::string(4097, 'h'), whole},
                                                       {whole + std::string(20000, 'h'), whole}};
  for (const auto& [before, after] : cases) {
    write_file(folder / "x", before);
    EXPECT_EQ(read_lines(folder / "x").size(),
              static_cast<size_t>(std::count(after.begin(), after.end(), '\n')));
    EXPECT_EQ(read_file(folder / "x"), before) << "reading must not change the file";
    LineLog log(folder / "x");
    EXPECT_EQ(read_file(folder / "x"), after);
    log.append("next");
    EXPECT_EQ(read_file(folder / "x"), after + "next\n");
  }
}

TEST(LineLog, drops_lines_and_goes_on) {
  const TestFolder folder;
  LineLog log(folder / "x");
  for (const char* line : {"1", "5", "2", "6", "3"}) log.append(line);
  log.drop_lines([](std::string_view line) { return line > "4"; });
  EXPECT_EQ(read_lines(folder / "x"), (std::vector<std::string>{"1", "2", "3"}));
  log.append("4");
  EXPECT_EQ(read_lines(folder / "x"), (std::vector<std::string>{"1", "2", "3", "4"}));
  EXPECT_EQ(folder.count(), 1u);
}

TEST(LineLog, a_full_disk_leaves_whole_lines) {
  const TestFolder folder;
  LineLog log(folder / "x");
  log.append("first");
  std::string message;
  {
    const FullDisk full(4096);
    message = error_of([&] { log.append(std::string(10000, 'n')); });
  }
  expect_holds(message, "x: cannot append: ");
  EXPECT_EQ(read_file(folder / "x"), "first\n");
  log.append("second");
  EXPECT_EQ(read_file(folder / "x"), "first\nsecond\n");
}

TEST(LineLog, a_killed_writer_leaves_whole_lines_in_order) {
  const TestFolder folder;
  const auto line = [](int i) {
    return std::to_string(i) + std::string(static_cast<size_t>(i * 37 % 5000), 'x');
  };
  int next = 0;
  uintmax_t before = 0;
  for (const int milliseconds : {5, 11, 23}) {
    kill_during(
        [&] {
          LineLog log(folder / "x");
          for (int i = next;; ++i) log.append(line(i));
        },
        [&] {
          return std::filesystem::exists(folder / "x") && std::filesystem::file_size(folder / "x") > before;
        },
        milliseconds);
    LineLog log(folder / "x");
    const std::vector<std::string> lines = read_lines(folder / "x");
    for (size_t i = 0; i < lines.size(); ++i) ASSERT_EQ(lines[i], line(static_cast<int>(i)));
    ASSERT_GT(static_cast<int>(lines.size()), next);
    next = static_cast<int>(lines.size());
    before = std::filesystem::file_size(folder / "x");
  }
}

TEST(LineLog, needs_a_file_and_a_folder) {
  const TestFolder folder;
  expect_holds(error_of([&] { LineLog log(folder / "none/x"); }), "none/x: cannot open: No such file");
  expect_holds(error_of([] { LineLog log("/dev/full"); }), "expected a file, found a folder or device");
}

}  // namespace
}  // namespace orrery
