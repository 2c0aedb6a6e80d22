#include "sdk/model/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/mlp.h>
#include <orrery/transformer.h>

namespace orrery {
namespace {

struct Kind {
  std::vector<Field> parameters;
  std::function<std::unique_ptr<Model>(const Values&, const TaskSpec&, torch::Generator)> make;
};

const std::map<std::string, Kind>& kinds() {
  static const auto* all = new std::map<std::string, Kind>{
      {"mlp",
       {fields_of<MlpConfig>().list(),
        [](const Values& values, const TaskSpec& spec, torch::Generator rng) {
          return make_mlp(fields_of<MlpConfig>().make(values), spec, rng);
        }}},
      {"transformer",
       {fields_of<TransformerConfig>().list(),
        [](const Values& values, const TaskSpec& spec, torch::Generator rng) {
          return make_transformer(fields_of<TransformerConfig>().make(values), spec, rng);
        }}},
  };
  return *all;
}

const Kind& find_kind(const std::string& name) {
  if (const auto found = kinds().find(name); found != kinds().end()) return found->second;
  std::vector<std::string> names = {task_model};
  for (const auto& [known, kind] : kinds()) names.push_back(known);
  throw UsageError(fmt::format("there is no model of kind \"{}\"{}", name, did_you_mean(name, names)),
                   fmt::format("known kinds: {}", fmt::join(names, ", ")));
}

}  // namespace

std::vector<std::string> model_kinds() {
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds()) names.push_back(name);
  return names;
}

std::vector<Field> model_parameters(const std::string& kind) {
  if (kind == task_model) return {};
  return find_kind(kind).parameters;
}

std::unique_ptr<Model> make_model(const std::string& kind, const Values& values, const TaskSpec& spec,
                                  torch::Generator rng) {
  return find_kind(kind).make(values, spec, rng);
}

}  // namespace orrery
