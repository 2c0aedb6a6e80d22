#include "engine/check/small_models.h"

#include "sdk/model/catalog.h"

namespace orrery::engine::checks {
namespace {

SmallModel transformer(const std::string& name, Values parameters) {
  parameters.insert(
      {{"d_model", int64_t{16}}, {"n_heads", int64_t{2}}, {"d_head", int64_t{8}}, {"d_mlp", int64_t{32}}});
  return {name, "transformer", std::move(parameters)};
}

SmallModel mlp(const std::string& name, Values parameters) {
  parameters.insert({{"d_embed", int64_t{16}}, {"d_mlp", int64_t{32}}});
  return {name, "mlp", std::move(parameters)};
}

std::string text(const char* value) { return value; }

}  // namespace

const std::vector<SmallModel>& small_models() {
  static const auto* all = new std::vector<SmallModel>{
      transformer("one-layer transformer", {}),
      mlp("mlp", {}),
      transformer("two-layer attention-only transformer", {{"n_layers", int64_t{2}}, {"attn_only", true}}),
      {"the task's own model", task_model, {}},
      mlp("mlp on bits", {{"input", text("bits")}}),
      transformer("one-layer attention-only transformer", {{"attn_only", true}}),
      transformer("two-layer transformer", {{"n_layers", int64_t{2}}}),
      transformer("transformer with LayerNorm and biases",
                  {{"normalization_type", text("LN")}, {"biases", text("all")}}),
      mlp("mlp with untied weights",
          {{"embedding", text("untied")}, {"hidden", text("untied")}, {"bias", true}}),
      mlp("mlp with collapsed weights", {{"embedding", text("input_tied")}, {"collapse", text("both")}}),
      mlp("mlp on one-hot sums", {{"input", text("one_hot_sum")}}),
      mlp("mlp with a circular embedding", {{"embedding", text("circular")}, {"d_embed", int64_t{2}}}),
      mlp("mlp with two hidden layers", {{"n_hidden", int64_t{2}}}),
  };
  return *all;
}

std::unique_ptr<Model> SmallModel::make(const Task& task, const TaskSpec& spec, int64_t seed) const {
  const torch::Generator rng = make_generator(static_cast<uint64_t>(seed));
  if (kind == task_model) return task.make_model(rng);
  return make_model(kind, parameters, spec, rng);
}

}  // namespace orrery::engine::checks
