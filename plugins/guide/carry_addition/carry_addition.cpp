// Addition of two numbers, every digit of the sum at once, with a curriculum: first without carries.
// With n = 3 the input is a b = = = =, digit by digit, and the network reads the sum out at the "=", ones
// first:
//   0 4 8 3 7 5 = = = =  ->  3 2 4 0     48 + 375 = 423; a carry comes in at the tens (8 + 5) and at the
//                                        hundreds (4 + 7 + 1)
// Accuracy counts digits. What counts is whether the whole sum is right, and the digits into which a carry
// comes: the task measures both itself. Where carries come in goes along as auxiliary labels, for probes.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

namespace {

constexpr int64_t kEquals = 10;

struct Params : orrery::SampledParams {
  int64_t n_digits = 3;
  int64_t without_carries = 200;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_digits", &Params::n_digits, "digits in each of the two numbers").between(1, 12);
    f.add("without_carries", &Params::without_carries, "updates on sums without any carry, at the beginning")
        .at_least(0);
    orrery::SampledParams::fields(f, "sums");
  }
};

class CarryAddition final : public orrery::Task {
 public:
  explicit CarryAddition(Params params) : params_(std::move(params)) {}

  orrery::TaskSpec spec() const override {
    const int64_t n = params_.n_digits;
    orrery::TaskSpec spec{.d_vocab = 11, .d_vocab_out = 10, .n_ctx = 3 * n + 1, .endless = params_.endless()};
    for (int64_t place = 0; place <= n; ++place) spec.read_out.push_back(2 * n + place);
    spec.metrics = {"whole_sum", "after_carry"};
    spec.auxiliary = {"carry"};
    return spec;
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Every stage draws the same numbers from `rng`; the step decides what becomes of them.
  orrery::Batch sample(int64_t batch_size, int64_t step, torch::Generator rng) const override {
    const int64_t n = params_.n_digits;
    const auto a =
        torch::randint(10, {batch_size, n}, rng, torch::kInt64);  // the most significant digit first
    auto b = torch::randint(10, {batch_size, n}, rng, torch::kInt64);
    if (step < params_.without_carries) b = (b * (10 - a)).div(10, "floor");  // 0 to 9 - a
    return added(a, b);
  }

  // The share of sums that are right in every digit, and of digits that are right where a carry comes in.
  std::vector<double> metrics(const torch::Tensor& logits, const orrery::Batch& examples) const override {
    const auto right = logits.argmax(-1) == examples.labels;  // [batch, n + 1]
    const auto carried = right.masked_select(examples.auxiliary.at("carry") == 1);
    const auto share = [](const torch::Tensor& hits) {
      return hits.to(torch::kFloat64).mean().item<double>();
    };
    return {share(right.all(1)), share(carried)};  // the mean of no digits is NaN
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      if (i == params_.n_digits) text += " + ";
      text += "0123456789="[tokens[i].item<int64_t>()];
    }
    return text;
  }

 private:
  // a, b: [batch, n_digits].
  orrery::Batch added(const torch::Tensor& a, const torch::Tensor& b) const {
    const int64_t n = params_.n_digits;
    std::vector<torch::Tensor> digits, carries;
    auto carry = torch::zeros({a.size(0)}, torch::kInt64);
    for (int64_t place = 0; place <= n; ++place) {
      carries.push_back(carry);
      const auto sum = place < n ? a.select(1, n - 1 - place) + b.select(1, n - 1 - place) + carry : carry;
      digits.push_back(sum.remainder(10));
      carry = sum.div(10, "floor");
    }
    const auto equals = torch::full({a.size(0), n + 1}, kEquals, torch::kInt64);
    return {.tokens = torch::cat({a, b, equals}, 1),              // [batch, 3 n + 1]
            .labels = torch::stack(digits, 1),                    // [batch, n + 1]
            .auxiliary = {{"carry", torch::stack(carries, 1)}}};  // [batch, n + 1]: into each digit
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(CarryAddition, Params, "carry_addition", "1.0.0", "Addition of numbers, first without carries.")
