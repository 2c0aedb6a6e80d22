// The first character that is unique so far, at every position (the ARENA course's challenge of August 2023).
// Tokens 0..n_characters-1 are characters; the token n_characters, "?", stands in front, and is the answer
// where no character is unique:
//   ? a c b b a
//   ? a a a a c     a is unique until it comes again; then c is, for b came twice before it
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>
#include <numeric>

namespace {

struct Params : orrery::SampledParams {
  int64_t n_characters = 10;
  int64_t length = 20;

  static void fields(orrery::Fields<Params>& f) {
    f.add("n_characters", &Params::n_characters, "how many different characters there are").between(2, 26);
    f.add("length", &Params::length, "tokens in a sequence, the ? in front included").between(2, 4096);
    orrery::SampledParams::fields(f, "sequences");
  }
};

class FirstUnique final : public orrery::Task {
 public:
  explicit FirstUnique(Params params) : params_(std::move(params)) {
    const auto characters = static_cast<double>(params_.n_characters);
    params_.check_sampled(std::pow(characters, static_cast<double>(params_.length - 1)), "sequences");
  }

  orrery::TaskSpec spec() const override {
    std::vector<int64_t> all(params_.length);
    std::iota(all.begin(), all.end(), 0);
    return {.d_vocab = none() + 1,
            .d_vocab_out = none() + 1,
            .n_ctx = params_.length,
            .read_out = all,
            .endless = params_.endless()};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto tokens = torch::randint(none(), {batch_size, params_.length}, rng, torch::kInt64);
    tokens.select(1, 0).fill_(none());
    const auto labels = torch::empty_like(tokens);
    for (int64_t row = 0; row < batch_size; ++row)
      find_first_unique(tokens.data_ptr<int64_t>() + row * params_.length,
                        labels.data_ptr<int64_t>() + row * params_.length);
    return {.tokens = tokens, .labels = labels};
  }

  std::string show(const torch::Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < tokens.size(0); ++i) {
      const auto token = tokens[i].item<int64_t>();
      text += token == none() ? '?' : static_cast<char>('a' + token);
    }
    return text;
  }

 private:
  int64_t none() const { return params_.n_characters; }  // "?"

  // The characters that came once are a queue: one that comes again is skipped when it gets to its front.
  void find_first_unique(const int64_t* tokens, int64_t* labels) const {
    std::vector<int64_t> count(params_.n_characters, 0), queue;
    size_t front = 0;
    labels[0] = none();
    for (int64_t i = 1; i < params_.length; ++i) {
      if (++count[tokens[i]] == 1) queue.push_back(tokens[i]);
      while (front < queue.size() && count[queue[front]] > 1) ++front;
      labels[i] = front < queue.size() ? queue[front] : none();
    }
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(FirstUnique, Params, "first_unique", "1.0.0", "The first character that is unique so far.")
