// Runs that take turns write what they write alone.
#include "engine/replicas/in_turns.h"
#include "tests/support/small_run.h"

namespace orrery::engine {
namespace {

using testing::built_in_plugins;
using testing::bytes_of;
using testing::CollectingReporter;
using testing::TestFolder;
namespace fs = std::filesystem;

TEST(TurnsTest, GoRoundUntilAllHaveEnded) {
  Turns turns(std::chrono::milliseconds(0));
  std::string order;
  const auto piece = [&](char name, int n) {
    return [&order, &turns, name, n] {
      for (int i = 0; i < n; ++i) {
        order += name;
        turns.pass_if_due();
      }
    };
  };
  turns.run({piece('a', 3), piece('b', 1), piece('c', 5)});
  EXPECT_EQ(order, "abcacaccc");
}

TEST(TurnsTest, LastForTheirTime) {
  Turns turns(std::chrono::hours(1));
  std::string order;
  const auto piece = [&](char name) {
    return [&order, &turns, name] {
      for (int i = 0; i < 3; ++i) {
        order += name;
        turns.pass_if_due();
      }
    };
  };
  turns.run({piece('a'), piece('b')});
  EXPECT_EQ(order, "aaabbb");
}

// Parity of three of twelve bits, with what differs between replicas.
Settings parity_settings(const std::string& train, int64_t seed, const std::string& more = "") {
  const std::string text =
      "name = \"replica\"\n[task]\nname = \"sparse_parity\"\nn = 12\nn_train = 200\nn_test = 100\n"
      "[model]\nkind = \"mlp\"\ninput = \"bits\"\nbias_column = true\nd_mlp = 24\n"
      "[checkpoints]\nevery = 50\n[seeds]\ndata = " +
      std::to_string(seed) + "\ninit = " + std::to_string(seed) +
      "\n[[probe]]\nname = \"weight_structure\"\n[train]\neval_every = 20\n" + train + more;
  return resolve(Document::from_toml(text, "replica.toml"), parameters_from(built_in_plugins()));
}

std::map<std::string, std::string> files_of(const fs::path& run) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(run))
    if (entry.is_regular_file() && entry.path().filename() != "run.json" &&
        entry.path().filename() != ".lock")
      files[fs::relative(entry.path(), run).string()] = bytes_of(entry.path());
  return files;
}

struct Trained {
  CollectingReporter reporter;
  std::optional<TrainedRun> run;
};

// Each step is a turn.
std::vector<Trained> train_together(const std::vector<Settings>& all, const fs::path& folder, Start start,
                                    int64_t stop_at = -1) {
  Turns turns(std::chrono::milliseconds(0));
  std::vector<Trained> trained(all.size());
  std::vector<std::function<void()>> pieces;
  for (size_t i = 0; i < all.size(); ++i)
    pieces.push_back([&, i] {
      trained[i].reporter.stop_at = stop_at;
      InTurns reporter(trained[i].reporter, turns);
      trained[i].run = train_run(built_in_plugins(), all[i], folder / std::to_string(i), start, reporter);
    });
  turns.run(std::move(pieces));
  return trained;
}

void train_alone(const Settings& settings, const fs::path& run, Start start, int64_t stop_at = -1) {
  CollectingReporter quiet;
  quiet.stop_at = stop_at;
  train_run(built_in_plugins(), settings, run, start, quiet);
}

std::vector<Settings> replicas() {
  return {parity_settings("steps = 300\nlr = 3e-3\n", 0),
          parity_settings("steps = 200\nlr = 1e-2\nweight_decay = 0.1\nbetas = [0.9, 0.999]\n", 1),
          parity_settings("steps = 300\nlr = 1e-2\nstop_when = \"train/accuracy >= 0.9\"\n", 2),
          parity_settings("steps = 300\nlr = 1e20\nwarmup_steps = 0\n", 3)};
}

TEST(Replicas, WriteTheBytesOfRunsAlone) {
  const TestFolder folder;
  const std::vector<Settings> all = replicas();
  const std::vector<Trained> trained = train_together(all, folder / "together", Start::anew);
  for (size_t i = 0; i < all.size(); ++i) {
    const fs::path name = std::to_string(i);
    train_alone(all[i], folder / "alone" / name, Start::anew);
    const auto expected = files_of(folder / "alone" / name);
    EXPECT_GE(expected.size(), 3u);
    EXPECT_EQ(files_of(folder / "together" / name), expected) << name;
  }
  EXPECT_EQ(trained[0].run->ending, Ending::finished);
  EXPECT_EQ(trained[1].run->step, 200);
  EXPECT_EQ(trained[2].run->ending, Ending::condition);
  EXPECT_EQ(trained[3].run->ending, Ending::diverged);
}

TEST(Replicas, OfATransformerDoSo) {
  const TestFolder folder;
  std::vector<Settings> all;
  for (const uint64_t seed : {1, 2, 3}) {
    all.push_back(testing::small_settings());
    all.back().seeds.init = all.back().seeds.data = seed;
    all.back().train.weight_decay = 0.1 * static_cast<double>(seed);
    EXPECT_EQ(replica_shape(all.back()), replica_shape(all.front()));
  }
  train_together(all, folder / "together", Start::anew);
  for (size_t i = 0; i < all.size(); ++i) {
    const fs::path name = std::to_string(i);
    train_alone(all[i], folder / "alone" / name, Start::anew);
    EXPECT_EQ(files_of(folder / "together" / name), files_of(folder / "alone" / name)) << name;
  }
}

TEST(Replicas, GoOnAloneAndTheOtherWayRound) {
  const TestFolder folder;
  const std::vector<Settings> all = {replicas()[0], replicas()[1]};
  for (size_t i = 0; i < all.size(); ++i)
    train_alone(all[i], folder / "whole" / std::to_string(i), Start::anew);
  train_together(all, folder / "first_together", Start::anew, 130);
  for (size_t i = 0; i < all.size(); ++i)
    train_alone(all[i], folder / "first_together" / std::to_string(i), Start::resume);
  for (size_t i = 0; i < all.size(); ++i)
    train_alone(all[i], folder / "first_alone" / std::to_string(i), Start::anew, 130);
  train_together(all, folder / "first_alone", Start::resume);
  for (const char* way : {"first_together", "first_alone"})
    for (size_t i = 0; i < all.size(); ++i)
      EXPECT_EQ(files_of(folder / way / std::to_string(i)), files_of(folder / "whole" / std::to_string(i)))
          << way << " " << i;
}

TEST(ReplicaShape, IsThatOfTaskAndModel) {
  const auto shape = replica_shape(replicas()[0]);
  ASSERT_TRUE(shape);
  EXPECT_EQ(replica_shape(replicas()[1]), shape);
  EXPECT_EQ(replica_shape(replicas()[2]), shape);
  Settings other = replicas()[0];
  other.task.parameters["n_train"] = int64_t{201};
  EXPECT_TRUE(replica_shape(other));
  EXPECT_NE(replica_shape(other), shape);
  other = replicas()[0];
  other.model.parameters["d_mlp"] = int64_t{25};
  EXPECT_NE(replica_shape(other), shape);
  other = replicas()[0];
  other.train.kernel = TrainSettings::Kernel::plain;
  EXPECT_FALSE(replica_shape(other));
  Settings transformer = testing::small_settings();
  EXPECT_TRUE(replica_shape(transformer));
  EXPECT_EQ(replicas_by_default(transformer), 1u);
  transformer.model.parameters["n_layers"] = int64_t{2};
  EXPECT_FALSE(replica_shape(transformer));
  EXPECT_GT(replicas_by_default(replicas()[0]), 1u);
  other = replicas()[0];
  other.train.steps = 20000;
  EXPECT_EQ(replicas_by_default(other), 1u);
}

}  // namespace
}  // namespace orrery::engine
