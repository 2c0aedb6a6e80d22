// A sweep: a set of runs that differ in stated keys. `orrery sweep` and `orrery verify` read it.
//
//   base = "../quickstart.toml"        # a config; the path is relative to this file
//   seeds = 8                          # 0 to 7, or a list
//   seeds_of = ["data", "init"]        # which of [seeds] they set; by default data, init and batches
//   keep = "last"                      # checkpoints: all (as the base says), last, logarithmic, none
//
//   [set]                              # for every run; keys as for --set
//   task.p = 31
//   [grid]                             # every combination
//   train.weight_decay = [0.1, 1.0]
//   [[zip]]                            # lists that go together: the first with the first, ...
//   model.d_mlp = [64, 128]
//   train.lr = [2e-3, 1e-3]
//   [[exclude]]                        # points of the grid to leave out: all of these keys have (one of)
//   these values train.weight_decay = 0.1 model.d_mlp = [128]
//   [[point]]                          # one more point beside the grid
//   train.weight_decay = 5
//
// [[reading]], [[class]] and [[expect]]: see sweep_claim.h.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/config/document.h"
#include "engine/config/sweep_claim.h"

namespace orrery::engine {

/// A key of [grid], or the keys of a [[zip]]: each entry sets all of them.
using SweepAxis = std::vector<std::vector<Override>>;

/// Which checkpoints a run keeps.
enum class Keep { all, last, logarithmic, none };

struct SweepFile {
  Document base;  ///< without the overrides
  std::string name;
  std::string text, origin;  ///< the file itself
  std::string base_path;
  Keep keep = Keep::all;
  std::vector<Override> kept;   ///< what `keep` means as keys of [checkpoints]
  std::vector<Override> fixed;  ///< [set]
  std::vector<SweepAxis> axes;
  std::vector<SweepPart> excluded = {};
  std::vector<std::vector<Override>> points = {};
  std::vector<int64_t> seeds = {};         ///< empty: those of the base
  std::vector<std::string> seeds_of = {};  ///< "seeds.data", ...
  std::string seeds_place = {};
  std::vector<SweepReading> readings = {};
  std::vector<SweepClass> classes = {};
  std::vector<SweepClaim> claims = {};
};

/// Whether `document` is a sweep, not a config.
bool is_sweep(const Document& document);

/// Whether to read the base config as well; without it, nothing checks the labels of probes.
enum class ReadBase { yes, no };

/// Throws UsageError, with the place, for the first error, but does not check the values of keys: only
/// resolve() of the base with a point's overrides can.
SweepFile read_sweep_file(const std::filesystem::path& file);
/// The same from its text; relative paths are those of the file `origin`.
SweepFile read_sweep_text(const std::string& text, const std::string& origin, ReadBase base);

}  // namespace orrery::engine
