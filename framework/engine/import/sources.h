// Private to the import room: the files of one run, in the order of their steps. Free of LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace orrery::engine {

/// Where one checkpoint of the new run comes from.
struct Source {
  std::filesystem::path file;
  std::string key;  ///< the place in the file
  int64_t step = 0;
};

struct Sources {
  std::vector<Source> networks;  ///< ascending by step
  /// "epochs", "the names of the files"; "" if the networks are numbered from 0.
  std::string steps_from;
  std::vector<std::string> others;   ///< the keys of further networks in the only file
  std::vector<std::string> skipped;  ///< files of a folder that hold no network
};

/// The networks in `paths`: of one file all checkpoints that it holds, of several files (or a folder, with
/// the folders in it, but for hidden ones and runs of Orrery) one each. Their steps are inside, or are the
/// number that differs between the files' names, that after "step" if several do. `key` and `steps_key`: see
/// find_networks(). Throws orrery::UsageError and orrery::Error that name the file.
Sources find_sources(const std::vector<std::string>& paths, const std::string& key,
                     const std::string& steps_key);

}  // namespace orrery::engine
