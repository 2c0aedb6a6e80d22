#include "engine/export/export_figures.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/config/step_choice.h"
#include "engine/experiment/open_run.h"
#include "engine/processes/browser.h"
#include "engine/report/report_choices.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace fs = std::filesystem;

std::string page_for_images(const RunDirectory& run, const std::string& steps, const Registry& registry,
                            const std::string& asked_by) {
  ReportChoices choices = report_choices(registry, run);
  choices.byte_budget = size_t{1} << 30;  // images for a paper are not thinned out
  if (const std::vector<int64_t> there = recorded_steps(run); !there.empty())
    choices.steps =
        StepChoice::parse(steps.empty() ? "last" : steps, asked_by).choose(there, run.root().string(), [&] {
          return grokked_step(run, there, asked_by);
        });
  const Report report = make_report(run, choices);
  return html_page(report.title, "report", report.json, report.numbers);
}

std::vector<fs::path> export_figures(const FigureExport& wanted, const Registry& registry,
                                     Reporter& reporter) {
  const RunDirectory run = RunDirectory::open(wanted.run, RunDirectory::Access::read);
  const fs::path browser = find_browser();
  const std::string page = page_for_images(run, wanted.steps, registry, "--steps");
  reporter.note("drawing");
  const std::vector<PageImage> images = page_images(browser, page, {wanted.format}).images;

  const fs::path out = wanted.out.empty() ? run.root() / "figures" : fs::path(wanted.out);
  std::error_code failed;
  fs::create_directories(out, failed);
  if (failed) throw UsageError(fmt::format("{}: cannot be made: {}", out.string(), failed.message()));
  std::vector<fs::path> files;
  for (const PageImage& image : images) {
    files.push_back(out / safe_name(image.file));
    write_file(files.back(), image.bytes);
  }
  reporter.note(fmt::format("{}: {} figures", out.string(), images.size()));
  return files;
}

}  // namespace orrery::engine
