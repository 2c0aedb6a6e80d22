// Checks of losses, updates and models.
#pragma once

#include <orrery/loss.h>
#include <orrery/model_maker.h>
#include <orrery/update.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/check/check.h"
#include "engine/check/task_checks.h"

namespace orrery::engine::checks {

/// Makes instances of one plugin, with the parameters to check it with.
template <class Noun>
struct SourceOf {
  std::string name, version;
  std::function<std::unique_ptr<Noun>()> make;
};

std::vector<Check> loss_checks(SourceOf<LossFunction> source, const Note& note);
std::vector<Check> update_checks(SourceOf<Update> source, const Note& note);
std::vector<Check> model_checks(SourceOf<ModelMaker> source, const Note& note);

/// The checks after which small values of parameters mean something.
inline constexpr const char* loss_works = "gives a loss for each label";
inline constexpr const char* update_works = "updates weights";
inline constexpr const char* model_works = "makes a model";

// What several checks share, from task_model.cpp.

/// What is wrong with a model's weights, "" if nothing is.
std::string weights_fault(const Model& model);
/// What is wrong with its forward() and fast_read_out() on `tokens` [batch, n_ctx].
std::string forward_fault(Model& model, const TaskSpec& spec, const torch::Tensor& tokens);
/// What is wrong with what `make` draws from its generator.
std::string seed_fault(const std::function<std::unique_ptr<Model>(torch::Generator)>& make);

}  // namespace orrery::engine::checks
