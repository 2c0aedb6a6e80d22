#include "sdk/files/named_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <sstream>

namespace orrery {
namespace {

const torch::Tensor* look_for(const NamedTensors& tensors, const std::string& name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& pair) { return pair.first == name; });
  return found == tensors.end() ? nullptr : &found->second;
}

std::string shape_text(const torch::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

}  // namespace

const torch::Tensor& find_named(const NamedTensors& tensors, const std::string& name) {
  if (const torch::Tensor* found = look_for(tensors, name)) return *found;
  throw Error(fmt::format("no tensor \"{}\" in the checkpoint", name));
}

void copy_named(const NamedTensors& tensors, const std::string& name, torch::Tensor target) {
  const torch::Tensor& source = find_named(tensors, name);
  if (source.sizes() != target.sizes())
    throw Error(fmt::format("tensor \"{}\" in the checkpoint has shape {}, expected {}", name,
                            shape_text(source), shape_text(target)));
  target.copy_(source);
}

NamedTensors weights_of(const Model& model) {
  NamedTensors all;
  for (const NamedWeight& weight : model.weights()) all.emplace_back(weight.name, weight.value.detach());
  return all;
}

void load_weights(Model& model, const NamedTensors& tensors) {
  std::vector<std::string> wrong;
  const std::vector<std::string> names = model.weight_names();
  for (const NamedWeight& weight : model.weights()) {
    const torch::Tensor* found = look_for(tensors, weight.name);
    if (!found)
      wrong.push_back(fmt::format("{}: missing, expected {}", weight.name, shape_text(weight.value)));
    else if (found->sizes() != weight.value.sizes())
      wrong.push_back(fmt::format("{}: shape {}, expected {}", weight.name, shape_text(*found),
                                  shape_text(weight.value)));
  }
  for (const auto& [name, tensor] : tensors)
    if (!model.find_weight(name))
      wrong.push_back(fmt::format("{}: the model has no such weight{}", name, did_you_mean(name, names)));
  if (!wrong.empty())
    throw Error(fmt::format("the checkpoint does not fit the model:\n  {}", fmt::join(wrong, "\n  ")),
                "the [model] and [task] tables must be those the checkpoint was made with");
  torch::NoGradGuard no_grad;
  for (NamedWeight& weight : model.weights()) weight.value.copy_(*look_for(tensors, weight.name));
}

}  // namespace orrery
