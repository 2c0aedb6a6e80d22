#include "cli/text/gallery_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/text/table.h"
#include "engine/run/json_write.h"

namespace orrery::cli {

std::string gallery_text(const Gallery& gallery, size_t width) {
  Table table({{Align::left}, {Align::left, 0, 20, true}});
  for (const GalleryEntry& entry : gallery.judged) {
    const auto passed = std::count_if(entry.outcomes.begin(), entry.outcomes.end(),
                                      [](const GalleryOutcome& each) { return each.passed; });
    table.add({entry.config, fmt::format("{} of {} claims hold", passed, entry.outcomes.size())});
    for (const GalleryOutcome& each : entry.outcomes)
      if (!each.passed) table.add({"  FAILED", fmt::format("{}: {}", each.expected, each.got)});
  }
  for (const auto& [config, why] : gallery.left_out) table.add({config, "left out: " + why});
  return table.text(width);
}

std::string gallery_json(const Gallery& gallery) {
  std::string out;
  for (const GalleryEntry& entry : gallery.judged)
    for (const GalleryOutcome& each : entry.outcomes)
      out += Json{{"config", entry.config},
                  {"expected", each.expected},
                  {"claim", each.claim},
                  {"source", each.source},
                  {"got", each.got},
                  {"interval", each.interval},
                  {"n", each.n},
                  {"passed", each.passed}}
                 .dump(-1, ' ', false, Json::error_handler_t::replace) +
             "\n";
  return out;
}

}  // namespace orrery::cli
