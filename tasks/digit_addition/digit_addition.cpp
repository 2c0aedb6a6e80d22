// Addition digit by digit, as on paper: each digit of the sum is learned at its own time (Nanda and
// Lieberum 2022, "A mechanistic interpretability analysis of grokking"). Tokens 0..9 are digits, 10 is "+",
// 11 is "=". With five digits,
//   1|3|4|5|2|+|5|8|3|2|1|=|0|7|1|7|7|3
// The output positions are "=" and each digit of the sum but the last: there the network predicts the next
// digit, given the true digits before it. Loss group digit_0 is the ones' digit, digit_1 the tens' digit, and
// so on up to the last carry, which comes first in the input.
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>

namespace {

constexpr int64_t kPlus = 10, kEquals = 11;

struct Params : orrery::SampledParams {
  int64_t n_digits = 5;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_digits", &Params::n_digits, "digits of each number that is added; the sum has one more")
        .between(1, 100);
    orrery::SampledParams::fields(f, "sums");
  }
};

class DigitAddition final : public orrery::Task {
 public:
  explicit DigitAddition(Params params) : params_(std::move(params)) {
    const double exist = std::pow(100.0, static_cast<double>(params_.n_digits));
    params_.check_sampled(exist, "sums");
  }

  orrery::TaskSpec spec() const override {
    const int64_t n = params_.n_digits;
    orrery::TaskSpec spec{.d_vocab = 12, .d_vocab_out = 10, .n_ctx = 3 * n + 3, .endless = params_.endless()};
    for (int64_t place = n; place >= 0; --place) {
      spec.read_out.push_back(position_of(place) - 1);
      spec.groups.push_back("digit_" + std::to_string(place));
    }
    return spec;
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng`: the digits of both numbers at once, all independent and uniform, leading zeros
  // included.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const int64_t n = params_.n_digits;
    const auto digits = torch::randint(10, {batch_size, 2 * n}, rng, torch::kInt64);
    const auto tokens = torch::empty({batch_size, 3 * n + 3}, torch::kInt64);
    for (int64_t row = 0; row < batch_size; ++row)
      write(digits.data_ptr<int64_t>() + row * 2 * n, tokens.data_ptr<int64_t>() + row * (3 * n + 3));
    return {.tokens = tokens,
            .labels = tokens.narrow(1, position_of(n), n + 1).clone(),
            .groups = torch::arange(n + 1, torch::kInt64).repeat({batch_size, 1})};
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) text += "0123456789+="[tokens[i].item<int64_t>()];
    return text;
  }

 private:
  // The position of the sum's digit of this place value in the input; 0 are the ones.
  int64_t position_of(int64_t place) const { return 3 * params_.n_digits + 2 - place; }

  // One sum. digits: those of both numbers, most significant first.
  void write(const int64_t* digits, int64_t* tokens) const {
    const int64_t n = params_.n_digits;
    tokens[n] = kPlus;
    tokens[2 * n + 1] = kEquals;
    int64_t carry = 0;
    for (int64_t place = 0; place < n; ++place) {
      const int64_t i = n - 1 - place, x = digits[i], y = digits[n + i];
      tokens[i] = x;
      tokens[n + 1 + i] = y;
      tokens[position_of(place)] = (x + y + carry) % 10;
      carry = (x + y + carry) / 10;
    }
    tokens[position_of(n)] = carry;
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(DigitAddition, Params, "digit_addition", "1.0.0", "Addition of numbers, digit by digit.")
