#include <orrery/error.h>

#include <algorithm>
#include <numeric>

namespace orrery {

Error::Error(const std::string& what, std::string hint) : std::runtime_error(what), hint_(std::move(hint)) {}
Error::~Error() = default;
UsageError::~UsageError() = default;

namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(const std::string& name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : candidates)
    // A distance of the whole length means that the names have nothing in common.
    if (const size_t distance = edit_distance(name, candidate);
        distance < std::min(best_distance, std::max(name.size(), candidate.size()))) {
      best = candidate;
      best_distance = distance;
    }
  return best;
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& candidates) {
  const std::string best = nearest(name, candidates);
  return best.empty() ? "" : " (did you mean \"" + best + "\"?)";
}

}  // namespace orrery
