// Broken lines: continuous piecewise linear functions fitted to points by least squares, with breakpoints
// among the points; the number of breakpoints, and confidence intervals for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace phase_changes {

/// A broken line through n points. `knots` are indices of points, ascending, 0 first and n - 1 last; those
/// between are the breakpoints.
struct BrokenLine {
  std::vector<size_t> knots;
  std::vector<double> heights = {};  ///< at the knots
  double sse = 0;                    ///< sum of the squared residuals

  size_t n_breakpoints() const { return knots.size() - 2; }
};

/// a h^2 + b h + c: the least SSE up to a knot, as a function of the height h there, for one choice of the
/// earlier knots. The last of those is point `place`, whose parabola number `index` it extends.
struct Parabola {
  double a = 0, b = 0, c = 0;
  uint32_t place = 0, index = 0;
};

/// Fits broken lines to y at x. A fit with given breakpoints takes time proportional to their number: sums
/// over the points of a segment are differences of running sums.
class Fitter {
 public:
  /// x: strictly ascending, at least two values.
  explicit Fitter(std::vector<double> x);
  void set(const std::vector<double>& y);

  /// The least squares line with these knots.
  BrokenLine fit(const std::vector<size_t>& knots);
  /// The best found with 0, 1, ..., up to `most` breakpoints. One or two are added to the previous fit, then
  /// each is moved to its best place among all points until nothing improves. Stops before there are as many
  /// parameters as points.
  std::vector<BrokenLine> search(size_t most);
  /// Moves each of `knots` to its best place between its neighbours until nothing improves.
  BrokenLine refine(std::vector<size_t> knots);

  /// The values of `line` at all points.
  std::vector<double> values(const BrokenLine& line) const;
  const std::vector<double>& x() const { return x_; }

 private:
  struct Sums {
    double n = 0, x = 0, xx = 0, y = 0, xy = 0, yy = 0;
  };
  using Layers = std::vector<std::vector<std::vector<Parabola>>>;  // by number of segments, then by place
  Sums sums(size_t first, size_t last, double origin) const;
  double solve(const std::vector<size_t>& knots);
  void extend(const std::vector<Parabola>& before, size_t s, size_t t, double most,
              std::vector<Parabola>& candidates) const;
  std::vector<size_t> with_one_more(const std::vector<size_t>& knots);
  std::vector<size_t> trace_back(const Layers& layers, size_t n_segments) const;

  std::vector<double> x_;  // from 0 to 1
  std::vector<double> y_;  // about its mean
  double mean_ = 0, total_ = 0;
  std::vector<Sums> running_;
  std::vector<double> diagonal_, beside_, right_;  // of the normal equations, which are tridiagonal
};

/// Residuals of less than this, in nats, are those of a perfect fit.
constexpr double kPerfect = 1e-3;

/// The choice among several broken lines by the Bayesian information criterion.
struct Choice {
  size_t n_breakpoints = 0;
  /// For each number of breakpoints: n_eff ln(SSE / n) + 2 k ln(n_eff); a breakpoint has a place and a slope.
  std::vector<double> bic = {};
  /// Residuals of the longest fit: correlation of neighbours, within 0 and 0.97.
  double correlation = 0;
};

/// Correlated neighbouring residuals are not independent evidence, so n points count as n_eff = n (1 - r) /
/// (1 + r), r their correlation (a first-order autoregressive process; Bartlett 1935).
Choice choose(const Fitter& fitter, const std::vector<BrokenLine>& lines, const std::vector<double>& y);

/// For each breakpoint of `line` the interval, as indices of points, in which `confidence` of the breakpoints
/// of `n_bootstrap` resampled curves lie: the line plus its residuals, drawn in blocks of a length that
/// follows from their correlation (moving block bootstrap, Kuensch 1989, block length after Carlstein 1986),
/// fitted anew. The same curve gives the same intervals.
std::vector<std::pair<size_t, size_t>> intervals(Fitter& fitter, const BrokenLine& line,
                                                 const std::vector<double>& y, double correlation,
                                                 int64_t n_bootstrap, double confidence);

}  // namespace phase_changes
