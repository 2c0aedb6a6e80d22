// A base class in place of orrery::Task, which needs LibTorch's types.
#pragma once

#include <orrery/plugin.h>

struct Base {
  virtual ~Base() = default;
  virtual void spec() const = 0;
};

#define PLUGIN(CLASS, PARAMS) ORRERY_PLUGIN_(ORRERY_KIND_TASK, Base, CLASS, PARAMS, "mine", "1.0.0", "Mine.")
