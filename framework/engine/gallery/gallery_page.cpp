#include "engine/gallery/gallery_page.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>

#include "engine/gallery/markdown.h"
#include "engine/reporter/numbers.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

using Entries = std::vector<const GalleryEntry*>;

constexpr const char* opening = R"(# Reproductions

<!-- Made by `orrery verify --gallery`: edits are lost. -->

What texts of the field claim, and what configs and sweeps of Orrery measured. A config is one run; a sweep is a set of
runs, with 95 % intervals over them (Wilson's for a share, else bootstrap). The bound is on the estimate. The 0-quantile is
the smallest value of the runs and the 1-quantile the largest, so no interval passes them; that of a least rise or fall, the
smallest of several differences, lies low and may not hold its estimate. Times are those of training with its probes, of all
runs together, each on the threads of its config.

`orrery verify CONFIG` trains and judges one. `orrery verify --gallery` makes this page, its pictures and the tables of the
texts from the runs and sweeps that are finished; what was measured elsewhere it keeps from `reproductions.json`.

)";

// By folder; the runs of each before its sweeps.
std::map<std::string, Entries> by_folder(const std::vector<GalleryEntry>& entries) {
  std::map<std::string, Entries> folders;
  for (const GalleryEntry& entry : entries) folders[entry.folder().generic_string()].push_back(&entry);
  for (auto& [folder, some] : folders)
    std::sort(some.begin(), some.end(), [](auto* a, auto* b) {
      return std::pair(a->is_sweep, a->name) < std::pair(b->is_sweep, b->name);
    });
  return folders;
}

// "pearce_2023" is "Pearce 2023".
std::string readable_folder(const fs::path& folder) {
  std::string name = folder.filename().string();
  bool begins = true;
  for (char& c : name) {
    if (c == '_') c = ' ';
    if (begins) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    begins = c == ' ';
  }
  return name;
}

// That of its README.md, if there is one.
std::string heading_of(const fs::path& folder) {
  std::ifstream readme(folder / "README.md");
  for (std::string line; std::getline(readme, line);)
    if (line.starts_with("# ")) return line.substr(2);
  return escaped_markdown(readable_folder(folder));
}

std::string anchor(const fs::path& folder) {
  std::string id = folder.filename().string();
  for (char& c : id)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
  return id;
}

size_t n_passed(const Entries& entries) {
  size_t n = 0;
  for (const GalleryEntry* entry : entries)
    for (const GalleryOutcome& each : entry->outcomes) n += each.passed;
  return n;
}
size_t n_claims(const Entries& entries) {
  size_t n = 0;
  for (const GalleryEntry* entry : entries) n += entry->outcomes.size();
  return n;
}

std::string measured(const GalleryOutcome& outcome) {
  std::string text = escaped_markdown(outcome.got);
  if (!outcome.interval.empty()) text += fmt::format("; 95 %: {}", escaped_markdown(outcome.interval));
  return text + fmt::format("; n = {}", outcome.n);
}

const char* holds(const GalleryOutcome& outcome) { return outcome.passed ? "yes" : "**no**"; }

std::string or_dash(const std::string& text) { return text.empty() ? "–" : escaped_markdown(text); }

std::string in_attribute(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '"' ? "&quot;" : c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

// Two beside each other, wide ones below.
std::string pictures_of(const GalleryEntry& entry) {
  std::string text;
  for (const GalleryPicture& each : entry.pictures)
    text += fmt::format("<img src=\"{}/{}\" width=\"{}\" align=\"top\" alt=\"{}\">\n", picture_folder,
                        each.file, each.width > 640 ? 830 : 410, in_attribute(each.caption));
  return text.empty() ? "" : text + "\n";
}

std::string time_text(const GalleryEntry& entry) {
  const double seconds = std::round(entry.seconds);
  const std::string time = seconds < 1    ? "less than a second"
                           : seconds < 60 ? fmt::format("{:.0f} s", seconds)
                                          : duration(seconds);
  return entry.n_runs == 1 ? time : fmt::format("{} for {} runs", time, thousands(int64_t(entry.n_runs)));
}

std::string made_by(const GalleryEntry& entry) {
  std::string text = fmt::format("`orrery verify {}`: {}, tier {}; measured {} by Orrery {}", entry.config,
                                 time_text(entry), entry.tier, entry.date, entry.orrery);
  if (!entry.kernels.empty()) text += fmt::format(" ({})", escaped_markdown(entry.kernels));
  return text + ".\n";
}

std::string staleness(const GalleryEntry& entry) {
  if (entry.other_experiment) return "> **Stale:** the config has changed since this was measured.\n\n";
  if (entry.other_expectations)
    return "> **Stale:** what it expects has changed since this was measured.\n\n";
  return "";
}

std::string section_of(const GalleryPage& page, const GalleryEntry& entry) {
  std::string text = fmt::format("### {}\n\n", escaped_markdown(entry.title));
  text += fmt::format("[{}]({}){}\n\n", escaped_markdown(entry.config), link_between(page.out, entry.config),
                      entry.is_sweep ? ", a sweep" : "");
  if (!entry.text.empty()) text += escaped_markdown(entry.text) + "\n\n";
  text += staleness(entry) + pictures_of(entry);
  text += "| the text says | where | expected | measured | holds |\n|---|---|---|---|---|\n";
  for (const GalleryOutcome& each : entry.outcomes)
    text += fmt::format("| {} | {} | {} | {} | {} |\n", or_dash(each.claim), or_dash(each.source),
                        code_in_cell(each.expected), measured(each), holds(each));
  return text + "\n" + made_by(entry) + "\n";
}

std::string overview(const std::map<std::string, Entries>& folders) {
  std::string text = "| text | configs | sweeps | claims | hold |\n|---|---|---|---|---|\n";
  for (const auto& [folder, entries] : folders) {
    const auto sweeps =
        std::count_if(entries.begin(), entries.end(), [](const auto* each) { return each->is_sweep; });
    text += fmt::format("| [{}](#{}) | {} | {} | {} | {} |\n", heading_of(folder), anchor(folder),
                        int64_t(entries.size()) - sweeps, sweeps, n_claims(entries), n_passed(entries));
  }
  return text + "\n";
}

constexpr const char* begin_marker = "<!-- claims: made by orrery verify --gallery -->";
constexpr const char* end_marker = "<!-- end of claims -->";

size_t line_of(const std::string& text, size_t at) {
  return 1 +
         static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

}  // namespace

std::string gallery_markdown(const GalleryPage& page) {
  const auto folders = by_folder(page.entries);
  std::string text = opening + overview(folders);
  for (const auto& [folder, entries] : folders) {
    text += fmt::format("<a id=\"{}\"></a>\n\n## {}\n\n", anchor(folder), heading_of(folder));
    for (const GalleryEntry* entry : entries) text += section_of(page, *entry);
  }
  if (!page.unmeasured.empty()) {
    text += "## Not measured yet\n\n";
    for (const std::string& config : page.unmeasured) text += fmt::format("- `orrery verify {}`\n", config);
  }
  while (text.ends_with("\n\n")) text.pop_back();
  return text;
}

std::string folder_table(const fs::path& folder, const std::vector<GalleryEntry>& entries) {
  std::string text =
      "| the text says | where | by | expected | measured | tier | holds |\n|---|---|---|---|---|---|---|\n";
  for (const auto& [in, some] : by_folder(entries)) {
    if (in != folder.generic_string()) continue;
    for (const GalleryEntry* entry : some)
      for (const GalleryOutcome& each : entry->outcomes)
        text += fmt::format(
            "| {} | {} | [{}{}]({}) | {} | {}{} | {} | {} |\n", or_dash(each.claim), or_dash(each.source),
            entry->is_sweep ? "sweep " : "", escaped_markdown(entry->name),
            link_between(folder, entry->config), code_in_cell(each.expected), measured(each),
            entry->other_experiment || entry->other_expectations ? " (stale)" : "", entry->tier, holds(each));
  }
  return text;
}

bool has_folder_table(const std::string& readme) {
  return readme.find(begin_marker) != std::string::npos || readme.find(end_marker) != std::string::npos;
}

std::string with_folder_table(const std::string& readme, const std::string& file, const std::string& table) {
  const size_t begin = readme.find(begin_marker), end = readme.find(end_marker);
  if (begin == std::string::npos || end == std::string::npos || end < begin)
    throw UsageError(fmt::format("{}:{}: {}", file, line_of(readme, std::min(begin, end)),
                                 begin == std::string::npos ? "the table of claims has no beginning"
                                 : end == std::string::npos ? "the table of claims has no end"
                                                            : "the table of claims ends before it begins"),
                     fmt::format("it stands between the lines {} and {}", begin_marker, end_marker));
  return readme.substr(0, begin + std::string_view(begin_marker).size()) + "\n\n" + table + "\n" +
         readme.substr(end);
}

}  // namespace orrery::engine
