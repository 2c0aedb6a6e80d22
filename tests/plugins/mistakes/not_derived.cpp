// ORRERY_TASK is for a class that derives from orrery::Task (orrery/task.h)
#include "plugin.h"

struct Params {
  int64_t p = 113;
  std::vector<std::string> names;
  static void fields(orrery::Fields<Params>& f) {
    f.add("p", &Params::p, "modulus").at_least(2);
    f.add("names", &Params::names, "of the operands");
  }
};

struct Mine {
  explicit Mine(Params) {}
  void spec() const {}
};

ORRERY_TASK(Mine, Params, "mine", "1.0.0", "Mine.")
