#include "engine/import/sources.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <cctype>

#include "engine/import/networks.h"
#include "engine/import/weights_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

bool is_weights(const fs::path& file) {
  const std::string ending = file.extension().string();
  for (const char* known : {".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz", ".pkl"})
    if (ending == known) return true;
  return false;
}

// What trainings leave beside their networks.
bool is_beside(const fs::path& file) {
  const std::string name = file.filename().string();
  for (const char* known :
       {"optimizer", "scheduler", "rng_state", "training_args", "trainer_state", ".state.safetensors"})
    if (name.find(known) != name.npos) return true;
  return false;
}

// A run of Orrery's own: what it holds is imported, or was trained, already.
bool is_run(const fs::path& folder) {
  std::error_code failure;
  return fs::exists(folder / "run.json", failure) && fs::is_directory(folder / "checkpoints", failure);
}

std::vector<fs::path> files_in(const fs::path& folder, std::vector<std::string>& skipped) {
  if (is_run(folder))
    throw UsageError(folder.string() + ": a run of Orrery, on which every command works as it is",
                     "to make another run of its networks: " + (folder / "checkpoints").string());
  std::vector<fs::path> files, arrays;
  for (fs::recursive_directory_iterator at(folder), end; at != end; ++at) {
    const fs::path& path = at->path();
    const bool hidden = path.filename().string().starts_with(".");
    std::error_code failure;  // a link to itself
    if (at->is_directory(failure)) {
      if (hidden || is_run(path)) at.disable_recursion_pending();
      if (!hidden && is_run(path))
        skipped.push_back(path.lexically_relative(folder).string() + " (a run of Orrery)");
      continue;
    }
    if (hidden || !at->is_regular_file(failure)) continue;
    if (path.extension() == ".npy")
      arrays.push_back(path);
    else if (is_weights(path) && !is_beside(path))
      files.push_back(path);
    else
      skipped.push_back(path.lexically_relative(folder).string());
  }
  if (files.empty() && !arrays.empty()) {
    skipped.clear();
    return {folder};
  }
  if (files.empty())
    throw UsageError(folder.string() + ": a folder without files of weights",
                     "expected .pt, .pth, .ckpt, .safetensors or .npz files");
  std::sort(files.begin(), files.end());
  return files;
}

// A name as the text between its numbers, and the numbers.
struct Numbered {
  std::vector<std::string> texts = {""};
  std::vector<int64_t> numbers;

  explicit Numbered(const std::string& name) {
    for (size_t i = 0; i < name.size();) {
      if (!std::isdigit(static_cast<unsigned char>(name[i]))) {
        texts.back() += name[i++];
        continue;
      }
      int64_t number = 0;
      for (; i < name.size() && std::isdigit(static_cast<unsigned char>(name[i])); ++i)
        number = number > INT64_MAX / 10 - 1 ? INT64_MAX / 10 : 10 * number + (name[i] - '0');
      numbers.push_back(number);
      texts.emplace_back();
    }
  }
};

// The place among the numbers of all names that tells the step.
size_t step_place(const std::vector<Numbered>& names, const std::vector<fs::path>& files) {
  const Numbered& first = names.front();
  for (size_t i = 1; i < names.size(); ++i)
    if (names[i].texts != first.texts)
      throw UsageError(
          fmt::format("{} and {}: their names do not differ in a number alone, so the steps of these "
                      "networks are not known",
                      files.front().string(), files[i].string()),
          "give only the files of one run, or import them one by one with --step");
  std::vector<size_t> different, after_step;
  for (size_t place = 0; place < first.numbers.size(); ++place)
    if (std::any_of(names.begin(), names.end(),
                    [&](const Numbered& one) { return one.numbers[place] != first.numbers[place]; })) {
      different.push_back(place);
      if (first.texts[place].find("step") != std::string::npos) after_step.push_back(place);
    }
  if (different.size() == 1) return different.front();
  if (after_step.size() == 1) return after_step.front();
  throw UsageError(
      fmt::format("{} to {}: {} numbers in their names differ, and none of them is said to be the step",
                  files.front().string(), files.back().string(), different.size()),
      "name the files by their steps, or say where these are inside: --steps-key KEY");
}

void take_steps_from_names(Sources& sources) {
  std::vector<Numbered> names;
  std::vector<fs::path> files;
  for (const Source& source : sources.networks) {
    files.push_back(source.file);
    names.emplace_back((source.file.parent_path() / source.file.stem()).string());
  }
  const size_t place = step_place(names, files);
  for (size_t i = 0; i < names.size(); ++i) sources.networks[i].step = names[i].numbers[place];
  sources.steps_from = "the names of the files";
}

void sort_by_step(Sources& sources) {
  auto& all = sources.networks;
  std::stable_sort(all.begin(), all.end(), [](const Source& a, const Source& b) { return a.step < b.step; });
  for (size_t i = 1; i < all.size(); ++i)
    if (all[i].step == all[i - 1].step)
      throw UsageError(fmt::format("{} and {} have the same step, {}", all[i - 1].file.string(),
                                   all[i].file.string(), all[i].step),
                       "give only the files of one run");
}

Sources of_one_file(const fs::path& file, const std::string& key, const std::string& steps_key) {
  const WeightsFile weights(file);
  FoundNetworks found = find_networks(weights.root(), key, steps_key, file.string());
  Sources sources{{}, found.steps_from, std::move(found.others), {}};
  for (const FoundNetwork& network : found.networks)
    sources.networks.push_back({file, network.key, network.step});
  return sources;
}

Sources of_files(const std::vector<fs::path>& files, const std::string& key, const std::string& steps_key) {
  Sources all;
  bool steps_inside = true;
  for (const fs::path& file : files) {
    Sources one;
    try {
      one = of_one_file(file, key, steps_key);
    } catch (const NoNetwork&) {  // curves and the like beside the checkpoints in a folder
      all.skipped.push_back(file.string());
      continue;
    }
    if (one.networks.size() != 1)
      throw UsageError(fmt::format("{}: it holds {} networks; of several files each is one checkpoint",
                                   file.string(), one.networks.size()),
                       "import it alone, or choose a network in it: --key KEY");
    steps_inside = steps_inside && !one.steps_from.empty();
    all.networks.push_back(one.networks.front());
    all.steps_from = one.steps_from;
  }
  if (all.networks.empty())
    throw UsageError(
        fmt::format("{} and {} more files hold no network", files.front().string(), files.size() - 1));
  if (!steps_inside) take_steps_from_names(all);
  sort_by_step(all);
  return all;
}

}  // namespace

Sources find_sources(const std::vector<std::string>& paths, const std::string& key,
                     const std::string& steps_key) {
  std::vector<fs::path> files;
  std::vector<std::string> skipped;
  for (const std::string& path : paths) {
    std::error_code failure;
    if (fs::is_directory(path, failure)) {
      const auto inside = files_in(path, skipped);
      files.insert(files.end(), inside.begin(), inside.end());
    } else {
      files.emplace_back(path);
    }
  }
  Sources sources =
      files.size() == 1 ? of_one_file(files.front(), key, steps_key) : of_files(files, key, steps_key);
  sources.skipped.insert(sources.skipped.end(), skipped.begin(), skipped.end());
  return sources;
}

}  // namespace orrery::engine
