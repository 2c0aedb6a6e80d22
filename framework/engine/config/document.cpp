#include "engine/config/document.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "engine/config/config_files.h"
#include "engine/config/reader.h"

namespace orrery::engine {
namespace {

// The size limit of a config file.
constexpr size_t max_bytes = 64 * 1024;

}  // namespace

// Reads at most one byte more than the limit, so that it ends even on /dev/zero.
std::string read_config_text(const std::filesystem::path& file) {
  const std::string name = file.string();
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    refuse(name, "is a directory, not a config file", "name a .toml file");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(name.c_str(), "rb"), &std::fclose);
  if (!stream) {
    const int cause = errno;
    refuse(name, fmt::format("cannot open the config: {}", std::strerror(cause)),
           cause == ENOENT || cause == ENOTDIR ? moved_to(file) : "");
  }
  std::string text(max_bytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), stream.get()));
  if (std::ferror(stream.get()))
    refuse(name, fmt::format("cannot read the config: {}", std::strerror(errno)));
  if (text.size() > max_bytes) refuse(name, fmt::format("larger than {} bytes; not a config", max_bytes));
  return text;
}

Document::Document(Table root, std::string source, const std::vector<std::string>& overrides)
    : root_(std::move(root)), source_(std::move(source)) {
  for (const std::string& assignment : overrides) assign(root_, assignment, "--set " + assignment);
}

Document Document::load(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  return from_toml(read_config_text(file), file.string(), overrides);
}

Document Document::from_toml(const std::string& text, const std::string& source,
                             const std::vector<std::string>& overrides) {
  return {read_toml(text, source), source, overrides};
}

Document Document::from_json(const std::string& text, const std::string& source,
                             const std::vector<std::string>& overrides) {
  return {read_json(text, source), source, overrides};
}

}  // namespace orrery::engine
