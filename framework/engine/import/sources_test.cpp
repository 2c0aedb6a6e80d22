#include "engine/import/sources.h"

#include <gtest/gtest.h>

#include <fstream>

#include "sdk/files/safetensors.h"
#include "tests/support/run_test_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;
using orrery::testing::error_of;
using orrery::testing::expect_holds;
using orrery::testing::TestFolder;

void write_network(const fs::path& path) {
  const std::vector<float> numbers(4);
  fs::create_directories(path.parent_path());
  const auto bytes = safetensors::serialise(
      {{"embed.W_E", safetensors::Dtype::F32, {2, 2}, std::as_bytes(std::span(numbers))}}, {}, "test");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::vector<int64_t> steps_in(const fs::path& folder) {
  std::vector<int64_t> steps;
  for (const Source& source : find_sources({folder.string()}, "", "").networks) steps.push_back(source.step);
  return steps;
}
using Steps = std::vector<int64_t>;

TEST(Sources, the_number_in_which_names_differ_is_the_step) {
  const TestFolder folder;
  for (const char* name : {"net_p113_100.safetensors", "net_p113_9.safetensors", "net_p113_20.safetensors"})
    write_network(folder / "a" / name);
  std::ofstream(folder / "a/README.md") << "words";
  EXPECT_EQ(steps_in(folder / "a"), (Steps{9, 20, 100}));
  const Sources sources = find_sources({(folder / "a").string()}, "", "");
  EXPECT_EQ(sources.steps_from, "the names of the files");
  EXPECT_EQ(sources.skipped, std::vector<std::string>{"README.md"});
  // Of several that differ, the one after "step".
  for (const char* name : {"epoch=1-step=500.safetensors", "epoch=2-step=900.safetensors"})
    write_network(folder / "b" / name);
  EXPECT_EQ(steps_in(folder / "b"), (Steps{500, 900}));
  // A folder for each, as the Hugging Face trainer writes them.
  for (const char* name : {"checkpoint-10/model.safetensors", "checkpoint-20/model.safetensors"})
    write_network(folder / "c" / name);
  EXPECT_EQ(steps_in(folder / "c"), (Steps{10, 20}));
}

// A run that was imported into the folder it came from, and what a killed import left there.
TEST(Sources, runs_and_hidden_folders_are_passed_over) {
  const TestFolder folder;
  for (const char* name :
       {"net_1.safetensors", "net_2.safetensors", ".run.importing-7/checkpoints/s_3.safetensors",
        "run/checkpoints/step_4.safetensors", "run/checkpoints/step_4.state.safetensors"})
    write_network(folder / "a" / name);
  std::ofstream(folder / "a/run/run.json") << "{}";
  EXPECT_EQ(steps_in(folder / "a"), (Steps{1, 2}));
  EXPECT_EQ(find_sources({(folder / "a").string()}, "", "").skipped,
            std::vector<std::string>{"run (a run of Orrery)"});
  expect_holds(error_of([&] { steps_in(folder / "a/run"); }),
               "a run of Orrery, on which every command works");
  EXPECT_EQ(steps_in(folder / "a/run/checkpoints"), Steps{0});  // one file, which does not tell
}

// Whatever the files are called.
TEST(Sources, only_files_without_a_network_are_passed_over) {
  const TestFolder folder;
  for (const char* name : {"it holds no network 1.safetensors", "it holds no network 2.safetensors"})
    write_network(folder / "a" / name);
  expect_holds(error_of([&] { find_sources({(folder / "a").string()}, "model", ""); }),
               "there is nothing at \"model\"");
}

TEST(Sources, steps_are_not_guessed) {
  const TestFolder folder;
  for (const char* name : {"first.safetensors", "last.safetensors"}) write_network(folder / "a" / name);
  expect_holds(error_of([&] { steps_in(folder / "a"); }), "their names do not differ in a number alone");
  for (const char* name : {"seed1_t5.safetensors", "seed2_t6.safetensors"})
    write_network(folder / "b" / name);
  expect_holds(error_of([&] { steps_in(folder / "b"); }), "2 numbers in their names differ");
  for (const char* name : {"x/net_1.safetensors", "x/net_01.safetensors"}) write_network(folder / "c" / name);
  EXPECT_NE(error_of([&] { steps_in(folder / "c"); }), "no error");
  fs::create_directories(folder / "empty");
  expect_holds(error_of([&] { steps_in(folder / "empty"); }), "a folder without files of weights");
  expect_holds(error_of([&] { find_sources({(folder / "absent.pt").string()}, "", ""); }), "no such file");
}

}  // namespace
}  // namespace orrery::engine
