#include "loader/processes/messages.h"

#include <fmt/format.h>
#include <orrery/error.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace orrery {
namespace {

void send_all(int socket, const char* data, size_t size) {
  while (size > 0) {
    // A process that has gone must be an error here, not a SIGPIPE.
    const ssize_t sent = ::send(socket, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) throw Error(fmt::format("the other process has ended: {}", std::strerror(errno)));
    data += sent;
    size -= static_cast<size_t>(sent);
  }
}

bool receive_all(int socket, char* data, size_t size) {
  while (size > 0) {
    const ssize_t got = ::recv(socket, data, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    data += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

Message& Message::add(uint64_t number) {
  content_.append(reinterpret_cast<const char*>(&number), sizeof number);
  return *this;
}
Message& Message::add(const std::string& text) {
  add(text.size());
  content_ += text;
  return *this;
}
Message& Message::add(const std::vector<std::byte>& bytes) {
  add(bytes.size());
  content_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return *this;
}

const char* MessageReader::take(size_t size) {
  if (size > content_.size() - at_) throw Error("a message between processes ended too early");
  at_ += size;
  return content_.data() + at_ - size;
}
uint64_t MessageReader::number() {
  uint64_t number;
  std::memcpy(&number, take(sizeof number), sizeof number);
  return number;
}
std::string MessageReader::text() {
  const size_t size = number();
  return {take(size), size};
}
std::vector<std::byte> MessageReader::bytes() {
  const size_t size = number();
  const auto* data = reinterpret_cast<const std::byte*>(take(size));
  return {data, data + size};
}

void send(int socket, const Message& message) {
  const std::string& content = message.content();
  const uint64_t size = content.size();
  send_all(socket, reinterpret_cast<const char*>(&size), sizeof size);
  send_all(socket, content.data(), content.size());
}

std::optional<std::string> receive(int socket) {
  uint64_t size = 0;
  if (!receive_all(socket, reinterpret_cast<char*>(&size), sizeof size)) return std::nullopt;
  std::string content(size, '\0');
  if (!receive_all(socket, content.data(), content.size())) return std::nullopt;
  return content;
}

bool has_message(int socket) {
  char byte = 0;
  const ssize_t got = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

}  // namespace orrery
