// Makes instances of a plugin for its test. The class is private to the plugin's file, so instances come
// through the C descriptor, as they do for the host.
#pragma once

#include <orrery/abi/abi.h>
#include <orrery/loss.h>
#include <orrery/model_maker.h>
#include <orrery/probe.h>
#include <orrery/task.h>
#include <orrery/update.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

extern "C" const orrery_plugin_info* orrery_plugin() noexcept;

namespace orrery::testing {

template <class Noun>
using Instance = std::unique_ptr<Noun, std::function<void(Noun*)>>;

template <class Noun>
Instance<Noun> make_plugin(int32_t kind, const std::string& parameters) {
  const orrery_plugin_info& info = *orrery_plugin();
  if (info.fault) throw std::logic_error(info.fault);
  if (info.kind != kind) throw std::logic_error("the plugin is of another kind");
  return {static_cast<Noun*>(info.create(parameters.c_str())),
          [&info](Noun* instance) { info.destroy(instance); }};
}

/// An instance from a JSON object of parameters: make_task(R"({"p": 7})"). Throws what the constructor
/// throws.
inline Instance<Task> make_task(const std::string& parameters = "{}") {
  return make_plugin<Task>(ORRERY_KIND_TASK, parameters);
}
inline Instance<Probe> make_probe(const std::string& parameters = "{}") {
  return make_plugin<Probe>(ORRERY_KIND_PROBE, parameters);
}
inline Instance<LossFunction> make_loss(const std::string& parameters = "{}") {
  return make_plugin<LossFunction>(ORRERY_KIND_LOSS, parameters);
}
inline Instance<Update> make_update(const std::string& parameters = "{}") {
  return make_plugin<Update>(ORRERY_KIND_UPDATE, parameters);
}
/// A model for a task of these shapes, its weights drawn with `seed`.
inline std::unique_ptr<Model> make_model(const TaskSpec& spec, const std::string& parameters = "{}",
                                         uint64_t seed = 0) {
  return make_plugin<ModelMaker>(ORRERY_KIND_MODEL, parameters)->make(spec, make_generator(seed));
}

/// The recorded scalar, tensor or finding of this name. They throw std::out_of_range if there is none.
inline double scalar(const Recorder& recorder, const std::string& name) {
  for (const auto& [recorded, value] : recorder.record().scalars)
    if (recorded == name) return value;
  throw std::out_of_range("no scalar " + name);
}
inline bool has_scalar(const Recorder& recorder, const std::string& name) {
  for (const auto& [recorded, value] : recorder.record().scalars)
    if (recorded == name) return true;
  return false;
}
inline torch::Tensor tensor(const Recorder& recorder, const std::string& name) {
  for (const auto& [recorded, value] : recorder.record().tensors)
    if (recorded == name) return value;
  throw std::out_of_range("no tensor " + name);
}
inline Finding finding(const Recorder& recorder, const std::string& name) {
  for (const auto& found : recorder.record().findings)
    if (found.name == name) return found;
  throw std::out_of_range("no finding " + name);
}
inline std::vector<int64_t> key_frequencies(const Recorder& recorder) {
  return std::get<std::vector<int64_t>>(finding(recorder, "key_frequencies").fields.at("frequencies"));
}

}  // namespace orrery::testing
