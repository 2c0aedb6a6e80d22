#include "engine/export/page_images.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>
#include <sstream>
#include <string_view>

#include "engine/processes/browser.h"
#include "engine/report/base64.h"
#include "sdk/files/atomic_file.h"
#include "sdk/files/temporary_folder.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// The text between the first `before` from `at` on and the next `after`; moves `at` past that. Nothing if
// either is missing.
std::optional<std::string_view> next_between(std::string_view text, std::string_view before,
                                             std::string_view after, size_t& at) {
  const size_t begin = text.find(before, at);
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t end = text.find(after, begin + before.size());
  if (end == std::string_view::npos) return std::nullopt;
  at = end + after.size();
  return text.substr(begin + before.size(), end - begin - before.size());
}

// As the scripts' encodeURIComponent() makes and undoes it.
std::string encoded(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) || std::strchr("-_.~", c))
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const bool is_code =
        text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ec == std::errc();
    out += is_code ? static_cast<char>(value) : text[i];
    if (is_code) i += 2;
  }
  return out;
}

std::string fragment_of(const ImageRequest& request) {
  std::string fragment = "export=" + request.format;
  if (request.width > 0) fragment += fmt::format("&width={}", request.width);
  if (request.scale != 2) fragment += fmt::format("&scale={}", request.scale);
  for (const std::string& figure : request.figures) fragment += "&figure=" + encoded(figure);
  return fragment;
}

// One element that the page has made of a figure (page/shared_export.js), from its file name on.
PageImage image_at(std::string_view html, size_t& at) {
  const auto text = [&](std::string_view before, std::string_view after) {
    const auto found = next_between(html, before, after, at);
    if (!found) throw Error("an image that the browser drew came back in part");
    return *found;
  };
  PageImage image;
  image.file = text("data-file=\"", "\"");
  image.figure = decoded(text("data-figure=\"", "\""));
  const std::string_view width = text("data-width=\"", "\"");
  std::from_chars(width.data(), width.data() + width.size(), image.width);
  image.caption = decoded(text("data-caption=\"", "\""));
  image.bytes = from_base64(text(">", "<"));
  return image;
}

PageImages images_in(const std::string& html) {
  size_t at = 0;
  const auto count = next_between(html, "data-exported=\"", "\"", at);
  if (!count) {
    size_t from = 0;
    const auto why = next_between(html, "data-failed=\"", "\"", from);
    throw Error(fmt::format("the browser did not draw the figures{}", why ? fmt::format(": {}", *why) : ""));
  }
  PageImages made;
  std::istringstream names(std::string(next_between(html, "data-names=\"", "\"", at).value_or("")));
  for (std::string name; names >> name;) made.names.push_back(decoded(name));
  while (html.find("data-file=\"", at) != std::string::npos) made.images.push_back(image_at(html, at));
  if (std::to_string(made.images.size()) != *count)
    throw Error(
        fmt::format("the browser drew {} figures, of which {} came back", *count, made.images.size()));
  return made;
}

}  // namespace

PageImages page_images(const fs::path& browser, const std::string& html, const ImageRequest& request) {
  const TemporaryFolder folder;
  const fs::path page = folder.path() / "page.html";
  write_file(page, html);
  return images_in(page_after_scripts(browser, page, fragment_of(request), 600));
}

std::string safe_name(const std::string& name) {
  std::string safe;
  for (const char c : name)
    safe += std::isalnum(static_cast<unsigned char>(c)) || std::strchr("._-=", c) ? c : '_';
  return safe;
}

}  // namespace orrery::engine
