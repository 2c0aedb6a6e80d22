// Cayley tables of groups by their names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace finite_group {

/// A group's multiplication: table[x][y] is the element x y.
struct Cayley {
  std::vector<std::vector<int64_t>> table;
  std::vector<std::string> names;  ///< of the elements; may be empty
  bool cyclic = false;             ///< the integers modulo n, in their order
};

inline constexpr int64_t most_elements = 720;  ///< as S_6: 518,400 pairs

/// The group that `name` names, such as "Z_6 x D_4":
///   Z_n   the integers modulo n, 0 to n-1
///   D_n   the symmetries of a regular polygon of n sides, of order 2n: 1, r, r^2, ..., then s, r s, r^2 s,
///   ...,
///         with s r = r^-1 s
///   Q_n   n divisible by 4, at least 8: 1, a, a^2, ..., then b, a b, a^2 b, ..., where a has order n/2, b^2
///   =
///         a^(n/4) and b a = a^-1 b. Q_8 are the quaternions, with i for a and j for b
///   S_n   all permutations of 1..n, in lexicographic order of one-line notation; the right factor acts first
///   A_n   the even ones
///   G x H pairs (g, h), h fastest; of more factors the last is fastest
/// Throws orrery::UsageError, saying where `name` is wrong, and if the order exceeds most_elements.
Cayley named_group(const std::string& name);

/// The table in the text file `path`: n lines of n numbers from 0 to n-1, separated by blanks, tabs or
/// commas; row x and column y hold x y, `#` begins a comment. Throws orrery::UsageError, with file, line and
/// column, for what is not such a table, and if it is not that of a group, with the axiom and the elements.
Cayley read_cayley(const std::string& path);

}  // namespace finite_group
