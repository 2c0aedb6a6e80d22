// The sign of a running sum, at every position (the ARENA course's challenge of November 2023). Numbers are
// -m..m, and the token of v is v modulo 2m + 1: 0..m are themselves, -m..-1 come behind. With m = 5, the
// tokens
//   2 10 5 4 6     are the numbers  2 -1 5 4 -5
// with the sums 2, 1, 6, 10, 5: all positive, class 2. Classes are 0 negative, 1 zero, 2 positive.
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>
#include <numeric>

namespace {

struct Params : orrery::SampledParams {
  int64_t max_value = 5;
  int64_t length = 20;

  static void fields(orrery::Fields<Params>& f) {
    f.add("max_value", &Params::max_value, "numbers are from - max_value to max_value").between(1, 4096);
    f.add("length", &Params::length, "numbers in a sequence").between(1, 4096);
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

  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto tokens = torch::randint(n_numbers(), {batch_size, params_.length}, rng, torch::kInt64);
    const auto numbers = torch::where(tokens <= params_.max_value, tokens, tokens - n_numbers());
    return {.tokens = tokens, .labels = numbers.cumsum(1).sign() + 1};
  }

  // "+2 -1 +5 +4 -5"
  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      const int64_t number = token <= params_.max_value ? token : token - n_numbers();
      text += (i ? " " : "") + std::string(number < 0 ? "" : "+") + std::to_string(number);
    }
    return text;
  }

 private:
  int64_t n_numbers() const { return 2 * params_.max_value + 1; }

  Params params_;
};

}  // namespace

ORRERY_TASK(CumulativeSum, Params, "cumulative_sum", "1.0.0", "The sign of a running sum, at every position.")
