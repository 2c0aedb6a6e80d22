#include "engine/config/places.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cctype>
#include <vector>

#include "engine/config/overrides.h"

namespace orrery::engine {
namespace {

bool goes_on(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; }

// What a message is about: "train.batch_size" of "train.batch_size is 400, ...", "task" of "task
// modular_arithmetic 1.0.0, create: ...", "probe.trig_loss" of `probe "trig_loss": ...` and of "probe
// trig_loss 1.0.0, needs: ...".
std::string subject(const std::string& message) {
  size_t end = 0;
  while (end < message.size() && goes_on(message[end])) ++end;
  std::string first = message.substr(0, end);
  while (!first.empty() && first.back() == '.') first.pop_back();
  if (first != "probe" || end >= message.size() || message[end] != ' ') return first;
  const bool quoted = message[end + 1] == '"';
  const size_t begin = end + 1 + quoted;
  return first + "." + message.substr(begin, message.find(quoted ? '"' : ' ', begin) - begin);
}

// " (with --set task.p=7)", " (with n_ctx from the file x.pth)": the keys of a table that are not from the
// config, for a message about all of it; of a file's, those that the message speaks of.
std::string keys_from_elsewhere(const std::map<std::string, std::string>& places, const std::string& table,
                                const std::string& message) {
  std::vector<std::string> found, keys;
  std::string file;
  for (const auto& [path, place] : places) {
    if (!path.starts_with(table + ".")) continue;
    if (place.starts_with("--")) found.push_back(place);
    const std::string key = path.substr(table.size() + 1);
    if (!place.starts_with(from_the_file) || message.find(key) == message.npos) continue;
    keys.push_back(key);
    file = place;
  }
  if (!keys.empty()) found.push_back(fmt::format("{} {}", fmt::join(keys, ", "), file));
  return found.empty() ? "" : fmt::format(" (with {})", fmt::join(found, ", "));
}

}  // namespace

Places::Places(const Document& document) : Places(document.root(), document.source()) {}

Places::Places(const Table& root, std::string source) : source_(std::move(source)) { add(root); }

void Places::add(const Table& table) {
  for (const std::string& key : table.keys()) {
    places_.emplace(table.path(key), table.value_place(key));
    const Table::Content& content = table.content(key);
    if (const auto* inner = std::get_if<Table>(&content)) add(*inner);
    if (const auto* entries = std::get_if<std::vector<Table>>(&content))
      for (const Table& entry : *entries) {
        places_.emplace(entry.path(), entry.place());
        add(entry);
      }
  }
}

std::string Places::placed(const std::string& message) const {
  if (source_.empty() || message.starts_with(source_) || message.starts_with("--")) return message;
  for (const auto& [path, place] : places_)
    if (message.starts_with(place + ":")) return message;
  // A key that is at its default stands nowhere, but its table may.
  const std::string about = subject(message);
  for (std::string path = about; !path.empty();
       path = path.substr(0, path.rfind('.') == path.npos ? 0 : path.rfind('.')))
    if (const auto found = places_.find(path); found != places_.end())
      return fmt::format("{}{}: {}", found->second,
                         path == about ? keys_from_elsewhere(places_, path, message) : "", message);
  return fmt::format("{}: {}", source_, message);
}

}  // namespace orrery::engine
