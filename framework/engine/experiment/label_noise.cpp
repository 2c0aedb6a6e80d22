#include "engine/experiment/label_noise.h"

#include <orrery/error.h>

#include <cmath>

#include "engine/config/random_streams.h"

namespace orrery::engine {

void add_label_noise(Batch& train, const TaskSpec& spec, double share, int64_t seed) {
  if (share == 0) return;
  if (spec.endless)
    throw UsageError("train.label_noise is for a training set, and this task draws examples without end",
                     "leave it out, or have the task draw the noise");
  const int64_t n_classes = has_one_logit(spec.loss) ? 2 : spec.d_vocab_out;
  const torch::Generator rng =
      make_generator(seed_of(RandomStream::label_noise, static_cast<uint64_t>(seed)));
  const auto n = static_cast<int64_t>(std::llround(share * static_cast<double>(train.size())));
  const torch::Tensor rows = torch::randperm(train.size(), rng, torch::kInt64).narrow(0, 0, n);
  const torch::Tensor right = train.labels.index_select(0, rows);
  // Any class but the right one: 1 to n_classes - 1 further on.
  const torch::Tensor shift = torch::randint(1, n_classes, right.sizes(), rng, torch::kInt64);
  train.labels = train.labels.index_copy(0, rows, (right + shift).remainder(n_classes));
}

}  // namespace orrery::engine
