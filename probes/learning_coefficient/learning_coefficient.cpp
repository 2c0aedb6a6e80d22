// The local learning coefficient (Lau et al. 2023, arXiv 2308.12108): how degenerate is the minimum that a
// network lies in? Around weights w* the volume of {L < L(w*) + e} shrinks as e^lambda. A regular minimum of
// d weights has lambda = d/2; every direction that costs nothing, and every one that costs less than a
// square, lowers it: L = w1^2 + w2^2 has 1, L = w1^2 alone 1/2, L = w1^4 has 1/4. It is estimated from chains
// of SGLD that start at w*: n beta (mean of L over the chain - L(w*)), with beta = 1/log n. If the estimate
// is 90 for a network of 200,000 weights, the data hold 180 directions of them. A w* from which L falls is no
// minimum, and then the number means nothing: the probe says so, and how the sampler fared.
#include <orrery/fast_gradients.h>
#include <orrery/loss.h>
#include <orrery/plugin.h>
#include <orrery/probe.h>
#include <orrery/sgld.h>

#include <cmath>
#include <limits>

namespace {

using torch::Tensor;

struct Params {
  std::vector<std::string> weights = {"*"};
  double epsilon = 1e-5, gamma = 1000, nbeta = 0;
  int64_t n_chains = 2, n_burn_in = 30, n_draws = 30, steps_between = 1;
  int64_t batch_size = 0, seed = 0;
  bool descent = true;
  std::vector<double> grid_epsilon, grid_nbeta;

  static void fields(orrery::Fields<Params>& f) {
    f.add("weights", &Params::weights, "weights that vary, by glob; the others stay as they are");
    f.add("epsilon", &Params::epsilon, "step of SGLD").between(1e-15, 1e3);
    f.add("gamma", &Params::gamma, "localisation: the force back to the checkpoint").at_least(0);
    f.add("nbeta", &Params::nbeta, "inverse temperature; 0 is n / log n for n training examples").at_least(0);
    f.add("n_chains", &Params::n_chains, "chains, each from the checkpoint").between(1, 10'000);
    f.add("n_burn_in", &Params::n_burn_in, "steps of a chain before its first draw").between(0, 10'000'000);
    f.add("n_draws", &Params::n_draws, "draws of a chain").between(2, 1'000'000);
    f.add("steps_between", &Params::steps_between, "steps from one draw to the next").between(1, 100'000);
    f.add("batch_size", &Params::batch_size, "examples of a step; 0 is the whole training set").at_least(0);
    f.add("descent", &Params::descent,
          "take a chain without noise, which tells whether the checkpoint is a minimum");
    f.add("grid_epsilon", &Params::grid_epsilon, "further steps, for a grid of estimates").at_least(1e-15);
    f.add("grid_nbeta", &Params::grid_nbeta, "further inverse temperatures, likewise").at_least(1e-9);
    f.add("seed", &Params::seed, "of noise and minibatches").at_least(0);
  }
};

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
// A minimum is out of reach if most draws lie below it, or if descent alone gains a tenth of the estimate.
// Chains that drift by a tenth of it have not arrived.
constexpr double most_draws = 0.5, large_descent = 0.1, large_drift = 0.1;
constexpr int kPowers = 8;       // of a power iteration, which ends a little below the largest curvature
constexpr double kMargin = 1.5;  // for that

// That of logits which say nothing, 0 for every class.
double loss_of_guessing(const orrery::Observation& observation, const orrery::Batch& examples) {
  const Tensor logits =
      torch::zeros({examples.size(), examples.labels.size(1), observation.spec.d_vocab_out}, torch::kFloat64);
  return orrery::mean_over_labels(observation.losses(logits, examples), examples).item<double>();
}

// The examples with a label that counts. Undefined: all of them.
Tensor rows_that_count(const orrery::Batch& all) {
  return all.scored.defined() ? all.scored.any(1).nonzero().flatten() : Tensor();
}

// Minibatches without replacement: a new order of the examples when the last one is used up. One without a
// label that counts would have no loss.
class Minibatches {
 public:
  Minibatches(const orrery::Batch& all, Tensor counting, int64_t size, torch::Generator rng)
      : all_(all), counting_(std::move(counting)), size_(size), rng_(std::move(rng)) {}

  orrery::Batch next() {
    if (!order_.defined() || used_ + size_ > order_.size(0)) {
      const int64_t n = counting_.defined() ? counting_.size(0) : all_.size();
      order_ = torch::randperm(n, rng_, torch::kInt64);
      if (counting_.defined()) order_ = counting_.index_select(0, order_);
      used_ = 0;
    }
    used_ += size_;
    return all_.rows(order_.narrow(0, used_ - size_, size_));
  }

 private:
  const orrery::Batch& all_;
  Tensor counting_;
  int64_t size_;
  torch::Generator rng_;
  Tensor order_;
  int64_t used_ = 0;
};

// The loss of the training set around one checkpoint, and chains there.
class Landscape {
 public:
  Landscape(const orrery::Observation& seen, const Params& params)
      : params_(params),
        train_(seen.split.train),
        copy_(seen.copy_of_model()),
        loss_(seen, *copy_, params.weights),
        start_(loss_.weights()) {
    loss_.set_batch(train_);
    const Tensor gradient = torch::zeros_like(start_);
    start_loss = loss_.loss_and_gradient(gradient);
    gradient_norm = std::isfinite(start_loss) ? gradient.to(torch::kFloat64).norm().item<double>() : unknown;
    n = train_.size();
    counting_ = rows_that_count(train_);
    guessing = loss_of_guessing(seen, train_);
    curvature = std::isfinite(start_loss) ? largest_curvature(gradient) : unknown;
  }

  orrery::SgldSettings settings() const {
    return {.epsilon = params_.epsilon,
            .nbeta =
                params_.nbeta > 0 ? params_.nbeta : static_cast<double>(n) / std::log(std::max<double>(2, n)),
            .gamma = params_.gamma,
            .n_chains = params_.n_chains,
            .n_burn_in = params_.n_burn_in,
            .n_draws = params_.n_draws,
            .steps_between = params_.steps_between,
            .seed = static_cast<uint64_t>(params_.seed)};
  }

  orrery::LearningCoefficient sample(const orrery::SgldSettings& settings) {
    return orrery::sgld(
        start_, start_loss, [this](torch::Generator rng) { return loss_of_chain(std::move(rng)); }, settings);
  }

  // By how much a chain without noise lowers n beta L, of the whole training set. NaN if it diverges. As long
  // as the others: what it gains is what pulls them below the checkpoint. Without noise fewer and larger
  // steps follow the same path, as long as none takes more than half of what is left in the steepest
  // direction.
  double descent(orrery::SgldSettings settings) {
    if (!params_.descent) return unknown;
    const double steepest = settings.epsilon / 2 * (settings.nbeta * kMargin * curvature + settings.gamma);
    const int64_t stride = steepest <= 1.0 / 16 ? 8 : steepest <= 1.0 / 8 ? 4 : steepest <= 1.0 / 4 ? 2 : 1;
    const int64_t steps = settings.n_burn_in + settings.n_draws * settings.steps_between;
    settings.noise_level = 0;
    settings.epsilon *= static_cast<double>(stride);
    settings.n_burn_in = (steps + stride - 1) / stride - 1;
    settings.n_draws = settings.steps_between = 1;
    const auto rng = [&] { return orrery::make_generator(settings.seed); };
    const orrery::SgldChain path =
        orrery::sgld_chain(start_, start_loss, loss_of_chain(rng()), settings, rng());
    if (path.diverged_at >= 0) return unknown;
    loss_.set_batch(train_);
    loss_.set_weights(path.end);
    return settings.nbeta * (start_loss - loss_.loss());
  }

  int64_t n_weights() const { return start_.numel(); }
  bool minibatches() const {
    return params_.batch_size > 0 && params_.batch_size < (counting_.defined() ? counting_.size(0) : n);
  }

  double start_loss = 0, gradient_norm = 0, curvature = 0, guessing = 0;
  int64_t n = 0;

 private:
  // The largest curvature by power iteration, from differences of the gradient over the width that the
  // localisation leaves a chain. NaN where a gradient is not finite.
  double largest_curvature(const Tensor& gradient) {
    const double width = params_.gamma > 0 ? 1 / std::sqrt(params_.gamma) : 1e-2;
    Tensor direction =
        torch::randn(start_.sizes(), orrery::make_generator(settings().seed), start_.options());
    const Tensor there = torch::zeros_like(start_);
    double curvature = 0;
    for (int i = 0; i < kPowers; ++i) {
      direction /= direction.norm();
      loss_.set_weights(start_ + width * direction);
      if (!std::isfinite(loss_.loss_and_gradient(there))) return unknown;
      direction = (there - gradient) / width;
      curvature = direction.to(torch::kFloat64).norm().item<double>();
      if (!(curvature > 0)) break;
    }
    loss_.set_weights(start_);
    return curvature;
  }

  orrery::LossAndGradient loss_of_chain(torch::Generator rng) {
    if (!minibatches()) {
      loss_.set_batch(train_);
      return [this](const Tensor& w, const Tensor& gradient) {
        loss_.set_weights(w);
        return loss_.loss_and_gradient(gradient);
      };
    }
    const auto batches = std::make_shared<Minibatches>(train_, counting_, params_.batch_size, std::move(rng));
    return [this, batches](const Tensor& w, const Tensor& gradient) {
      loss_.set_weights(w);
      loss_.set_batch(batches->next());
      return loss_.loss_and_gradient(gradient);
    };
  }

  const Params& params_;
  const orrery::Batch& train_;
  Tensor counting_;
  std::unique_ptr<orrery::Model> copy_;
  orrery::LossGradient loss_;
  Tensor start_;
};

// What the chains found, and the one without noise.
struct Evidence {
  const orrery::LearningCoefficient& found;
  double descent;  // what it gained; NaN if it diverged or was not asked for
  bool descent_asked;
  bool minibatches;       // a draw's loss is then that of its minibatch, which may be low anywhere
  double draws_above;     // the mean loss of the draws above that of the checkpoint ...
  double guessing_above;  // ... and that of guessing

  bool below() const { return !minibatches && found.below > most_draws; }
  bool descends() const { return descent > large_descent * std::abs(found.estimate); }
  bool descent_diverged() const { return descent_asked && !std::isfinite(descent); }
  bool drifts() const { return std::abs(found.drift) > large_drift * std::abs(found.estimate); }
  // Chains that have forgotten the task tell nothing of the checkpoint.
  bool lost() const { return guessing_above > 0 && draws_above > guessing_above / 2; }
  bool at_minimum() const {
    return std::isfinite(found.estimate) && !below() && !descends() && !descent_diverged() && !lost();
  }

  // What is to be said of the estimate, the worst first.
  std::string verdict() const {
    if (found.diverged.size() == found.chains.size()) return "every chain diverged: take a smaller epsilon";
    if (lost())
      return "not known to be at a minimum: the chains have left the network, and are half way to guessing "
             "or "
             "beyond; take a smaller epsilon or a larger gamma";
    if (below()) return "not at a minimum: most draws lie below the checkpoint";
    if (descends()) return "not at a minimum: descent without noise gains more than a tenth of the estimate";
    if (descent_diverged())
      return "not known to be at a minimum: descent without noise diverged; take a smaller epsilon";
    if (found.negative > 0) return "some chains have a negative estimate";
    if (!found.diverged.empty()) return "some chains diverged: take a smaller epsilon";
    const std::string at = "at a minimum, as far as the chains see";
    return drifts() ? at + ", but they have not arrived: the estimate drifts by more than a tenth; take a "
                           "longer burn-in"
                    : at;
  }
};

class LearningCoefficientProbe final : public orrery::Probe {
 public:
  explicit LearningCoefficientProbe(Params params) : params_(std::move(params)) {
    if (params_.weights.empty())
      throw orrery::UsageError("weights is empty, so nothing varies", "leave it out for all weights");
    if (params_.grid_epsilon.empty() != params_.grid_nbeta.empty())
      throw orrery::UsageError("a grid needs grid_epsilon and grid_nbeta", "give both, or neither");
  }

  orrery::Needs needs() const override {
    return {.inputs = orrery::Inputs::none, .weights = params_.weights};
  }

  void measure(const orrery::Observation& seen, orrery::Recorder& recorder) override {
    panels(recorder);
    Landscape landscape(seen, params_);
    recorder.scalar("loss", landscape.start_loss);
    recorder.scalar("gradient_norm", landscape.gradient_norm);
    recorder.scalar("curvature", landscape.curvature);
    if (!std::isfinite(landscape.start_loss)) {
      recorder.headline("llc", unknown);
      recorder.finding({"learning_coefficient",
                        "learning_coefficient",
                        {{"verdict", std::string("the loss of the checkpoint is not finite")}}});
      return;
    }
    const orrery::SgldSettings settings = landscape.settings();
    const double descent = landscape.descent(settings);
    const auto found = landscape.sample(settings);
    const Evidence evidence{found,
                            descent,
                            params_.descent,
                            landscape.minibatches(),
                            found.estimate / settings.nbeta,
                            landscape.guessing - landscape.start_loss};
    record(evidence, recorder);
    finding(evidence, settings, landscape, recorder);
    traces(found, settings, recorder);
    if (!params_.grid_epsilon.empty()) grid(landscape, settings, recorder);
  }

 private:
  static void panels(orrery::Recorder& recorder) {
    recorder.panel("llc", "Local learning coefficient", "lambda");
    recorder.panel("standard_error", "Standard error of the local learning coefficient over chains",
                   "lambda");
    recorder.panel("descent", "What descent without noise gains from the checkpoint", "n beta L (nats)");
    recorder.panel("drift", "Second half of the draws minus the first", "lambda");
    recorder.panel("distance", "Distance of the chains from the checkpoint", "L2 norm");
    recorder.panel("gradient_norm", "Gradient of the training loss", "L2 norm");
    recorder.panel("curvature", "Largest curvature of the training loss", "nats per squared weight");
    recorder.panel("loss", "Training loss", "loss (nats)");
    recorder.panel("at_minimum", "Whether the checkpoint is at a minimum of the loss", "1: yes, 0: no");
    recorder.panel("acceptance", "Metropolis acceptance that the steps of the chains would have", "share");
    recorder.panel("share_below", "Draws whose loss is below that of the checkpoint", "share of the draws");
    recorder.panel("share_negative", "Chains with a negative estimate", "share of the chains");
    recorder.panel("share_diverged", "Chains that diverged", "share of the chains");
  }

  static void record(const Evidence& evidence, orrery::Recorder& recorder) {
    const orrery::LearningCoefficient& found = evidence.found;
    recorder.headline("llc", found.estimate);
    recorder.scalar("standard_error", found.standard_error);
    recorder.headline("at_minimum", evidence.at_minimum() ? 1 : 0);
    recorder.scalar("descent", evidence.descent);
    recorder.scalar("acceptance", found.acceptance);
    recorder.scalar("share_below", found.below);
    recorder.scalar("share_negative", found.negative);
    recorder.scalar("share_diverged",
                    static_cast<double>(found.diverged.size()) / static_cast<double>(found.chains.size()));
    recorder.scalar("distance", found.distance);
    recorder.scalar("drift", found.drift);
  }

  static void finding(const Evidence& evidence, const orrery::SgldSettings& settings,
                      const Landscape& landscape, orrery::Recorder& recorder) {
    const orrery::LearningCoefficient& found = evidence.found;
    recorder.finding({"learning_coefficient",
                      "learning_coefficient",
                      {{"verdict", evidence.verdict()},
                       {"llc", found.estimate},
                       {"standard_error", found.standard_error},
                       {"n_weights", landscape.n_weights()},
                       {"n_examples", landscape.n},
                       {"nbeta", settings.nbeta},
                       {"gamma", settings.gamma},
                       {"epsilon", settings.epsilon},
                       {"diverged_chains", found.diverged}}});
  }

  // [n_chains, n_draws]; NaN from where a chain diverged.
  static void traces(const orrery::LearningCoefficient& found, const orrery::SgldSettings& settings,
                     orrery::Recorder& recorder) {
    const Tensor losses = torch::full({settings.n_chains, settings.n_draws}, unknown, torch::kFloat64);
    orrery::Series lines;
    const Tensor steps =
        settings.n_burn_in + (torch::arange(settings.n_draws, torch::kInt64) + 1) * settings.steps_between;
    for (int64_t i = 0; i < settings.n_chains; ++i) {
      const std::vector<double>& chain = found.chains[static_cast<size_t>(i)].losses;
      for (size_t j = 0; j < chain.size(); ++j) losses[i][static_cast<int64_t>(j)] = chain[j];
      lines.emplace_back("chain " + std::to_string(i), losses[i]);
    }
    lines.emplace_back("the checkpoint", torch::full({settings.n_draws}, found.start_loss, torch::kFloat64));
    recorder.tensor("losses", losses);
    recorder.figure(orrery::Figure::line("trace", "Loss along the chains", {"step of the chain", {}, steps},
                                         "loss (nats)", lines));
  }

  void grid(Landscape& landscape, orrery::SgldSettings settings, orrery::Recorder& recorder) const {
    const auto rows = static_cast<int64_t>(params_.grid_epsilon.size());
    const auto columns = static_cast<int64_t>(params_.grid_nbeta.size());
    const Tensor llc = torch::full({rows, columns}, unknown, torch::kFloat64);
    const Tensor acceptance = llc.clone();
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        settings.epsilon = params_.grid_epsilon[static_cast<size_t>(i)];
        settings.nbeta = params_.grid_nbeta[static_cast<size_t>(j)];
        const auto found = landscape.sample(settings);
        llc[i][j] = found.estimate;
        acceptance[i][j] = found.acceptance;
      }
    const auto heatmap = [&](const char* name, const char* title, const char* scale, const Tensor& z) {
      recorder.tensor(name, z);
      recorder.figure(orrery::Figure::heatmap(name, title, {"n beta", texts(params_.grid_nbeta)},
                                              {"epsilon", texts(params_.grid_epsilon)}, scale, z));
    };
    heatmap("grid_llc", "Local learning coefficient by step and temperature", "lambda", llc);
    heatmap("grid_acceptance", "Metropolis acceptance by step and temperature", "acceptance", acceptance);
  }

  static std::vector<std::string> texts(const std::vector<double>& values) {
    std::vector<std::string> names;
    for (const double value : values) names.push_back(orrery::to_string(orrery::Value(value)));
    return names;
  }

  Params params_;
};

}  // namespace

ORRERY_PROBE(
    LearningCoefficientProbe, Params, "learning_coefficient", "1.1.0",
    "How degenerate the minimum is: the local learning coefficient by SGLD, with the sampler's health.")
