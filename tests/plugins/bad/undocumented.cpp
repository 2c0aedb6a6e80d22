// A parameter without a doc, declared the usual way.
#include <orrery/plugin.h>

namespace {

struct Params {
  int64_t p = 113;
  static void fields(orrery::Fields<Params>& f) { f.add("p", &Params::p, ""); }
};

struct Base {};
struct Undocumented : Base {
  explicit Undocumented(Params) {}
};

}  // namespace

ORRERY_PLUGIN_(ORRERY_KIND_TASK, Base, Undocumented, Params, "undocumented", "1.0.0", "Says too little.")
