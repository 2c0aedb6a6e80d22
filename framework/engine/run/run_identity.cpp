#include "engine/run/run_identity.h"

#include <fmt/format.h>
#include <orrery/error.h>

#include "engine/run/run_json.h"
#include "sdk/files/atomic_file.h"
#include "sdk/files/safetensors.h"
#include "sdk/files/sha256.h"

namespace orrery::engine {
namespace {

constexpr const char* identity_key = "run";

}  // namespace

std::string identity_of_config(const Json& config) {
  Json made_from = Json::object();
  for (const char* section : {"task", "model", "train", "seeds", "init"})
    if (config.contains(section)) made_from[section] = config[section];
  if (made_from.contains("train") && made_from["train"].is_object())
    for (const char* key : {"steps", "stop_when", "eval_every"}) made_from["train"].erase(std::string(key));
  return sha256(made_from.dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, 16);
}

std::string identity_of(const std::filesystem::path& root) {
  try {
    const std::string where = (root / "run.json").string();
    return text_in(parse_object(read_file(where), where), identity_key);
  } catch (const Error&) {  // reported by whoever reads all of it
    return "";
  }
}

std::map<std::string, std::string> identity_as_metadata(const std::string& identity) {
  if (identity.empty()) return {};
  return {{identity_key, identity}};
}

void refuse_file_of_other_run(const std::filesystem::path& file, const std::filesystem::path& root) {
  refuse_file_of_other_run(file, identity_of(root));
}

void refuse_file_of_other_run(const std::filesystem::path& file, const std::string& here) {
  std::string there;
  try {
    const auto metadata = safetensors::read_metadata(file);
    if (const auto found = metadata.find(identity_key); found != metadata.end()) there = found->second;
  } catch (const Error&) {
    return;
  }
  if (here.empty() || there.empty() || here == there) return;
  throw Error(fmt::format("{}: it is of another run", file.string()),
              "it was exchanged with that of a run of another config: put back the one that is of this run");
}

}  // namespace orrery::engine
