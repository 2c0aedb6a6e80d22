// A config, checked and complete: the only form in which the rest of the program sees it.
#pragma once

#include <orrery/fields.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/config/document.h"
#include "engine/config/expect.h"
#include "engine/config/gallery_settings.h"
#include "engine/config/places.h"
#include "engine/config/plugin_choice.h"
#include "engine/config/train_settings.h"

namespace orrery::engine {

/// One [[probe]] entry.
struct ProbeChoice {
  std::string plugin;
  std::string label;  ///< unique in a run; the plugin's name unless the config says otherwise
  int64_t every = 0;  ///< runs at checkpoints whose step is a multiple of this; 0: at every checkpoint
  std::string reference =
      "last";  ///< the checkpoint a probe fits to: "last", "first", "grokked", "self" (its own), "step:N"
  Values parameters;
  double timeout_s = 0;    ///< seconds that each of its calls may take; 0: no limit
  std::string place = {};  ///< "configs/x.toml:9:1", for errors; "" if no file that a person wrote has it
  /// Of what is measured: the same probe may be written at two places.
  bool operator==(const ProbeChoice& other) const;
};

struct Settings {
  std::string name;  ///< names the run directory; the config file's stem unless the config says otherwise
  PluginChoice task;
  PluginChoice model;  ///< its name is the `kind` of [model]
  TrainSettings train;
  SeedSettings seeds;
  InitSettings init;
  CheckpointSettings checkpoints;
  LogSettings log;
  std::vector<ProbeChoice> probes;
  VerifySettings verify;
  GallerySettings gallery = {};
  std::vector<Expectation> expectations;
  Places places;  ///< where its keys were written, for errors that are found after it has been read
  /// The config of the run that these were read from, as JSON; "" if they are of no run.
  std::string stored = {};
};

/// The parameters that the `kind` ("task", "model", "probe", "loss" or "update") called `name` declares.
/// Throws UsageError if there is none of that name; resolve() adds the place.
using ParametersOf = std::function<std::vector<Field>(const std::string& kind, const std::string& name)>;

/// Checks every key of `document` and fills in the defaults. Throws UsageError, with the place, for the first
/// error, and Error for a plugin whose parameters cannot be written in a config.
Settings resolve(const Document& document, const ParametersOf& parameters_of);

/// `settings` as JSON text, from which resolve(Document::from_json(...)) gives equal settings. Parameters of
/// the task and the model that were declared after `settings.stored` was written, and so have their defaults,
/// are left out: what makes the run stays as it was.
std::string to_json(const Settings& settings);

/// Parses a probe of the command line: "NAME" or "NAME:key=value,key=value", with the keys of a [[probe]]
/// entry. Commas inside brackets and quotes belong to the value.
ProbeChoice parse_probe(const std::string& text, const ParametersOf& parameters_of);
/// Parses several; throws UsageError if two share a label.
std::vector<ProbeChoice> parse_probes(const std::vector<std::string>& texts,
                                      const ParametersOf& parameters_of);

}  // namespace orrery::engine
