// Private to the loader: what the wrappers around instances of plugins share.
#pragma once

#include <orrery/model.h>

#include <functional>
#include <memory>
#include <string>

#include "loader/guard.h"
#include "loader/plugin.h"

namespace orrery {

/// Calls `destroy`. Exceptions must not leave a destructor, so it only reports those of the plugin.
void guarded_destroy(const Who& who, const char* call, const std::function<void()>& destroy) noexcept;

struct DestroyByPlugin {
  Who who;
  void (*destroy)(void*) = nullptr;

  void operator()(void* instance) const noexcept {
    guarded_destroy(who, "destroy", [&] { destroy(instance); });
  }
};
template <class T>
using Raw = std::unique_ptr<T, DestroyByPlugin>;

/// An instance of a plugin that must be of this kind; see make_task() in loader/instance.h.
void* create_instance(const Plugin& plugin, PluginKind kind, const Values& values);

template <class T>
Raw<T> create(const Plugin& plugin, PluginKind kind, const Values& values) {
  return Raw<T>(static_cast<T*>(create_instance(plugin, kind, values)), {plugin.who(), plugin.info->destroy});
}

/// Shares the weights and hook points of a plugin's own model, and names the plugin in every error.
std::unique_ptr<Model> guarded_model(const Who& who, std::unique_ptr<Model> model);

}  // namespace orrery
