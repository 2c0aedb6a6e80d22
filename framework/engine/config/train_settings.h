// The [train], [seeds], [init], [checkpoints] and [log] tables of a config.
#pragma once

#include <orrery/fields.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/config/plugin_choice.h"

namespace orrery::engine {

/// The name that stands for the loss of the task.
inline constexpr const char* task_loss = "task";

/// One [[train.update]] entry.
struct UpdateChoice {
  std::string label;    ///< unique in a run; the plugin's name unless the config says otherwise
  PluginChoice plugin;  ///< or "adamw", "adam", "sgd", without parameters: train.optimizer's place
  std::vector<std::string> weights = {"*"};  ///< which it acts on, by glob
  std::string place = {};                    ///< "configs/x.toml:9:1"
  bool operator==(const UpdateChoice& other) const {
    return label == other.label && plugin == other.plugin && weights == other.weights;
  }
};

/// One [[train.group]] entry: a weight belongs to the first whose glob it matches.
struct WeightGroup {
  std::vector<std::string> weights;
  std::optional<double> lr, weight_decay;  ///< those of [train] unless set
  bool frozen = false;
  std::string place = {};
  bool operator==(const WeightGroup& other) const {
    return weights == other.weights && lr == other.lr && weight_decay == other.weight_decay &&
           frozen == other.frozen;
  }
};

/// One [[train.intervene]] entry: activations that are not what the network makes them, for some steps.
struct Intervention {
  enum class Action { zero, mean, clamp, freeze, pattern };
  enum class Attend { previous, first, self, uniform };
  std::vector<std::string> at;  ///< hook points, by glob
  Action action = Action::zero;
  std::vector<int64_t> heads;          ///< only these; empty: all of the activation
  double value = 0;                    ///< of clamp
  Attend attend = Attend::previous;    ///< of pattern
  int64_t from_step = 0, to_step = 0;  ///< in the updates from_step .. to_step - 1; to_step 0: to the end
  std::string place = {};
  bool active(int64_t step) const { return step >= from_step && (to_step == 0 || step < to_step); }
  bool operator==(const Intervention& other) const {
    return at == other.at && action == other.action && heads == other.heads && value == other.value &&
           attend == other.attend && from_step == other.from_step && to_step == other.to_step;
  }
  friend Names<Action> names_of(Action) {
    return {{"zero", Action::zero},
            {"mean", Action::mean},
            {"clamp", Action::clamp},
            {"freeze", Action::freeze},
            {"pattern", Action::pattern}};
  }
  friend Names<Attend> names_of(Attend) {
    return {{"previous", Attend::previous},
            {"first", Attend::first},
            {"self", Attend::self},
            {"uniform", Attend::uniform}};
  }
};

struct TrainSettings {
  enum class Optimizer { adamw, adam, sgd };
  enum class LossDtype { float32, float64 };
  enum class Kernel { automatic, plain };  // "auto", "plain"
  enum class Schedule { constant, linear, cosine, steps };

  int64_t steps = 10000;
  Optimizer optimizer = Optimizer::adamw;
  double lr = 1e-3;
  double weight_decay = 1.0;
  double l1 = 0;
  double momentum = 0;
  double dropout = 0;
  std::vector<std::string> dropout_at = {"*hook_attn_out", "*hook_mlp_out"};
  std::vector<double> betas = {0.9, 0.98};
  double eps = 1e-8;
  int64_t warmup_steps = 10;
  Schedule lr_schedule = Schedule::constant;
  double lr_end = 0;
  std::vector<int64_t> lr_steps;
  double lr_factor = 0.1;
  int64_t batch_size = 0;
  LossDtype loss_dtype = LossDtype::float64;
  LossDtype dtype = LossDtype::float32;
  double output_scale = 1;
  double label_noise = 0;
  int64_t eval_every = 100;
  std::string stop_when;
  std::string device = "cpu";
  int64_t threads = 1;
  Kernel kernel = Kernel::automatic;
  bool flush_subnormals = true;
  static void fields(Fields<TrainSettings>& f);

  // Tables of their own below [train].
  PluginChoice loss = {task_loss, {}};
  std::vector<UpdateChoice> updates;
  std::vector<WeightGroup> groups;
  std::vector<Intervention> interventions;

  friend Names<Optimizer> names_of(Optimizer) {
    return {{"adamw", Optimizer::adamw}, {"adam", Optimizer::adam}, {"sgd", Optimizer::sgd}};
  }
  friend Names<LossDtype> names_of(LossDtype) {
    return {{"float32", LossDtype::float32}, {"float64", LossDtype::float64}};
  }
  friend Names<Schedule> names_of(Schedule) {
    return {{"constant", Schedule::constant},
            {"linear", Schedule::linear},
            {"cosine", Schedule::cosine},
            {"steps", Schedule::steps}};
  }
  friend Names<Kernel> names_of(Kernel) { return {{"auto", Kernel::automatic}, {"plain", Kernel::plain}}; }
};

struct SeedSettings {
  int64_t data = 0;
  int64_t init = 0;
  int64_t batches = 0;
  static void fields(Fields<SeedSettings>& f);
};

/// One [[init.draw]] entry: how some weights are drawn, instead of as their model does.
struct InitialDraw {
  enum class Distribution { own, normal, uniform, truncated_normal, zeros, pytorch, transformer_lens, haiku };
  std::vector<std::string> weights;  ///< by glob
  Distribution distribution = Distribution::own;
  double std = 1;    ///< of normal, uniform and truncated_normal
  double scale = 1;  ///< they are multiplied by it
  std::string place = {};
  bool operator==(const InitialDraw& other) const {
    return weights == other.weights && distribution == other.distribution && std == other.std &&
           scale == other.scale;
  }
  friend Names<Distribution> names_of(Distribution) {
    return {{"own", Distribution::own},
            {"normal", Distribution::normal},
            {"uniform", Distribution::uniform},
            {"truncated_normal", Distribution::truncated_normal},
            {"zeros", Distribution::zeros},
            {"pytorch", Distribution::pytorch},
            {"transformer_lens", Distribution::transformer_lens},
            {"haiku", Distribution::haiku}};
  }
};

/// One [[init.transplant]] entry: weights that come from a checkpoint.
struct Transplant {
  std::string from;                  ///< a checkpoint
  std::vector<std::string> weights;  ///< by glob
  std::string place = {};
  bool operator==(const Transplant& other) const { return from == other.from && weights == other.weights; }
};

struct InitSettings {
  std::string from;
  static void fields(Fields<InitSettings>& f);

  // Tables of their own below [init].
  std::vector<InitialDraw> draws;
  std::vector<Transplant> transplants;
};

struct CheckpointSettings {
  int64_t every = 100;
  int64_t per_decade = 0;
  int64_t keep_last = 0;
  bool keep_states = false;
  static void fields(Fields<CheckpointSettings>& f);
};

struct LogSettings {
  bool tensorboard = false;
  static void fields(Fields<LogSettings>& f);
};

}  // namespace orrery::engine
