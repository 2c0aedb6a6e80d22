#include "sdk/model/room.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <unistd.h>

namespace orrery {

double memory_of_machine() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

void refuse_without_room(double n_parameters, const std::string& what, double memory) {
  constexpr double bytes = 4 * sizeof(float);
  if (n_parameters * bytes <= memory) return;
  throw UsageError(
      fmt::format(
          "{} has {:.3g} numbers, which take {:.3g} GB with gradients and the optimiser's state; this "
          "machine has {:.3g} GB",
          what, n_parameters, n_parameters * bytes / 1e9, memory / 1e9),
      "make the model smaller: d_model, d_mlp, d_head, d_embed, n_layers; or p and the vocabulary of the "
      "task");
}

void refuse_without_room(const std::vector<int64_t>& shape, const std::string& what) {
  double n = 1;
  for (const int64_t size : shape) n *= static_cast<double>(size);
  refuse_without_room(n, fmt::format("{} of shape [{}]", what, fmt::join(shape, ", ")));
}

}  // namespace orrery
