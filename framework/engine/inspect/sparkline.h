// Curves as one line of text.
#pragma once

#include <orrery/probe.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace orrery::engine {

enum class Glyphs {
  blocks,  ///< eight heights, U+2581 to U+2588
  ascii    ///< _ . - ~ = + * #
};

/// Draws the curve over the steps 0 to `last_step` in `width` cells, from its lowest value (the first glyph)
/// to its highest (the last); a constant curve is drawn half way up. Losses, recognised by name, get a
/// logarithmic scale, on which values that are not positive count as the smallest positive one. A cell shows
/// the mean of its points on that scale; a cell without points repeats the one before. Cells before the first
/// point and after the last are blank; a cell with a NaN or an infinity is "!".
std::string sparkline(const Curve& curve, int64_t last_step, size_t width, Glyphs glyphs);

/// Whether `name` names a loss: "test/loss", "train/loss/digit_0", "probe/x/loss/test".
bool is_loss(const std::string& name);

}  // namespace orrery::engine
