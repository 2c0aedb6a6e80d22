// Grokfast with a moving average (Lee et al. 2024, "Grokfast: Accelerated grokking by amplifying slow
// gradients", arXiv 2405.20233): adds to each gradient lamb times the mean, or the sum, of the last `window`
// gradients, the present one included. Where `warmup` is on, as in the authors' code, only from the step on
// that fills the window.
#include <orrery/plugin.h>
#include <orrery/update.h>

namespace {

struct Params {
  enum class Filter { mean, sum };
  int64_t window = 100;
  double lamb = 5;
  Filter filter_type = Filter::mean;
  bool warmup = true;

  static void fields(orrery::Fields<Params>& f) {
    f.add("window", &Params::window, "number of gradients in the average").between(1, 100000);
    f.add("lamb", &Params::lamb, "how often the average is added to the gradient").at_least(0);
    f.add("filter_type", &Params::filter_type, "whether the gradients are averaged or summed");
    f.add("warmup", &Params::warmup, "leave gradients alone until there are as many as the window holds");
  }
  friend orrery::Names<Filter> names_of(Filter) { return {{"mean", Filter::mean}, {"sum", Filter::sum}}; }
};

class GrokfastMa final : public orrery::Update {
 public:
  explicit GrokfastMa(Params params) : params_(params) {}

  Stage stage() const override { return Stage::gradients; }

  void step(const orrery::UpdateStep& step) override {
    const int64_t held = std::min(step.step + 1, params_.window);
    const bool amplifies = !params_.warmup || held == params_.window;
    const double factor =
        params_.filter_type == Params::Filter::mean ? params_.lamb / static_cast<double>(held) : params_.lamb;
    for (const orrery::UpdatedWeight& weight : step.weights) amplify(weight, step.step, amplifies * factor);
  }

 private:
  // Adding each gradient to a running sum and subtracting it again when it leaves would leave its rounding
  // errors behind, and early gradients are a million times as large as late ones. So nothing is subtracted:
  // `window` holds the gradients of this round in the places up to `at`, and behind them, of the round
  // before, the sums from there to its end.
  void amplify(const orrery::UpdatedWeight& weight, int64_t step, double factor) const {
    std::vector<int64_t> sizes = weight.value().sizes().vec();
    sizes.insert(sizes.begin(), params_.window);
    const torch::Tensor window = weight.state("window", sizes), round = weight.state("round");
    const torch::Tensor gradient = weight.gradient();
    const int64_t at = step % params_.window;
    if (at == 0) {
      for (int64_t i = params_.window - 2; i >= 0; --i) window[i].add_(window[i + 1]);
      round.zero_();
    }
    window[at].copy_(gradient);
    round.add_(gradient);
    if (factor == 0) return;
    gradient.add_(round, factor);
    if (at + 1 < params_.window) gradient.add_(window[at + 1], factor);
  }

  Params params_;
};

}  // namespace

ORRERY_UPDATE(GrokfastMa, Params, "grokfast_ma", "1.0.0",
              "Amplifies the moving average of the last gradients.")
