// Private to the config room: the parts of a sweep file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/config/sweep_file.h"

namespace orrery::engine {

/// One key of a table of keys, however deeply it is nested: "train.lr" below [grid].
struct WrittenKey {
  std::string key, place;
  const Table::Content* content;
};
/// Those of `table`, in the order written; they point into it. Refuses keys that no run may differ in.
std::vector<WrittenKey> written_keys(const Table& table);

/// Keys with one value each, as in [set].
std::vector<Override> read_overrides(const Table& table);
/// The values listed for a key of [grid].
std::vector<Override> read_listed(const WrittenKey& key);
SweepPart read_part(const Table& table);

/// `labels`: those of the base's probes, or null if unknown.
std::vector<SweepReading> read_readings(const std::vector<Table>& entries,
                                        const std::vector<std::string>* labels);
std::vector<SweepClass> read_classes(const std::vector<Table>& entries,
                                     const std::vector<SweepReading>& readings);
/// `keys`: what the runs differ in.
std::vector<SweepClaim> read_claims(const std::vector<Table>& entries, const SweepFile& sweep,
                                    const std::vector<std::string>& keys);

}  // namespace orrery::engine
