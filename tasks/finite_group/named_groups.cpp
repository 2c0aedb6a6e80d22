#include "named_groups.h"

#include <orrery/error.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <numeric>

namespace finite_group {
namespace {

using orrery::UsageError;
using Permutation = std::vector<int64_t>;  // entry i is where i goes, counted from 0

const char* const kGrammar =
    "name groups as Z_6, D_5, Q_8, S_4 or A_5, and products of them as Z_6 x D_4 x Z_2";

// A group of `n` elements.
Cayley tabulated(int64_t n, const std::function<int64_t(int64_t, int64_t)>& product,
                 const std::function<std::string(int64_t)>& name) {
  Cayley group;
  for (int64_t x = 0; x < n; ++x) {
    group.names.push_back(name(x));
    group.table.emplace_back();
    for (int64_t y = 0; y < n; ++y) group.table.back().push_back(product(x, y));
  }
  return group;
}

Cayley cyclic(int64_t n) {
  Cayley group = tabulated(
      n, [n](int64_t x, int64_t y) { return (x + y) % n; }, [](int64_t x) { return std::to_string(x); });
  group.cyclic = true;
  return group;
}

// "1", "r", "r^2", "s", "r s", "r^2 s": a power of `a` below `m`, then perhaps `b`.
std::string word(int64_t x, int64_t m, const std::string& a, const std::string& b) {
  const int64_t power = x % m;
  const std::string first = power == 0 ? "" : power == 1 ? a : a + "^" + std::to_string(power);
  if (x < m) return first.empty() ? "1" : first;
  return first.empty() ? b : first + " " + b;
}

// The group of all a^k and a^k b, k < m, with b a = a^-1 b and b^2 = a^square.
Cayley generated(int64_t m, int64_t square, const std::function<std::string(int64_t)>& name) {
  const auto product = [m, square](int64_t x, int64_t y) {
    const int64_t i = x % m, j = y % m;
    const bool x_has_b = x >= m, y_has_b = y >= m;
    const int64_t power = i + (x_has_b ? m - j : j) + (x_has_b && y_has_b ? square : 0);
    return power % m + (x_has_b != y_has_b ? m : 0);
  };
  return tabulated(2 * m, product, name);
}

Cayley dihedral(int64_t n) {
  return generated(n, 0, [n](int64_t x) { return word(x, n, "r", "s"); });
}

Cayley quaternion(int64_t order) {
  const int64_t m = order / 2;
  if (order == 8) {
    static const char* const names[] = {"1", "i", "-1", "-i", "j", "k", "-j", "-k"};
    return generated(m, m / 2, [](int64_t x) { return std::string(names[x]); });
  }
  return generated(m, m / 2, [m](int64_t x) { return word(x, m, "a", "b"); });
}

bool is_even(const Permutation& x) {
  int64_t inversions = 0;
  for (size_t i = 0; i < x.size(); ++i)
    inversions += std::count_if(x.begin() + static_cast<std::ptrdiff_t>(i), x.end(),
                                [&](int64_t later) { return later < x[i]; });
  return inversions % 2 == 0;
}

// In cycle notation, which needs no separators below 10 numbers: "(12)(345)"; the identity is "()".
std::string cycles(const Permutation& x) {
  std::string text;
  std::vector<bool> seen(x.size(), false);
  for (size_t start = 0; start < x.size(); ++start) {
    if (seen[start] || x[start] == static_cast<int64_t>(start)) continue;
    text += '(';
    for (size_t i = start; !seen[i]; i = static_cast<size_t>(x[i])) {
      seen[i] = true;
      text += std::to_string(i + 1);
    }
    text += ')';
  }
  return text.empty() ? "()" : text;
}

Cayley permutations(int64_t n, bool even_only) {
  Permutation x(n);
  std::iota(x.begin(), x.end(), 0);
  std::vector<Permutation> elements;
  std::map<Permutation, int64_t> token_of;
  do {
    if (even_only && !is_even(x)) continue;
    token_of.emplace(x, static_cast<int64_t>(elements.size()));
    elements.push_back(x);
  } while (std::next_permutation(x.begin(), x.end()));
  const auto product = [&](int64_t left, int64_t right) {
    Permutation image(n);
    for (int64_t i = 0; i < n; ++i) image[i] = elements[left][elements[right][i]];
    return token_of.at(image);
  };
  return tabulated(static_cast<int64_t>(elements.size()), product,
                   [&](int64_t token) { return cycles(elements[token]); });
}

// "r, s" of "r" and "s"; a name of several factors has its brackets already.
Cayley direct_product(const Cayley& g, const Cayley& h) {
  const auto m = static_cast<int64_t>(h.table.size());
  return tabulated(
      static_cast<int64_t>(g.table.size()) * m,
      [&](int64_t x, int64_t y) { return g.table[x / m][y / m] * m + h.table[x % m][y % m]; },
      [&](int64_t x) { return g.names[x / m] + ", " + h.names[x % m]; });
}

// The order of a factor, or more than most_elements.
int64_t order_of(char kind, int64_t n) {
  if (kind == 'D') return 2 * n;
  if (kind == 'Z' || kind == 'Q') return n;
  int64_t order = 1;
  for (int64_t i = kind == 'A' ? 3 : 2; i <= n && order <= most_elements; ++i) order *= i;
  return order;
}

Cayley make_factor(char kind, int64_t n) {
  if (kind == 'Z') return cyclic(n);
  if (kind == 'D') return dihedral(n);
  if (kind == 'Q') return quaternion(n);
  return permutations(n, kind == 'A');
}

struct Factor {
  char kind;
  int64_t n;
};

// Reads "Z_6 x D_4" from the left.
class Parser {
 public:
  explicit Parser(const std::string& name) : name_(name) {}

  std::vector<Factor> factors() {
    std::vector<Factor> all{factor()};
    for (skip_blanks(); at_ < name_.size(); skip_blanks()) {
      if (name_[at_] != 'x') refuse("expected an x and another factor");
      ++at_;
      all.push_back(factor());
    }
    return all;
  }

 private:
  void skip_blanks() {
    while (at_ < name_.size() && name_[at_] == ' ') ++at_;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw UsageError("group \"" + name_ + "\", character " + std::to_string(at_ + 1) + ": " + what, kGrammar);
  }

  Factor factor() {
    skip_blanks();
    if (at_ >= name_.size() || std::string("ZDQSA").find(name_[at_]) == std::string::npos)
      refuse("expected Z_n, D_n, Q_n, S_n or A_n");
    const char kind = name_[at_++];
    if (at_ >= name_.size() || name_[at_] != '_') refuse("expected an underscore, as in Z_6");
    ++at_;
    const size_t start = at_;
    int64_t n = 0;
    for (; at_ < name_.size() && std::isdigit(static_cast<unsigned char>(name_[at_])); ++at_)
      n = std::min<int64_t>(10 * n + (name_[at_] - '0'), 1000000);  // far beyond most_elements
    const bool fits = kind == 'Q' ? n >= 8 && n % 4 == 0 : n >= 1;
    if (!fits) {
      at_ = start;
      refuse(kind == 'Q' ? "expected a number that 4 divides, at least 8: the order of the group"
                         : "expected a number from 1");
    }
    return {kind, n};
  }

  const std::string& name_;
  size_t at_ = 0;
};

}  // namespace

Cayley named_group(const std::string& name) {
  const std::vector<Factor> factors = Parser(name).factors();
  int64_t order = 1;
  for (const auto& [kind, n] : factors)
    if (order *= order_of(kind, n); order > most_elements)
      throw UsageError("group \"" + name + "\" has more than " + std::to_string(most_elements) +
                           " elements: too large to list every pair of them",
                       "choose a smaller one; S_6 has " + std::to_string(most_elements));
  Cayley group = make_factor(factors[0].kind, factors[0].n);
  if (factors.size() == 1) return group;
  for (size_t i = 1; i < factors.size(); ++i)
    group = direct_product(group, make_factor(factors[i].kind, factors[i].n));
  for (std::string& element : group.names) element = "(" + element + ")";
  return group;
}

}  // namespace finite_group
