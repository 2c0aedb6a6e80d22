// Groups of permutations: recognised by the names of their elements, represented by Young's orthogonal form
// (James & Kerber 1981, "The Representation Theory of the Symmetric Group", section 3.4).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "sdk/analysis/representations.h"

namespace orrery {
namespace {

using Cycle = std::vector<int64_t>;

// The numbers of "123", "1 2 10" or "1,2,10"; nullopt if it is not such a list.
std::optional<Cycle> parse_cycle(const std::string& text) {
  const bool separated = text.find_first_of(" ,") != std::string::npos;
  Cycle cycle;
  for (size_t at = 0; at < text.size();) {
    if (separated && (text[at] == ' ' || text[at] == ',')) {
      ++at;
      continue;
    }
    int64_t number = 0;
    const size_t start = at;
    while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) && at - start < 4) {
      number = 10 * number + (text[at++] - '0');
      if (!separated) break;
    }
    if (at == start || number < 1) return std::nullopt;
    cycle.push_back(number);
  }
  return cycle;
}

// The cycles of "(12)(345)"; nullopt if it is not cycle notation.
std::optional<std::vector<Cycle>> parse_cycles(const std::string& name) {
  std::vector<Cycle> cycles;
  for (size_t at = 0; at < name.size();) {
    const size_t end = name.find(')', at);
    if (name[at] != '(' || end == std::string::npos) return std::nullopt;
    const auto cycle = parse_cycle(name.substr(at + 1, end - at - 1));
    if (!cycle) return std::nullopt;
    cycles.push_back(*cycle);
    at = end + 1;
  }
  if (cycles.empty()) return std::nullopt;
  return cycles;
}

// The permutation of 0..degree-1 with disjoint `cycles` of numbers from 1; nullopt if a number repeats.
std::optional<Permutation> permutation_of(const std::vector<Cycle>& cycles, int64_t degree) {
  Permutation x(degree);
  std::iota(x.begin(), x.end(), 0);
  std::set<int64_t> seen;
  for (const Cycle& cycle : cycles)
    for (size_t i = 0; i < cycle.size(); ++i) {
      if (!seen.insert(cycle[i]).second) return std::nullopt;
      x[cycle[i] - 1] = cycle[(i + 1) % cycle.size()] - 1;
    }
  return x;
}

Permutation compose(const Permutation& x, const Permutation& y) {  // first y, then x
  Permutation product;
  for (const int64_t image : y) product.push_back(x[image]);
  return product;
}

bool is_even(const Permutation& x) {
  int64_t inversions = 0;
  for (size_t i = 0; i < x.size(); ++i)
    inversions += std::count_if(x.begin() + i, x.end(), [&](int64_t later) { return later < x[i]; });
  return inversions % 2 == 0;
}

// Whether the permutations differ and multiply as the elements do; generators are enough.
bool multiply_alike(const FiniteGroup& group, const std::vector<Permutation>& elements) {
  if (std::set<Permutation>(elements.begin(), elements.end()).size() != elements.size()) return false;
  for (const int64_t g : group.generators())
    for (int64_t x = 0; x < group.order(); ++x)
      if (elements[group.product(x, g)] != compose(elements[x], elements[g])) return false;
  return true;
}

PermutationGroup::Kind kind_of(const std::vector<Permutation>& elements, int64_t degree) {
  int64_t factorial = 1;
  for (int64_t i = 2; i <= degree && factorial <= 2 * static_cast<int64_t>(elements.size()); ++i)
    factorial *= i;
  const auto order = static_cast<int64_t>(elements.size());
  if (degree >= 2 && order == factorial) return PermutationGroup::Kind::symmetric;
  // A_n is the only subgroup of S_n with half its elements.
  if (degree >= 3 && 2 * order == factorial && std::all_of(elements.begin(), elements.end(), is_even))
    return PermutationGroup::Kind::alternating;
  return PermutationGroup::Kind::other;
}

void add_partitions(int64_t n, int64_t largest, const Partition& start, std::vector<Partition>& all) {
  if (n == 0) all.push_back(start);
  for (int64_t part = std::min(n, largest); part >= 1; --part) {
    Partition longer = start;
    longer.push_back(part);
    add_partitions(n - part, part, longer, all);
  }
}

Partition conjugate(const Partition& partition) {
  Partition columns;
  for (int64_t column = 0; column < partition.front(); ++column)
    columns.push_back(
        std::count_if(partition.begin(), partition.end(), [&](int64_t p) { return p > column; }));
  return columns;
}

// A standard Young tableau: entry i is the row of the number i + 1. Rows are filled from the left and are
// never longer than the row above.
using Tableau = std::vector<int64_t>;

void add_tableaux(const Partition& shape, Partition filled, const Tableau& start, std::vector<Tableau>& all) {
  if (filled == shape) all.push_back(start);
  for (size_t row = 0; row < shape.size(); ++row) {
    if (filled[row] == shape[row] || (row > 0 && filled[row] == filled[row - 1])) continue;
    Partition more = filled;
    ++more[row];
    Tableau longer = start;
    longer.push_back(static_cast<int64_t>(row));
    add_tableaux(shape, more, longer, all);
  }
}

// The content of each number: its column minus its row.
std::vector<int64_t> contents(const Tableau& tableau) {
  std::map<int64_t, int64_t> filled;
  std::vector<int64_t> all;
  for (const int64_t row : tableau) all.push_back(filled[row]++ - row);
  return all;
}

// The matrix of the swap of i and i + 1: column T holds 1/r at T and sqrt(1 - 1/r^2) at the tableau with the
// two exchanged, where r is the content of i + 1 minus that of i.
struct Swap {
  std::vector<double> stays;    // per tableau
  std::vector<size_t> partner;  // itself where changing places gives no standard tableau; then r is 1 or -1
};

std::vector<Swap> swaps_of(const std::vector<Tableau>& tableaux) {
  std::map<Tableau, size_t> number;
  for (const Tableau& tableau : tableaux) number.emplace(tableau, number.size());
  std::vector<Swap> swaps(tableaux.front().size() - 1);
  for (size_t t = 0; t < tableaux.size(); ++t) {
    const auto content = contents(tableaux[t]);
    for (size_t i = 0; i < swaps.size(); ++i) {
      Tableau other = tableaux[t];
      std::swap(other[i], other[i + 1]);
      const auto found = number.find(other);
      swaps[i].stays.push_back(1.0 / static_cast<double>(content[i + 1] - content[i]));
      swaps[i].partner.push_back(found == number.end() ? t : found->second);
    }
  }
  return swaps;
}

// The i of swaps s_i whose product, in this order, is x: sorting x by swaps of neighbours undoes it.
std::vector<size_t> word_of(Permutation x) {
  std::vector<size_t> word;
  for (bool sorted = false; !sorted;) {
    sorted = true;
    for (size_t i = 0; i + 1 < x.size(); ++i)
      if (x[i] > x[i + 1]) {
        std::swap(x[i], x[i + 1]);
        word.push_back(i);
        sorted = false;
      }
  }
  std::reverse(word.begin(), word.end());
  return word;
}

// matrix [d, d], row by row, times the swap.
void times(double* matrix, const Swap& swap) {
  const size_t d = swap.stays.size();
  for (size_t row = 0; row < d; ++row) {
    const std::vector<double> old(matrix + row * d, matrix + (row + 1) * d);
    for (size_t t = 0; t < d; ++t) {
      const double stays = swap.stays[t];
      matrix[row * d + t] = stays * old[t];
      if (swap.partner[t] != t) matrix[row * d + t] += std::sqrt(1 - stays * stays) * old[swap.partner[t]];
    }
  }
}

}  // namespace

std::optional<PermutationGroup> as_permutations(const FiniteGroup& group) {
  std::vector<std::vector<Cycle>> all_cycles;
  int64_t degree = 0;
  for (const std::string& name : group.names()) {
    const auto cycles = parse_cycles(name);
    if (!cycles) return std::nullopt;
    for (const Cycle& cycle : *cycles)
      for (const int64_t number : cycle) degree = std::max(degree, number);
    all_cycles.push_back(*cycles);
  }
  if (all_cycles.empty()) return std::nullopt;
  PermutationGroup permutations{.elements = {}, .degree = degree};
  for (const auto& cycles : all_cycles) {
    const auto x = permutation_of(cycles, degree);
    if (!x) return std::nullopt;
    permutations.elements.push_back(*x);
  }
  if (!multiply_alike(group, permutations.elements)) return std::nullopt;
  permutations.kind = kind_of(permutations.elements, degree);
  return permutations;
}

std::vector<Partition> partitions(int64_t n) {
  std::vector<Partition> all;
  add_partitions(n, n, {}, all);
  return all;
}

std::string name_of(const Partition& partition) {
  const int64_t n = std::accumulate(partition.begin(), partition.end(), int64_t{0});
  const std::string parts = fmt::format("({})", fmt::join(partition, ","));
  if (partition.front() == n) return "trivial";
  if (partition.front() == 1) return "sign";
  return partition.front() == n - 1 ? "standard " + parts : parts;
}

torch::Tensor young_matrices(const Partition& partition, const std::vector<Permutation>& elements) {
  std::vector<Tableau> tableaux;
  add_tableaux(partition, Partition(partition.size(), 0), {}, tableaux);
  const auto swaps = swaps_of(tableaux);
  const auto d = static_cast<int64_t>(tableaux.size());
  const auto matrices =
      torch::eye(d, torch::kFloat64).repeat({static_cast<int64_t>(elements.size()), 1, 1}).contiguous();
  auto* data = matrices.data_ptr<double>();
  for (size_t x = 0; x < elements.size(); ++x)
    for (const size_t i : word_of(elements[x])) times(data + static_cast<int64_t>(x) * d * d, swaps[i]);
  return matrices;
}

std::vector<Representation> symmetric_representations(const FiniteGroup& group,
                                                      const PermutationGroup& permutations) {
  std::vector<Representation> all;
  for (const Partition& partition : partitions(permutations.degree))
    all.push_back(
        make_representation(name_of(partition), group, young_matrices(partition, permutations.elements)));
  return all;
}

std::vector<Representation> alternating_representations(const FiniteGroup& group,
                                                        const PermutationGroup& permutations) {
  const auto irreducible = numerical_representations(group);
  std::vector<Representation> all;
  for (const Partition& partition : partitions(permutations.degree)) {
    if (partition < conjugate(partition)) continue;  // both are the same on even permutations
    const auto character = young_matrices(partition, permutations.elements).diagonal(0, 1, 2).sum(1);
    std::vector<Representation> parts;
    for (const Representation& part : irreducible)
      if (part.character.dot(character).item<double>() > 0.5 * static_cast<double>(group.order()))
        parts.push_back(part);
    for (size_t i = 0; i < parts.size(); ++i) {
      parts[i].name = name_of(partition) + (parts.size() > 1 ? fmt::format("_{}", i + 1) : "");
      all.push_back(parts[i]);
    }
  }
  return all;
}

}  // namespace orrery
