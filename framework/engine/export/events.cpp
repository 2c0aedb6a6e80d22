#include "engine/export/events.h"

#include <bit>

#include "engine/export/crc32c.h"

namespace orrery::engine::tensorboard {
namespace {

template <class Unsigned>
std::string little_endian(Unsigned number) {
  std::string bytes;
  for (size_t i = 0; i < sizeof number; ++i) bytes += static_cast<char>(number >> 8 * i & 0xff);
  return bytes;
}

// The wire types of protocol buffers that events need.
class Message {
 public:
  Message& add(int field, int64_t number) {
    key(field, 0);
    varint(static_cast<uint64_t>(number));
    return *this;
  }
  Message& add(int field, double number) {
    key(field, 1);
    bytes_ += little_endian(std::bit_cast<uint64_t>(number));
    return *this;
  }
  Message& add(int field, std::string_view bytes) {
    key(field, 2);
    varint(bytes.size());
    bytes_ += bytes;
    return *this;
  }
  Message& add(int field, const Message& message) { return add(field, std::string_view(message.bytes_)); }
  Message& add(int field, float number) {
    key(field, 5);
    bytes_ += little_endian(std::bit_cast<uint32_t>(number));
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire_type) { varint(static_cast<uint64_t>(field << 3 | wire_type)); }
  void varint(uint64_t number) {
    for (; number >= 0x80; number >>= 7) bytes_ += static_cast<char>(number | 0x80);
    bytes_ += static_cast<char>(number);
  }
  std::string bytes_;
};

// The field numbers of the .proto files.
namespace event {
constexpr int wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7;
}
namespace summary {
constexpr int value = 1;
}
namespace value {
constexpr int tag = 1, simple_value = 2;
}
namespace session_log {
constexpr int status = 1;
constexpr int64_t start = 1;
}  // namespace session_log

}  // namespace

std::string record_of(std::string_view data) {
  const std::string length = little_endian(static_cast<uint64_t>(data.size()));
  return length + little_endian(masked_crc32c(length)) + std::string(data) +
         little_endian(masked_crc32c(data));
}

std::string version_event(double wall_time) {
  return Message()
      .add(event::wall_time, wall_time)
      .add(event::file_version, std::string_view("brain.Event:2"))
      .bytes();
}

std::string session_start_event(double wall_time, int64_t step) {
  return Message()
      .add(event::wall_time, wall_time)
      .add(event::step, step)
      .add(event::session_log, Message().add(session_log::status, session_log::start))
      .bytes();
}

std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars) {
  Message all;
  for (const auto& [tag, number] : scalars)
    all.add(summary::value, Message()
                                .add(value::tag, std::string_view(tag))
                                .add(value::simple_value, static_cast<float>(number)));
  return Message().add(event::wall_time, wall_time).add(event::step, step).add(event::summary, all).bytes();
}

}  // namespace orrery::engine::tensorboard
