// Does a sequence read the same backwards (the ARENA course's challenge of July 2023)? Tokens 0..max_value
// are values, then START and END. With two values a half,
//   START 7 2 2 7 END  ->  1        START 7 2 4 7 END  ->  0
// read out at END. Half of the sequences are palindromes; in the others about half of the pairs agree, so
// that one pair is not enough to tell.
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>

namespace {

struct Params : orrery::SampledParams {
  int64_t half_length = 10;
  int64_t max_value = 30;

  static void fields(orrery::Fields<Params>& f) {
    f.add("half_length", &Params::half_length, "values in each half of a sequence").between(1, 2048);
    f.add("max_value", &Params::max_value, "values are from 0 to this").between(1, 65536);
    orrery::SampledParams::fields(f, "sequences");
  }
};

class Palindrome final : public orrery::Task {
 public:
  explicit Palindrome(Params params) : params_(std::move(params)) {
    const auto values = static_cast<double>(params_.max_value + 1),
               half = static_cast<double>(params_.half_length);
    params_.check_sampled(std::pow(values, 2 * half), "sequences");
  }

  orrery::TaskSpec spec() const override {
    const int64_t n_ctx = 2 * params_.half_length + 2;
    return {.d_vocab = end() + 1,
            .d_vocab_out = 2,
            .n_ctx = n_ctx,
            .read_out = {n_ctx - 1},
            .endless = params_.endless()};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng` in this order: the first half, values for the second one, which sequences mirror the
  // first half, and which places of the others do.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto values = [&] {
      return torch::randint(params_.max_value + 1, {batch_size, params_.half_length}, rng, torch::kInt64);
    };
    const auto coins = [&](int64_t columns) {
      return torch::randint(2, {batch_size, columns}, rng, torch::kInt64).to(torch::kBool);
    };
    const auto first = values(), others = values(), mirrored = first.flip({1});
    const auto whole = coins(1), at_place = coins(params_.half_length);
    const auto second = torch::where(whole.logical_or(at_place), mirrored, others);
    const auto marker = [&](int64_t token) { return torch::full({batch_size, 1}, token, torch::kInt64); };
    return {.tokens = torch::cat({marker(start()), first, second, marker(end())}, 1),
            .labels = (second == mirrored).all(1, true).to(torch::kInt64)};
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      text += (i ? " " : "") + (token == start() ? "START" : token == end() ? "END" : std::to_string(token));
    }
    return text;
  }

 private:
  int64_t start() const { return params_.max_value + 1; }
  int64_t end() const { return params_.max_value + 2; }

  Params params_;
};

}  // namespace

ORRERY_TASK(Palindrome, Params, "palindrome", "1.0.0", "Whether a sequence reads the same backwards.")
