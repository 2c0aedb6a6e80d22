// Every letter of a text moved on by a shift that is given first, as Caesar enciphered. With an alphabet of n
// letters, tokens 0..n-1 are letters and n..2n-1 the shifts 0..n-1. With n = 26,
//   29 7 8     is a shift by 3 before "hi", answered with 10 11, "kl"
// at the letters, whose positions are read out. Each answer is letter + shift mod n: addition modulo n, of
// one operand that all positions share.
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>
#include <numeric>

namespace {

struct Params : orrery::SampledParams {
  int64_t alphabet = 26;
  int64_t length = 10;

  static void fields(orrery::Fields<Params>& f) {
    f.add("alphabet", &Params::alphabet, "letters in the alphabet").between(2, 4096);
    f.add("length", &Params::length, "letters in a text").between(1, 4096);
    orrery::SampledParams::fields(f, "texts");
  }
};

class CaesarCipher final : public orrery::Task {
 public:
  explicit CaesarCipher(Params params) : params_(std::move(params)) {
    params_.check_sampled(std::pow(static_cast<double>(n()), static_cast<double>(params_.length + 1)),
                          "texts");
  }

  orrery::TaskSpec spec() const override {
    std::vector<int64_t> letters(params_.length);
    std::iota(letters.begin(), letters.end(), 1);
    return {.d_vocab = 2 * n(),
            .d_vocab_out = n(),
            .n_ctx = params_.length + 1,
            .read_out = letters,
            .endless = params_.endless()};
  }

  orrery::Split split(torch::Generator rng) const override { return params_.sampled_split(*this, rng); }

  // Drawn from `rng` in this order: the shifts, the letters of all texts.
  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    const auto shift = torch::randint(n(), {batch_size, 1}, rng, torch::kInt64);
    const auto letters = torch::randint(n(), {batch_size, params_.length}, rng, torch::kInt64);
    return {.tokens = torch::cat({shift + n(), letters}, 1), .labels = (letters + shift).remainder(n())};
  }

  // "+3: h i", or "+3: 7 8" where the alphabet has more letters than ours.
  std::string show(const torch::Tensor& tokens) const override {
    std::string text = "+" + std::to_string(tokens[0].item<int64_t>() - n()) + ":";
    for (int64_t i = 1; i < tokens.size(0); ++i) {
      const auto letter = tokens[i].item<int64_t>();
      text += " " + (n() <= 26 ? std::string(1, static_cast<char>('a' + letter)) : std::to_string(letter));
    }
    return text;
  }

 private:
  int64_t n() const { return params_.alphabet; }

  Params params_;
};

}  // namespace

ORRERY_TASK(CaesarCipher, Params, "caesar_cipher", "1.0.0",
            "Every letter of a text moved on by a given shift.")
