// The tensors of one network: without what wrappers put before their names, and without what lies beside it.
#include <algorithm>
#include <map>

#include "engine/import/modules.h"
#include "engine/import/networks.h"
#include "engine/import/weight_roles.h"

namespace orrery::engine {
namespace {

using pickle::Dict;
using pickle::Ref;

// Whether the tensors that lack a wrapper's prefix are few, and those of losses and metrics.
bool are_beside(const std::vector<std::string>& names, size_t n_tensors) {
  return 4 * names.size() <= n_tensors &&
         std::none_of(names.begin(), names.end(), [](const std::string& name) {
           for (const char* word : {"loss", "criterion", "metric", "accuracy", "_acc", "acc."})
             if (name.find(word) != name.npos) return false;
           return true;
         });
}

// What DataParallel, torch.compile and classes that hold the network put before every name. Moves the names
// of tensors beside the network to `beside`.
void strip_wrappers(StoredTensors& tensors, std::vector<std::string>& beside) {
  constexpr std::string_view wrappers[] = {"module.", "_orig_mod.", "model.",
                                           "net.",    "network.",   "_forward_module."};
  for (bool stripped = !tensors.empty(); stripped;) {
    stripped = false;
    for (const std::string_view prefix : wrappers) {
      const auto has_prefix = [&](const auto& entry) {
        return entry.first.starts_with(prefix) && entry.first.size() > prefix.size();
      };
      std::vector<std::string> others;
      for (const auto& entry : tensors)
        if (!has_prefix(entry)) others.push_back(entry.first);
      if (others.size() == tensors.size() || !are_beside(others, tensors.size())) continue;
      std::erase_if(tensors, [&](const auto& entry) { return !has_prefix(entry); });
      for (auto& [name, tensor] : tensors) name.erase(0, prefix.size());
      beside.insert(beside.end(), others.begin(), others.end());
      stripped = true;
    }
  }
}

// Positions are often stored with a dimension of 1, made for adding to a batch: [1, n_ctx, d_model], or
// [n_ctx, 1, d_model] where the batch comes second.
void drop_batch_dimension(StoredTensors& tensors) {
  for (auto& [name, tensor] : tensors) {
    const auto part = part_of(name);
    if (!part || part->role != Role::pos || tensor.shape.size() != 3) continue;
    const ptrdiff_t batch = tensor.shape[0] == 1 ? 0 : 1;
    if (tensor.shape[static_cast<size_t>(batch)] != 1) continue;
    tensor.shape.erase(tensor.shape.begin() + batch);
    tensor.strides.erase(tensor.strides.begin() + batch);
  }
}

StoredTensors read_tensors(Ref object, std::vector<std::string>& beside) {
  StoredTensors all;
  std::map<std::string_view, size_t> known;
  const StoredTensors stored =
      is_module(object) ? tensors_of_module(object) : tensors_of_container(object).value_or(StoredTensors{});
  for (const auto& [name, tensor] : stored) {
    const auto [at, fresh] = known.emplace(name, all.size());
    if (fresh)
      all.emplace_back(name, tensor);
    else
      all[at->second].second = tensor;
  }
  strip_wrappers(all, beside);
  drop_batch_dimension(all);
  // Numbers among the tensors: steps are known, but a scale would be part of the network.
  if (const Dict* dict = object->as<Dict>())
    for (const auto& [key, value] : dict->entries)
      if (const auto* name = key->as<std::string>(); name && value->as<double>()) beside.push_back(*name);
  return all;
}

}  // namespace

StoredTensors FoundNetwork::tensors() const {
  std::vector<std::string> beside;
  return read_tensors(object, beside);
}

std::vector<std::string> FoundNetwork::left_out() const {
  std::vector<std::string> beside;
  read_tensors(object, beside);
  return beside;
}

}  // namespace orrery::engine
