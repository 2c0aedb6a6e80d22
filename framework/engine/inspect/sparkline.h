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

/// The curve over the steps 0 to `last_step`, in `width` cells, from its lowest value (the first glyph) to
/// its highest (the last); a constant one is drawn half way. Losses, by their name, are drawn on a
/// logarithmic scale; of them what is not positive counts as the smallest positive value. A cell shows the
/// mean of the points in it, on that scale; one without points repeats the one before. Cells before the first
/// point and behind the last are blank; one with a NaN or an infinity is "!".
std::string sparkline(const Curve& curve, int64_t last_step, size_t width, Glyphs glyphs);

/// Whether `name` is that of a loss: "test/loss", "train/loss/digit_0", "probe/x/loss/test".
bool is_loss(const std::string& name);

}  // namespace orrery::engine
