// Checks that an update keeps its side of the contract: in the chain, on a small network.
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/transformer.h>

#include "engine/check/bitwise.h"
#include "engine/check/training_checks.h"
#include "engine/train/trainer.h"

namespace orrery::engine::checks {
namespace {

const TaskSpec small_spec{.d_vocab = 6, .d_vocab_out = 5, .n_ctx = 3, .read_out = {2}};

std::unique_ptr<Model> small_network() {
  return make_transformer({.d_model = 8, .n_heads = 2, .d_head = 4, .d_mlp = 12}, small_spec,
                          make_generator(0));
}

Split small_split() {
  const torch::Generator rng = make_generator(1);
  const Batch all{.tokens = torch::randint(6, {40, 3}, rng, torch::kInt64),
                  .labels = torch::randint(5, {40, 1}, rng, torch::kInt64)};
  const torch::Tensor rows = torch::arange(40, torch::kInt64);
  return Split::of_grid(all, rows.narrow(0, 0, 30), rows.narrow(0, 30, 10));
}

class UpdateUnderCheck {
 public:
  UpdateUnderCheck(SourceOf<Update> source, Note note)
      : source_(std::move(source)), note_(std::move(note)), split_(small_split()) {}

  void note(const std::string& what) const { note_(what); }
  std::unique_ptr<Update> make() const { return source_.make(); }

  /// A network that is trained with the update.
  struct Training {
    std::unique_ptr<Model> model;
    std::unique_ptr<Trainer> trainer;
  };
  Training begin(const TrainSettings& settings = {}) const {
    Training training{small_network(), nullptr};
    TrainingPlugins plugins;
    plugins.updates.push_back({{source_.name, {source_.name, {}}, weights(*training.model), ""},
                               fmt::format("update {} {}", source_.name, source_.version),
                               source_.make()});
    training.trainer = std::make_unique<Trainer>(*training.model, small_spec, split_, settings, 0, nullptr,
                                                 nullptr, std::move(plugins));
    return training;
  }
  /// The weights that it does not refuse.
  std::vector<std::string> weights(const Model& model) const {
    const auto update = source_.make();
    std::vector<std::string> names;
    for (const NamedWeight& weight : model.weights())
      if (update->refusal(weight.name, weight.value.detach()).empty()) names.push_back(weight.name);
    return names;
  }

 private:
  SourceOf<Update> source_;
  Note note_;
  Split split_;
};

void steps(Trainer& trainer, int n) {
  for (int i = 0; i < n; ++i) trainer.step();
}

bool same_weights_as(const Model& a, const Model& b) {
  for (size_t i = 0; i < a.weights().size(); ++i)
    if (!same(a.weights()[i].value.detach(), b.weights()[i].value.detach())) return false;
  return true;
}

Result updates_weights(const UpdateUnderCheck& check) {
  check.note("refusal");
  const auto names = check.weights(*small_network());
  if (names.empty())
    return failed("it refuses every weight of a small transformer",
                  "correct refusal(): matrices should be fine");
  check.note("step");
  auto training = check.begin();
  steps(*training.trainer, 5);
  return ok(fmt::format("stage {}, on {}", to_string(check.make()->stage()),
                        counted(static_cast<int64_t>(names.size()), "weight")));
}

Result same_bits(const UpdateUnderCheck& check) {
  check.note("step, twice from the start");
  seed_global_generator();
  auto first = check.begin();
  steps(*first.trainer, 5);
  auto second = check.begin();
  steps(*second.trainer, 5);
  if (!same_weights_as(*first.model, *second.model))
    return failed("two trainings from the same start end in other weights",
                  "draw from the generator in UpdateStep::rng, and from nothing else");
  return ok();
}

Result state_is_all_it_remembers(const UpdateUnderCheck& check) {
  check.note("step, resumed");
  auto straight = check.begin();
  steps(*straight.trainer, 4);
  auto resumed = check.begin();
  load_weights(*resumed.model, weights_of(*straight.model));
  NamedTensors state;  // as it comes from a file
  for (const auto& [name, tensor] : straight.trainer->state()) state.emplace_back(name, tensor.clone());
  resumed.trainer->restore(state);
  steps(*straight.trainer, 4);
  steps(*resumed.trainer, 4);
  if (!same_weights_as(*straight.model, *resumed.model))
    return failed(
        "a resumed training ends in other weights than one that went straight on",
        "what it remembers between steps belongs into UpdatedWeight::state() and UpdateStep::state(), "
        "not into members");
  return ok("resumed after 4 of 8 steps");
}

Result finite_at_rest(const UpdateUnderCheck& check) {
  check.note("step, with gradients of 0");
  auto model = small_network();
  std::vector<ChainedUpdate> updates;
  updates.push_back({{"update", {"update", {}}, check.weights(*model), ""}, "it", check.make()});
  TrainSettings settings;
  UpdateChain chain(*model, settings, std::move(updates), 0);
  for (int64_t step = 0; step < 3; ++step) {
    torch::NoGradGuard no_grad;
    chain.weights().zero_gradients();
    chain.step(step, 0, [&] { return 0.0; });  // throws if anything is not finite
  }
  return ok();
}

Result works_in_float64(const UpdateUnderCheck& check) {
  check.note("step, with train.dtype = \"float64\"");
  TrainSettings settings;
  settings.dtype = TrainSettings::LossDtype::float64;
  auto training = check.begin(settings);
  try {
    steps(*training.trainer, 3);
  } catch (const Error& error) {
    return failed(error.what(), error.hint().empty() ? "take dtypes from what it is given: value().options()"
                                                     : error.hint());
  }
  return ok();
}

}  // namespace

std::vector<Check> update_checks(SourceOf<Update> source, const Note& note) {
  const auto under_check = std::make_shared<UpdateUnderCheck>(std::move(source), note);
  const auto with = [under_check](Result (*check)(const UpdateUnderCheck&)) {
    return [under_check, check] { return check(*under_check); };
  };
  return {{update_works, {}, with(updates_weights)},
          {"same start, same weights", {update_works}, with(same_bits)},
          {"its state is all it remembers",
           {update_works, "same start, same weights"},
           with(state_is_all_it_remembers)},
          {"finite where gradients are 0", {update_works}, with(finite_at_rest)},
          {"works in float64", {update_works}, with(works_in_float64)}};
}

}  // namespace orrery::engine::checks
