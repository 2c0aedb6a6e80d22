#include "engine/replicas/in_turns.h"

#include "engine/run/json_read.h"

namespace orrery::engine {

namespace {

bool is_small(const PluginChoice& model) {
  if (model.name != "transformer") return model.name == "mlp";
  return model.parameters.at("n_layers") == Value(int64_t{1});
}

}  // namespace

std::optional<std::string> replica_shape(const Settings& settings) {
  const TrainSettings& train = settings.train;
  const bool small = is_small(settings.model) && train.batch_size == 0 && train.dropout == 0 &&
                     train.kernel == TrainSettings::Kernel::automatic &&
                     train.loss_dtype == TrainSettings::LossDtype::float64;
  if (!small || train.device != "cpu" || train.threads != 1) return std::nullopt;
  const Json config = parse_json(to_json(settings), "config");
  return config["task"].dump() + config["model"].dump() + (train.flush_subnormals ? "flush" : "keep");
}

size_t replicas_by_default(const Settings& settings) {
  return settings.model.name == "mlp" && settings.train.steps <= 2000 ? 16 : 1;
}

}  // namespace orrery::engine
