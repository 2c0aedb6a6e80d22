// Tasks, probes, losses, updates and models made by plugins. The host holds wrappers whose every call
// goes through the guard (guard.h), so it never calls a raw plugin pointer.
//
// What a plugin may rely on: the host calls an instance from one thread at a time, which may be the only
// thread of a fork of the process that made the instance (workers, `orrery check`). Task::spec,
// Task::structure and Probe::needs may be called several times, before and between other calls, and must give
// the same answer every time. References passed to a call (Observation, Recorder, History) are valid only
// during that call.
#pragma once

#include <orrery/fields.h>
#include <orrery/loss.h>
#include <orrery/model_maker.h>
#include <orrery/probe.h>
#include <orrery/task.h>
#include <orrery/update.h>

#include <memory>

#include "loader/plugin.h"

namespace orrery {

/// A guarded instance, destroyed by the plugin that made it. Destroy it before main() returns.
template <class T>
using Instance = std::unique_ptr<T>;

/// Creates an instance with `values`, and the plugin's defaults for other parameters. Throws
/// orrery::UsageError if a value does not fit, and turns any other exception into an orrery::Error ("task
/// NAME VERSION, create: ...").
Instance<Task> make_task(const Plugin& plugin, const Values& values);
Instance<Probe> make_probe(const Plugin& plugin, const Values& values);
Instance<LossFunction> make_loss(const Plugin& plugin, const Values& values);
Instance<Update> make_update(const Plugin& plugin, const Values& values);
/// What it makes is guarded, too.
Instance<ModelMaker> make_model_maker(const Plugin& plugin, const Values& values);

}  // namespace orrery
