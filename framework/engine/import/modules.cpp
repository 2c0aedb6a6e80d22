#include "engine/import/modules.h"

#include <algorithm>
#include <set>

namespace orrery::engine {
namespace {

using pickle::Dict;
using pickle::Instance;
using pickle::List;
using pickle::Ref;
using pickle::StoredTensor;

constexpr int max_depth = 32;
constexpr size_t max_tensors = 100'000, max_settings = 1000;

const Dict* dict_in(const Instance& module, const char* name) {
  for (const auto& [key, value] : module.attributes.entries)
    if (const auto* text = key->as<std::string>(); text && *text == name) {
      // PyTorch has them as OrderedDict or dict.
      return value->as<Dict>();
    }
  return nullptr;
}

// `visits` bounds the work where modules share parts, or hold themselves.
void collect(Ref object, const std::string& prefix, int depth, size_t& visits, StoredTensors& into) {
  const Instance* module = object->as<Instance>();
  if (!module || depth > max_depth || ++visits > max_tensors) return;
  for (const char* held : {"_parameters", "_buffers"})
    if (const Dict* tensors = dict_in(*module, held))
      for (const auto& [key, value] : tensors->entries)
        if (const auto* name = key->as<std::string>(); name && into.size() < max_tensors)
          if (const auto* tensor = value->as<StoredTensor>()) into.emplace_back(prefix + *name, *tensor);
  if (const Dict* modules = dict_in(*module, "_modules"))
    for (const auto& [key, value] : modules->entries)
      if (const auto* name = key->as<std::string>(); name && into.size() < max_tensors)
        collect(value, prefix + *name + ".", depth + 1, visits, into);
}

bool is_plain(Ref object) {
  return object->as<std::monostate>() || object->as<bool>() || object->as<int64_t>() ||
         object->as<double>() || object->as<std::string>();
}

std::optional<StoredTensors> tensors_of_dict(const Dict& dict) {
  StoredTensors tensors;
  bool matrix = false, others = false;
  for (const auto& [key, value] : dict.entries) {
    const auto* name = key->as<std::string>();
    const auto* tensor = value->as<StoredTensor>();
    if (!name || (!tensor && !is_plain(value))) return {};
    others |= !tensor;
    if (!tensor) continue;
    // Dtype lists the floating-point types first.
    matrix |= tensor->shape.size() >= 2 && tensor->dtype <= pickle::Dtype::BF16;
    tensors.emplace_back(*name, *tensor);
  }
  // Numbers beside tensors: a record of a training may hold a curve as a tensor, but no matrix.
  if (tensors.empty() || (others && !matrix)) return {};
  return tensors;
}

std::optional<StoredTensors> tensors_of_pairs(const List& list) {
  StoredTensors tensors;
  for (const Ref item : list.items) {
    const List* pair = item->as<List>();
    const auto* name = pair && pair->items.size() == 2 ? pair->items[0]->as<std::string>() : nullptr;
    const auto* tensor = name ? pair->items[1]->as<StoredTensor>() : nullptr;
    if (!tensor) return {};
    tensors.emplace_back(*name, *tensor);
  }
  if (tensors.empty()) return {};
  return tensors;
}

std::optional<StoredSetting> setting(Ref object) {
  if (const auto* value = object->as<bool>()) return *value;
  if (const auto* value = object->as<int64_t>()) return *value;
  if (const auto* value = object->as<double>()) return *value;
  if (const auto* value = object->as<std::string>()) return *value;
  // An enum is its class, made of its value.
  const Instance* instance = object->as<Instance>();
  if (instance && instance->attributes.entries.empty() && instance->arguments.size() == 1)
    return setting(instance->arguments[0]);
  return {};
}

// Parts of a configuration that are about the network; its data and its teacher have sizes of their own.
bool is_of_the_model(const std::string& key) {
  for (const char* known : {"model", "transformer", "network", "net", "arch", "architecture", "config", "cfg",
                            "model_config", "model_args", "act", "act_fn", "activation"})
    if (key == known) return true;
  return false;
}

void read_into(Ref object, const std::string& name, int depth, std::set<Ref>& seen, FoundNetworks& found) {
  if (depth > 4 || found.settings.size() >= max_settings || !seen.insert(object).second) return;
  if (const auto value = setting(object)) {
    found.settings.emplace(name, *value);
    return;
  }
  const Instance* instance = object->as<Instance>();
  const Dict* dict = instance ? &instance->attributes : object->as<Dict>();
  if (!dict) return;
  // OmegaConf holds the entries of a node in _content and the value of a leaf in _val.
  const auto is_wrapper = [](const std::string& key) { return key == "_content" || key == "_val"; };
  // What lies deeper does not replace what this level says.
  for (const bool nested : {false, true})
    for (const auto& [key, value] : dict->entries)
      if (const auto* text = key->as<std::string>(); text && setting(value).has_value() != nested)
        if (!nested || is_wrapper(*text) || is_of_the_model(*text))
          read_into(value, is_wrapper(*text) ? name : *text, depth + 1, seen, found);
}

}  // namespace

bool is_module(Ref object) {
  const Instance* instance = object->as<Instance>();
  return instance && dict_in(*instance, "_modules") && dict_in(*instance, "_parameters");
}

StoredTensors tensors_of_module(Ref module) {
  StoredTensors tensors;
  size_t visits = 0;
  collect(module, "", 0, visits, tensors);
  return tensors;
}

std::optional<StoredTensors> tensors_of_container(Ref object) {
  if (const Dict* dict = object->as<Dict>()) return tensors_of_dict(*dict);
  if (const List* list = object->as<List>()) return tensors_of_pairs(*list);
  return {};
}

void read_settings(Ref object, const std::string& name, FoundNetworks& found) {
  const Instance* instance = object->as<Instance>();
  std::set<Ref> seen;
  read_into(object, name, 0, seen, found);
  if (!found.settings.empty()) found.settings_from = instance ? instance->type : name;
}

}  // namespace orrery::engine
