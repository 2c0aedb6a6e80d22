// a parameter that is an enum E needs its texts
#include "plugin.h"

struct Params {
  enum class Rule { random, diagonal };
  Rule rule = Rule::random;
  static void fields(orrery::Fields<Params>& f) { f.add("rule", &Params::rule, "which pairs"); }
};

struct Mine final : Base {
  explicit Mine(Params) {}
  void spec() const override {}
};

PLUGIN(Mine, Params)
