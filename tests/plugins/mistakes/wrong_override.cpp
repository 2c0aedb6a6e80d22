// marked 'override', but does not override
#include "plugin.h"

struct Params {
  int64_t p = 113;
  std::vector<std::string> names;
  static void fields(orrery::Fields<Params>& f) {
    f.add("p", &Params::p, "modulus").at_least(2);
    f.add("names", &Params::names, "of the operands");
  }
};

struct Mine final : Base {
  explicit Mine(Params) {}
  void spec(int) override {}
};

PLUGIN(Mine, Params)
