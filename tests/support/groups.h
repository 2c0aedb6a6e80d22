// Permutation groups, and networks on them with given weights, neurons and logits, for the tests of probes
// that read representations.
#pragma once

#include <orrery/groups.h>
#include <tests/support/hand_built.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace orrery::testing {

/// "(12)(345)" of a permutation of 0..n-1; the identity is "()".
inline std::string cycle_notation(const std::vector<int64_t>& x) {
  std::string text;
  std::vector<bool> seen(x.size(), false);
  for (size_t start = 0; start < x.size(); ++start) {
    if (seen[start] || x[start] == int64_t(start)) continue;
    text += '(';
    for (size_t i = start; !seen[i]; i = size_t(x[i])) {
      seen[i] = true;
      text += std::to_string(i + 1);
    }
    text += ')';
  }
  return text.empty() ? "()" : text;
}

/// The permutations of n things in lexicographic order, or the even ones: (x y)(i) = x(y(i)).
inline GroupStructure permutation_group(int64_t n, bool even_only) {
  std::vector<int64_t> x(n);
  std::iota(x.begin(), x.end(), 0);
  std::vector<std::vector<int64_t>> elements;
  do {
    int64_t inversions = 0;
    for (size_t i = 0; i < x.size(); ++i)
      for (size_t j = i + 1; j < x.size(); ++j) inversions += x[i] > x[j];
    if (!even_only || inversions % 2 == 0) elements.push_back(x);
  } while (std::next_permutation(x.begin(), x.end()));
  GroupStructure group;
  for (const auto& a : elements) {
    group.names.push_back(cycle_notation(a));
    group.table.emplace_back();
    for (const auto& b : elements) {
      std::vector<int64_t> product;
      for (const int64_t i : b) product.push_back(a[i]);
      group.table.back().push_back(std::find(elements.begin(), elements.end(), product) - elements.begin());
    }
  }
  return group;
}
inline GroupStructure symmetric_group(int64_t n) { return permutation_group(n, false); }
inline GroupStructure alternating_group(int64_t n) { return permutation_group(n, true); }

/// The symmetries of a polygon with k corners: rotations r^a as a, then reflections r^a s as k + a.
inline GroupStructure dihedral_group(int64_t k) {
  GroupStructure group;
  for (int64_t x = 0; x < 2 * k; ++x) {
    group.table.emplace_back();
    for (int64_t y = 0; y < 2 * k; ++y) {
      const bool reflects = x >= k;
      const int64_t turn = (x % k + (reflects ? k - y % k : y % k)) % k;
      group.table.back().push_back(turn + (reflects != (y >= k) ? k : 0));
    }
  }
  return group;
}
/// The integers modulo n, declared as a group.
inline GroupStructure integers_modulo(int64_t n) {
  GroupStructure group;
  for (int64_t x = 0; x < n; ++x) {
    group.table.emplace_back();
    for (int64_t y = 0; y < n; ++y) group.table.back().push_back((x + y) % n);
  }
  return group;
}

inline FiniteGroup made(const GroupStructure& structure) {
  return FiniteGroup(structure.table, structure.names);
}

/// 1, i, j, k as 0..3, and -1, -i, -j, -k as 4..7.
inline FiniteGroup quaternions() {
  const int64_t units[4][4] = {{0, 1, 2, 3}, {1, 4, 3, 6}, {2, 7, 4, 1}, {3, 2, 5, 4}};
  FiniteGroup::Table table(8);
  for (int64_t x = 0; x < 8; ++x)
    for (int64_t y = 0; y < 8; ++y) table[x].push_back((units[x % 4][y % 4] + 4 * (x / 4 + y / 4)) % 8);
  return FiniteGroup(table);
}

/// The observation of one network on x, y -> x y at one checkpoint. The grid is in random order, and half of
/// it is the training set; token n is "=".
struct GroupNetwork {
  explicit GroupNetwork(const GroupStructure& group, uint64_t seed = 1) : structure{.group = group} {
    const auto n = static_cast<int64_t>(group.table.size());
    std::vector<int64_t> tokens, labels;
    for (int64_t x = 0; x < n; ++x)
      for (int64_t y = 0; y < n; ++y) {
        tokens.insert(tokens.end(), {x, y, n});
        labels.push_back(group.table[x][y]);
      }
    auto rng = make_generator(seed);
    const Batch grid{torch::tensor(tokens, torch::kInt64).view({-1, 3}),
                     torch::tensor(labels, torch::kInt64).view({-1, 1})};
    const auto rows = torch::randperm(n * n, rng, torch::kInt64);
    spec = {.d_vocab = n + 1, .d_vocab_out = n, .n_ctx = 3, .read_out = {2}, .groups = {}};
    split = Split::of_grid(grid.rows(torch::randperm(n * n, rng, torch::kInt64)),
                           rows.narrow(0, 0, n * n / 2), rows.narrow(0, n * n / 2, n * n - n * n / 2));
  }

  TaskSpec spec;
  Structure structure;
  Split split;
  GivenWeights model;
  torch::Tensor logits;  ///< [grid, 1, d_vocab_out] float32
  ActivationCache cache;

  int64_t order() const { return spec.d_vocab_out; }
  /// x [n*n, ...], row a*n + b for the elements a and b, in the order of the grid: [grid, 1, ...] float32.
  torch::Tensor on_grid(const torch::Tensor& x) const {
    const auto row = split.grid->tokens.select(1, 0) * order() + split.grid->tokens.select(1, 1);
    return x.index_select(0, row).unsqueeze(1).to(torch::kFloat32);
  }
  Observation observe(int64_t step = 0) {
    return {step, spec, structure, split, *split.grid, model, logits, cache};
  }
};

/// A model that runs, on the grid of a GroupNetwork, as a probe sees it that asks for Inputs::none.
struct RunningGroup {
  RunningGroup(const GroupStructure& group,
               const std::function<std::unique_ptr<Model>(const TaskSpec&)>& make)
      : task(group), model(make(task.spec)) {}

  Observation observe() {
    return {0, task.spec, task.structure, task.split, nothing, *model, no_logits, no_cache};
  }
  /// The row of the grid that holds each pair, by search: [n*n] int64.
  torch::Tensor rows() const {
    const int64_t n = task.order();
    const auto tokens = task.split.grid->tokens;
    auto rows = torch::empty({n * n}, torch::kInt64);
    for (int64_t row = 0; row < n * n; ++row) rows[tokens[row][0] * n + tokens[row][1]] = row;
    return rows;
  }
  torch::Tensor weight(const std::string& name) const {
    return model->weight(name).detach().to(torch::kFloat64);
  }

  GroupNetwork task;
  std::unique_ptr<Model> model;
  Batch nothing = {};
  torch::Tensor no_logits = {};
  ActivationCache no_cache = {};
};

}  // namespace orrery::testing
