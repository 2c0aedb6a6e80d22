#include "engine/report/page.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <bit>

#include "engine/report/base64.h"
#include "engine/report/page_files.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "typed arrays in the page are little-endian");

constexpr const char* nothing_from_outside =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

template <class T, class From>
std::string add_as(Numbers& numbers, const std::string& type, std::span<const From> values) {
  const std::vector<T> converted(values.begin(), values.end());
  return numbers.add(type, std::as_bytes(std::span(converted)));
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// In a script element, only "<" can begin the end tag or a comment.
std::string for_script(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) c == '<' ? out += "\\u003c" : out += c;
  return out;
}

std::string_view page_file(std::string_view name) {
  for (const auto& [known, content] : page_files())
    if (known == name) return content;
  return {};
}

// The files with this extension, each wrapped in `element`: those of all pages, then those of the view.
std::string elements(const char* element, std::string_view ending, const std::string& view) {
  std::string html;
  for (const std::string& whose : {std::string("shared_"), view})
    for (const auto& [name, content] : page_files())
      if (name.starts_with(whose) && name.ends_with(ending))
        html += fmt::format("<{0}>\n{1}</{0}>\n", element, content);
  return html;
}

// In pieces that the page unpacks separately on first use. No number spans two pieces, and only the last
// piece has padding.
std::string numbers_elements(std::span<const std::byte> all) {
  constexpr size_t piece = 3 * 8 * 16384;
  std::string html;
  for (size_t at = 0; at < all.size(); at += piece)
    html += fmt::format("<script type=\"text/plain\" class=\"numbers\">{}</script>\n",
                        to_base64(all.subspan(at, std::min(piece, all.size() - at))));
  return html;
}

}  // namespace

std::string Numbers::add_float32(std::span<const double> values) {
  return add_as<float>(*this, "f32", values);
}
std::string Numbers::add_float64(std::span<const double> values) { return add("f64", std::as_bytes(values)); }
std::string Numbers::add_integers(std::span<const int64_t> values) {
  return add_as<double>(*this, "f64", values);
}

std::string Numbers::add(const std::string& type, std::span<const std::byte> bytes) {
  const size_t size = type.ends_with("64") ? 8 : type.ends_with("32") ? 4 : type.ends_with("16") ? 2 : 1;
  Sha256 hash;
  hash.add(bytes);
  const auto [known, is_new] = known_.try_emplace(type + hash.digest());
  if (is_new) {
    bytes_.resize((bytes_.size() + size - 1) / size * size);  // typed arrays must be aligned
    known->second = fmt::format("{}:{}:{}", type, bytes_.size(), bytes.size() / size);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  return known->second;
}

void require_page() {
  if (page_file("plotly.js").empty())
    throw Error(fmt::format("this build cannot draw: it has no plotly.js, {}", page_file("plotly.missing")),
                "install nodejs and npm, and run ./orrery build where npm's registry can be reached");
}

std::string html_page(const std::string& title, const std::string& view, const std::string& json,
                      const Numbers& numbers) {
  require_page();
  std::string html = fmt::format(R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{}">
<title>{}</title>
<link rel="icon" href="data:,">
{}</head>
<body>
<main id="page"></main>
<script type="application/json" id="data">)",
                                 nothing_from_outside, escaped(title), elements("style", ".css", view));
  html += for_script(json) + "</script>\n" + numbers_elements(numbers.bytes());
  html += fmt::format("<script>{}</script>\n", page_file("plotly.js"));
  return html + elements("script", ".js", view) + "</body>\n</html>\n";
}

}  // namespace orrery::engine
