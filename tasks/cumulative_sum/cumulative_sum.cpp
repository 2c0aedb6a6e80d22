// The sign of a running sum, at every position (the ARENA course's challenge of November 2023). Numbers are
// -m..m, and the token of v is v modulo 2m + 1: 0..m are themselves, -m..-1 come behind. With m = 5, the
// tokens
//   2 10 5 4 6     are the numbers  2 -1 5 4 -5
// with the sums 2, 1, 6, 10, 5: all positive, class 2. Classes are 0 negative, 1 zero, 2 positive. Numbers
// rather bring the sum back to zero, which would be a rare answer otherwise.
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>
#include <numeric>

namespace {

struct Params : orrery::SampledParams {
  int64_t max_value = 5;
  int64_t length = 20;
  double towards_zero = 0.7;

  static void fields(orrery::Fields<Params>& f) {
    f.add("max_value", &Params::max_value, "numbers are from - max_value to max_value").between(1, 4096);
    f.add("length", &Params::length, "numbers in a sequence").between(1, 4096);
    f.add("towards_zero", &Params::towards_zero,
          "how often a number has the sign that brings the sum so far closer to zero")
        .between(0, 1);
    orrery::SampledParams::fields(f, "sequences");
  }
};

class CumulativeSum final : public orrery::Task {
 public:
  explicit CumulativeSum(Params params) : params_(std::move(params)) {
    params_.check_sampled(std::pow(static_cast<double>(n_numbers()), static_cast<double>(params_.length)),
                          "sequences");
  }

  orrery::TaskSpec spec() const override {
    std::vector<int64_t> all(params_.length);
    std::iota(all.begin(), all.end(), 0);
    return {.d_vocab = n_numbers(),
            .d_vocab_out = 3,
            .n_ctx = params_.length,
            .read_out = all,
            .endless = params_.endless()};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng` in this order: the first numbers, the moduli of all, and a toss for the sign of each.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const std::vector<int64_t> shape{batch_size, params_.length};
    const auto first = torch::randint(n_numbers(), {batch_size}, rng, torch::kInt64);
    const auto moduli = torch::randint(params_.max_value + 1, shape, rng, torch::kInt64);
    const auto toss = torch::rand(shape, rng, torch::kFloat64);
    const auto tokens = torch::empty(shape, torch::kInt64), labels = torch::empty(shape, torch::kInt64);
    for (int64_t row = 0; row < batch_size; ++row) {
      int64_t sum = 0;
      for (int64_t i = 0; i < params_.length; ++i) {
        const int64_t at = row * params_.length + i;
        // A sum of zero counts as negative here.
        const bool downwards = (sum > 0) == (toss.data_ptr<double>()[at] < params_.towards_zero);
        const int64_t modulus = moduli.data_ptr<int64_t>()[at];
        const int64_t number = i == 0      ? number_of(first.data_ptr<int64_t>()[row])
                               : downwards ? -modulus
                                           : modulus;
        sum += number;
        tokens.data_ptr<int64_t>()[at] = number < 0 ? number + n_numbers() : number;
        labels.data_ptr<int64_t>()[at] = sum < 0 ? 0 : sum == 0 ? 1 : 2;
      }
    }
    return {.tokens = tokens, .labels = labels};
  }

  // "+2 -1 +5 +4 -5"
  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const int64_t number = number_of(tokens[i].item<int64_t>());
      text += (i ? " " : "") + std::string(number < 0 ? "" : "+") + std::to_string(number);
    }
    return text;
  }

 private:
  int64_t n_numbers() const { return 2 * params_.max_value + 1; }
  int64_t number_of(int64_t token) const { return token <= params_.max_value ? token : token - n_numbers(); }

  Params params_;
};

}  // namespace

ORRERY_TASK(CumulativeSum, Params, "cumulative_sum", "1.0.0", "The sign of a running sum, at every position.")
