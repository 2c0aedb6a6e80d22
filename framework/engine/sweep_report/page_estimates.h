// Private to the room: the estimates of a sweep's page as JSON. Runs are indices into the rows, keys into the
// list of keys, values of a key into its list of values.
#pragma once

#include "engine/run/json_read.h"
#include "engine/sweep/sweep_table.h"
#include "engine/sweep_report/swept_keys.h"

namespace orrery::engine {

/// Keys with more values than this are neither colours nor groups of survival curves.
constexpr size_t most_colours = 12;

/// Of each reading, by each key (null: all runs), apart by each other key (`by`; null: together):
/// [{"reading": 0, "key": 0, "by": null, "groups": [{"x": 0, "by": null, "n": 5, "never": 1, "median": 700,
/// "beyond": false, "band": [600, "Infinity"], "mean": null, "mean_band": null}]}].
Json json_estimates(const SweepPlan& plan, const std::vector<SweepRow>& rows,
                    const std::vector<SweptKey>& keys);

/// Of each reading that is a first step, apart by each key (null: together): [{"reading": 0, "key": null,
/// "groups": [{"value": null, "n": 8, "never": 1, "steps": [..], "at_risk": [..], "events": [..], "censored":
/// [..], "shares": [..], "low": [..], "high": [..]}]}].
Json json_survival(const SweepPlan& plan, const std::vector<SweepRow>& rows,
                   const std::vector<SweptKey>& keys);

/// For each pair of keys but the seed, how many runs are of each class: [{"x": 0, "y": 1, "cells": [{"x": 0,
/// "y": 0, "n": 3, "left": 0, "counts": [2, 1], "low": [..], "high": [..]}]}]. `n`: runs that are done, or
/// diverged; `left`: the others. With Wilson's 95 % intervals.
Json json_grids(const SweepPlan& plan, const std::vector<SweepRow>& rows, const std::vector<SweptKey>& keys);

}  // namespace orrery::engine
