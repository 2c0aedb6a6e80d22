// What the gallery knows of one config or sweep: its claims, what was measured, and its pictures. The record
// keeps it, so that the page can be made again where the runs are not at hand.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/config/document.h"
#include "engine/run/json_read.h"

namespace orrery::engine {

/// One [[expect]] entry and what was measured.
struct GalleryOutcome {
  std::string expected;  ///< "test/accuracy > 0.99 once, step < 20000"
  std::string claim, source;
  std::string got, interval;  ///< 95 %; "" if there is none
  size_t n = 1;               ///< runs
  bool passed = false;
};

struct GalleryPicture {
  std::string file;  ///< below OUT/images/reproductions
  std::string figure, caption;
  int width = 0;  ///< in pixels of the page
};

struct GalleryEntry {
  std::string name;
  bool is_sweep = false;
  std::string config;  ///< its path
  std::string title, text, tier;
  std::string experiment, expectations;  ///< hashes of what was run and of what was asked
  std::string orrery, date, kernels;     ///< of the runs: versions, the day of the last, "SkylakeX, AVX2"
  double seconds = 0;                    ///< of all runs together
  size_t n_runs = 1;
  std::vector<GalleryOutcome> outcomes;
  std::vector<GalleryPicture> pictures = {};
  /// Whether the config has changed since: what is run, or what is asked. Not in the record.
  bool other_experiment = false, other_expectations = false;

  bool all_passed() const;
  /// The folder of the text that it is about: that of the config, without a last `sweeps`.
  std::filesystem::path folder() const;
};

/// Hashes what a config or a sweep says of the runs, the base of a sweep included, and what it asks of them.
/// Comments, claims, sources, titles and the order of keys do not matter.
std::string experiment_hash(const Document& document);
std::string expectations_hash(const Document& document);

/// Takes over from the config as it is now what is only told: title, text, tier, claims and sources; and says
/// whether the rest has changed. Throws UsageError if [gallery] or [verify] is wrong.
void refresh(GalleryEntry& entry, const Document& document);

/// The record, entries sorted by their configs.
std::string record_text(std::vector<GalleryEntry> entries);
/// Throws orrery::Error, opening with `where`, if it is damaged.
std::vector<GalleryEntry> read_record(const std::string& text, const std::string& where);

}  // namespace orrery::engine
