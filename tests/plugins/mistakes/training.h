// Base classes in place of orrery::Model, orrery::LossFunction and orrery::Update, which need LibTorch's
// types.
#pragma once

#include <orrery/plugin.h>

namespace torch {
struct Generator {};
struct Tensor {};
}  // namespace torch

namespace orrery {
struct TaskSpec {};

class Model {
 public:
  virtual ~Model() = default;
  virtual torch::Tensor forward(const torch::Tensor& tokens) = 0;
};
class ModelMaker {
 public:
  virtual ~ModelMaker() = default;
  virtual std::unique_ptr<Model> make(const TaskSpec& spec, torch::Generator rng) const = 0;
};
template <class M, class Params>
class MakerOf final : public ModelMaker {
 public:
  explicit MakerOf(Params params) : params_(params) {}
  std::unique_ptr<Model> make(const TaskSpec& spec, torch::Generator rng) const override {
    return std::make_unique<M>(params_, spec, rng);
  }

 private:
  Params params_;
};

class LossFunction {
 public:
  virtual ~LossFunction() = default;
  virtual torch::Tensor each(const torch::Tensor& logits) const = 0;
};
class Update {
 public:
  enum class Stage { gradients, optimizer, weights };
  virtual ~Update() = default;
  virtual Stage stage() const = 0;
  virtual void step(int step) = 0;
};
}  // namespace orrery

struct Params {
  double gamma = 2;
  static void fields(orrery::Fields<Params>& f) { f.add("gamma", &Params::gamma, "a power").at_least(0); }
};
