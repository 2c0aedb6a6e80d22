// Tasks and probes made by a plugin, and the models that its tasks bring. What the host holds is a stand-in
// whose every call goes through the guard, so no raw plugin pointer is ever called.
#pragma once

#include <orrery/fields.h>
#include <orrery/probe.h>
#include <orrery/task.h>

#include <memory>

#include "loader/plugin.h"

namespace orrery {

/// A guarded task or probe; destroyed by the plugin that made it. It must go before main() returns.
template <class T>
using Instance = std::unique_ptr<T>;

/// What the plugin makes of `values`, with its defaults for the others. Throws orrery::UsageError where a
/// value does not fit, and orrery::Error ("task NAME VERSION, create: ...") whatever else the plugin throws.
Instance<Task> make_task(const Plugin& plugin, const Values& values);
Instance<Probe> make_probe(const Plugin& plugin, const Values& values);

}  // namespace orrery
