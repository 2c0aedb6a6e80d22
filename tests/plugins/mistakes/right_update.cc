// What the updates here would be without their mistake.
#include "training.h"

struct Mine final : orrery::Update {
  explicit Mine(Params) {}
  Stage stage() const override { return Stage::weights; }
  void step(int) override {}
};

ORRERY_UPDATE(Mine, Params, "mine", "1.0.0", "Mine.")
