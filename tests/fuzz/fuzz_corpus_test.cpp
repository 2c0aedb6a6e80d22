// The seeds of the fuzzers, and whatever they once found, through the readers: tests/fuzz runs them for
// longer.
#include <gtest/gtest.h>

#include <filesystem>

#include "sdk/files/atomic_file.h"
#include "tests/fuzz/targets.h"

namespace orrery::fuzz {

using namespace engine;
namespace {

struct Room {
  const char* name;
  unsigned (*target)(Input);
};

class FuzzCorpus : public ::testing::TestWithParam<Room> {};

TEST_P(FuzzCorpus, IsReadOrRefused) {
  size_t read = 0, refused = 0;
  const std::filesystem::path folder = std::string(ORRERY_SOURCE_DIR "/tests/fuzz/corpus/") + GetParam().name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string bytes = read_file(entry.path());
    ++(GetParam().target(std::as_bytes(std::span(bytes))) == -1u ? refused : read);
    for (size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 50)
      GetParam().target(std::as_bytes(std::span(bytes)).first(cut));
  }
  EXPECT_GT(read, 0u);
  EXPECT_GT(refused, 0u);
}

INSTANTIATE_TEST_SUITE_P(Rooms, FuzzCorpus,
                         ::testing::Values(Room{"safetensors", safetensors_target}, Room{"zip", zip_target},
                                           Room{"pickle", pickle_target}, Room{"weights", weights_target},
                                           Room{"json", json_target}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace orrery::fuzz
