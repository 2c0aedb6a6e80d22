// x y in a group of permutations: non-commutative tasks on which small networks grok (Power et al. 2022;
// Chughtai et al. 2023). The elements of S_n, all permutations of 1..n, or of A_n, the even ones, are tokens
// 0..N-1 in lexicographic order of one-line notation x(1) x(2) ... x(n); token N is "=". A product applies
// its right factor first: (x y)(i) = x(y(i)). S3 is 123, 132, 213, 231, 312, 321, so (12) * (23) = reads [2,
// 1, 6] and is 3, that is 231 = (123): 1 goes to 1, then 2; 2 goes to 3, then 3; 3 goes to 2, then 1.
#include <orrery/error.h>
#include <orrery/plugin.h>
#include <orrery/splits.h>
#include <orrery/task.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

namespace {

using orrery::UsageError;
using Permutation = std::vector<int>;  // entry i is where i goes; counted from 0
using Table = std::vector<std::vector<int64_t>>;

constexpr int64_t kLargestN = 6;  // S6 has 518,400 pairs, S7 would have 25 million

struct Params : orrery::SplitParams {
  std::string group = "symmetric";
  int64_t n = 5;
  std::string operation = "x*y";
  std::string elements;

  Params() { train_fraction = 0.4; }
  static void fields(orrery::Fields<Params>& f) {
    f.add("group", &Params::group, "all permutations of 1..n, or the even ones only")
        .one_of({"symmetric", "alternating"});
    f.add("n", &Params::n, "how many things are permuted, at most 6").at_least(2);
    f.add("operation", &Params::operation, "how the elements x and y combine")
        .one_of({"x*y", "x*y*x^-1", "x*y*x"});
    f.add("elements", &Params::elements,
          "a text file of the permutations, in the order of their tokens; empty: lexicographic");
    orrery::SplitParams::fields(f);
  }
};

std::string name_of(const Params& params) {  // "S5"
  return (params.group == "alternating" ? "A" : "S") + std::to_string(params.n);
}

// "5040 elements", for the group of `params`; beyond n = 20 the number overflows.
std::string size_of(const Params& params) {
  if (params.n > 20) return "more than 10^18 elements";
  int64_t size = params.group == "alternating" ? 1 : 2;
  for (int64_t i = 3; i <= params.n; ++i) size *= i;
  return std::to_string(size) + " elements";
}

Params checked(Params params) {
  if (params.n <= kLargestN) return params;
  throw UsageError(name_of(params) + " has " + size_of(params) + ": too large to list every pair of them",
                   "choose n from 2 to " + std::to_string(kLargestN));
}

// Whether an even number of pairs is out of order.
bool is_even(const Permutation& x) {
  int64_t inversions = 0;
  for (size_t i = 0; i < x.size(); ++i)
    inversions += std::count_if(x.begin() + i, x.end(), [&](int later) { return later < x[i]; });
  return inversions % 2 == 0;
}

// In lexicographic order; the identity is the first.
std::vector<Permutation> sorted_elements(const Params& params) {
  Permutation x(params.n);
  std::iota(x.begin(), x.end(), 0);
  std::vector<Permutation> elements;
  do {
    if (params.group == "symmetric" || is_even(x)) elements.push_back(x);
  } while (std::next_permutation(x.begin(), x.end()));
  return elements;
}

const char* const kElementsHint =
    "list each element once, a line each, as the images of 1 to n (or from 0): 2 3 1, 231, (1, 2, 0)";

// The digits of a line, whatever stands around them: n is at most 6. `place` is "file:line".
Permutation read_digits(const std::string& line, const std::string& place) {
  Permutation digits;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] >= '0' && line[i] <= '9')
      digits.push_back(line[i] - '0');
    else if (std::string(" \t\r,()[]").find(line[i]) == std::string::npos)
      throw UsageError(place + ":" + std::to_string(i + 1) + ": expected the digits of a permutation",
                       kElementsHint);
  }
  return digits;
}

// In the order of the file `params.elements`, which holds each of `sorted` once. The first permutation tells
// whether numbers start at 0 or at 1.
std::vector<Permutation> elements_in_file(const Params& params, const std::vector<Permutation>& sorted) {
  const std::string& path = params.elements;
  std::ifstream file;
  if (std::error_code failure; std::filesystem::is_regular_file(path, failure)) file.open(path);
  std::vector<Permutation> elements;
  std::map<Permutation, int64_t> line_of;
  int64_t number = 0, first = 1;
  std::string line;
  while (file.is_open() && std::getline(file, line)) {
    const std::string place = path + ":" + std::to_string(++number);
    Permutation x = read_digits(line.substr(0, line.find('#')), place);
    if (x.empty()) continue;
    if (elements.empty()) first = *std::min_element(x.begin(), x.end()) == 0 ? 0 : 1;
    for (int& image : x) image -= static_cast<int>(first);
    if (!std::binary_search(sorted.begin(), sorted.end(), x))
      throw UsageError(place + ": not an element of " + name_of(params) + ", which permutes " +
                           std::to_string(first) + " to " + std::to_string(first + params.n - 1),
                       kElementsHint);
    if (const auto [before, is_new] = line_of.emplace(x, number); !is_new)
      throw UsageError(place + ": the permutation of line " + std::to_string(before->second) + " again",
                       kElementsHint);
    elements.push_back(std::move(x));
  }
  if (!file.eof())
    throw UsageError("cannot read the elements in \"" + path + "\"",
                     "a relative path starts at the folder the program was started in");
  if (elements.size() != sorted.size())
    throw UsageError(path + ": " + std::to_string(elements.size()) + " permutations, and " + name_of(params) +
                         " has " + size_of(params),
                     kElementsHint);
  return elements;
}

// In the order of their tokens.
std::vector<Permutation> elements_of(const Params& params) {
  auto sorted = sorted_elements(params);
  return params.elements.empty() ? sorted : elements_in_file(params, sorted);
}

// First y, then x.
Permutation compose(const Permutation& x, const Permutation& y) {
  Permutation product(x.size());
  for (size_t i = 0; i < x.size(); ++i) product[i] = x[y[i]];
  return product;
}

// [N][N]: the element that x y is. `elements` are closed under composition.
Table cayley_table(const std::vector<Permutation>& elements) {
  std::map<Permutation, int64_t> token_of;
  for (size_t x = 0; x < elements.size(); ++x) token_of[elements[x]] = static_cast<int64_t>(x);
  Table table(elements.size());
  for (size_t x = 0; x < elements.size(); ++x)
    for (const Permutation& y : elements) table[x].push_back(token_of.at(compose(elements[x], y)));
  return table;
}

// In cycle notation: "(12)(345)", each cycle from its smallest number; the identity is "()".
std::string cycles(const Permutation& x) {
  std::string text;
  std::vector<bool> seen(x.size(), false);
  for (size_t start = 0; start < x.size(); ++start) {
    if (seen[start] || x[start] == static_cast<int>(start)) continue;
    text += '(';
    for (size_t i = start; !seen[i]; i = x[i]) {
      seen[i] = true;
      text += std::to_string(i + 1);
    }
    text += ')';
  }
  return text.empty() ? "()" : text;
}

class SymmetricGroup final : public orrery::Task {
 public:
  explicit SymmetricGroup(Params params)
      : params_(checked(std::move(params))),
        elements_(elements_of(params_)),
        table_(cayley_table(elements_)) {
    params_.check_split(order() * order());
  }

  orrery::TaskSpec spec() const override {
    return {.d_vocab = order() + 1, .d_vocab_out = order(), .n_ctx = 3, .read_out = {2}};
  }

  // Only the rule of the split draws from `rng`.
  orrery::Split split(torch::Generator rng) const override {
    const auto [train, test] = params_.split_rows(order() * order(), rng);
    return orrery::Split::of_grid(all_pairs(), train, test);
  }

  orrery::Structure structure() const override {
    orrery::GroupStructure group{.table = table_, .names = {}, .label_is_product = is("x*y")};
    for (const Permutation& x : elements_) group.names.push_back(cycles(x));
    return {.group = std::move(group)};
  }

  // "(12)(345) * (13) =", and for the other words "(123) * (12) * (132) =" and "(123) * (12) * (123) =".
  std::string show(const torch::Tensor& tokens) const override {
    const auto x = tokens[0].item<int64_t>(), y = tokens[1].item<int64_t>();
    std::string text = cycles(elements_.at(x)) + " * " + cycles(elements_.at(y));
    if (!is("x*y")) text += " * " + cycles(elements_[is("x*y*x") ? x : inverse(x)]);
    return text + " =";
  }

 private:
  bool is(const char* operation) const { return params_.operation == operation; }
  int64_t order() const { return static_cast<int64_t>(elements_.size()); }

  // The y with x y = 1, which is the least permutation.
  int64_t inverse(int64_t x) const {
    const auto one = std::min_element(elements_.begin(), elements_.end()) - elements_.begin();
    return std::find(table_[x].begin(), table_[x].end(), one) - table_[x].begin();
  }

  // Every pair, y fastest.
  orrery::Batch all_pairs() const {
    std::vector<int64_t> tokens, labels;
    tokens.reserve(3 * order() * order());
    labels.reserve(order() * order());
    for (int64_t x = 0; x < order(); ++x) {
      const int64_t last = is("x*y*x^-1") ? inverse(x) : x;  // the third factor, where there is one
      for (int64_t y = 0; y < order(); ++y) {
        tokens.insert(tokens.end(), {x, y, order()});
        labels.push_back(is("x*y") ? table_[x][y] : table_[table_[x][y]][last]);
      }
    }
    return {torch::tensor(tokens, torch::kInt64).view({-1, 3}),
            torch::tensor(labels, torch::kInt64).view({-1, 1})};
  }

  Params params_;
  std::vector<Permutation> elements_;
  Table table_;
};

}  // namespace

ORRERY_TASK(SymmetricGroup, Params, "symmetric_group", "1.0.0", "Composition of permutations, in S_n or A_n.")
