// What event files are made of: TFRecords of Event messages, as tensorflow/core/util/event.proto lays them
// out. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery::engine::tensorboard {

/// A record: the length (64 bits), its masked CRC-32C, `data`, their masked CRC-32C; all little-endian.
std::string record_of(std::string_view data);

/// The first of a file: file_version "brain.Event:2". Times are seconds since 1970.
std::string version_event(double wall_time);

/// session_log START: readers drop what earlier files have at `step` and after it.
std::string session_start_event(double wall_time, int64_t step);

/// Scalars of one step, by tag. They are 32 bits wide in an event: what is smaller than 1.4e-45 becomes 0.
std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars);

}  // namespace orrery::engine::tensorboard
