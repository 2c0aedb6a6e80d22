// Subtraction modulo p with a token that flips the sign: a, b, "+" ask for a - b, and a, b, "-" for b - a.
// Tokens 0..p-1 are numbers, p is "+", p + 1 is "-", p + 2 is "=". With p = 47, read out at the "=":
//   5 7 + =  ->  45          5 7 - =  ->  2
// In waves, both signs share cos w(a - b), and sin w(a - b) changes sign. A network that computes both from
// a and b, as one for a + b does (Nanda et al. 2023), needs the sign token only for the sine.
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

namespace {

struct Params : orrery::SplitParams {
  int64_t p = 47;
  std::string signs = "both";

  static void fields(orrery::Fields<Params>& f) {
    f.add("p", &Params::p, "modulus").between(3, 512);
    f.add("signs", &Params::signs, "which signs occur; + alone is plain subtraction").one_of({"both", "+"});
    orrery::SplitParams::fields(f);
  }
};

class SignedSubtraction final : public orrery::Task {
 public:
  explicit SignedSubtraction(Params params) : params_(std::move(params)) { params_.check_split(n_inputs()); }

  orrery::TaskSpec spec() const override {
    return {.d_vocab = params_.p + 3, .d_vocab_out = params_.p, .n_ctx = 4, .read_out = {3}};
  }

  // Draws only from `rng`, so that the same seed makes the same data.
  orrery::Split split(torch::Generator rng) const override {
    const auto [train, test] = params_.split_rows(n_inputs(), rng);
    return orrery::Split::of_grid(all_inputs(), train, test);
  }

  // With both signs a pair (a, b) has two answers, which is not a group operation on a and b.
  orrery::Structure structure() const override {
    if (n_signs() == 2) return {.relevant_positions = orrery::RelevantPositions{{0, 1, 2}}};
    return {.cyclic = a_minus_b(), .relevant_positions = orrery::RelevantPositions{{0, 1}}};
  }

  std::string show(const torch::Tensor& tokens) const override {
    const auto number = [&](int64_t position) { return std::to_string(tokens[position].item<int64_t>()); };
    const bool plus = tokens[2].item<int64_t>() == params_.p;
    return number(0) + " " + number(1) + (plus ? " + =" : " - =");
  }

 private:
  int64_t n_signs() const { return params_.signs == "both" ? 2 : 1; }
  int64_t n_inputs() const { return n_signs() * params_.p * params_.p; }

  // The sign varies fastest, then b.
  orrery::Batch all_inputs() const {
    const int64_t p = params_.p;
    const auto row = torch::arange(n_inputs(), torch::kInt64);
    const auto sign = row.remainder(n_signs()), pair = row.div(n_signs(), "floor");
    const auto a = pair.div(p, "floor"), b = pair.remainder(p);
    const auto answer = torch::where(sign == 0, a - b, b - a).remainder(p);  // remainder() is never negative
    return {.tokens = torch::stack({a, b, p + sign, torch::full_like(row, p + 2)}, 1),  // [inputs, 4]
            .labels = answer.unsqueeze(1)};                                             // [inputs, 1]
  }

  // result[c] = left[a] + right[b] (mod p) for c = a - b, so the index of b is -b.
  orrery::CyclicStructure a_minus_b() const {
    orrery::CyclicStructure cyclic;
    cyclic.order = params_.p;
    for (int64_t x = 0; x < params_.p; ++x) {
      cyclic.left.push_back(x);
      cyclic.right.push_back((params_.p - x) % params_.p);
      cyclic.result.push_back(x);
    }
    return cyclic;
  }

  Params params_;
};

}  // namespace

ORRERY_TASK(SignedSubtraction, Params, "signed_subtraction", "1.0.0",
            "a - b or b - a modulo p, as a sign says.")
