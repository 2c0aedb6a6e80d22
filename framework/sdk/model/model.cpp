#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/model.h>

namespace orrery {

Model::Model() = default;
Model::~Model() = default;

std::function<torch::Tensor()> Model::read_out(torch::Tensor tokens, std::vector<int64_t> positions) {
  const torch::Tensor index = torch::tensor(positions, torch::kInt64).to(tokens.device());
  return [this, tokens = std::move(tokens), index] { return forward(tokens).index_select(1, index); };
}

std::function<torch::Tensor()> Model::read_out_scored(torch::Tensor tokens, std::vector<int64_t> positions,
                                                      torch::Tensor) {
  return read_out(std::move(tokens), std::move(positions));
}

torch::Tensor Model::penalty() { return {}; }

torch::Tensor Model::weight(const std::string& name) const {
  if (const NamedWeight* found = find_weight(name)) return found->value;
  const std::vector<std::string> names = weight_names();
  throw Error(fmt::format("the model has no weight \"{}\"{}", name, did_you_mean(name, names)),
              fmt::format("the model has: {}", fmt::join(names, ", ")));
}

const NamedWeight* Model::find_weight(const std::string& name) const {
  for (const NamedWeight& weight : weights_)
    if (weight.name == name) return &weight;
  return nullptr;
}

std::vector<std::string> Model::weight_names() const {
  std::vector<std::string> names;
  for (const NamedWeight& weight : weights_) names.push_back(weight.name);
  return names;
}

const HookPoint* Model::find_hook_point(const std::string& name) const {
  for (const auto& point : hook_points_)
    if (point->name() == name) return point.get();
  return nullptr;
}

std::vector<std::string> Model::hook_point_names() const {
  std::vector<std::string> names;
  for (const auto& point : hook_points_) names.push_back(point->name());
  return names;
}

int64_t Model::n_parameters() const {
  int64_t total = 0;
  for (const NamedWeight& weight : weights_) total += weight.value.numel();
  return total;
}

torch::Device Model::device() const {
  return weights_.empty() ? torch::Device(torch::kCPU) : weights_.front().value.device();
}

void Model::to(torch::Device device) {
  for (NamedWeight& weight : weights_) weight.value.set_data(weight.value.detach().to(device));
}

torch::Tensor Model::add_weight(const std::string& name, torch::Tensor value) {
  if (find_weight(name)) throw Error("the model declares the weight \"" + name + "\" twice");
  weights_.push_back({name, value.detach().clone().requires_grad_(true)});
  return weights_.back().value;
}

HookPoint& Model::add_hook_point(const std::string& name, int64_t position_dim) {
  hook_points_.push_back(std::make_unique<HookPoint>(name, position_dim));
  return *hook_points_.back();
}

}  // namespace orrery
