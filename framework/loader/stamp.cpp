#include "loader/stamp.h"

#include <fmt/format.h>
#include <orrery/abi/stamp.h>
#include <orrery/error.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "loader/elf.h"

namespace orrery {
namespace {

constexpr std::string_view prefix = ORRERY_STAMP_PREFIX;

// The stamp that begins at `at`. The prefix alone, or in the middle of some sentence, is not a stamp: the
// string must end with a NUL and be fields all the way.
std::optional<std::string> stamp_at(std::string_view bytes, size_t at) {
  const size_t end = bytes.find('\0', at);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view text = bytes.substr(at, end - at);
  return parse_stamp(text) ? std::optional(std::string(text)) : std::nullopt;
}

std::optional<std::string> stamp_in(std::string_view bytes) {
  for (size_t at = bytes.find(prefix); at != std::string_view::npos; at = bytes.find(prefix, at + 1))
    if (auto stamp = stamp_at(bytes, at)) return stamp;
  return std::nullopt;
}

const std::string* lookup(const Stamp& stamp, const std::string& field) {
  const auto found =
      std::find_if(stamp.begin(), stamp.end(), [&](auto& pair) { return pair.first == field; });
  return found == stamp.end() ? nullptr : &found->second;
}

std::string label(const std::string& field) {
  static const std::map<std::string, std::string> labels = {{"abi", "plugin interface (abi)"},
                                                            {"torch", "LibTorch"},
                                                            {"stdlib", "C++ standard library"},
                                                            {"cxx11abi", "C++ ABI (_GLIBCXX_USE_CXX11_ABI)"},
                                                            {"sanitizer", "sanitizer"},
                                                            {"compiler", "compiler"},
                                                            {"std", "C++ standard"},
                                                            {"containers", "containers (_GLIBCXX_DEBUG)"}};
  const auto found = labels.find(field);
  return found == labels.end() ? field : found->second;
}

}  // namespace

std::string host_stamp() { return ORRERY_STAMP; }

std::optional<std::string> find_stamp(const std::filesystem::path& file) {
  const std::string bytes = read_bytes(file);
  for (const std::string_view segment : loadable_segments(bytes))
    if (auto stamp = stamp_in(segment)) return stamp;
  return std::nullopt;
}

std::optional<Stamp> parse_stamp(std::string_view text) {
  if (text.substr(0, prefix.size()) != prefix) return std::nullopt;
  text.remove_prefix(prefix.size());
  Stamp stamp;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == word.size()) return std::nullopt;
    if (!std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isgraph(c); }))
      return std::nullopt;
    stamp.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return stamp.empty() || stamp.front().first != "abi" ? std::nullopt : std::optional(stamp);
}

std::vector<Mismatch> compare(const Stamp& host, const Stamp& plugin) {
  std::vector<Mismatch> mismatches;
  for (const auto& [field, value] : host) {
    const std::string* theirs = lookup(plugin, field);
    if (!theirs || *theirs != value) mismatches.push_back({field, value, theirs ? *theirs : ""});
  }
  for (const auto& [field, value] : plugin)
    if (!lookup(host, field)) mismatches.push_back({field, "", value});
  return mismatches;
}

void refuse_mismatches(const std::vector<Mismatch>& mismatches) {
  if (mismatches.empty()) return;
  std::string message = "not built for this Orrery, so it was not opened";
  const auto shown = [](const std::string& value) { return value.empty() ? "(none)" : value; };
  for (const auto& [field, host, plugin] : mismatches)
    message +=
        fmt::format("\n  {}: this program has {}, the plugin {}", label(field), shown(host), shown(plugin));
  const bool only_flags = std::all_of(mismatches.begin(), mismatches.end(), [](const Mismatch& mismatch) {
    return mismatch.field == "sanitizer" || mismatch.field == "containers";
  });
  throw Error(message,
              only_flags
                  ? "build the plugin without that flag (CMAKE_CXX_FLAGS), or Orrery with it too: cmake "
                    "--preset asan"
                  : "rebuild the plugin against this Orrery: cmake -S . -B build && cmake --build build "
                    "--clean-first");
}

}  // namespace orrery
