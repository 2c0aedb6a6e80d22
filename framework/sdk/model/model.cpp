#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/model.h>
#include <orrery/model_maker.h>
#include <orrery/transformer.h>

#include <cmath>

#include "sdk/kernels/positions.h"
#include "sdk/model/room.h"

namespace orrery {

ReadOutPass::~ReadOutPass() = default;

namespace {

class LogitsOnly final : public ReadOutPass {
 public:
  explicit LogitsOnly(std::function<torch::Tensor()> logits) : logits_(std::move(logits)) {}
  torch::Tensor logits() override { return logits_(); }

 private:
  std::function<torch::Tensor()> logits_;
};

class PlainPass final : public ReadOutPass {
 public:
  PlainPass(Model& model, ReadOutRequest request)
      : model_(model),
        request_(std::move(request)),
        positions_(kernels::positions_on(request_.tokens.device(), request_.positions)) {
    for (const std::string& name : request_.hook_points)
      hooks_.emplace_back(name,
                          [this, point = find_hook_points(model, name).front()](const auto& activation) {
                            activations_[point->name()] = at_positions(*point, activation, positions_);
                            return activation;
                          });
  }

  torch::Tensor logits() override {
    const torch::Tensor all =
        hooks_.empty() ? model_.forward(request_.tokens) : run_with_hooks(model_, request_.tokens, hooks_);
    return all.index_select(1, positions_);
  }

 private:
  Model& model_;
  ReadOutRequest request_;
  torch::Tensor positions_;
  std::vector<std::pair<std::string, HookFunction>> hooks_;
};

}  // namespace

std::unique_ptr<ReadOutPass> make_pass(std::function<torch::Tensor()> logits) {
  return std::make_unique<LogitsOnly>(std::move(logits));
}

std::unique_ptr<ReadOutPass> plain_read_out(Model& model, ReadOutRequest request) {
  return std::make_unique<PlainPass>(model, std::move(request));
}

std::unique_ptr<ReadOutPass> read_out(Model& model, const ReadOutRequest& request) {
  if (!request.observed || model.fast_read_out_keeps(request.hook_points))
    if (auto fast = model.fast_read_out(request)) return fast;
  return plain_read_out(model, request);
}

Model::Model() : parts_(std::make_shared<Parts>()) {}
Model::Model(InFrontOf other) : parts_(other.model.parts_) {}
Model::~Model() = default;
ModelMaker::~ModelMaker() = default;

std::unique_ptr<ReadOutPass> Model::fast_read_out(const ReadOutRequest&) { return nullptr; }
bool Model::fast_read_out_keeps(const std::vector<std::string>&) const { return false; }

torch::Tensor Model::penalty() { return {}; }

torch::Tensor Model::weight(const std::string& name) const {
  if (const NamedWeight* found = find_weight(name)) return found->value;
  const std::vector<std::string> names = weight_names();
  throw Error(fmt::format("the model has no weight \"{}\"{}", name, did_you_mean(name, names)),
              fmt::format("the model has: {}", fmt::join(names, ", ")));
}

const NamedWeight* Model::find_weight(const std::string& name) const {
  for (const NamedWeight& weight : parts_->weights)
    if (weight.name == name) return &weight;
  return nullptr;
}

std::vector<std::string> Model::weight_names() const {
  std::vector<std::string> names;
  for (const NamedWeight& weight : parts_->weights) names.push_back(weight.name);
  return names;
}

const HookPoint* Model::find_hook_point(const std::string& name) const {
  for (const auto& point : parts_->hook_points)
    if (point->name() == name) return point.get();
  return nullptr;
}

std::vector<std::string> Model::hook_point_names() const {
  std::vector<std::string> names;
  for (const auto& point : parts_->hook_points) names.push_back(point->name());
  return names;
}

int64_t Model::n_parameters() const {
  int64_t total = 0;
  for (const NamedWeight& weight : parts_->weights) total += weight.value.numel();
  return total;
}

double Model::parameter_norm() const {
  double squares = 0;
  for (const NamedWeight& weight : weights())
    squares += weight.value.detach().to(torch::kFloat64).square().sum().item<double>();
  return std::sqrt(squares);
}

torch::Device Model::device() const {
  return parts_->weights.empty() ? torch::Device(torch::kCPU) : parts_->weights.front().value.device();
}

void Model::to(torch::Device device) {
  for (NamedWeight& weight : parts_->weights) weight.value.set_data(weight.value.detach().to(device));
}

torch::Tensor Model::add_weight(const std::string& name, torch::Tensor value) {
  if (find_weight(name)) throw Error("the model declares the weight \"" + name + "\" twice");
  double n = static_cast<double>(value.numel());
  for (const NamedWeight& weight : parts_->weights) n += static_cast<double>(weight.value.numel());
  refuse_without_room(n, "the network");
  parts_->weights.push_back({name, value.detach().clone().requires_grad_(true)});
  return parts_->weights.back().value;
}

HookPoint& Model::add_hook_point(const std::string& name, int64_t position_dim) {
  parts_->hook_points.push_back(std::make_unique<HookPoint>(name, position_dim));
  return *parts_->hook_points.back();
}

void Model::set_transformer_config(const TransformerConfig& config) {
  parts_->transformer_config = std::make_shared<const TransformerConfig>(config);
}

}  // namespace orrery
