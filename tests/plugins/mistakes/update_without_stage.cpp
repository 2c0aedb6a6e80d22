// Mine: a function is missing, or its signature is another one than that of orrery::Update
#include "training.h"

struct Mine final : orrery::Update {
  explicit Mine(Params) {}
  void step(int) override {}
};

ORRERY_UPDATE(Mine, Params, "mine", "1.0.0", "Does not say its stage.")
