// a parameter needs a doc: f.add("p", &Params::p, "what it is")
#include "plugin.h"

struct Params {
  int64_t p = 113;
  std::vector<std::string> names;
  static void fields(orrery::Fields<Params>& f) {
    f.add("p", &Params::p).at_least(2);
    f.add("names", &Params::names, "of the operands");
  }
};

struct Mine final : Base {
  explicit Mine(Params) {}
  void spec() const override {}
};

PLUGIN(Mine, Params)
