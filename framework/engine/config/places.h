// Where the keys of a config were written. Many mistakes show only when the task, the model or the optimiser
// is made from the settings; their messages name a key or a plugin, and this finds the line.
#pragma once

#include <orrery/error.h>

#include <map>
#include <string>

#include "engine/config/document.h"

namespace orrery::engine {

class Places {
 public:
  Places() = default;
  explicit Places(const Document& document);
  /// Of `root`, the table of the document `source` with keys from elsewhere.
  Places(const Table& root, std::string source);

  /// "configs/x.toml:9:1: train.batch_size is 400, but ...": the place of the key, the [[probe]] or the table
  /// that `message` begins with, or else the name of the config. A message that has one is returned as it is.
  std::string placed(const std::string& message) const;

  /// What `body` returns; an orrery::UsageError from it gets its place.
  template <class Body>
  decltype(auto) in(Body&& body) const {
    try {
      return std::forward<Body>(body)();
    } catch (const UsageError& error) {
      throw UsageError(placed(error.what()), error.hint());
    }
  }

 private:
  void add(const Table& table);

  std::string source_;
  std::map<std::string, std::string>
      places_;  // by the path of a key or table: "train.steps", "probe.fourier_basis"
};

}  // namespace orrery::engine
