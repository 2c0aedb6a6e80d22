// Linear functions modulo p, to be found out from examples in the context: every sequence has a function
// y = a x + b (mod p) of its own, with hidden a and b, and shows it at work,
//   x_1 y_1 x_2 y_2 ... x_m  ->  y_m
// Two examples determine a and b, as p is a prime. With p = 7, a = 3 and b = 2,
//   1 5 4 0 6   is to be answered with 6 (3 * 6 + 2 = 20 = 6 mod 7).
// Some of the p^2 functions are trained on, the others are for the test: a network that learns the functions
// by heart is lost there. He et al. 2024 (arXiv 2406.02550) do this with z = a x + b y; here y is 1.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <cmath>

namespace {

using orrery::UsageError;
using torch::Tensor;

struct Params : orrery::SampledParams {
  int64_t p = 29;
  int64_t n_examples = 8;
  int64_t scored_from = 2;
  bool repeats = false;
  double train_fraction = 0.8;
  int64_t n_train_functions = 0;
  int64_t functions_seed = 0;

  static void fields(orrery::Fields<Params>& f) {
    f.add("p", &Params::p, "modulus, a prime from 3 on").between(3, 512);
    f.add("n_examples", &Params::n_examples, "pairs of x and y in a sequence; the last y is only a label")
        .between(3, 64);
    f.add("scored_from", &Params::scored_from, "how many examples come before the first label that counts")
        .between(0, 63);
    f.add("repeats", &Params::repeats,
          "whether an x may come twice in a sequence, so that its y can be copied");
    f.add("train_fraction", &Params::train_fraction, "share of the p^2 functions trained on, rounded down")
        .between(0, 1);
    f.add("n_train_functions", &Params::n_train_functions,
          "number of functions trained on; 0: train_fraction decides")
        .at_least(0);
    f.add("functions_seed", &Params::functions_seed, "seed of the choice of these functions").at_least(0);
    orrery::SampledParams::fields(f, "sequences");
  }
};

bool is_prime(int64_t n) {
  for (int64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return n > 1;
}

class InContextLinear final : public orrery::Task {
 public:
  explicit InContextLinear(Params params) : params_(std::move(params)) {
    refuse_what_cannot_be();
    const int64_t n_functions = params_.p * params_.p;
    const auto rng = orrery::make_generator(static_cast<uint64_t>(params_.functions_seed));
    const auto order = torch::randperm(n_functions, rng, torch::kInt64);
    trained_ = order.narrow(0, 0, n_trained());
    held_out_ = order.narrow(0, n_trained(), n_functions - n_trained());
  }

  orrery::TaskSpec spec() const override {
    orrery::TaskSpec spec{.d_vocab = params_.p,
                          .d_vocab_out = params_.p,
                          .n_ctx = 2 * params_.n_examples - 1,
                          .endless = params_.endless(),
                          .metrics = {"last_accuracy"},
                          .auxiliary = {"a", "b"}};
    for (int64_t i = 0; i < params_.n_examples; ++i) {
      spec.read_out.push_back(2 * i);
      spec.groups.push_back("after_" + std::to_string(i));
    }
    return spec;
  }

  // The test set, of functions that are never trained on, comes first: it is the same for every n_train.
  orrery::Split split(torch::Generator rng) const override {
    orrery::Split split;
    split.test = drawn(held_out_, params_.n_test, rng);
    split.train = drawn(trained_, params_.endless() ? params_.n_test : params_.n_train, rng);
    return split;
  }

  orrery::Batch sample(int64_t batch_size, int64_t, torch::Generator rng) const override {
    return drawn(trained_, batch_size, rng);
  }

  // How often the last answer is right, after all the other examples.
  std::vector<double> metrics(const Tensor& logits, const orrery::Batch& examples) const override {
    const int64_t last = params_.n_examples - 1;
    const auto right = logits.select(1, last).argmax(-1) == examples.labels.select(1, last);
    return {right.to(torch::kFloat64).mean().item<double>()};
  }

  // "1->5 4->0 6->?"
  std::string show(const Tensor& tokens) const override {
    std::string text;
    for (int64_t i = 0; i < params_.n_examples; ++i) {
      const bool last = i + 1 == params_.n_examples;
      text += (i ? " " : "") + std::to_string(tokens[2 * i].item<int64_t>()) + "->" +
              (last ? "?" : std::to_string(tokens[2 * i + 1].item<int64_t>()));
    }
    return text;
  }

 private:
  void refuse_what_cannot_be() const {
    const int64_t p = params_.p;
    if (!is_prime(p))
      throw UsageError(
          "p = " + std::to_string(p) + " is no prime, so two examples need not determine a function",
          "choose a prime, such as 29");
    if (!params_.repeats && params_.n_examples > p)
      throw UsageError("n_examples = " + std::to_string(params_.n_examples) +
                           " different x, but there are only p = " + std::to_string(p),
                       "lower n_examples, raise p, or set repeats = true");
    if (params_.scored_from >= params_.n_examples)
      throw UsageError("scored_from = " + std::to_string(params_.scored_from) +
                           " examples before a label counts, but " + std::to_string(params_.n_examples - 1) +
                           " come before the last",
                       "lower scored_from, or raise n_examples");
    if (n_trained() < 1 || n_trained() >= p * p)
      throw UsageError("training would have " + std::to_string(n_trained()) +
                           " of the p^2 = " + std::to_string(p * p) + " functions",
                       "set n_train_functions, or train_fraction, so that it has 1 to " +
                           std::to_string(p * p - 1) + ": some must be left for the test");
    params_.check_sampled(static_cast<double>(n_trained()) * n_choices_of_x(), "sequences");
  }

  // The product of 0.29 and 100 must count as 29, though it is not quite in binary.
  int64_t n_trained() const {
    if (params_.n_train_functions > 0) return params_.n_train_functions;
    return static_cast<int64_t>(
        std::floor(params_.train_fraction * static_cast<double>(params_.p * params_.p) + 1e-6));
  }

  double n_choices_of_x() const {
    double count = 1;
    for (int64_t i = 0; i < params_.n_examples; ++i)
      count *= static_cast<double>(params_.repeats ? params_.p : params_.p - i);
    return count;
  }

  // Of `functions`, numbered a p + b. Drawn from `rng` in this order: the functions, the x of all sequences.
  orrery::Batch drawn(const Tensor& functions, int64_t size, torch::Generator rng) const {
    const int64_t p = params_.p, m = params_.n_examples;
    const auto which =
        functions.index_select(0, torch::randint(functions.numel(), {size}, rng, torch::kInt64));
    const auto a = which.div(p, "floor"), b = which.remainder(p);
    const auto x = params_.repeats ? torch::randint(p, {size, m}, rng, torch::kInt64) : different(size, rng);
    const auto y = (a.unsqueeze(1) * x + b.unsqueeze(1)).remainder(p);  // [size, m]
    const auto position = torch::arange(m, torch::kInt64).expand({size, m});
    return {.tokens = torch::stack({x, y}, 2).reshape({size, 2 * m}).narrow(1, 0, 2 * m - 1).contiguous(),
            .labels = y,
            .scored = position >= params_.scored_from,
            .groups = position.contiguous(),
            .auxiliary = {{"a", a}, {"b", b}}};
  }

  // [size, n_examples], different in each row: the first places of a random order of 0..p-1.
  Tensor different(int64_t size, torch::Generator rng) const {
    const auto keys = torch::rand({size, params_.p}, rng, torch::kFloat64);
    return keys.argsort(int64_t{1}).narrow(1, 0, params_.n_examples).contiguous();
  }

  Params params_;
  Tensor trained_, held_out_;  // int64: the functions a p + b
};

}  // namespace

ORRERY_TASK(InContextLinear, Params, "in_context_linear", "1.0.0",
            "y = a x + b modulo p, with a and b to be found from examples in the context.")
