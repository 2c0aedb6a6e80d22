// Private to the report room: one figure over all steps of a run, and its packing into a page.
#pragma once

#include <orrery/recorder.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/report/page.h"
#include "engine/run/json_read.h"

namespace orrery::engine {

/// The figures that one probe recorded under one name.
struct FigureFrames {
  std::string name;
  std::vector<std::pair<int64_t, Figure>> frames;  ///< by step, ascending
  std::optional<Figure> null;                      ///< for random weights
};

/// The precision of heatmaps: exact, or to 1/32767 or 1/127 of the largest value of each.
enum class Precision : size_t { full = 4, sixteen_bits = 2, eight_bits = 1 };

struct Packing {
  Precision precision = Precision::full;
  std::vector<size_t> n_frames;  ///< the number of frames to keep of each figure
};

/// The best packing that fits into `budget` bytes. Every figure has the same limit in bytes, and keeps at
/// least its first and last frame.
Packing choose_packing(const std::vector<FigureFrames>& figures, size_t budget);

/// `count` evenly spread numbers from 0 .. n - 1, including the first and the last.
std::vector<size_t> spread(size_t n, size_t count);

/// {"name": .., "range": {"x": [low, high], "y": .., "z": [low, high]}, "of": frames there are,
///  "heads": [{"kind": .., "title": .., "x_label": .., "traces": [name, ..], ..}],
///  "frames": [[step, index of its head, [[x, y, z], ..]]], "null": [-1, ..]}
/// x and y are references into `numbers` or null; z is [reference, rows, columns, scale]. A trace with error
/// bars has a fourth entry, [reference, 1 or 2]: their lengths, or those below y and those above. Ranges
/// cover all frames, kept or not. Heads have "facets" and "labels", one entry for each trace, where a trace
/// has any.
Json pack_figure(const FigureFrames& figure, size_t n_frames, Precision precision, Numbers& numbers);

}  // namespace orrery::engine
