// Whole messages over a socket, between a worker process and its parent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace orrery {

/// A sequence of numbers and texts.
class Message {
 public:
  Message& add(uint64_t number);
  Message& add(const std::string& text);
  Message& add(const std::vector<std::byte>& bytes);
  template <class Enum>
  requires std::is_enum_v<Enum> Message& add(Enum value) { return add(static_cast<uint64_t>(value)); }
  const std::string& content() const { return content_; }

 private:
  std::string content_;
};

/// Reads them in the same order. Throws orrery::Error past the end.
class MessageReader {
 public:
  /// `content` outlives the reader.
  explicit MessageReader(const std::string& content) : content_(content) {}
  uint64_t number();
  std::string text();
  std::vector<std::byte> bytes();

 private:
  const char* take(size_t size);
  const std::string& content_;
  size_t at_ = 0;
};

/// Throws orrery::Error if the other side has closed its end.
void send(int socket, const Message& message);
/// Waits for a whole message. Nothing if the other side has closed its end.
std::optional<std::string> receive(int socket);
/// Whether a message has come, or the other side has closed its end: to a worker, either means to stop.
bool has_message(int socket);

}  // namespace orrery
