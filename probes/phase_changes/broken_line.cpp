#include "broken_line.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace phase_changes {
namespace {

// Below this many points in a segment the sums are taken directly: differences of running sums lose digits
// where a segment is short.
constexpr size_t kShort = 16;
constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kRounding = 1e-10;
constexpr double kBetter = 1 - 1e-10;

std::vector<double> residuals(const Fitter& fitter, const BrokenLine& line, const std::vector<double>& y) {
  std::vector<double> rest = fitter.values(line);
  for (size_t i = 0; i < rest.size(); ++i) rest[i] = y[i] - rest[i];
  return rest;
}

double neighbour_correlation(const std::vector<double>& rest) {
  double squares = 0, products = 0;
  for (size_t i = 0; i < rest.size(); ++i) {
    squares += rest[i] * rest[i];
    if (i > 0) products += rest[i] * rest[i - 1];
  }
  if (squares <= kPerfect * kPerfect * static_cast<double>(rest.size())) return 0;
  return std::clamp(products / squares, 0.0, 0.97);
}

size_t block_length(size_t n, double correlation) {
  const double r = correlation, size = static_cast<double>(n);
  const double length = std::pow(2 * r / (1 - r * r), 2.0 / 3) * std::cbrt(size);
  return static_cast<size_t>(std::clamp(std::ceil(length), 1.0, std::max(1.0, size / 5)));
}

// The first place beyond `from` where parabola q falls below p, which is the lower one there; infinity if
// there is none.
double crossing(const Parabola& p, const Parabola& q, double from) {
  const double a = q.a - p.a, b = q.b - p.b, c = q.c - p.c;
  const double inside = b * b - 4 * a * c;
  if (inside < 0) return kNever;
  // Of a h^2 + b h + c the root at which it turns negative, without cancellation.
  const double root = std::sqrt(inside);
  const double at = b > 0 ? (-b - root) / (2 * a) : 2 * c / (-b + root);
  return at > from ? at : kNever;
}

// Those of `all` that are lowest somewhere between `from` and `to`.
std::vector<Parabola> lowest(const std::vector<Parabola>& all, double from, double to) {
  const auto value = [](const Parabola& p, double h) { return (p.a * h + p.b) * h + p.c; };
  std::vector<Parabola> kept;
  size_t current = 0;
  for (size_t i = 1; i < all.size(); ++i)
    if (value(all[i], from) < value(all[current], from)) current = i;
  // Two parabolas cross twice at most, so none is lowest in more than two stretches per other one.
  std::vector<bool> taken(all.size(), false);
  for (size_t round = 0; round < 2 * all.size(); ++round) {
    if (!taken[current]) kept.push_back(all[current]);
    taken[current] = true;
    double nearest = to;
    size_t next = current;
    for (size_t i = 0; i < all.size(); ++i)
      if (const double at = crossing(all[current], all[i], from); at < nearest) {
        nearest = at;
        next = i;
      }
    if (next == current) break;
    current = next;
    from = nearest;
  }
  return kept;
}

}  // namespace

Fitter::Fitter(std::vector<double> x) : x_(std::move(x)) {
  const double first = x_.front(), width = x_.back() - first;
  for (double& value : x_) value = (value - first) / width;
}

void Fitter::set(const std::vector<double>& y) {
  const size_t n = x_.size();
  mean_ = 0;
  for (const double value : y) mean_ += value / static_cast<double>(n);
  y_.resize(n);
  running_.assign(n + 1, {});
  total_ = 0;
  for (size_t i = 0; i < n; ++i) {
    y_[i] = y[i] - mean_;
    total_ += y_[i] * y_[i];
    const Sums& before = running_[i];
    running_[i + 1] = {before.n + 1,     before.x + x_[i],          before.xx + x_[i] * x_[i],
                       before.y + y_[i], before.xy + x_[i] * y_[i], before.yy + y_[i] * y_[i]};
  }
}

// Over the points first..last - 1, x counted from `origin`.
Fitter::Sums Fitter::sums(size_t first, size_t last, double origin) const {
  Sums s;
  if (last - first < kShort) {
    for (size_t i = first; i < last; ++i) {
      const double x = x_[i] - origin;
      s = {s.n + 1, s.x + x, s.xx + x * x, s.y + y_[i], s.xy + x * y_[i], s.yy + y_[i] * y_[i]};
    }
    return s;
  }
  const Sums &a = running_[first], &b = running_[last];
  const double n = b.n - a.n, x = b.x - a.x, y = b.y - a.y;
  return {n, x - n * origin,           b.xx - a.xx - 2 * origin * x + n * origin * origin,
          y, b.xy - a.xy - origin * y, b.yy - a.yy};
}

// Solves for the heights at the knots, left in right_. The basis are the hat functions of the knots.
double Fitter::solve(const std::vector<size_t>& knots) {
  const size_t m = knots.size();
  diagonal_.assign(m, 0);
  beside_.assign(m, 0);
  right_.assign(m, 0);
  for (size_t s = 0; s + 1 < m; ++s) {
    const double from = x_[knots[s]], h = x_[knots[s + 1]] - from;
    const size_t end = s + 2 == m ? knots[s + 1] + 1 : knots[s + 1];
    const Sums part = sums(knots[s], end, from);
    const double u = part.x / h, uu = part.xx / (h * h), uy = part.xy / h;
    diagonal_[s] += part.n - 2 * u + uu;
    diagonal_[s + 1] += uu;
    beside_[s] = u - uu;
    right_[s] += part.y - uy;
    right_[s + 1] += uy;
  }
  double explained = 0;
  for (size_t i = 0; i < m; ++i) {
    if (i > 0) {
      const double factor = beside_[i - 1] / diagonal_[i - 1];
      diagonal_[i] -= factor * beside_[i - 1];
      right_[i] -= factor * right_[i - 1];
    }
    explained += right_[i] * right_[i] / diagonal_[i];
  }
  for (size_t i = m; i-- > 0;)
    right_[i] = (right_[i] - (i + 1 < m ? beside_[i] * right_[i + 1] : 0)) / diagonal_[i];
  return std::max(0.0, total_ - explained);
}

BrokenLine Fitter::fit(const std::vector<size_t>& knots) {
  const double sse = solve(knots);
  BrokenLine line{knots, right_, sse};
  for (double& height : line.heights) height += mean_;
  return line;
}

std::vector<double> Fitter::values(const BrokenLine& line) const {
  std::vector<double> all(x_.size());
  for (size_t s = 0; s + 1 < line.knots.size(); ++s) {
    const size_t first = line.knots[s], last = line.knots[s + 1];
    for (size_t i = first; i <= last; ++i) {
      const double u = (x_[i] - x_[first]) / (x_[last] - x_[first]);
      all[i] = (1 - u) * line.heights[s] + u * line.heights[s + 1];
    }
  }
  return all;
}

// Each breakpoint in turn goes to its best place between its neighbours, until nothing improves.
BrokenLine Fitter::refine(std::vector<size_t> knots) {
  double best = solve(knots);
  for (bool better = true; better;) {
    better = false;
    for (size_t j = 1; j + 1 < knots.size(); ++j) {
      const size_t low = knots[j - 1] + 1, high = knots[j + 1];
      size_t place = knots[j];
      for (knots[j] = low; knots[j] < high; ++knots[j])
        if (const double sse = solve(knots); sse < best * kBetter) {
          best = sse;
          place = knots[j];
          better = true;
        }
      knots[j] = place;
    }
  }
  return fit(knots);
}

// The least SSE of a line to place t, as a function of its height there, is the lowest of many parabolas, one
// for each choice of the breakpoints before; those that are lowest nowhere are dropped. From a place s with
// height g to t with height h the points s..t-1 cost
//   A g^2 + 2 B g h + D h^2 - 2 P g - 2 Q h + Y,
// and the best g for a parabola a g^2 + b g + c at s leaves a parabola in h.
void Fitter::extend(const std::vector<Parabola>& before, size_t s, size_t t, double most,
                    std::vector<Parabola>& candidates) const {
  const double from = x_[s], h = x_[t] - from;
  const Sums part = sums(s, t, from);
  const double u = part.x / h, D = part.xx / (h * h), Q = part.xy / h;
  const double A = part.n - 2 * u + D, B = u - D, P = part.y - Q, Y = part.yy;
  for (size_t i = 0; i < before.size(); ++i) {
    const double slope = before[i].b - 2 * P, scale = 1 / (before[i].a + A);
    const Parabola next = {D - B * B * scale, -2 * Q - B * slope * scale,
                           before[i].c + Y - slope * slope * scale / 4, static_cast<uint32_t>(s),
                           static_cast<uint32_t>(i)};
    // Flat ones (0 / 0) are kept.
    if (!(next.c - next.b * next.b / (4 * next.a) > most)) candidates.push_back(next);
  }
}

std::vector<size_t> Fitter::trace_back(const Layers& layers, size_t n_segments) const {
  const size_t last = x_.size() - 1;
  double best = std::numeric_limits<double>::infinity();
  const Parabola* at = nullptr;
  for (const Parabola& p : layers[n_segments][last]) {
    const double a = p.a + 1, b = p.b - 2 * y_[last];  // the last point itself
    if (const double sse = p.c - b * b / (4 * a); sse < best) {
      best = sse;
      at = &p;
    }
  }
  if (!at) return {};
  std::vector<size_t> knots = {last};
  for (size_t m = n_segments; m > 0; --m) {
    knots.push_back(at->place);
    if (m > 1) at = &layers[m - 1][at->place][at->index];
  }
  std::reverse(knots.begin(), knots.end());
  return knots;
}

// The best line with one breakpoint more, the others where they are.
std::vector<size_t> Fitter::with_one_more(const std::vector<size_t>& knots) {
  std::vector<size_t> found, trial;
  double best = kNever;
  for (size_t place = 1; place + 1 < x_.size(); ++place) {
    trial = knots;
    const auto at = std::lower_bound(trial.begin(), trial.end(), place);
    if (*at == place) continue;
    trial.insert(at, place);
    if (const double sse = solve(trial); sse < best) {
      best = sse;
      found = trial;
    }
  }
  return found;
}

// A line found in a simpler way bounds the cost of the best one: candidates that already cost more are
// dropped, and since the points at the knots are part of the fit, no knot is off by more than the root of
// that bound.
std::vector<BrokenLine> Fitter::search(size_t most) {
  const size_t n = x_.size();
  std::vector<BrokenLine> lines = {fit({0, n - 1})};
  Layers layers(2, std::vector<std::vector<Parabola>>(n));
  for (size_t t = 1; t < n; ++t) extend({Parabola{}}, 0, t, kNever, layers[1][t]);
  std::vector<Parabola> candidates;
  for (size_t k = 1; k <= most && 2 * k + 3 <= n; ++k) {
    const BrokenLine simple = refine(with_one_more(lines.back().knots));
    const double most_sse = simple.sse + kRounding * (1 + total_), reach = std::sqrt(most_sse);
    layers.emplace_back(n);
    for (size_t t = k + 1; t < n; ++t) {
      candidates.clear();
      for (size_t s = k; s < t; ++s) extend(layers[k][s], s, t, most_sse, candidates);
      layers[k + 1][t] = lowest(candidates, y_[t] - reach, y_[t] + reach);
    }
    // If the points are so uneven that rounding drops the best one, the simple one remains.
    const std::vector<size_t> knots = trace_back(layers, k + 1);
    BrokenLine best = knots.empty() ? simple : fit(knots);
    lines.push_back(best.sse < simple.sse ? std::move(best) : simple);
  }
  return lines;
}

Choice choose(const Fitter& fitter, const std::vector<BrokenLine>& lines, const std::vector<double>& y) {
  Choice choice;
  choice.correlation = neighbour_correlation(residuals(fitter, lines.back(), y));
  const double r = choice.correlation, n = static_cast<double>(y.size());
  const double counted = std::max(3.0, n * (1 - r) / (1 + r));
  for (size_t k = 0; k < lines.size(); ++k) {
    const double variance = std::max(lines[k].sse / n, kPerfect * kPerfect);
    choice.bic.push_back(counted * std::log(variance) + 2 * static_cast<double>(k) * std::log(counted));
    if (choice.bic[k] < choice.bic[choice.n_breakpoints]) choice.n_breakpoints = k;
  }
  return choice;
}

std::vector<std::pair<size_t, size_t>> intervals(Fitter& fitter, const BrokenLine& line,
                                                 const std::vector<double>& y, double correlation,
                                                 int64_t n_bootstrap, double confidence) {
  const size_t n = y.size(), k = line.n_breakpoints(), length = block_length(n, correlation);
  const std::vector<double> fitted = fitter.values(line);
  std::vector<double> rest = residuals(fitter, line, y);
  // The fit has taken 2 k + 2 degrees of freedom out of the residuals.
  const double scale = std::sqrt(static_cast<double>(n) / static_cast<double>(n - 2 * k - 2));
  for (double& value : rest) value *= scale;
  std::mt19937_64 rng(0);
  std::vector<std::vector<size_t>> places(k);
  std::vector<double> resampled(n);
  for (int64_t b = 0; b < n_bootstrap; ++b) {
    for (size_t i = 0; i < n;) {
      const size_t start = rng() % n;
      for (size_t j = 0; j < length && i < n; ++j, ++i) resampled[i] = fitted[i] + rest[(start + j) % n];
    }
    fitter.set(resampled);
    const BrokenLine again = fitter.refine(line.knots);
    for (size_t j = 0; j < k; ++j) places[j].push_back(again.knots[j + 1]);
  }
  fitter.set(y);
  std::vector<std::pair<size_t, size_t>> found;
  for (size_t j = 0; j < k; ++j) {
    std::sort(places[j].begin(), places[j].end());
    const double tail = (1 - confidence) / 2 * static_cast<double>(n_bootstrap);
    const auto outside = static_cast<size_t>(std::floor(tail));
    const size_t low = places[j][outside], high = places[j][places[j].size() - 1 - outside];
    found.emplace_back(std::min(low, line.knots[j + 1]), std::max(high, line.knots[j + 1]));
  }
  return found;
}

}  // namespace phase_changes
