#include "engine/gallery/make_gallery.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/config/config_files.h"
#include "engine/config/sweep_file.h"
#include "engine/gallery/gallery_page.h"
#include "engine/gallery/gallery_pictures.h"
#include "engine/processes/browser.h"
#include "engine/report/page.h"
#include "sdk/files/atomic_file.h"

namespace orrery::engine {
namespace {

namespace fs = std::filesystem;

// By what outlives a move of the file: whether it is a sweep, and the name.
using Key = std::pair<bool, std::string>;
using Known = std::map<Key, GalleryEntry>;

Key key_of(const GalleryEntry& entry) { return {entry.is_sweep, entry.name}; }

class Maker {
 public:
  Maker(const Registry& registry, const GalleryRequest& request, Reporter& reporter)
      : registry_(registry), request_(request), reporter_(reporter) {}

  Gallery make() {
    read_what_was();
    for (const fs::path& file : request_.configs) {
      if (reporter_.stop_requested()) return stopped();
      look_at(file);
    }
    follow_moves();
    compose();
    for (const auto& [path, bytes] : pictures_) write(path, bytes);
    for (const auto& [path, text] : texts_) write(path, std::as_bytes(std::span(text)));
    remove_unused();
    return std::move(made_);
  }

 private:
  fs::path record() const { return request_.out / "reproductions.json"; }
  fs::path pictures() const { return request_.out / picture_folder; }

  Gallery stopped() {
    made_.interrupted = true;
    return std::move(made_);
  }

  void read_what_was() {
    std::error_code ignored;
    if (!fs::exists(record(), ignored)) return;
    for (GalleryEntry& entry : read_record(read_file(record()), record().string())) {
      for (const GalleryPicture& picture : entry.pictures) were_.insert(picture.file);
      known_[key_of(entry)] = std::move(entry);
    }
  }

  void look_at(const fs::path& file) {
    FinishedResults found = finished_results(registry_, file, request_.runs);
    if (!found.entry) {
      made_.left_out.emplace_back(file.string(), found.why);
      return;
    }
    GalleryEntry& entry = *found.entry;
    if (!found.gallery.figures.empty() && can_draw()) {
      reporter_.note(fmt::format("drawing {}", file.string()));
      for (PageImage& image : gallery_pictures(found, browser_, registry_)) {
        entry.pictures.push_back({image.file, image.figure, image.caption, image.width});
        pictures_.emplace_back(pictures() / image.file, std::move(image.bytes));
      }
    } else if (!found.gallery.figures.empty() && known_.count(key_of(entry))) {
      entry.pictures = known_.at(key_of(entry)).pictures;
    }
    made_.judged.push_back(entry);
    known_[key_of(entry)] = std::move(entry);
  }

  // Looks for a browser once.
  bool can_draw() {
    if (looked_) return !browser_.empty();
    looked_ = true;
    try {
      require_page();
      browser_ = find_browser();
    } catch (const Error& error) {
      reporter_.warning(fmt::format("pictures stay as they are: {}", error.what()), error.hint());
    }
    return !browser_.empty();
  }

  // What was not looked at is read again from its config, wherever that is by now.
  void follow_moves() {
    std::map<Key, fs::path> now;
    for (const fs::path& file : files_to_search()) now.emplace(key_in(file), file.lexically_normal());
    std::error_code ignored;
    for (auto at = known_.begin(); at != known_.end();) {
      GalleryEntry& entry = at->second;
      if (const auto found = now.find(at->first); found != now.end())
        entry.config = found->second.generic_string();
      if (!fs::exists(entry.config, ignored)) {
        reporter_.note(fmt::format("{}: dropped from the page, because this config is gone", entry.config));
        at = known_.erase(at);
        continue;
      }
      refresh(entry, Document::load(entry.config));
      ++at;
    }
  }

  std::vector<fs::path> files_to_search() const {
    std::vector<fs::path> files = request_.configs;
    std::error_code ignored;
    if (const fs::path folder = configs_folder(); fs::is_directory(folder, ignored))
      for (const fs::path& file : configs_below(folder)) files.push_back(file);
    return files;
  }

  static Key key_in(const fs::path& file) {
    const Document document = Document::load(file);
    const Table& root = document.root();
    return {is_sweep(document),
            root.has("name") ? required_text(root, "name", "the config", "") : file.stem().string()};
  }

  void compose() {
    GalleryPage page{request_.out, {}, {}};
    for (const auto& [key, entry] : known_) page.entries.push_back(entry);
    for (auto& [file, why] : made_.left_out)
      if (known_.count(key_in(file)))
        why += "; the page keeps what was recorded";
      else
        page.unmeasured.push_back(fs::path(file).lexically_normal().generic_string());
    std::sort(page.unmeasured.begin(), page.unmeasured.end());
    made_.empty = page.entries.empty();
    made_.all_passed = std::all_of(page.entries.begin(), page.entries.end(),
                                   [](const GalleryEntry& entry) { return entry.all_passed(); });
    if (made_.empty) return;
    texts_.emplace_back(request_.out / "reproductions.md", gallery_markdown(page));
    texts_.emplace_back(record(), record_text(page.entries));
    std::set<fs::path> folders;
    for (const GalleryEntry& entry : page.entries) folders.insert(entry.folder());
    if (!request_.readmes) return;
    for (const fs::path& folder : folders) compose_readme(folder, page.entries);
  }

  void compose_readme(const fs::path& folder, const std::vector<GalleryEntry>& entries) {
    const fs::path file = folder / "README.md";
    std::error_code ignored;
    if (!fs::exists(file, ignored)) return;
    const std::string text = read_file(file);
    if (has_folder_table(text))
      texts_.emplace_back(file, with_folder_table(text, file.string(), folder_table(folder, entries)));
  }

  void write(const fs::path& path, std::span<const std::byte> bytes) {
    make_folders(fs::absolute(path).parent_path());
    write_file(path, bytes);
    made_.written.push_back(path);
  }

  // Pictures that an earlier page had and this one does not.
  void remove_unused() {
    for (const auto& [key, entry] : known_)
      for (const GalleryPicture& picture : entry.pictures) were_.erase(picture.file);
    std::error_code ignored;
    for (const std::string& file : were_)
      if (fs::path(file).filename() == file) fs::remove(pictures() / file, ignored);
  }

  const Registry& registry_;
  const GalleryRequest& request_;
  Reporter& reporter_;
  Gallery made_;
  Known known_;
  std::set<std::string> were_;  // the pictures of the page before
  std::vector<std::pair<fs::path, std::vector<std::byte>>> pictures_;
  std::vector<std::pair<fs::path, std::string>> texts_;
  bool looked_ = false;
  fs::path browser_;
};

}  // namespace

Gallery make_gallery(const Registry& registry, const GalleryRequest& request, Reporter& reporter) {
  return Maker(registry, request, reporter).make();
}

}  // namespace orrery::engine
