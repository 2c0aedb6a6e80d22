// Constructions of irreducible representations; each kind of group has its own .cpp file.
#pragma once

#include <orrery/groups.h>

#include <optional>
#include <string>
#include <vector>

namespace orrery {

/// Entry i is the image of i; counted from 0.
using Permutation = std::vector<int64_t>;

/// The elements as permutations of 0..degree-1, read from names in cycle notation, if these multiply as the
/// table says (right factor first).
struct PermutationGroup {
  std::vector<Permutation> elements;
  int64_t degree = 0;
  enum class Kind { symmetric, alternating, other } kind = Kind::other;
};
std::optional<PermutationGroup> as_permutations(const FiniteGroup& group);

/// The first element that generates the group, or -1 if none does.
int64_t cyclic_generator(const FiniteGroup& group);

/// A partition of n, its parts in descending order.
using Partition = std::vector<int64_t>;
/// All partitions of n in descending order: (3), (2,1), (1,1,1).
std::vector<Partition> partitions(int64_t n);
/// "trivial", "sign", "standard (4,1)", "(3,2)".
std::string name_of(const Partition& partition);
/// Young's orthogonal form of each of `elements`: [elements, d, d] float64.
torch::Tensor young_matrices(const Partition& partition, const std::vector<Permutation>& elements);

/// A representation from its matrices alone. Throws orrery::Error if it is not irreducible.
Representation make_representation(std::string name, const FiniteGroup& group, torch::Tensor matrices);

std::vector<Representation> symmetric_representations(const FiniteGroup& group,
                                                      const PermutationGroup& permutations);
std::vector<Representation> alternating_representations(const FiniteGroup& group,
                                                        const PermutationGroup& permutations);
std::vector<Representation> cyclic_representations(const FiniteGroup& group, int64_t generator);
/// For any group; in ascending order of degrees.
std::vector<Representation> numerical_representations(const FiniteGroup& group);

}  // namespace orrery
