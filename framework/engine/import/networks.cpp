#include "engine/import/networks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "engine/import/modules.h"
#include "engine/import/shown.h"

namespace orrery::engine {
namespace {

using pickle::Dict;
using pickle::List;
using pickle::Ref;
using pickle::StoredTensor;

constexpr int max_nesting = 4;
constexpr size_t max_networks = 100'000, max_record = 100, max_tuple = 16;
// The usual names of steps, those of many networks first.
constexpr const char* step_names[] = {"checkpoint_steps",
                                      "checkpoint_epochs",
                                      "state_dict_epochs",
                                      "save_epochs",
                                      "epochs",
                                      "steps",
                                      "step",
                                      "global_step",
                                      "epoch",
                                      "iteration",
                                      "iter",
                                      "iter_num"};
constexpr const char* config_names[] = {"cfg",     "config", "model_config", "model_args", "hyper_parameters",
                                        "hparams", "args"};

// A place in the file: an object, its holder, and the path to it.
struct Place {
  std::string key;
  Ref object = nullptr;
  Ref holder = nullptr;        // the dict that holds it, or holds the list it is in
  const List* list = nullptr;  // that list, and the index in it
  size_t index = 0;
};

std::string joined(const std::string& key, const std::string& part) {
  return key.empty() ? part : key + "." + part;
}

std::string key_list(const Dict& dict) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : dict.entries) {
    if (keys.size() == 20) return fmt::format("{}, ...", fmt::join(keys, ", "));
    const auto* text = key->as<std::string>();
    keys.push_back(fmt::format("{} ({})", text ? shown(*text) : key->describe(), value->describe()));
  }
  return fmt::format("{}", fmt::join(keys, ", "));
}

// Integers, from a list or from a tensor or array of one dimension.
std::optional<std::vector<int64_t>> whole_numbers(Ref object) {
  std::vector<int64_t> values;
  if (const List* list = object->as<List>()) {
    for (const Ref item : list->items) {
      const int64_t* value = item->as<int64_t>();
      if (!value) return {};
      values.push_back(*value);
    }
    return values;
  }
  const StoredTensor* tensor = object->as<StoredTensor>();
  if (!tensor || tensor->dtype != pickle::Dtype::I64 || tensor->shape.size() != 1) return {};
  for (int64_t i = 0; i < tensor->shape[0]; ++i) {
    int64_t value;
    const uint64_t at = (tensor->offset + static_cast<uint64_t>(i * tensor->strides[0])) * sizeof value;
    std::memcpy(&value, tensor->storage.data() + at, sizeof value);
    values.push_back(value);
  }
  return values;
}

struct Item {
  Ref network;
  std::optional<int64_t> step;
};

class Finder {
 public:
  Finder(Ref root, const std::string& where) : root_(root), where_(where) {}

  Place at(const std::string& key) const;
  Place only_one(std::vector<std::string>& others);
  FoundNetworks networks(const Place& place, const std::string& steps_key);

 private:
  FoundNetworks networks_at(const Place& place, const std::string& steps_key);
  [[noreturn]] void refuse(const std::string& what, const std::string& hint = "") const {
    throw UsageError(fmt::format("{}: {}", where_, what), hint);
  }
  [[noreturn]] void refuse_empty(const std::string& what, const std::string& hint) const {
    throw NoNetwork(fmt::format("{}: {}", where_, what), hint);
  }
  void refuse_repeated_names(const FoundNetwork& network) const;
  bool is_network(Ref object);
  std::optional<Item> item_of(Ref object);
  std::optional<std::vector<Item>> series_of(Ref object);
  void find_settings(const Place& place, FoundNetworks& found) const;
  void collect(const Place& place, int depth, std::vector<Place>& found, std::set<Ref>& seen);
  void number(FoundNetworks& found, const Place& place, const std::string& steps_key) const;
  std::vector<int64_t> steps_at(const std::string& key, size_t count) const;
  std::optional<std::pair<std::string, std::vector<int64_t>>> usual_steps(const Place& place,
                                                                          size_t count) const;

  Ref root_;
  const std::string& where_;
  std::map<Ref, bool> known_;
};

bool Finder::is_network(Ref object) {
  if (const auto known = known_.find(object); known != known_.end()) return known->second;
  const bool is =
      is_module(object) ? !tensors_of_module(object).empty() : tensors_of_container(object).has_value();
  return known_[object] = is;
}

// A network; (step, network); or a record that holds one network and perhaps its step.
std::optional<Item> Finder::item_of(Ref object) {
  if (is_network(object)) return Item{object, {}};
  if (const List* list = object->as<List>(); list && list->items.size() == 2) {
    const int64_t* step = list->items[0]->as<int64_t>();
    if (step && is_network(list->items[1])) return Item{list->items[1], *step};
  }
  const Dict* dict = object->as<Dict>();
  if (!dict || dict->entries.size() > max_record) return {};
  std::optional<Item> found;
  for (const auto& [key, value] : dict->entries) {
    if (!is_network(value)) continue;
    if (found) return {};
    found = Item{value, {}};
  }
  for (const char* name : step_names)
    if (const Ref step = found ? object->find(name) : nullptr; step && step->as<int64_t>()) {
      found->step = *step->as<int64_t>();
      break;
    }
  return found;
}

// 100, "100", "step_100".
std::optional<int64_t> step_in_key(Ref key) {
  if (const int64_t* step = key->as<int64_t>()) return *step;
  const auto* text = key->as<std::string>();
  if (!text) return {};
  std::string_view rest = *text;
  for (const char* word : {"step", "epoch", "iteration", "iter", "checkpoint", "ckpt", "batch"})
    if (rest.starts_with(word)) {
      rest.remove_prefix(std::strlen(word));
      break;
    }
  rest.remove_prefix(std::min(rest.find_first_not_of("_- ="), rest.size()));
  int64_t step = -1;
  const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), step);
  if (rest.empty() || failure != std::errc() || end != rest.data() + rest.size()) return {};
  return step;
}

// The checkpoints in a list, or in a dict that has them under their steps.
std::optional<std::vector<Item>> Finder::series_of(Ref object) {
  std::vector<Item> items;
  if (const List* list = object->as<List>()) {
    for (const Ref one : list->items) {
      const auto item = item_of(one);
      if (!item) return {};
      items.push_back(*item);
    }
  } else if (const Dict* dict = object->as<Dict>()) {
    for (const auto& [key, value] : dict->entries) {
      const auto step = step_in_key(key);
      const auto item = step ? item_of(value) : std::nullopt;
      if (!item) return {};
      items.push_back({item->network, *step});
    }
  }
  if (items.empty()) return {};
  return items;
}

// "state_dicts[12]", "a.b". A key of a dict may itself contain dots, so the longest match wins.
Place Finder::at(const std::string& key) const {
  Place place{"", root_, root_};
  std::string_view rest = key;
  while (!rest.empty()) {
    if (const List* list = place.object->as<List>(); list && rest[0] == '[') {
      size_t index = 0;
      const auto [end, failure] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), index);
      if (failure != std::errc() || end == rest.data() + rest.size() || *end != ']')
        refuse(fmt::format("\"{}\": expected a number in brackets", key));
      if (index >= list->items.size())
        refuse(fmt::format("\"{}\": {} has {} entries, [0] to [{}]", key, place.key, list->items.size(),
                           list->items.size() - 1));
      rest.remove_prefix(static_cast<size_t>(end - rest.data()) + 1);
      place = {fmt::format("{}[{}]", place.key, index), list->items[index], place.holder, list, index};
    } else {
      size_t length = rest.size();
      Ref found = place.object->find(rest);
      while (!found && length > 0) {
        const size_t cut = rest.find_last_of(".[", length - 1);
        length = cut == rest.npos ? 0 : cut;
        found = place.object->find(rest.substr(0, length));
      }
      if (!found) {
        const Dict* dict = place.object->as<Dict>();
        refuse(fmt::format("there is nothing at \"{}\"", key),
               dict ? fmt::format("at \"{}\" there are: {}", place.key, key_list(*dict))
                    : fmt::format("at \"{}\" there is {}", place.key, place.object->describe()));
      }
      place = {joined(place.key, std::string(rest.substr(0, length))), found, place.object};
      rest.remove_prefix(length);
    }
    if (rest.starts_with('.')) rest.remove_prefix(1);
  }
  return place;
}

void Finder::collect(const Place& place, int depth, std::vector<Place>& found, std::set<Ref>& seen) {
  if (depth > max_nesting || !seen.insert(place.object).second) return;
  if (is_network(place.object) || series_of(place.object)) {
    found.push_back(place);
    return;
  }
  if (const List* list = place.object->as<List>(); list && list->items.size() <= max_tuple)
    for (size_t i = 0; i < list->items.size(); ++i)
      collect({fmt::format("{}[{}]", place.key, i), list->items[i], place.holder, list, i}, depth + 1, found,
              seen);
  const auto* instance = place.object->as<pickle::Instance>();
  const Dict* dict = instance ? &instance->attributes : place.object->as<Dict>();
  if (!dict || place.object->find("param_groups")) return;  // the latter is an optimiser's state
  for (const auto& [key, value] : dict->entries)
    if (const auto* text = key->as<std::string>())
      collect({joined(place.key, *text), value, place.object}, depth + 1, found, seen);
}

Place Finder::only_one(std::vector<std::string>& others) {
  std::vector<Place> found, series;
  std::set<Ref> seen;
  collect({"", root_, root_}, 0, found, seen);
  for (const Place& place : found)
    if (!is_network(place.object)) series.push_back(place);
  if (found.empty()) {
    if (root_->as<StoredTensor>())
      refuse_empty("it holds one array, not a network",
                   "import a .npz file, or a folder of .npy files that have the names of the weights");
    const Dict* dict = root_->as<Dict>();
    refuse_empty("it holds no network: no dict of tensors by name",
                 dict ? "it holds: " + key_list(*dict) : "it holds " + root_->describe());
  }
  std::vector<std::string> keys;
  for (const Place& place : found) keys.push_back(place.key);
  if (found.size() > 1 && series.size() != 1)
    refuse(fmt::format("it holds several networks: {}", fmt::join(keys, ", ")),
           fmt::format("choose one, for example: --key {}", keys.front()));
  const Place chosen = series.size() == 1 ? series.front() : found.front();
  for (const std::string& key : keys)
    if (key != chosen.key) others.push_back(key);
  return chosen;
}

std::vector<int64_t> Finder::steps_at(const std::string& key, size_t count) const {
  const Ref object = at(key).object;
  if (const int64_t* single = object->as<int64_t>(); single && count == 1) return {*single};
  const auto steps = whole_numbers(object);
  if (!steps || steps->size() != count)
    refuse(fmt::format("expected the steps of {} network{} at \"{}\", found {}", count, count == 1 ? "" : "s",
                       key, object->describe()));
  return *steps;
}

// Steps beside the networks, under one of the usual names.
std::optional<std::pair<std::string, std::vector<int64_t>>> Finder::usual_steps(const Place& place,
                                                                                size_t count) const {
  const size_t listed = place.list ? place.list->items.size() : count;
  for (const char* name : step_names) {
    const Ref found = place.holder->find(name);
    if (!found) continue;
    const int64_t* one = found->as<int64_t>();
    if (one && count == 1 && !place.list && *one >= 0) return {{name, {*one}}};
    auto steps = whole_numbers(found);
    if (!steps || steps->size() != listed) continue;
    if (place.list) steps = {{(*steps)[place.index]}};
    return {{name, std::move(*steps)}};
  }
  return {};
}

// A dict has a name once; a list of pairs can have it twice, and which of the two counts is not known.
void Finder::refuse_repeated_names(const FoundNetwork& network) const {
  const List* list = network.object->as<List>();
  if (!list) return;
  std::map<std::string_view, size_t> first;
  for (size_t i = 0; i < list->items.size(); ++i) {
    const std::string& name = *list->items[i]->as<List>()->items[0]->as<std::string>();
    const auto [at, fresh] = first.emplace(name, i);
    if (!fresh)
      refuse(fmt::format("the name {} comes twice, at {}[{}] and at {}[{}]", shown(name), network.key,
                         at->second, network.key, i),
             "of two tensors of one name only one can be the weight: save the network with each name once");
  }
}

FoundNetworks Finder::networks(const Place& place, const std::string& steps_key) {
  FoundNetworks found = networks_at(place, steps_key);
  for (const FoundNetwork& network : found.networks) refuse_repeated_names(network);
  return found;
}

FoundNetworks Finder::networks_at(const Place& place, const std::string& steps_key) {
  FoundNetworks found;
  find_settings(place, found);
  if (is_network(place.object)) {
    found.networks.push_back({place.key, 0, place.object});
    number(found, place, steps_key);
    return found;
  }
  const auto items = series_of(place.object);
  if (!items) {
    const Dict* dict = place.object->as<Dict>();
    refuse(place.key.empty() ? "it holds no network" : fmt::format("\"{}\" is not a network", place.key),
           fmt::format("expected a dict of tensors by name, or a list of them; found {}",
                       dict ? key_list(*dict) : place.object->describe()));
  }
  if (items->size() > max_networks)
    refuse(fmt::format("it holds {} networks, and each would be a checkpoint; at most {} are imported",
                       items->size(), max_networks),
           "choose one with --key");
  const Dict* by_step = place.object->as<Dict>();
  const bool have_steps =
      std::all_of(items->begin(), items->end(), [](const Item& item) { return item.step; });
  for (size_t i = 0; i < items->size(); ++i) {
    const Item& item = (*items)[i];
    const auto* text = by_step ? by_step->entries[i].first->as<std::string>() : nullptr;
    const std::string key = text      ? joined(place.key, *text)
                            : by_step ? fmt::format("{}[{}]", place.key, *item.step)
                                      : fmt::format("{}[{}]", place.key, i);
    found.networks.push_back({key, have_steps ? *item.step : static_cast<int64_t>(i), item.network});
  }
  if (have_steps) found.steps_from = place.key.empty() ? "the file" : place.key;
  number(found, place, steps_key);
  return found;
}

// A configuration in the module, or beside the network.
void Finder::find_settings(const Place& place, FoundNetworks& found) const {
  for (const Ref holder : {place.object, place.holder, root_})
    for (const char* name : config_names) {
      const Ref config = holder ? holder->find(name) : nullptr;
      if (config && !config->as<StoredTensor>() && found.settings.empty()) read_settings(config, name, found);
    }
}

void Finder::number(FoundNetworks& found, const Place& place, const std::string& steps_key) const {
  std::vector<FoundNetwork>& networks = found.networks;
  std::optional<std::pair<std::string, std::vector<int64_t>>> steps;
  if (!steps_key.empty())
    steps = {steps_key, steps_at(steps_key, networks.size())};
  else if (found.steps_from.empty())
    steps = usual_steps(place, networks.size());
  if (steps) {
    found.steps_from = steps->first;
    for (size_t i = 0; i < networks.size(); ++i) networks[i].step = steps->second[i];
  }
  std::stable_sort(networks.begin(), networks.end(), [](auto& a, auto& b) { return a.step < b.step; });
  if (networks.front().step < 0)
    refuse(fmt::format("{} has step {}", networks.front().key, networks.front().step));
  for (size_t i = 1; i < networks.size(); ++i)
    if (networks[i].step == networks[i - 1].step)
      refuse(fmt::format("{} and {} have the same step, {}", networks[i - 1].key, networks[i].key,
                         networks[i].step),
             "choose one with --key, or say where their steps are: --steps-key KEY");
}

}  // namespace

FoundNetworks find_networks(Ref root, const std::string& key, const std::string& steps_key,
                            const std::string& where) {
  Finder finder(root, where);
  std::vector<std::string> others;
  const Place place = key.empty() ? finder.only_one(others) : finder.at(key);
  FoundNetworks found = finder.networks(place, steps_key);
  found.others = std::move(others);
  return found;
}

}  // namespace orrery::engine
