// Name the one large entry among small ones: ten skip trigrams, each learned at its own time (Nanda and
// Lieberum 2022; skip trigrams: Elhage et al. 2021).
//   START 0 4 7 2 4 14 9 7 2 5 3 END  ->  14
// Exactly one entry is in 10..19, the others are in 0..9. The network answers at END. It has to learn "10 ...
// END -> 10", "11 ... END -> 11", and so on: ten facts, each with its own loss group.
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>

namespace {

constexpr int64_t kSmall = 10;        // entries 0..9 are small
constexpr int64_t kEntryTokens = 20;  // entries 10..19 are large
constexpr int64_t kStart = 20, kEnd = 21;

struct Params : orrery::SampledParams {
  int64_t n_entries = 40;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_entries", &Params::n_entries, "entries between START and END").between(1, 4096);
    orrery::SampledParams::fields(f, "sequences");
  }
};

class MaxElement final : public orrery::Task {
 public:
  explicit MaxElement(Params params) : params_(std::move(params)) {
    const auto entries = static_cast<double>(params_.n_entries);
    const double exist = entries * std::pow(10.0, entries);  // places x large values x small values
    params_.check_sampled(exist, "sequences");
  }

  orrery::TaskSpec spec() const override {
    std::vector<std::string> groups;
    for (int64_t large = kSmall; large < kEntryTokens; ++large) groups.push_back(std::to_string(large));
    return {.d_vocab = kEnd + 1,
            .d_vocab_out = kEntryTokens,  // the answer is a token, as in a language model
            .n_ctx = params_.n_entries + 2,
            .read_out = {params_.n_entries + 1},
            .groups = groups,
            .endless = params_.endless()};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng` in this order: the small entries, the place of the large one, the large one.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto small = torch::randint(kSmall, {batch_size, params_.n_entries}, rng, torch::kInt64);
    const auto place = torch::randint(params_.n_entries, {batch_size, 1}, rng, torch::kInt64);
    const auto large = torch::randint(kSmall, kEntryTokens, {batch_size, 1}, rng, torch::kInt64);
    const auto start = torch::full({batch_size, 1}, kStart, torch::kInt64);
    const auto end = torch::full({batch_size, 1}, kEnd, torch::kInt64);
    return {.tokens = torch::cat({start, small.scatter(1, place, large), end}, 1),
            .labels = large,
            .groups = large - kSmall};
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      text += (i ? " " : "") + (token == kStart ? "START" : token == kEnd ? "END" : std::to_string(token));
    }
    return text;
  }

 private:
  Params params_;
};

}  // namespace

ORRERY_TASK(MaxElement, Params, "max_element", "1.0.0",
            "The one large entry among small ones: ten skip trigrams.")
