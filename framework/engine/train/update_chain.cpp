#include "engine/train/update_chain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/hooks.h>
#include <orrery/task.h>

#include <algorithm>
#include <cmath>

#include "engine/config/random_streams.h"
#include "engine/config/refuse_at.h"
#include "engine/train/learning_rate.h"

namespace orrery::engine {

struct UpdateChain::Link {
  ChainedUpdate entry;
  Update::Stage stage;
  bool perturbs = false;
  std::vector<size_t> weights;  // indices into trained_
  UpdateState state = {};
  torch::Generator rng;

  std::string place() const { return entry.choice.place; }
};

namespace {

using Stage = Update::Stage;

const char* purpose(Stage stage) {
  return stage == Stage::gradients   ? "changes gradients"
         : stage == Stage::optimizer ? "moves weights along their gradients"
                                     : "changes weights after they have moved";
}

bool matches_any(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return matches(glob, name); });
}

bool all_finite(const torch::Tensor& tensor) {
  // A sum is quicker than a mask, and is finite where all are, but for an overflow.
  return std::isfinite(tensor.sum().item<double>()) || tensor.isfinite().all().item<bool>();
}

void refuse_all_frozen(const std::vector<WeightGroup>& groups) {
  for (const WeightGroup& group : groups)
    if (group.frozen)
      refuse_at(group.place, "train.group: all weights are frozen, so that there is nothing to train",
                "leave some out of weights = [\"GLOB\", ...]");
}

}  // namespace

std::vector<UpdateChain::Trained> UpdateChain::trained_weights(const Model& model,
                                                               const TrainSettings& settings) {
  std::vector<Trained> all;
  std::vector<bool> used(settings.groups.size(), false);
  int64_t begin = 0;
  for (const NamedWeight& weight : model.weights()) {
    Trained trained{weight.name, begin, weight.value.numel(), settings.lr, settings.weight_decay};
    begin += trained.size;
    for (size_t g = 0; g < settings.groups.size(); ++g) {
      const WeightGroup& group = settings.groups[g];
      if (!matches_any(group.weights, weight.name)) continue;
      used[g] = true;
      trained.lr = group.lr.value_or(settings.lr);
      trained.weight_decay = group.weight_decay.value_or(settings.weight_decay);
      trained.frozen = group.frozen;
      break;
    }
    all.push_back(std::move(trained));
  }
  for (size_t g = 0; g < used.size(); ++g)
    if (settings.groups[g].weights.empty())
      refuse_at(settings.groups[g].place, "train.group: weights = [] names no weight",
                "give globs: weights = [\"embed.*\"]");
    else if (!used[g])
      refuse_at(settings.groups[g].place,
                fmt::format("train.group: no weight belongs to the group \"{}\"",
                            fmt::join(settings.groups[g].weights, "\", \"")),
                fmt::format("the first group that a weight matches has it; the weights are {}",
                            fmt::join(model.weight_names(), ", ")));
  return all;
}

UpdateChain::UpdateChain(Model& model, const TrainSettings& settings, std::vector<ChainedUpdate> updates,
                         uint64_t seed)
    : model_(model),
      settings_(settings),
      flat_(model, settings.dtype == TrainSettings::LossDtype::float64 ? torch::kFloat64 : torch::kFloat32),
      trained_(trained_weights(model, settings)) {
  for (size_t i = 0; i < updates.size(); ++i)
    add(std::move(updates[i]), seed_of(RandomStream::updates, seed, i));
  if (std::none_of(trained_.begin(), trained_.end(), [](const Trained& weight) { return !weight.frozen; }))
    refuse_all_frozen(settings_.groups);
  for (const auto& link : links_)
    if (!link->entry.update && ranges().empty())
      refuse_at(
          link->place(),
          fmt::format("train.update: \"{}\" has no weight left: other optimisers have them all, or they are "
                      "frozen",
                      link->entry.choice.label),
          "leave it out, or give the others fewer: weights = [\"GLOB\", ...]");
  std::erase_if(links_, [](const auto& link) { return !link->entry.update; });
  optimizer_ = std::make_unique<Optimizer>(flat_, settings_, ranges());
}

UpdateChain::~UpdateChain() = default;

void UpdateChain::add(ChainedUpdate update, uint64_t seed) {
  auto link =
      std::make_unique<Link>(Link{std::move(update), Stage::optimizer, false, {}, {}, make_generator(seed)});
  if (const Update* plugin = link->entry.update.get()) {
    link->stage = plugin->stage();
    link->perturbs = link->stage == Stage::gradients && plugin->perturbs_weights();
    match(*link);
    if (link->stage == Stage::optimizer) take(*link);
  }
  check_order(*link);
  links_.push_back(std::move(link));
}

void UpdateChain::check_order(const Link& link) const {
  if (link.perturbs && !links_.empty() && links_.back()->stage == Stage::gradients)
    refuse_at(
        link.place(),
        fmt::format("train.update: \"{}\" takes all gradients anew, so that nothing is left of what \"{}\" "
                    "did to them before",
                    link.entry.choice.label, links_.back()->entry.choice.label),
        "move its [[train.update]] up, before all other updates of gradients");
  if (links_.empty() || links_.back()->stage <= link.stage) return;
  const Link& before = *links_.back();
  refuse_at(
      link.place(),
      fmt::format("train.update: \"{}\" {}, so it cannot come after \"{}\", which {}",
                  link.entry.choice.label, purpose(link.stage), before.entry.choice.label,
                  purpose(before.stage)),
      "the order is: updates of gradients, optimisers, updates of weights; move its [[train.update]] up");
}

// The weights that its globs name, but for frozen ones.
void UpdateChain::match(Link& link) {
  const UpdateChoice& choice = link.entry.choice;
  for (const std::string& glob : choice.weights)
    if (std::none_of(trained_.begin(), trained_.end(),
                     [&](const Trained& weight) { return matches(glob, weight.name); }))
      refuse_at(link.place(),
                fmt::format("train.update: \"{}\": no weight is called \"{}\"{}", choice.label, glob,
                            did_you_mean(glob, model_.weight_names())),
                fmt::format("the weights are {}", fmt::join(model_.weight_names(), ", ")));
  const bool every = choice.weights == std::vector<std::string>{"*"};
  std::vector<std::string> left;
  for (size_t i = 0; i < trained_.size(); ++i) {
    if (trained_[i].frozen || !matches_any(choice.weights, trained_[i].name)) continue;
    const std::string refusal =
        link.entry.update->refusal(trained_[i].name, model_.weights()[i].value.detach());
    if (refusal.empty()) {
      link.weights.push_back(i);
    } else if (every && link.stage == Stage::optimizer) {
      left.push_back(trained_[i].name);
    } else {
      refuse_at(
          link.place(),
          fmt::format("train.update: \"{}\" cannot act on {}: {}", choice.label, trained_[i].name, refusal),
          "name the weights that it is for: weights = [\"GLOB\", ...]");
    }
  }
  if (!left.empty())
    notes_.push_back(fmt::format("{} leaves {} to {}, which it cannot train", choice.label,
                                 fmt::join(left, ", "), name_of(settings_.optimizer)));
  if (link.weights.empty())
    refuse_at(link.place(), fmt::format("train.update: \"{}\" has no weight to act on", choice.label),
              "all that it names are frozen, or it refuses them");
}

// Each weight has one optimiser, the first that names it.
void UpdateChain::take(Link& link) {
  std::erase_if(link.weights, [&](size_t i) { return trained_[i].taken; });
  if (link.weights.empty())
    refuse_at(link.place(),
              fmt::format("train.update: \"{}\" has no weight left: optimisers before it have them all",
                          link.entry.choice.label),
              "give each optimiser its own: weights = [\"GLOB\", ...]");
  for (const size_t i : link.weights) trained_[i].taken = true;
}

std::vector<WeightRange> UpdateChain::ranges() const {
  std::vector<WeightRange> ranges;
  for (const Trained& weight : trained_) {
    if (weight.frozen || weight.taken) continue;
    WeightRange* last = ranges.empty() ? nullptr : &ranges.back();
    if (last && last->begin + last->size == weight.begin && last->lr == weight.lr &&
        last->weight_decay == weight.weight_decay)
      last->size += weight.size;
    else
      ranges.push_back({weight.begin, weight.size, weight.lr, weight.weight_decay});
  }
  return ranges;
}

void UpdateChain::step(int64_t step, double loss, const std::function<double()>& again) {
  torch::NoGradGuard no_grad;
  factor_ = lr_factor(settings_, step);
  bool moved = false;
  if (!links_.empty()) blame_loss(step);
  for (const auto& link : links_) {
    if (!moved && link->stage == Stage::weights) {
      optimizer_->step(factor_);
      moved = true;
      blame_optimizer(step);
    }
    run(*link, step, loss, again);
  }
  if (!moved) optimizer_->step(factor_);
}

// What is not finite before the first update is not its fault.
void UpdateChain::blame_loss(int64_t step) const {
  if (all_finite(flat_.gradients())) return;
  for (const auto& [name, gradient] : flat_.unflatten(flat_.gradients()))
    if (!all_finite(gradient))
      throw Error(fmt::format("step {}: the loss is finite, and its gradient is not, in {}", step, name),
                  "look at the loss and the model: a square root or a division at 0 has no slope");
}

void UpdateChain::blame_optimizer(int64_t step) const {
  if (all_finite(flat_.values())) return;
  for (const auto& [name, value] : flat_.unflatten(flat_.values()))
    if (!all_finite(value))
      throw Error(fmt::format("step {}: the weight {} is not finite after {}", step, name,
                              name_of(settings_.optimizer)),
                  "try a smaller train.lr");
}

void UpdateChain::run(Link& link, int64_t step, double loss, const std::function<double()>& again) {
  const auto values = flat_.unflatten(flat_.values()), gradients = flat_.unflatten(flat_.gradients());
  UpdateStep given;
  given.step = step;
  given.loss = loss;
  given.rng = link.rng;
  given.kept = &link.state;
  for (const size_t i : link.weights) {
    UpdatedWeight weight(trained_[i].name, values[i].second, gradients[i].second, link.state);
    weight.lr = trained_[i].lr * factor_;
    weight.weight_decay = trained_[i].weight_decay;
    given.weights.push_back(std::move(weight));
  }
  if (link.perturbs)
    given.loss_and_gradients = again;
  else
    given.loss_and_gradients = []() -> double {
      throw Error("it asks for gradients elsewhere, and does not say that it perturbs weights",
                  "override perturbs_weights() to return true, in Stage::gradients");
    };
  // The optimiser of the framework adds it to those that it has itself.
  if (link.stage == Stage::optimizer && settings_.l1 > 0)
    for (const UpdatedWeight& weight : given.weights)
      weight.gradient().add_(weight.value().sign(), settings_.l1);
  const bool filters = link.stage == Stage::gradients;
  if (filters) values_before_ = flat_.values().clone();
  const int64_t version = flat_.values()._version();
  link.entry.update->step(given);
  if (link.perturbs) flat_.values().copy_(values_before_);
  check(link, given.weights, step, version);
  check_finite(link, given.weights, step);
}

// It was given the very tensors that the model has, and may have written where its stage does not.
void UpdateChain::check(const Link& link, const std::vector<UpdatedWeight>& given, int64_t step,
                        int64_t version) const {
  for (size_t k = 0; k < given.size(); ++k) {
    const Trained& weight = trained_[link.weights[k]];
    const auto sizes = model_.weights()[link.weights[k]].value.sizes();
    for (const auto& [what, tensor, flat] : {std::tuple("weight", given[k].value(), flat_.values()),
                                             std::tuple("gradient", given[k].gradient(), flat_.gradients())})
      if (tensor.sizes() != sizes || tensor.scalar_type() != flat.scalar_type() ||
          tensor.data_ptr() != flat.narrow(0, weight.begin, weight.size).data_ptr())
        blame(link, step,
              fmt::format("the {} of {} is now another tensor, [{}]; it was [{}]", what, weight.name,
                          fmt::join(tensor.sizes(), ", "), fmt::join(sizes, ", ")),
              "write into it: value().copy_(...), sub_(...)");
  }
  if (link.stage != Stage::gradients || link.perturbs || flat_.values()._version() == version) return;
  for (const Trained& weight : trained_)
    if (!torch::equal(flat_.values().narrow(0, weight.begin, weight.size),
                      values_before_.narrow(0, weight.begin, weight.size)))
      blame(link, step, fmt::format("it wrote into the weight {}, and is one of gradients", weight.name),
            "return Stage::optimizer or Stage::weights from stage(), or work on a copy: value().clone()");
}

void UpdateChain::check_finite(const Link& link, const std::vector<UpdatedWeight>& given,
                               int64_t step) const {
  const bool filters = link.stage == Stage::gradients;
  if (all_finite(filters ? flat_.gradients() : flat_.values())) return;
  for (const UpdatedWeight& weight : given)
    if (!all_finite(filters ? weight.gradient() : weight.value()))
      blame(
          link, step,
          fmt::format("the {} {} is not finite after it", filters ? "gradient of" : "weight", weight.name()),
          "try a smaller learning rate; a division by the norm of what may be 0 wants a small number added");
}

void UpdateChain::blame(const Link& link, int64_t step, const std::string& what,
                        const std::string& hint) const {
  throw Error(fmt::format("{}, step {}: {}", link.entry.who, step, what), hint);
}

NamedTensors UpdateChain::state() const {
  NamedTensors all = optimizer_->state();
  if (flat_.is_wide())
    for (auto& [name, tensor] : flat_.unflatten(flat_.values())) all.emplace_back("float64/" + name, tensor);
  for (const auto& link : links_) {
    const std::string prefix = "update/" + link->entry.choice.label + "/";
    for (const auto& [name, tensor] : link->state.tensors()) all.emplace_back(prefix + name, tensor);
    all.emplace_back("rng/" + link->entry.choice.label, link->rng.get_state());
  }
  return all;
}

void UpdateChain::restore(const NamedTensors& state) {
  torch::NoGradGuard no_grad;
  optimizer_->restore(state);
  if (flat_.is_wide()) {
    for (auto& [name, tensor] : flat_.unflatten(flat_.values())) copy_named(state, "float64/" + name, tensor);
    const FlatWeights::Wide rounds_them(flat_);
  }
  for (const auto& link : links_) {
    const std::string prefix = "update/" + link->entry.choice.label + "/";
    std::map<std::string, torch::Tensor> kept;
    for (const auto& [name, tensor] : state)
      if (name.starts_with(prefix))
        kept[name.substr(prefix.size())] = tensor.clone().to(
            tensor.scalar_type() == torch::kFloat64 ? torch::Device(torch::kCPU) : flat_.values().device());
    link->state.restore(std::move(kept));
    link->rng.set_state(find_named(state, "rng/" + link->entry.choice.label));
  }
}

}  // namespace orrery::engine
