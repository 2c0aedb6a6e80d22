#include "engine/config/gallery_settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/config/reader.h"
#include "engine/config/step_choice.h"

namespace orrery::engine {
namespace {

// A text over several lines is one paragraph.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

GallerySettings bind_gallery(const Table& root, bool with_steps) {
  const Table table = root.table("gallery");
  const Fields<GallerySettings> fields = fields_of<GallerySettings>();
  std::vector<Field> known = fields.list();
  if (!with_steps) std::erase_if(known, [](const Field& field) { return field.name == "figure_steps"; });
  GallerySettings gallery = fields.make(bind_fields(table, known, "[gallery]"));
  gallery.place = table.value_place("figures");
  gallery.text = one_line(gallery.text);
  for (const auto& [key, text] : {std::pair("title", gallery.title), {"text", gallery.text}})
    if (!text.empty()) check_text(table, key, text);
  StepChoice::parse(gallery.figure_steps,
                    fmt::format("{}: gallery.figure_steps", table.value_place("figure_steps")));
  return gallery;
}

}  // namespace

void GallerySettings::fields(Fields<GallerySettings>& f) {
  using G = GallerySettings;
  f.add("title", &G::title, "its title in the gallery; by default its name");
  f.add("text", &G::text, "what it is about, in a sentence or two");
  f.add("figures", &G::figures,
        "which figures of its page to show, e.g. \"curves_loss\"; `*` for any characters");
  f.add("figure_steps", &G::figure_steps,
        "the steps of figures that a scrubber moves, as for `orrery export --steps`; not in a sweep");
}

GallerySettings read_gallery(const Table& root) { return bind_gallery(root, true); }
GallerySettings read_sweep_gallery(const Table& root) { return bind_gallery(root, false); }

}  // namespace orrery::engine
