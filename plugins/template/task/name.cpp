// Look-up: n digits, then the place of one of them; the answer is the digit at that place.
// Tokens 0..9 are digits, 10..10+n-1 the places "1st" to "nth". With n = 3,
//   3 9 2 2nd  ->  9
// A single head suffices: it attends to the position that the place names, and copies the digit there. The
// task lists all n 10^n inputs and trains on a random share; the others tell the rule from memorising.
#include <orrery/plugin.h>
#include <orrery/task.h>

namespace {

constexpr int64_t kDigits = 10;

// The members hold the defaults; `orrery describe @name@` lists what fields() declares.
struct Params {
  int64_t n = 3;
  double train_fraction = 0.5;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n", &Params::n, "digits in an input").between(1, 5);
    f.add("train_fraction", &Params::train_fraction, "share of the n 10^n inputs trained on, rounded down")
        .between(0, 1);
  }
};

class @Name@ final : public orrery::Task {
 public:
  explicit @Name@(Params params) : params_(params) {}

  orrery::TaskSpec spec() const override {
    const int64_t n = params_.n;
    return {.d_vocab = kDigits + n, .d_vocab_out = kDigits, .n_ctx = n + 1, .read_out = {n}};
  }

  // Draws only from `rng`, so that the same seed makes the same data.
  orrery::Split split(torch::Generator rng) const override {
    const orrery::Batch grid = all_inputs();
    const int64_t n_inputs = grid.size();
    const auto order = torch::randperm(n_inputs, rng, torch::kInt64);
    const auto n_train = static_cast<int64_t>(params_.train_fraction * static_cast<double>(n_inputs));
    return orrery::Split::of_grid(grid, order.narrow(0, 0, n_train),
                                  order.narrow(0, n_train, n_inputs - n_train));
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < params_.n; ++i) text += std::to_string(tokens[i].item<int64_t>()) + " ";
    const int64_t place = tokens[params_.n].item<int64_t>() - kDigits;
    return text + std::vector<std::string>{"1st", "2nd", "3rd", "4th", "5th"}.at(place);
  }

 private:
  // The place varies fastest, then the last digit.
  orrery::Batch all_inputs() const {
    const int64_t n = params_.n;
    const auto power = torch::pow(10, torch::arange(n - 1, -1, -1, torch::kInt64));  // 10^(n-1) ... 1
    const auto row = torch::arange(n * 10 * power[0].item<int64_t>(), torch::kInt64).unsqueeze(1);
    const auto digits = row.div(n, "floor").div(power, "floor").remainder(10);  // [inputs, n]
    const auto place = row.remainder(n);                                        // [inputs, 1]
    return {.tokens = torch::cat({digits, place + kDigits}, 1), .labels = digits.gather(1, place)};
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(@Name@, Params, "@name@", "1.0.0", "The digit at a given place.")
