// The records of event files: TFRecords of Event messages, as tensorflow/core/util/event.proto defines them.
// Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery::engine::tensorboard {

/// A record: the length (64 bits), its masked CRC-32C, `data`, their masked CRC-32C; all little-endian.
std::string record_of(std::string_view data);

/// The first event of a file: file_version "brain.Event:2". Times are in seconds since 1970.
std::string version_event(double wall_time);

/// session_log START: readers drop what earlier files have from `step` on.
std::string session_start_event(double wall_time, int64_t step);

/// Scalars of one step, by tag. Events store 32-bit floats, so magnitudes below 1.4e-45 become 0.
std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars);

}  // namespace orrery::engine::tensorboard
