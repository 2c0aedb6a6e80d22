// The line that makes a class a plugin:
//   ORRERY_TASK(ModularArithmetic, Params, "modular_arithmetic", "1.0.0", "Arithmetic modulo a prime.")
//   ORRERY_PROBE(FourierBasis, Params, "fourier_basis", "1.0.0", "Fourier structure of a network.")
//   ORRERY_LOSS(Stablemax, Params, "stablemax", "1.0.0", "Cross-entropy of StableMax.")
//   ORRERY_UPDATE(Clip, Params, "clip", "1.0.0", "Limits the norm of the gradients.")
//   ORRERY_MODEL(Rnn, Params, "rnn", "1.0.0", "A recurrent network.")
// One per shared library, outside any namespace. The class has a constructor that takes Params; that of a
// model takes (Params, const orrery::TaskSpec&, torch::Generator). The name consists of lower case letters,
// digits and underscores. The version is stored with every result: raise it when the numbers change their
// meaning. The summary is one sentence.
#pragma once

#include <orrery/abi/abi.h>
#include <orrery/abi/stamp.h>
#include <orrery/export.h>
#include <orrery/fields.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace orrery {

class Task;
class Probe;
class LossFunction;
class Update;
class Model;
class ModelMaker;
struct TaskSpec;
template <class M, class Params>
class MakerOf;

/// Owns the strings behind an orrery_plugin_info.
class ORRERY_API PluginDeclaration {
 public:
  PluginDeclaration(int32_t kind, const char* name, const char* version, const char* summary,
                    const std::vector<Field>& fields, void* (*create)(const char*), void (*destroy)(void*));
  ~PluginDeclaration();
  const orrery_plugin_info* info() const noexcept;

 private:
  struct Strings;
  std::unique_ptr<Strings> strings_;
};

/// Parses the JSON object that a plugin's `create` receives; Fields::make() checks the values. Throws
/// orrery::Error if it is not a JSON object of values.
ORRERY_API Values parse_values(const char* json);

/// The address of the Base in an instance, which exists by the static_asserts below.
template <class Base, class Class>
void* as_base(Class* instance) {
  if constexpr (std::is_base_of_v<Base, Class>) return static_cast<Base*>(instance);
  return nullptr;
}

}  // namespace orrery

#define ORRERY_PLUGIN_(KIND, BASE, CLASS, PARAMS, NAME, VERSION, SUMMARY)                                \
  static_assert(!std::is_abstract_v<CLASS>,                                                              \
                #CLASS ": a function is missing, or its signature is another one than that of " #BASE);  \
  static_assert(std::is_abstract_v<CLASS> || std::is_constructible_v<CLASS, PARAMS>,                     \
                #CLASS " has no constructor that takes its parameters: explicit MyTask(Params params)"); \
  extern "C" ORRERY_API __attribute__((used)) const char orrery_stamp[] = ORRERY_STAMP;                  \
  extern "C" ORRERY_API const orrery_plugin_info* orrery_plugin() noexcept {                             \
    static const auto fields = orrery::fields_of<PARAMS>();                                              \
    static const orrery::PluginDeclaration declaration(                                                  \
        KIND, NAME, VERSION, SUMMARY, fields.list(),                                                     \
        [](const char* json) -> void* {                                                                  \
          return orrery::as_base<BASE>(new CLASS(fields.make(orrery::parse_values(json))));              \
        },                                                                                               \
        [](void* instance) { delete static_cast<BASE*>(instance); });                                    \
    return declaration.info();                                                                           \
  }

#define ORRERY_TASK(CLASS, PARAMS, NAME, VERSION, SUMMARY)                                    \
  static_assert(std::is_base_of_v<orrery::Task, CLASS>,                                       \
                "ORRERY_TASK is for a class that derives from orrery::Task (orrery/task.h)"); \
  ORRERY_PLUGIN_(ORRERY_KIND_TASK, orrery::Task, CLASS, PARAMS, NAME, VERSION, SUMMARY)
#define ORRERY_PROBE(CLASS, PARAMS, NAME, VERSION, SUMMARY)                                      \
  static_assert(std::is_base_of_v<orrery::Probe, CLASS>,                                         \
                "ORRERY_PROBE is for a class that derives from orrery::Probe (orrery/probe.h)"); \
  ORRERY_PLUGIN_(ORRERY_KIND_PROBE, orrery::Probe, CLASS, PARAMS, NAME, VERSION, SUMMARY)
#define ORRERY_LOSS(CLASS, PARAMS, NAME, VERSION, SUMMARY)                                            \
  static_assert(std::is_base_of_v<orrery::LossFunction, CLASS>,                                       \
                "ORRERY_LOSS is for a class that derives from orrery::LossFunction (orrery/loss.h)"); \
  ORRERY_PLUGIN_(ORRERY_KIND_LOSS, orrery::LossFunction, CLASS, PARAMS, NAME, VERSION, SUMMARY)
#define ORRERY_UPDATE(CLASS, PARAMS, NAME, VERSION, SUMMARY)                                        \
  static_assert(std::is_base_of_v<orrery::Update, CLASS>,                                           \
                "ORRERY_UPDATE is for a class that derives from orrery::Update (orrery/update.h)"); \
  ORRERY_PLUGIN_(ORRERY_KIND_UPDATE, orrery::Update, CLASS, PARAMS, NAME, VERSION, SUMMARY)
#define ORRERY_MODEL(CLASS, PARAMS, NAME, VERSION, SUMMARY)                                             \
  static_assert(std::is_base_of_v<orrery::Model, CLASS>,                                                \
                "ORRERY_MODEL is for a class that derives from orrery::Model (orrery/model.h)");        \
  static_assert(!std::is_abstract_v<CLASS>, #CLASS                                                      \
                ": a function is missing, or its signature is another one than that of orrery::Model"); \
  static_assert(std::is_abstract_v<CLASS> ||                                                            \
                    std::is_constructible_v<CLASS, PARAMS, const orrery::TaskSpec&, torch::Generator>,  \
                #CLASS                                                                                  \
                " has no constructor that takes (Params, const orrery::TaskSpec&, torch::Generator)");  \
  using OrreryMakerOf##CLASS = orrery::MakerOf<CLASS, PARAMS>;                                          \
  ORRERY_PLUGIN_(ORRERY_KIND_MODEL, orrery::ModelMaker, OrreryMakerOf##CLASS, PARAMS, NAME, VERSION, SUMMARY)
