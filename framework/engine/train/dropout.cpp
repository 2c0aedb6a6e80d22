#include "engine/train/dropout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/task.h>

#include <algorithm>

#include "engine/config/random_streams.h"

namespace orrery::engine {

std::optional<Dropout> Dropout::from(const TrainSettings& settings, const Model& model, uint64_t seed) {
  if (settings.dropout == 0) return std::nullopt;
  std::vector<std::string> all, thinned;
  for (const auto& point : model.hook_points()) {
    all.push_back(point->name());
    if (std::any_of(settings.dropout_at.begin(), settings.dropout_at.end(),
                    [&](const std::string& glob) { return matches(glob, point->name()); }))
      thinned.push_back(point->name());
  }
  if (thinned.empty())
    throw UsageError(
        fmt::format("train.dropout is {}, but train.dropout_at = {} matches no hook point of the model",
                    settings.dropout, to_string(Value(settings.dropout_at))),
        fmt::format("the model has: {}", fmt::join(all, ", ")));
  return Dropout(settings.dropout, std::move(thinned), seed);
}

// A different stream from that of the batches, which use the same seed.
Dropout::Dropout(double rate, std::vector<std::string> points, uint64_t seed)
    : rate_(rate), points_(std::move(points)), rng_(make_generator(seed_of(RandomStream::dropout, seed))) {}

std::vector<Hook> Dropout::hooks() {
  std::vector<Hook> all;
  for (const std::string& point : points_)
    all.emplace_back(point, [this](const torch::Tensor& x) {
      // Drawn on the CPU, so that a seed means the same on every device.
      const torch::Tensor kept = torch::rand(x.sizes(), rng_) >= rate_;
      return x * kept.to(x.device(), x.scalar_type()) / (1 - rate_);
    });
  return all;
}

}  // namespace orrery::engine
