// Steps of an update plugin in a test, on weights and gradients that the test gives: what the chain of a
// training does around it.
#pragma once

#include <orrery/testing/plugin_under_test.h>

#include <string>
#include <utility>
#include <vector>

namespace orrery::testing {

class UpdateByHand {
 public:
  explicit UpdateByHand(const std::string& parameters = "{}") : update_(make_update(parameters)) {}

  double lr = 0, weight_decay = 0;  ///< of every weight, in the next step

  /// The tensor itself, not a copy of it, becomes a weight.
  void add(const std::string& name, const torch::Tensor& value) { weights_.emplace_back(name, value); }
  const torch::Tensor& value(size_t i) const { return weights_.at(i).second; }

  /// One step with these gradients, one for each weight, in the order of add(). Returns them as they are
  /// after it. `again` is given the gradients to overwrite, and returns the loss.
  using Again = std::function<double(std::vector<torch::Tensor>& gradients)>;
  std::vector<torch::Tensor> step(const std::vector<torch::Tensor>& gradients, const Again& again = nullptr) {
    std::vector<torch::Tensor> own;
    UpdateStep step;
    step.step = steps_done_++;
    step.kept = &state_;
    for (size_t i = 0; i < weights_.size(); ++i) {
      own.push_back(gradients.at(i).clone());
      step.weights.emplace_back(weights_[i].first, weights_[i].second, own.back(), state_);
      step.weights.back().lr = lr;
      step.weights.back().weight_decay = weight_decay;
    }
    if (again) step.loss_and_gradients = [&] { return again(own); };
    update_->step(step);
    return own;
  }

  Update& update() const { return *update_; }
  const UpdateState& state() const { return state_; }

 private:
  Instance<Update> update_;
  UpdateState state_;
  std::vector<std::pair<std::string, torch::Tensor>> weights_;
  int64_t steps_done_ = 0;
};

/// Numbers of a float64 tensor, in row-major order.
inline std::vector<double> numbers(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kFloat64).contiguous().reshape({-1});
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

}  // namespace orrery::testing
