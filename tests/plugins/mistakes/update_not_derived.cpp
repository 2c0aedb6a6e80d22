// ORRERY_UPDATE is for a class that derives from orrery::Update (orrery/update.h)
#include "training.h"

struct Mine {
  explicit Mine(Params) {}
  void step(int) {}
};

ORRERY_UPDATE(Mine, Params, "mine", "1.0.0", "Derives from nothing.")
