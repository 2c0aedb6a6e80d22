// Mine: a function is missing, or its signature is another one than that of orrery::Model
#include "training.h"

struct Mine final : orrery::Model {
  Mine(Params, const orrery::TaskSpec&, torch::Generator) {}
  torch::Tensor forward(torch::Tensor& tokens) { return tokens; }
};

ORRERY_MODEL(Mine, Params, "mine", "1.0.0", "Has another forward.")
