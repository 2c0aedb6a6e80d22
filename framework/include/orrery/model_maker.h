// Models as plugins. Derive from orrery::Model (orrery/model.h), give the class a constructor that takes its
// parameters, the task's shapes and a generator, and register it with ORRERY_MODEL (orrery/plugin.h); a
// config names it with [model] kind.
#pragma once

#include <orrery/export.h>
#include <orrery/model.h>
#include <orrery/task.h>

#include <memory>
#include <utility>

namespace orrery {

/// The interface of a model plugin, which ORRERY_MODEL writes.
class ORRERY_API ModelMaker {
 public:
  virtual ~ModelMaker();
  /// A model for a task of these shapes, on the CPU, its weights drawn from `rng` only: the same state of it
  /// gives the same bits. Throws orrery::UsageError if the parameters or the shapes do not fit.
  virtual std::unique_ptr<Model> make(const TaskSpec& spec, torch::Generator rng) const = 0;
};

/// Makes models of the class M, which is constructed from (Params, const TaskSpec&, torch::Generator).
template <class M, class Params>
class MakerOf final : public ModelMaker {
 public:
  explicit MakerOf(Params params) : params_(std::move(params)) {}
  std::unique_ptr<Model> make(const TaskSpec& spec, torch::Generator rng) const override {
    return std::make_unique<M>(params_, spec, std::move(rng));
  }

 private:
  Params params_;
};

}  // namespace orrery
