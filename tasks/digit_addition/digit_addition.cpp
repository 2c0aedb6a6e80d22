// Addition digit by digit, as on paper: each digit of the sum is learned at its own time (Nanda and
// Lieberum 2022, "A mechanistic interpretability analysis of grokking"). Tokens 0..9 are digits, 10 is "+",
// 11 is "=". With five digits,
//   1|3|4|5|2|+|5|8|3|2|1|=|0|7|1|7|7|3
// The output positions are "=" and each digit of the sum but the last: there the network predicts the next
// digit, given the true digits before it. Loss group digit_0 is the ones' digit, digit_1 the tens' digit, and
// so on up to the last carry, which comes first in the input. Networks add more easily what is written from
// the ones up, 377170 (Lee et al. 2023): an order of its own.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>

namespace {

struct Params : orrery::SampledParams {
  enum class Order { normal, reversed_sum, reversed };
  friend orrery::Names<Order> names_of(Order) {
    return {{"normal", Order::normal}, {"reversed_sum", Order::reversed_sum}, {"reversed", Order::reversed}};
  }

  int64_t n_digits = 5;
  int64_t base = 10;
  Order order = Order::normal;
  bool carry_digit = true;
  int64_t leading_below = 0;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_digits", &Params::n_digits,
          "digits of each number that is added; the sum has one more, the last carry")
        .between(1, 100);
    f.add("base", &Params::base, "base of the digits").between(2, 36);
    f.add("order", &Params::order,
          "least significant digit first: in no number, in the sum, or in all three");
    f.add("carry_digit", &Params::carry_digit, "whether the sum has the digit of the last carry");
    f.add("leading_below", &Params::leading_below,
          "the most significant digits of both numbers are below this; 0: any digit")
        .between(0, 36);
    orrery::SampledParams::fields(f, "sums");
  }
};

class DigitAddition final : public orrery::Task {
 public:
  explicit DigitAddition(Params params) : params_(std::move(params)) {
    if (params_.leading_below > params_.base)
      throw orrery::UsageError(
          "leading_below = " + std::to_string(params_.leading_below) +
              " is more than there are digits in base " + std::to_string(params_.base),
          "set leading_below to 1 to " + std::to_string(params_.base) + ", or to 0 for any digit");
    const auto base = static_cast<double>(params_.base), n = static_cast<double>(params_.n_digits);
    const auto leading = params_.leading_below > 0 ? static_cast<double>(params_.leading_below) : base;
    params_.check_sampled(leading * leading * std::pow(base, 2 * n - 2), "sums");
  }

  orrery::TaskSpec spec() const override {
    orrery::TaskSpec spec{.d_vocab = equals() + 1,
                          .d_vocab_out = params_.base,
                          .n_ctx = start_of_sum() + n_sum(),
                          .endless = params_.endless()};
    for (int64_t i = 0; i < n_sum(); ++i) {
      spec.read_out.push_back(start_of_sum() + i - 1);
      spec.groups.push_back("digit_" + std::to_string(place_in_sum(i)));
    }
    return spec;
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng`: the digits of both numbers at once, all independent and uniform, leading zeros
  // included; then, with leading_below, the leading ones again.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const int64_t n = params_.n_digits, n_ctx = start_of_sum() + n_sum();
    const auto digits = torch::randint(params_.base, {batch_size, 2 * n}, rng, torch::kInt64);
    if (params_.leading_below > 0) {
      const auto leading = torch::randint(params_.leading_below, {batch_size, 2}, rng, torch::kInt64);
      digits.select(1, 0).copy_(leading.select(1, 0));
      digits.select(1, n).copy_(leading.select(1, 1));
    }
    return sums_of(digits);
  }

  // One digit of one number is another one, and the sum is that of the new numbers.
  orrery::Batch corrupt(const orrery::Batch& clean, torch::Generator rng) const override {
    const int64_t n = params_.n_digits;
    const auto digits = digits_of(clean.tokens);
    const auto which = torch::randint(2 * n, {clean.size()}, rng, torch::kInt64);
    const auto by = torch::rand({clean.size()}, rng);
    for (int64_t row = 0; row < clean.size(); ++row) {
      const int64_t at = which[row].item<int64_t>();
      const int64_t below = at % n == 0 && params_.leading_below > 0 ? params_.leading_below : params_.base;
      if (below < 2) continue;  // a leading digit that is always 0
      const auto step = 1 + static_cast<int64_t>(by[row].item<float>() * static_cast<float>(below - 1));
      digits[row][at] = (digits[row][at].item<int64_t>() + std::min(step, below - 1)) % below;
    }
    return sums_of(digits);
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      text += token == plus() ? '+' : token == equals() ? '=' : "0123456789abcdefghijklmnopqrstuvwxyz"[token];
    }
    return text;
  }

 private:
  using Order = Params::Order;

  int64_t plus() const { return params_.base; }
  int64_t equals() const { return params_.base + 1; }
  int64_t n_sum() const { return params_.n_digits + (params_.carry_digit ? 1 : 0); }  // digits of the sum
  int64_t start_of_sum() const { return 2 * params_.n_digits + 2; }

  // digits: [batch, 2 n] int64, those of both numbers, most significant first.
  orrery::Batch sums_of(const torch::Tensor& digits) const {
    const int64_t batch_size = digits.size(0), n_ctx = start_of_sum() + n_sum();
    const auto tokens = torch::empty({batch_size, n_ctx}, torch::kInt64);
    for (int64_t row = 0; row < batch_size; ++row)
      write(digits.data_ptr<int64_t>() + row * digits.size(1), tokens.data_ptr<int64_t>() + row * n_ctx);
    return {.tokens = tokens,
            .labels = tokens.narrow(1, start_of_sum(), n_sum()).clone(),
            .groups = torch::arange(n_sum(), torch::kInt64).repeat({batch_size, 1})};
  }

  torch::Tensor digits_of(const torch::Tensor& tokens) const {
    const int64_t n = params_.n_digits;
    std::vector<int64_t> columns(2 * n);
    for (int64_t place = 0; place < n; ++place) {
      columns[n - 1 - place] = place_in_operand(place);
      columns[2 * n - 1 - place] = n + 1 + place_in_operand(place);
    }
    return tokens.index_select(1, torch::tensor(columns, torch::kInt64)).contiguous();
  }

  // The place value of digit `i` of a number as it is written, or the digit of a place value; 0 are the ones.
  int64_t place_in_sum(int64_t i) const { return params_.order == Order::normal ? n_sum() - 1 - i : i; }
  int64_t place_in_operand(int64_t i) const {
    return params_.order == Order::reversed ? i : params_.n_digits - 1 - i;
  }

  // One sum. digits: those of both numbers, most significant first.
  void write(const int64_t* digits, int64_t* tokens) const {
    const int64_t n = params_.n_digits;
    tokens[n] = plus();
    tokens[2 * n + 1] = equals();
    int64_t carry = 0;
    for (int64_t place = 0; place < n_sum(); ++place) {
      const bool beyond = place == n;  // the last carry stands alone
      const int64_t x = beyond ? 0 : digits[n - 1 - place], y = beyond ? 0 : digits[2 * n - 1 - place];
      if (!beyond) {
        tokens[place_in_operand(place)] = x;
        tokens[n + 1 + place_in_operand(place)] = y;
      }
      tokens[start_of_sum() + place_in_sum(place)] = (x + y + carry) % params_.base;
      carry = (x + y + carry) / params_.base;
    }
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(DigitAddition, Params, "digit_addition", "1.0.0", "Addition of numbers, digit by digit.")
