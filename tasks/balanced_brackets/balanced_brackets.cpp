// Is a string of brackets balanced (the ARENA course's classifier)? Tokens are START, PAD, END, "(" and ")",
// 0 to 4, and strings of up to four brackets read
//   START ( ( ) ) END        ->  1        START ( ) END PAD PAD  ->  1
//   START ( ( ) ( END        ->  0, the brackets do not even out: loss group total_elevation
//   START ) ) ( ( END        ->  0, they do, but close what is not open: negative_elevation
// The answer is read out at START, for networks whose attention looks both ways.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>
#include <cmath>

namespace {

constexpr int64_t kStart = 0, kPad = 1, kEnd = 2, kOpen = 3, kClose = 4;       // tokens
constexpr int64_t kBalanced = 0, kTotalElevation = 1, kNegativeElevation = 2;  // loss groups

struct Params : orrery::SampledParams {
  enum class ReadOut { start, last };
  friend orrery::Names<ReadOut> names_of(ReadOut) {
    return {{"start", ReadOut::start}, {"last", ReadOut::last}};
  }

  int64_t max_length = 40;
  int64_t min_length = 2;
  ReadOut read_out = ReadOut::start;

  static void fields(orrery::Fields<Params>& f) {
    f.add("max_length", &Params::max_length, "brackets in the longest strings, an even number")
        .between(2, 1024);
    f.add("min_length", &Params::min_length, "brackets in the shortest strings, an even number")
        .between(2, 1024);
    f.add("read_out", &Params::read_out, "the output position: START, or the last one, for causal attention");
    orrery::SampledParams::fields(f, "strings");
  }
};

class BalancedBrackets final : public orrery::Task {
 public:
  explicit BalancedBrackets(Params params) : params_(std::move(params)) {
    if (params_.max_length % 2 != 0 || params_.min_length % 2 != 0 || params_.min_length > params_.max_length)
      throw orrery::UsageError(
          "strings of " + std::to_string(params_.min_length) + " to " + std::to_string(params_.max_length) +
              " brackets",
          "give even lengths, the smaller one as min_length: strings of an odd length are "
          "never balanced");
    double exist = 0;
    for (int64_t length = params_.min_length; length <= params_.max_length; length += 2)
      exist += std::pow(2.0, static_cast<double>(length));
    params_.check_sampled(exist, "strings");
  }

  orrery::TaskSpec spec() const override {
    return {.d_vocab = 5,
            .d_vocab_out = 2,
            .n_ctx = n_ctx(),
            .read_out = {params_.read_out == Params::ReadOut::start ? 0 : n_ctx() - 1},
            .groups = {"balanced", "total_elevation", "negative_elevation"},
            .endless = params_.endless(),
            .pad_token = kPad};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng` in this order: the kind of each string, its length, a number for each of its brackets.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const int64_t n_lengths = (params_.max_length - params_.min_length) / 2 + 1;
    const auto kinds = torch::randint(4, {batch_size}, rng, torch::kInt64);
    const auto lengths = torch::randint(n_lengths, {batch_size}, rng, torch::kInt64) * 2 + params_.min_length;
    const auto chance = torch::rand({batch_size, params_.max_length}, rng, torch::kFloat64);
    const auto tokens = torch::full({batch_size, n_ctx()}, kPad, torch::kInt64);
    const auto groups = torch::empty({batch_size, 1}, torch::kInt64);
    for (int64_t row = 0; row < batch_size; ++row) {
      int64_t* const here = tokens.data_ptr<int64_t>() + row * n_ctx();
      const int64_t length = lengths.data_ptr<int64_t>()[row];
      write(kinds.data_ptr<int64_t>()[row], length, chance.data_ptr<double>() + row * params_.max_length,
            here + 1);
      here[0] = kStart;
      here[length + 1] = kEnd;
      groups.data_ptr<int64_t>()[row] = group_of(here + 1, length);
    }
    return {.tokens = tokens, .labels = (groups == kBalanced).to(torch::kInt64), .groups = groups};
  }

  // "(())", with ".." for what is padded.
  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      if (token != kStart && token != kEnd) text += token == kOpen ? '(' : token == kClose ? ')' : '.';
    }
    return text;
  }

 private:
  int64_t n_ctx() const { return params_.max_length + 2; }

  // Kinds 0 and 1: each balanced string is as likely; 2: as many "(" as ")", in any order; 3: coins.
  static void write(int64_t kind, int64_t length, const double* chance, int64_t* brackets) {
    int64_t open = 0, height = 0;  // brackets so far: "(", and "(" without their ")"
    for (int64_t i = 0; i < length; ++i) {
      const int64_t left = length - i;
      const bool opens =
          chance[i] < (kind < 2    ? share_of_balanced(height, left)
                       : kind == 2 ? static_cast<double>(length / 2 - open) / static_cast<double>(left)
                                   : 0.5);
      brackets[i] = opens ? kOpen : kClose;
      open += opens;
      height += opens ? 1 : -1;
    }
  }

  // Of the ways to end at height 0 after `left` more brackets without going below it, the share of those that
  // go up first: there are (h + 1) / ((left + h) / 2 + 1) * C(left, (left + h) / 2) from height h (the ballot
  // theorem).
  static double share_of_balanced(int64_t height, int64_t left) {
    return static_cast<double>((height + 2) * (left - height)) / static_cast<double>(2 * left * (height + 1));
  }

  static int64_t group_of(const int64_t* brackets, int64_t length) {
    int64_t height = 0, lowest = 0;
    for (int64_t i = 0; i < length; ++i) {
      height += brackets[i] == kOpen ? 1 : -1;
      lowest = std::min(lowest, height);
    }
    return height != 0 ? kTotalElevation : lowest < 0 ? kNegativeElevation : kBalanced;
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(BalancedBrackets, Params, "balanced_brackets", "1.0.0",
            "Whether a string of brackets is balanced.")
