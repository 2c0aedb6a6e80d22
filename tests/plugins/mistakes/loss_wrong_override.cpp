// marked 'override', but does not override
#include "training.h"

struct Mine final : orrery::LossFunction {
  explicit Mine(Params) {}
  torch::Tensor each(const torch::Tensor& logits) override { return logits; }
};

ORRERY_LOSS(Mine, Params, "mine", "1.0.0", "Forgot a const.")
