// Private to the config room: the parts of a sweep file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/config/sweep_file.h"

namespace orrery::engine {

/// One key of a table of keys, however deeply it is nested: "train.lr" below [grid].
struct WrittenKey {
  std::string key, place, value_place;
  const Table::Content* content;
};
/// Those of `table`, in the order written; they point into it. Refuses keys that no run may differ in.
std::vector<WrittenKey> written_keys(const Table& table);

/// Keys with one value each, as in [set].
std::vector<Override> read_overrides(const Table& table);
/// The values listed for a key of [grid].
std::vector<Override> read_listed(const WrittenKey& key);
SweepPart read_part(const Table& table);

/// [grid], [[zip]], [[exclude]] and [[point]] in `owner`.
SweepGrid read_grid(const Table& owner);

/// The key `keep`, its value among those that bind_fields() gave, and what it means as keys of [checkpoints].
Field keep_field(const std::string& fallback);
Keep keep_of(const Values& values);
std::vector<Override> kept_as_keys(Keep keep, const std::string& place);

/// `keep`, written at `keep_place`: that of the sweep, for stages that say nothing.
std::vector<SweepStage> read_stages(const std::vector<Table>& entries, Keep keep,
                                    const std::string& keep_place);

/// The text of `name` in `entry`: one word that is not in `taken`.
std::string read_word(const Table& entry, const std::string& owner, const std::vector<std::string>& taken);

/// `labels`: those of the base's probes, or null if unknown.
std::vector<SweepReading> read_readings(const std::vector<Table>& entries,
                                        const std::vector<std::string>* labels);
std::vector<SweepClass> read_classes(const std::vector<Table>& entries,
                                     const std::vector<SweepReading>& readings);
std::vector<SweepClaim> read_claims(const std::vector<Table>& entries, const SweepFile& sweep);

}  // namespace orrery::engine
