#include "engine/import/notes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace orrery::engine {
namespace {

// The entry of `all` for which `is` holds, a new one if there is none.
template <class One, class Is>
One& found_or_new(std::vector<One>& all, const Is& is, One fresh) {
  const auto found = std::find_if(all.begin(), all.end(), is);
  return found != all.end() ? *found : all.emplace_back(std::move(fresh));
}

}  // namespace

void Notes::add(const std::vector<Note>& notes_of_network) {
  for (const Note& note : notes_of_network) {
    Said& said = found_or_new(
        said_, [&](const Said& one) { return one.what == note.what; }, Said{note.what, {}});
    for (const std::string& name : note.names)
      ++found_or_new(
            said.names, [&](const auto& one) { return one.first == name; }, std::pair(name, int64_t{0}))
            .second;
  }
}

std::vector<std::string> Notes::texts(int64_t n_networks) const {
  std::vector<std::string> texts;
  for (const Said& said : said_) {
    std::vector<std::string> names;
    for (const auto& [name, count] : said.names)
      names.push_back(
          count == n_networks ? name : fmt::format("{} (in {} of the {} networks)", name, count, n_networks));
    texts.push_back(names.empty() ? said.what : fmt::format("{}: {}", said.what, fmt::join(names, ", ")));
  }
  return texts;
}

}  // namespace orrery::engine
