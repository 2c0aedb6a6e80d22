// The largest of k numbers, said at the last of them (Gross et al. 2024, "Compact proofs of model performance
// via mechanistic interpretability"). Tokens are the numbers 0..d_vocab-1. With k = 4,
//   17 60 3 25  ->  60
// One attention layer can do it: it attends to larger numbers exponentially more (QK), and copies what it
// attends to (OV).
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>

namespace {

struct Params : orrery::SampledParams {
  int64_t k = 4;
  int64_t n_numbers = 64;
  bool uniform_largest = false;
  bool end_token = false;

  static void fields(orrery::Fields<Params>& f) {
    f.add("k", &Params::k, "numbers in a sequence").between(1, 4096);
    f.add("n_numbers", &Params::n_numbers, "how many different numbers there are, from 0").between(2, 65536);
    f.add("uniform_largest", &Params::uniform_largest,
          "draw the largest number first, uniformly, and the others up to it");
    f.add("end_token", &Params::end_token, "end sequences with a token of its own, read out there");
    orrery::SampledParams::fields(f, "sequences");
  }
};

class MaxOfK final : public orrery::Task {
 public:
  explicit MaxOfK(Params params) : params_(std::move(params)) {
    params_.check_sampled(std::pow(static_cast<double>(params_.n_numbers), static_cast<double>(params_.k)),
                          "sequences");
  }

  orrery::TaskSpec spec() const override {
    const int64_t end = params_.end_token ? 1 : 0;
    return {.d_vocab = params_.n_numbers + end,
            .d_vocab_out = params_.n_numbers,
            .n_ctx = params_.k + end,
            .read_out = {params_.k + end - 1},
            .endless = params_.endless()};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    auto tokens =
        params_.uniform_largest ? below_the_largest(batch_size, rng) : numbers(batch_size, params_.k, rng);
    const auto largest = tokens.amax({1}, true);
    if (params_.end_token)
      tokens = torch::cat({tokens, torch::full({batch_size, 1}, params_.n_numbers, torch::kInt64)}, 1);
    return {.tokens = tokens, .labels = largest};
  }

 private:
  torch::Tensor numbers(int64_t batch_size, int64_t columns, torch::Generator rng) const {
    return torch::randint(params_.n_numbers, {batch_size, columns}, rng, torch::kInt64);
  }

  // Drawn from `rng` in this order: the largest, the numbers from 0 to it, the place that it takes if none of
  // them is equal to it.
  torch::Tensor below_the_largest(int64_t batch_size, torch::Generator rng) const {
    const auto largest = numbers(batch_size, 1, rng);
    const auto share = torch::rand({batch_size, params_.k}, rng, torch::kFloat64);
    const auto drawn = (share * (largest + 1)).floor().to(torch::kInt64).minimum(largest);
    const auto place = torch::randint(params_.k, {batch_size, 1}, rng, torch::kInt64);
    const auto there = (drawn == largest).any(1, true);
    return torch::where(there, drawn, drawn.scatter(1, place, largest));
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(MaxOfK, Params, "max_of_k", "1.0.0", "The largest of k numbers.")
