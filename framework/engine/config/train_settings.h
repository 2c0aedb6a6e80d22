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

struct InitSettings {
  std::string from;
  static void fields(Fields<InitSettings>& f);
};

struct CheckpointSettings {
  int64_t every = 100;
  int64_t per_decade = 0;
  int64_t keep_last = 0;
  static void fields(Fields<CheckpointSettings>& f);
};

struct LogSettings {
  bool tensorboard = false;
  static void fields(Fields<LogSettings>& f);
};

}  // namespace orrery::engine
