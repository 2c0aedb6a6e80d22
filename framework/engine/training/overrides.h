// What may change when a run is resumed.
#pragma once

#include "engine/config/settings.h"
#include "engine/run/json_read.h"

namespace orrery::engine {

/// The keys of the config that differ: `[{"key": "train.steps", "from": 200, "to": 400}]`. [[probe]],
/// [verify] and [[expect]] count as one key each. Throws orrery::UsageError for a key that makes it another
/// experiment: what was trained up to here would be described wrongly.
Json changes_on_resume(const Settings& before, const Settings& now);

}  // namespace orrery::engine
