#include "engine/export/export_figures.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <cctype>
#include <cstring>
#include <optional>
#include <string_view>

#include "engine/config/step_choice.h"
#include "engine/experiment/open_run.h"
#include "engine/processes/browser.h"
#include "engine/report/base64.h"
#include "engine/report/report_choices.h"
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

// The name and bytes of each image that the page holds once it has drawn them (page/report_export.js).
std::vector<std::pair<std::string, std::vector<std::byte>>> images_in(const std::string& html) {
  size_t at = 0;
  const auto count = next_between(html, "data-exported=\"", "\"", at);
  if (!count) {
    size_t from = 0;
    const auto why = next_between(html, "data-failed=\"", "\"", from);
    throw Error(fmt::format("the browser did not draw the figures{}", why ? fmt::format(": {}", *why) : ""));
  }
  std::vector<std::pair<std::string, std::vector<std::byte>>> images;
  while (const auto name = next_between(html, "data-file=\"", "\"", at)) {
    const auto content = next_between(html, ">", "<", at);
    if (!content) break;
    images.emplace_back(*name, from_base64(*content));
  }
  if (std::to_string(images.size()) != *count)
    throw Error(fmt::format("the browser drew {} figures, of which {} came back", *count, images.size()));
  return images;
}

// Figure names come from probes, so make them safe as file names.
std::string safe_name(const std::string& name) {
  std::string safe;
  for (const char c : name)
    safe += std::isalnum(static_cast<unsigned char>(c)) || std::strchr("._-=", c) ? c : '_';
  return safe;
}

}  // namespace

std::vector<fs::path> export_figures(const FigureExport& wanted, const Registry& registry,
                                     Reporter& reporter) {
  const RunDirectory run = RunDirectory::open(wanted.run, RunDirectory::Access::read);
  const fs::path browser = find_browser();
  ReportChoices choices = report_choices(registry, run);
  choices.byte_budget = size_t{1} << 30;  // images for a paper are not thinned out
  if (const std::vector<int64_t> there = recorded_steps(run); !there.empty())
    choices.steps =
        StepChoice::parse(wanted.steps.empty() ? "last" : wanted.steps, "--steps")
            .choose(there, run.root().string(), [&] { return grokked_step(run, there, "--steps"); });
  const TemporaryFolder folder;
  const fs::path page = folder.path() / "page.html";
  const Report report = make_report(run, choices);
  write_file(page, html_page(report.title, "report", report.json, report.numbers));
  reporter.note("drawing");
  const auto images = images_in(page_after_scripts(browser, page, "export=" + wanted.format, 600));

  const fs::path out = wanted.out.empty() ? run.root() / "figures" : fs::path(wanted.out);
  std::error_code failed;
  fs::create_directories(out, failed);
  if (failed) throw UsageError(fmt::format("{}: cannot be made: {}", out.string(), failed.message()));
  std::vector<fs::path> files;
  for (const auto& [name, bytes] : images) {
    files.push_back(out / safe_name(name));
    write_file(files.back(), bytes);
  }
  reporter.note(fmt::format("{}: {} figures", out.string(), images.size()));
  return files;
}

}  // namespace orrery::engine
