#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/groups.h>

#include <algorithm>

namespace orrery {
namespace {

using Table = FiniteGroup::Table;

[[noreturn]] void refuse(const std::string& reason) {
  throw Error("the table is not that of a group: " + reason,
              "table[x][y] must be the product x y of the elements x and y, counted from 0");
}

void check_closed(const Table& table) {
  const auto n = static_cast<int64_t>(table.size());
  if (n == 0) refuse("it has no elements");
  for (int64_t x = 0; x < n; ++x) {
    if (static_cast<int64_t>(table[x].size()) != n)
      refuse(fmt::format("row {} has {} entries, and there are {} rows", x, table[x].size(), n));
    for (int64_t y = 0; y < n; ++y)
      if (table[x][y] < 0 || table[x][y] >= n)
        refuse(fmt::format("the product of {} and {} is {}, which is not one of the {} elements", x, y,
                           table[x][y], n));
  }
}

int64_t find_identity(const Table& table) {
  const auto n = static_cast<int64_t>(table.size());
  for (int64_t e = 0; e < n; ++e) {
    bool neutral = true;
    for (int64_t x = 0; x < n && neutral; ++x) neutral = table[e][x] == x && table[x][e] == x;
    if (neutral) return e;
  }
  refuse("no element e has e x = x e = x for every x");
}

std::vector<int64_t> find_inverses(const Table& table, int64_t identity) {
  const auto n = static_cast<int64_t>(table.size());
  std::vector<int64_t> inverses;
  for (int64_t x = 0; x < n; ++x) {
    const auto y = std::find(table[x].begin(), table[x].end(), identity) - table[x].begin();
    if (y == n || table[y][x] != identity) refuse(fmt::format("element {} has no inverse", x));
    inverses.push_back(y);
  }
  return inverses;
}

// Extends `reached`, closed under products with the earlier generators, to the closure under `generators`.
void close(std::vector<bool>& reached, const Table& table, const std::vector<int64_t>& generators) {
  std::vector<int64_t> open;
  for (size_t x = 0; x < reached.size(); ++x)
    if (reached[x]) open.push_back(static_cast<int64_t>(x));
  while (!open.empty()) {
    const int64_t x = open.back();
    open.pop_back();
    for (const int64_t g : generators)
      if (const int64_t y = table[x][g]; !reached[y]) {
        reached[y] = true;
        open.push_back(y);
      }
  }
}

std::vector<int64_t> find_generators(const Table& table, int64_t identity) {
  std::vector<int64_t> generators;
  std::vector<bool> reached(table.size(), false);
  reached[identity] = true;
  for (size_t x = 0; x < table.size(); ++x)
    if (!reached[x]) {
      generators.push_back(static_cast<int64_t>(x));
      close(reached, table, generators);
    }
  return generators;
}

// Light's test of associativity: the a with (x a) y = x (a y) for all x, y are closed under products, so
// testing generators is enough.
void check_associative(const Table& table, const std::vector<int64_t>& generators) {
  for (const int64_t a : generators)
    for (size_t x = 0; x < table.size(); ++x)
      for (size_t y = 0; y < table.size(); ++y)
        if (table[table[x][a]][y] != table[x][table[a][y]])
          refuse(fmt::format("({0} {1}) {2} is {3}, but {0} ({1} {2}) is {4}", x, a, y, table[table[x][a]][y],
                             table[x][table[a][y]]));
}

std::vector<int64_t> find_classes(const Table& table, const std::vector<int64_t>& inverses) {
  std::vector<int64_t> classes(table.size(), -1);
  int64_t next = 0;
  for (size_t x = 0; x < table.size(); ++x) {
    if (classes[x] >= 0) continue;
    for (size_t g = 0; g < table.size(); ++g) classes[table[table[g][x]][inverses[g]]] = next;
    ++next;
  }
  return classes;
}

}  // namespace

FiniteGroup::FiniteGroup(Table table, std::vector<std::string> names)
    : table_(std::move(table)), names_(std::move(names)) {
  check_closed(table_);
  if (!names_.empty() && names_.size() != table_.size())
    throw Error(fmt::format("a group of {} elements comes with {} names", table_.size(), names_.size()),
                "name every element, or none");
  identity_ = find_identity(table_);
  inverses_ = find_inverses(table_, identity_);
  generators_ = find_generators(table_, identity_);
  check_associative(table_, generators_);
  classes_ = find_classes(table_, inverses_);
}

torch::Tensor FiniteGroup::products() const {
  std::vector<int64_t> all;
  for (const auto& row : table_) all.insert(all.end(), row.begin(), row.end());
  return torch::tensor(all, torch::kInt64);
}

torch::Tensor FiniteGroup::quotients() const {
  std::vector<int64_t> all;
  for (const auto& row : table_)
    for (const int64_t inverse : inverses_) all.push_back(row[inverse]);
  return torch::tensor(all, torch::kInt64);
}

FiniteGroup cyclic_group(int64_t n) {
  if (n < 1) throw Error(fmt::format("there is no cyclic group of order {}", n));
  Table table(n);
  for (int64_t x = 0; x < n; ++x)
    for (int64_t y = 0; y < n; ++y) table[x].push_back((x + y) % n);
  return FiniteGroup(std::move(table));
}

FiniteGroup group_of(const Structure& structure) {
  if (!structure.group && !structure.cyclic)
    throw UsageError(
        "the task declares neither group nor cyclic structure, so there is no group to represent",
        "probe a task whose inputs are two elements of a group and whose label is their product, "
        "such as symmetric_group or modular_arithmetic");
  if (!structure.group) return cyclic_group(structure.cyclic->order);
  if (!structure.group->label_is_product)
    throw UsageError(
        "the label of (x, y) is another word than the product x y, and the characters "
        "chi(x y z^-1) say nothing of it",
        "choose the operation \"x*y\", or leave the probe out");
  return FiniteGroup(structure.group->table, structure.group->names);
}

}  // namespace orrery
