#include "engine/gallery/gallery_pictures.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/fields.h>
#include <orrery/hooks.h>

#include <algorithm>

#include "engine/export/export_figures.h"
#include "engine/sweep_report/sweep_page.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// Two of these side by side fill a page on GitHub; letters stay readable at that size.
constexpr int picture_width = 540;
// GitHub shows them 410 wide: two pixels for each.
constexpr double picture_scale = 1.5;

std::string sweep_html(const SweepPlan& plan) {
  const SweepPage page = make_sweep_page(plan, read_rows(plan), plan.folder / "report.html");
  return html_page(plan.file.name, "sweep", page.json, page.numbers);
}

std::string run_html(const FinishedResults& found, const Registry& registry) {
  return page_for_images(RunDirectory::open(found.run, RunDirectory::Access::read),
                         found.gallery.figure_steps, registry, "gallery.figure_steps");
}

void refuse_unknown(const GallerySettings& gallery, const std::vector<std::string>& names) {
  for (const std::string& figure : gallery.figures) {
    if (std::any_of(names.begin(), names.end(), [&](const auto& name) { return matches(figure, name); }))
      continue;
    throw UsageError(fmt::format("{}: gallery.figures: there is no figure \"{}\"{}", gallery.place, figure,
                                 did_you_mean(figure, names)),
                     fmt::format("there are: {}", fmt::join(names, ", ")));
  }
}

}  // namespace

std::vector<PageImage> gallery_pictures(const FinishedResults& found, const fs::path& browser,
                                        const Registry& registry) {
  if (found.gallery.figures.empty()) return {};
  const std::string html = found.plan ? sweep_html(*found.plan) : run_html(found, registry);
  PageImages made = page_images(browser, html, {"png", found.gallery.figures, picture_width, picture_scale});
  refuse_unknown(found.gallery, made.names);
  for (PageImage& image : made.images) image.file = picture_name(*found.entry, image.file);
  return std::move(made.images);
}

std::string picture_name(const GalleryEntry& entry, const std::string& file) {
  return safe_name(fmt::format("{}{}-{}", entry.is_sweep ? "sweep_" : "", entry.name, file));
}

}  // namespace orrery::engine
