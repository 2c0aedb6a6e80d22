// a op b modulo p: the tasks on which small networks grok (Power et al. 2022; Nanda et al. 2023). Tokens
// 0..p-1 are numbers and p is "=". With p = 113 and operation "add", 50 + 70 reads [50, 70, 113], and the
// label at the last position is 7. A share of all pairs is the training set, the rest the test set. Addition
// and subtraction mod p, multiplication and division mod a prime are addition in a cyclic group after
// renaming; the task declares the names (3 * 5 = 1 mod 7 reads 1 + 5 = 0 mod 6, for 3 = 3^1 and 5 = 3^5).
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>

namespace {

using orrery::UsageError;

int64_t power(int64_t base, int64_t exponent, int64_t p) {
  int64_t result = 1 % p;
  for (; exponent > 0; exponent /= 2, base = base * base % p)
    if (exponent % 2) result = result * base % p;
  return result;
}

// The inverse of y modulo a prime p; y is not 0.
int64_t inverse(int64_t y, int64_t p) { return power(y, p - 2, p); }

struct Operation {
  const char* name;
  const char* formula;  // of x and y, for people
  int64_t (*apply)(int64_t x, int64_t y, int64_t p);
  bool inverts;   // it needs a prime modulus
  bool commutes;  // y op x is x op y, whatever the modulus
};

const Operation kOperations[] = {
    {"add", "x + y", [](int64_t x, int64_t y, int64_t p) { return (x + y) % p; }, false, true},
    {"subtract", "x - y", [](int64_t x, int64_t y, int64_t p) { return (x - y + p) % p; }, false, false},
    {"multiply", "x * y", [](int64_t x, int64_t y, int64_t p) { return x * y % p; }, false, true},
    {"divide", "x / y", [](int64_t x, int64_t y, int64_t p) { return x * inverse(y, p) % p; }, true, false},
    {"x^2+y^2", "x^2 + y^2", [](int64_t x, int64_t y, int64_t p) { return (x * x + y * y) % p; }, false,
     true},
    {"x^2+xy+y^2", "x^2 + x*y + y^2",
     [](int64_t x, int64_t y, int64_t p) { return (x * x + x * y + y * y) % p; }, false, true},
    {"x^3+xy", "x^3 + x*y", [](int64_t x, int64_t y, int64_t p) { return (x * x * x + x * y) % p; }, false,
     false},
    {"x^3+xy^2+y", "x^3 + x*y^2 + y",
     [](int64_t x, int64_t y, int64_t p) { return (x * x * x + x * y * y + y) % p; }, false, false},
    {"divide_odd_subtract_even", "y odd ? x / y : x - y",
     [](int64_t x, int64_t y, int64_t p) { return y % 2 ? x * inverse(y, p) % p : (x - y + p) % p; }, true,
     false},
};

std::vector<std::string> operation_names() {
  std::vector<std::string> names;
  for (const Operation& operation : kOperations) names.emplace_back(operation.name);
  return names;
}

std::string commutative_names() {
  std::string names;
  for (const Operation& operation : kOperations)
    if (operation.commutes) names += (names.empty() ? "" : ", ") + std::string(operation.name);
  return names;
}

struct Params : orrery::SplitParams {
  int64_t p = 113;
  std::string operation = "add";
  std::string pairs = "all";
  bool random_labels = false;
  bool operator_token = false;
  bool equals_token = true;
  bool all_tokens_as_classes = false;

  static void fields(orrery::Fields<Params>& f) {
    f.add("p", &Params::p, "modulus; division needs a prime").between(2, 4096);
    f.add("operation", &Params::operation, "how the operands x and y combine").one_of(operation_names());
    f.add("pairs", &Params::pairs, "which pairs (a, b) are divided in training and test set")
        .one_of({"all", "a<=b"});
    orrery::SplitParams::fields(f);
    f.add("random_labels", &Params::random_labels, "labels drawn at random: nothing to learn but by heart");
    f.add("operator_token", &Params::operator_token,
          "put a token for the operation, p + 1 (p without =), between the operands: x op y =");
    f.add("equals_token", &Params::equals_token,
          "end inputs with the token p for =; otherwise the last operand is the output position");
    f.add("all_tokens_as_classes", &Params::all_tokens_as_classes,
          "an output for every token, those of = and the operation too, which are never right");
  }
};

int64_t smallest_factor(int64_t n) {
  for (int64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return d;
  return n;
}
bool is_prime(int64_t n) { return n >= 2 && smallest_factor(n) == n; }

// logs[x] with g^logs[x] = x for the smallest g whose powers are all of 1..p-1; -1 for x = 0. p is prime.
std::vector<int64_t> discrete_logarithms(int64_t p) {
  for (int64_t g = 1; g < p; ++g) {
    std::vector<int64_t> logs(p, -1);
    int64_t x = 1, exponent = 0;
    for (; logs[x] < 0; x = x * g % p) logs[x] = exponent++;
    if (exponent == p - 1) return logs;
  }
  throw orrery::Error(std::to_string(p) + " has no primitive root");
}

class ModularArithmetic final : public orrery::Task {
 public:
  explicit ModularArithmetic(Params params) : params_(std::move(params)), operation_(find_operation()) {
    const int64_t p = params_.p;
    if (operation_.inverts && !is_prime(p)) {
      const int64_t factor = smallest_factor(p);
      throw UsageError("p = " + std::to_string(p) + " is not prime (" + std::to_string(factor) + " x " +
                           std::to_string(p / factor) + "); operation \"" + params_.operation +
                           "\" needs a prime",
                       "choose a prime such as 59, 97 or 113");
    }
    if (symmetric_half() && !operation_.commutes)
      throw UsageError("pairs = \"a<=b\" leaves out b op a, which operation \"" + params_.operation +
                           "\" does not make equal to a op b",
                       "set pairs = \"all\", or an operation that commutes: " + commutative_names());
    params_.check_split(n_pairs());
  }

  orrery::TaskSpec spec() const override {
    const int64_t d_vocab = params_.p + (params_.equals_token ? 1 : 0) + (params_.operator_token ? 1 : 0);
    return {.d_vocab = d_vocab,
            .d_vocab_out = params_.all_tokens_as_classes ? d_vocab : params_.p,
            .n_ctx = n_ctx(),
            .read_out = {n_ctx() - 1}};
  }

  // The grid holds every pair, even if train and test hold only those with a <= b. Drawn from `rng` in this
  // order: what the rule of the split draws; then, for random labels, one label per row of the grid.
  orrery::Split split(torch::Generator rng) const override {
    orrery::Batch grid = all_pairs();
    auto [train, test] = params_.split_rows(n_pairs(), rng);
    if (symmetric_half()) {
      const auto in_order = grid.tokens.select(1, 0) <= grid.tokens.select(1, right_position());
      const auto rows = in_order.nonzero().flatten();
      train = rows.index_select(0, train);
      test = rows.index_select(0, test);
    }
    if (params_.random_labels) grid.labels = torch::randint(params_.p, {grid.size(), 1}, rng, torch::kInt64);
    return orrery::Split::of_grid(std::move(grid), train, test);
  }

  orrery::Structure structure() const override {
    if (params_.random_labels) return {};
    const int64_t p = params_.p;
    const std::string& name = params_.operation;
    if (name == "add") return cyclic(p, identity(), identity());
    if (name == "subtract") return cyclic(p, identity(), negated(identity(), p));
    if (!is_prime(p) || p == 2) return {};  // multiplication is one cycle modulo an odd prime
    const auto logs = discrete_logarithms(p);
    if (name == "multiply") return cyclic(p - 1, logs, logs);
    if (name == "divide") return cyclic(p - 1, logs, negated(logs, p - 1));
    return {};
  }

  std::string show(const torch::Tensor& tokens) const override {
    const auto x = tokens[0].item<int64_t>(), y = tokens[right_position()].item<int64_t>();
    const bool conditional = params_.operation == "divide_odd_subtract_even";
    const std::string formula = conditional ? (y % 2 ? "x / y" : "x - y") : operation_.formula;
    std::string text;
    for (const char c : formula)
      text += c == 'x' ? std::to_string(x) : c == 'y' ? std::to_string(y) : std::string(1, c);
    return params_.equals_token ? text + " =" : text;
  }

 private:
  const Operation& find_operation() const {
    return *std::find_if(std::begin(kOperations), std::end(kOperations),
                         [&](const Operation& operation) { return params_.operation == operation.name; });
  }

  int64_t right_position() const { return params_.operator_token ? 2 : 1; }
  int64_t n_ctx() const { return right_position() + (params_.equals_token ? 2 : 1); }
  // "=" comes first among the tokens behind the numbers.
  int64_t operator_token() const { return params_.p + (params_.equals_token ? 1 : 0); }
  bool excludes_zero() const { return params_.operation == "divide"; }  // as the second operand
  bool symmetric_half() const { return params_.pairs == "a<=b"; }
  int64_t n_pairs() const {  // that are divided in training and test set
    const int64_t p = params_.p;
    if (symmetric_half()) return p * (p + 1) / 2;
    return p * (p - (excludes_zero() ? 1 : 0));
  }

  // Every pair that the operation is defined for, y fastest.
  orrery::Batch all_pairs() const {
    const int64_t p = params_.p;
    std::vector<int64_t> tokens, labels;
    tokens.reserve(4 * p * p);
    labels.reserve(p * p);
    for (int64_t x = 0; x < p; ++x)
      for (int64_t y = excludes_zero() ? 1 : 0; y < p; ++y) {
        tokens.push_back(x);
        if (params_.operator_token) tokens.push_back(operator_token());
        tokens.push_back(y);
        if (params_.equals_token) tokens.push_back(p);
        labels.push_back(operation_.apply(x, y, p));
      }
    return {torch::tensor(tokens, torch::kInt64).view({-1, n_ctx()}),
            torch::tensor(labels, torch::kInt64).view({-1, 1}),
            {},
            {}};
  }

  // The index maps: the index of a number in the cyclic group, -1 if it is not in the group.
  std::vector<int64_t> identity() const {
    std::vector<int64_t> map(params_.p);
    for (int64_t x = 0; x < params_.p; ++x) map[x] = x;
    return map;
  }
  static std::vector<int64_t> negated(std::vector<int64_t> map, int64_t order) {
    for (int64_t& index : map) index = index < 0 ? -1 : (order - index) % order;
    return map;
  }
  // In all four operations the result has the index map of the left operand.
  orrery::Structure cyclic(int64_t order, const std::vector<int64_t>& left,
                           std::vector<int64_t> right) const {
    return {orrery::CyclicStructure{.order = order,
                                    .left = left,
                                    .right = std::move(right),
                                    .result = left,
                                    .right_position = right_position()}};
  }

  Params params_;
  const Operation& operation_;
};

}  // namespace

ORRERY_TASK(ModularArithmetic, Params, "modular_arithmetic", "1.0.0", "Arithmetic modulo p: a op b = c.")
