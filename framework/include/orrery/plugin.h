// The line that makes a class a plugin:
//   ORRERY_TASK(ModularArithmetic, Params, "modular_arithmetic", "1.0.0", "Arithmetic modulo a prime.")
//   ORRERY_PROBE(FourierBasis, Params, "fourier_basis", "1.0.0", "Fourier structure of a network.")
// One per shared library, outside of namespaces. The class has a constructor that takes Params; the name is
// lower case letters, digits and underscores; the version, which is stored with every result, changes when
// the numbers mean something else; the summary is one sentence.
#pragma once

#include <orrery/export.h>
#include <orrery/fields.h>
#include <plugins/abi/abi.h>
#include <plugins/abi/stamp.h>

#include <memory>
#include <string>
#include <vector>

namespace orrery {

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

/// Values from the JSON object that a plugin's `create` is given. Throws orrery::Error where they do not fit.
ORRERY_API Values parse_values(const char* json, const std::vector<Field>& fields);

}  // namespace orrery

#define ORRERY_PLUGIN_(KIND, BASE, CLASS, PARAMS, NAME, VERSION, SUMMARY)                               \
  extern "C" ORRERY_API __attribute__((used)) const char orrery_stamp[] = ORRERY_STAMP;                 \
  extern "C" ORRERY_API const orrery_plugin_info* orrery_plugin() noexcept {                            \
    static const auto fields = orrery::fields_of<PARAMS>();                                             \
    static const orrery::PluginDeclaration declaration(                                                 \
        KIND, NAME, VERSION, SUMMARY, fields.list(),                                                    \
        [](const char* json) -> void* {                                                                 \
          return static_cast<BASE*>(new CLASS(fields.make(orrery::parse_values(json, fields.list())))); \
        },                                                                                              \
        [](void* instance) { delete static_cast<BASE*>(instance); });                                   \
    return declaration.info();                                                                          \
  }

#define ORRERY_TASK(CLASS, PARAMS, NAME, VERSION, SUMMARY) \
  ORRERY_PLUGIN_(ORRERY_KIND_TASK, orrery::Task, CLASS, PARAMS, NAME, VERSION, SUMMARY)
#define ORRERY_PROBE(CLASS, PARAMS, NAME, VERSION, SUMMARY) \
  ORRERY_PLUGIN_(ORRERY_KIND_PROBE, orrery::Probe, CLASS, PARAMS, NAME, VERSION, SUMMARY)
