// a parameter is a bool, an int64_t, a double, a std::string, or a std::vector
#include "plugin.h"

struct Params {
  int p = 113;
  std::vector<std::string> names;
  static void fields(orrery::Fields<Params>& f) {
    f.add("p", &Params::p, "modulus").at_least(2);
    f.add("names", &Params::names, "of the operands");
  }
};

struct Mine final : Base {
  explicit Mine(Params) {}
  void spec() const override {}
};

PLUGIN(Mine, Params)
