// A sweep: a set of runs that differ in stated keys. `orrery sweep` and `orrery verify` read it.
//
//   base = "../quickstart.toml"        # a config; the path is relative to this file
//   seeds = 8                          # 0 to 7, or a list
//   seeds_of = ["data", "init"]        # which of [seeds] they set; by default data, init and batches
//   keep = "last"                      # checkpoints: all (as the base says), last, logarithmic, none
//   [verify]                           # as in a config: the tier with which its claims are verified
//   tier = "standard"
//   [gallery]                          # as in a config, without figure_steps
//   title = "Grokking over seeds"
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
//   [[stage]]                          # runs of their own, with [stage.set], [stage.grid], [[stage.zip]],
//   name = "fewer"                     # [[stage.exclude]], [[stage.point]] and keep
//   from = "full"                      # each starts from the run of an earlier stage with its seed and keys
//   checkpoint = "last"                # or "step 400", or "first test/accuracy >= 0.99"
//
// [[reading]], [[class]] and [[expect]]: see sweep_claim.h.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/config/document.h"
#include "engine/config/gallery_settings.h"
#include "engine/config/sweep_claim.h"

namespace orrery::engine {

/// A key of [grid], or the keys of a [[zip]]: each entry sets all of them.
using SweepAxis = std::vector<std::vector<Override>>;

/// Which checkpoints a run keeps.
enum class Keep { all, last, logarithmic, none };

/// The points of a grid: every combination of the axes but those excluded, and single points beside them.
struct SweepGrid {
  std::vector<SweepAxis> axes;
  std::vector<SweepPart> excluded = {};
  std::vector<std::vector<Override>> points = {};
};

/// Which checkpoint of another run a run starts from.
struct StartRule {
  enum class Kind { last, step, first };
  Kind kind = Kind::last;
  int64_t step = 0;           ///< of `step`
  Condition condition = {};   ///< of `first`: on the metrics of a row
  std::string text = "last";  ///< as written
};

/// "last", "step 400", or "first test/accuracy >= 0.99": the first checkpoint at or after the first step at
/// which that holds. Throws UsageError.
StartRule parse_start_rule(const std::string& text);

/// A [[stage]].
struct SweepStage {
  std::string name, place;
  std::string from;   ///< the stage whose runs its runs start from; "": they start anew
  std::string sweep;  ///< the folder of the sweep which has that stage; "": this one
  StartRule start;
  std::string start_place = {};  ///< of the value of `checkpoint`
  Keep keep = Keep::all;
  std::vector<Override> kept = {}, fixed = {};
  SweepGrid grid = {};

  bool starts_anew() const { return from.empty() && sweep.empty(); }
};

struct SweepFile {
  Document base;  ///< without the overrides
  std::string name;
  std::string text, origin;  ///< the file itself
  std::string base_path;
  Keep keep = Keep::all;
  std::vector<Override> kept;   ///< what `keep` means as keys of [checkpoints]
  std::vector<Override> fixed;  ///< [set]
  SweepGrid grid = {};
  std::vector<SweepStage> stages = {};     ///< none: one without a name
  std::vector<int64_t> seeds = {};         ///< empty: those of the base
  std::vector<std::string> seeds_of = {};  ///< "seeds.data", ...
  std::string seeds_place = {};
  std::vector<SweepReading> readings = {};
  std::vector<SweepClass> classes = {};
  std::vector<SweepClaim> claims = {};
  VerifySettings verify = {};
  GallerySettings gallery = {};

  /// Null if there is none of that name.
  const SweepStage* find_stage(const std::string& stage) const;
  /// Which checkpoints runs of this stage ("": no stages) keep.
  Keep keep_of(const std::string& stage) const;
};

/// Whether `document` is a sweep, not a config.
bool is_sweep(const Document& document);

/// Whether to read the base config as well; without it, nothing checks the labels of probes.
enum class ReadBase { yes, no };

/// Throws UsageError, with the place, for the first error, but does not check the keys that it sets and their
/// values: only resolve() of the base with a point's overrides can. Then comes check_swept().
SweepFile read_sweep_file(const std::filesystem::path& file);
/// The same from its text; relative paths are those of the file `origin`.
SweepFile read_sweep_text(const std::string& text, const std::string& origin, ReadBase base);

/// Throws UsageError for the first claim along or across a key in which the runs do not differ. To call once
/// the keys of the sweep are known to be keys of the config: one that is misspelt is the mistake, then.
void check_swept(const SweepFile& sweep);

}  // namespace orrery::engine
