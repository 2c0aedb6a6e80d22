// Chains of SGLD. The loop over weights is one pass: the step, the distance from the start, and what the
// Metropolis acceptance of the step before needs. Of d weights nothing else is looked at twice.
#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/sgld.h>
#include <orrery/task.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace orrery {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t noise_block = 4096;  // LibTorch draws many normal numbers several times as fast as few

void check_sgld(const SgldSettings& s) {
  const auto above_0 = [](double value) { return std::isfinite(value) && value > 0; };
  const auto not_below_0 = [](double value) { return std::isfinite(value) && value >= 0; };
  const auto refuse = [](const char* name, const std::string& bound, double value) {
    throw UsageError(fmt::format("SGLD: {} is {}; expected {}", name, value, bound), "");
  };
  if (!above_0(s.epsilon)) refuse("epsilon", "a number above 0", s.epsilon);
  if (!above_0(s.nbeta)) refuse("nbeta", "a number above 0", s.nbeta);
  if (!not_below_0(s.gamma)) refuse("gamma", "0 or more", s.gamma);
  if (!not_below_0(s.noise_level)) refuse("noise_level", "0 or more", s.noise_level);
  if (s.n_chains < 1) refuse("n_chains", "1 or more", static_cast<double>(s.n_chains));
  if (s.n_draws < 1) refuse("n_draws", "1 or more", static_cast<double>(s.n_draws));
  if (s.n_burn_in < 0) refuse("n_burn_in", "0 or more", static_cast<double>(s.n_burn_in));
  if (s.steps_between < 1) refuse("steps_between", "1 or more", static_cast<double>(s.steps_between));
}

void check_start(const torch::Tensor& start) {
  const bool fits = start.defined() && start.dim() == 1 && start.numel() > 0 && start.is_cpu() &&
                    (start.scalar_type() == torch::kFloat32 || start.scalar_type() == torch::kFloat64);
  if (!fits)
    throw Error("SGLD: the start is no vector of float32 or float64 on the CPU", "flatten the weights");
  if (!torch::isfinite(start).all().item<bool>())
    throw Error("SGLD: the start is not finite", "weights that are NaN have no neighbourhood to sample");
}

// Sums over the weights of one step. Eight lanes, so that the compiler may use vectors.
struct Sums {
  static constexpr int64_t lanes = 8;
  std::array<double, lanes> offset{}, backward{}, noise{};
  static double total(const std::array<double, lanes>& sums) {
    return std::accumulate(sums.begin(), sums.end(), 0.0);
  }
};

template <class Scalar>
class Walk {
 public:
  Walk(const torch::Tensor& start, const SgldSettings& settings, torch::Generator rng)
      : settings_(settings),
        rng_(std::move(rng)),
        size_(start.numel()),
        start_(start.detach().contiguous()),
        w_(start_.clone()),
        gradient_(torch::zeros_like(start_)),
        move_(torch::zeros_like(start_)),
        noise_(torch::empty({std::max<int64_t>(1, noise_block / size_) * size_}, start_.options())),
        noise_used_(noise_.numel()) {}

  const torch::Tensor& w() const { return w_; }
  double distance() const { return (w_ - start_).to(torch::kFloat64).norm().item<double>(); }
  bool finite() const { return torch::isfinite(w_).all().item<bool>(); }

  // The loss here. Then step() or stay().
  double arrive(const LossAndGradient& loss) {
    loss_ = loss(w_, gradient_);
    return loss_;
  }

  // Leaves the point at which arrive() was. Also completes the probability with which the step before would
  // have been accepted, since both take the drift here.
  void step() { sweep(/*move=*/true); }
  // The same without leaving.
  void stay() { sweep(/*move=*/false); }

  // The Metropolis acceptance of the step that led to the last point that was swept.
  double accepted() const { return accepted_; }

 private:
  const Scalar* next_noise() {
    if (noise_used_ == noise_.numel()) {
      noise_.normal_(0, 1, rng_);
      noise_used_ = 0;
    }
    const Scalar* const here = noise_.template data_ptr<Scalar>() + noise_used_;
    noise_used_ += size_;
    return here;
  }

  void sweep(bool move) {
    const Scalar* const noise = move && settings_.noise_level > 0 ? next_noise() : nullptr;
    const Pointers at{w_.template data_ptr<Scalar>(), move_.template data_ptr<Scalar>(),
                      start_.template data_ptr<Scalar>(), gradient_.template data_ptr<Scalar>(), noise};
    Sums sums;
    int64_t i = 0;
    for (; i + Sums::lanes <= size_; i += Sums::lanes) lanes<Sums::lanes>(at, i, move, sums);
    for (; i < size_; ++i) lanes<1>(at, i, move, sums);
    const double energy = settings_.nbeta * loss_ + 0.5 * settings_.gamma * Sums::total(sums.offset);
    // log q(there | here), the noise that would lead back, minus log q(here | there), the noise that led
    // here.
    const double back = -Sums::total(sums.backward) / (2 * settings_.epsilon);
    accepted_ = std::exp(std::min(0.0, energy_ - energy + back + 0.5 * forward_));
    energy_ = energy;
    forward_ = Sums::total(sums.noise);
  }

  struct Pointers {
    Scalar *w, *move;
    const Scalar *start, *gradient, *noise;  // noise may be null
  };

  template <int64_t n>
  void lanes(const Pointers& at, int64_t from, bool move, Sums& sums) const {
    const auto nbeta = static_cast<Scalar>(settings_.nbeta), gamma = static_cast<Scalar>(settings_.gamma);
    const auto half = static_cast<Scalar>(0.5 * settings_.epsilon);
    const auto scale = static_cast<Scalar>(settings_.noise_level * std::sqrt(settings_.epsilon));
    for (int64_t j = 0; j < n; ++j) {
      const int64_t i = from + j;
      const Scalar offset = at.w[i] - at.start[i];
      const Scalar drift = half * (nbeta * at.gradient[i] + gamma * offset);
      const Scalar backward = drift - at.move[i];
      sums.offset[j] += static_cast<double>(offset) * offset;
      sums.backward[j] += static_cast<double>(backward) * backward;
      if (!move) continue;
      const Scalar z = at.noise ? at.noise[i] : Scalar(0);
      sums.noise[j] += static_cast<double>(z) * z;
      at.move[i] = scale * z - drift;
      at.w[i] += at.move[i];
    }
  }

  const SgldSettings& settings_;
  torch::Generator rng_;
  int64_t size_;
  torch::Tensor start_, w_, gradient_;
  torch::Tensor move_;   // the step that led here
  torch::Tensor noise_;  // for one step or more
  int64_t noise_used_;
  double loss_ = 0, energy_ = 0, forward_ = 0, accepted_ = 0;
};

double mean_of(const std::vector<double>& values, size_t from, size_t to) {
  double sum = 0;
  for (size_t i = from; i < to; ++i) sum += values[i];
  return to > from ? sum / static_cast<double>(to - from) : not_a_number;
}

void conclude(SgldChain& chain, double start_loss, double nbeta) {
  const size_t n = chain.losses.size();
  int64_t below = 0;
  for (const double loss : chain.losses) below += loss < start_loss;
  chain.below = n ? static_cast<double>(below) / static_cast<double>(n) : not_a_number;
  if (chain.diverged_at >= 0) {
    chain.estimate = chain.acceptance = chain.drift = not_a_number;
    return;
  }
  chain.estimate = nbeta * (mean_of(chain.losses, 0, n) - start_loss);
  chain.drift = nbeta * (mean_of(chain.losses, n - n / 2, n) - mean_of(chain.losses, 0, n / 2));
}

template <class Scalar>
SgldChain walk(const torch::Tensor& start, double start_loss, const LossAndGradient& loss,
               const SgldSettings& s, torch::Generator rng) {
  Walk<Scalar> walk(start, s, std::move(rng));
  SgldChain chain;
  chain.losses.reserve(static_cast<size_t>(s.n_draws));
  const int64_t n_steps = s.n_burn_in + s.n_draws * s.steps_between;
  double accepted = 0;
  for (int64_t t = 0; t <= n_steps; ++t) {
    const double value = walk.arrive(loss);
    if (!std::isfinite(value)) {
      chain.diverged_at = t;
      break;
    }
    if (t > s.n_burn_in && (t - s.n_burn_in) % s.steps_between == 0) chain.losses.push_back(value);
    t < n_steps ? walk.step() : walk.stay();
    if (t > s.n_burn_in) accepted += walk.accepted();
  }
  if (chain.diverged_at < 0 && !walk.finite()) chain.diverged_at = n_steps;
  chain.acceptance =
      s.noise_level == 1 ? accepted / static_cast<double>(n_steps - s.n_burn_in) : not_a_number;
  chain.distance = walk.distance();
  chain.end = walk.w();
  conclude(chain, start_loss, s.nbeta);
  return chain;
}

}  // namespace

SgldChain sgld_chain(const torch::Tensor& start, double start_loss, const LossAndGradient& loss,
                     const SgldSettings& settings, torch::Generator rng) {
  const torch::NoGradGuard no_grad;
  check_sgld(settings);
  check_start(start);
  return start.scalar_type() == torch::kFloat32
             ? walk<float>(start, start_loss, loss, settings, std::move(rng))
             : walk<double>(start, start_loss, loss, settings, std::move(rng));
}

namespace {

void average_chains(LearningCoefficient& all) {
  std::vector<double> estimates;
  for (size_t i = 0; i < all.chains.size(); ++i) {
    const SgldChain& chain = all.chains[i];
    if (chain.diverged_at >= 0) {
      all.diverged.push_back(static_cast<int64_t>(i));
      continue;
    }
    estimates.push_back(chain.estimate);
    all.acceptance += chain.acceptance;
    all.below += chain.below;
    all.distance += chain.distance;
    all.drift += chain.drift;
    all.negative += chain.estimate < 0;
  }
  const auto n = static_cast<double>(estimates.size());
  for (double* mean : {&all.acceptance, &all.below, &all.distance, &all.drift, &all.negative})
    *mean = n > 0 ? *mean / n : not_a_number;
  all.estimate = mean_of(estimates, 0, estimates.size());
  double squares = 0;
  for (const double estimate : estimates) squares += (estimate - all.estimate) * (estimate - all.estimate);
  all.standard_error = n > 1 ? std::sqrt(squares / (n - 1) / n) : not_a_number;
}

}  // namespace

LearningCoefficient sgld(const torch::Tensor& start, double start_loss,
                         const std::function<LossAndGradient(torch::Generator rng)>& loss_of_chain,
                         const SgldSettings& settings) {
  check_sgld(settings);
  LearningCoefficient all;
  all.start_loss = start_loss;
  // Seeds are drawn, not counted: the chains of seed 1 have nothing in common with those of seed 0.
  torch::Generator seeds = make_generator(settings.seed);
  const auto next_generator = [&seeds] {
    return make_generator(static_cast<uint64_t>(
        torch::randint(std::numeric_limits<int64_t>::max(), {1}, seeds, torch::kInt64).item<int64_t>()));
  };
  for (int64_t i = 0; i < settings.n_chains; ++i) {
    torch::Generator noise = next_generator();
    all.chains.push_back(
        sgld_chain(start, start_loss, loss_of_chain(next_generator()), settings, std::move(noise)));
  }
  average_chains(all);
  return all;
}

}  // namespace orrery
