// Mine: a function is missing, or its signature is another one than that of orrery::LossFunction
#include "training.h"

struct Mine final : orrery::LossFunction {
  explicit Mine(Params) {}
  torch::Tensor each(const torch::Tensor& logits) { return logits; }
};

ORRERY_LOSS(Mine, Params, "mine", "1.0.0", "Forgot a const.")
