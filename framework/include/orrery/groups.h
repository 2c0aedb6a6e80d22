// Finite groups and their irreducible representations, for probes that describe a network's circuit for x, y
// -> x y by matrices (Chughtai, Chan & Nanda 2023, "A toy model of universality: reverse engineering how
// networks learn group operations", arXiv 2302.03025). Throughout, n is the order of the group, its elements
// are 0..n-1, and a pair (x, y) of them is row x*n + y.
#pragma once

#include <orrery/export.h>
#include <orrery/operand_grid.h>
#include <orrery/structure.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace orrery {

/// A finite group, given by its Cayley table.
class ORRERY_API FiniteGroup {
 public:
  using Table = std::vector<std::vector<int64_t>>;

  /// table[x][y] is the product x y. `names` names the elements and may be empty. Throws orrery::Error, with
  /// the axiom and the elements that violate it, if the table is not that of a group.
  explicit FiniteGroup(Table table, std::vector<std::string> names = {});

  int64_t order() const { return static_cast<int64_t>(table_.size()); }
  int64_t identity() const { return identity_; }
  int64_t product(int64_t x, int64_t y) const { return table_[x][y]; }
  int64_t inverse(int64_t x) const { return inverses_[x]; }
  /// A generating set of at most log2 n elements.
  const std::vector<int64_t>& generators() const { return generators_; }
  /// The conjugacy class of each element, numbered from 0 in the order of their first elements.
  const std::vector<int64_t>& conjugacy_classes() const { return classes_; }
  const std::vector<std::string>& names() const { return names_; }

  torch::Tensor products() const;   ///< [n*n] int64: x y for each pair
  torch::Tensor quotients() const;  ///< [n*n] int64: x y^-1 for each pair

  friend bool operator==(const FiniteGroup& a, const FiniteGroup& b) {
    return a.table_ == b.table_ && a.names_ == b.names_;
  }

 private:
  Table table_;
  std::vector<std::string> names_;
  int64_t identity_ = 0;
  std::vector<int64_t> inverses_, generators_, classes_;
};

/// The integers modulo n: the product of x and y is x + y.
ORRERY_API FiniteGroup cyclic_group(int64_t n);

/// The group of a task: that of its group structure, or else the integers modulo the order of its cyclic
/// structure. Throws orrery::UsageError if it declares neither, or if its labels are not the product.
ORRERY_API FiniteGroup group_of(const Structure& structure);

/// "S_5", "A_5" (elements named as permutations in cycle notation, all of them or the even ones), "Z_113"
/// (cyclic), or "group of order 8".
ORRERY_API std::string name_of(const FiniteGroup& group);

/// A representation that is irreducible over the real numbers: rho(x y) = rho(x) rho(y).
struct Representation {
  std::string name;
  torch::Tensor matrices;   ///< [n, d, d] float64, orthogonal
  torch::Tensor character;  ///< [n] float64: the traces
  /// [d*d / type, n] float64: an orthonormal basis of the functions on the group that the entries of the
  /// matrices span. The spaces of different representations are orthogonal, and together hold all functions.
  torch::Tensor basis;
  /// 1: real, irreducible over the complex numbers too; 2: complex, the sum of a representation and its
  /// conjugate, as rotations by w_k are; 4: quaternionic, the sum of two that are equal.
  int64_t type = 1;

  int64_t degree() const { return matrices.size(1); }  ///< d
};

/// All irreducible representations of `group` over the real numbers, the trivial one first.
///   S_n    by Young's orthogonal form (James & Kerber 1981, section 3.4), in descending order of partitions:
///          "trivial", "standard (4,1)", "(3,2)", "(3,1,1)", "(2,2,1)", "(2,1,1,1)", "sign"
///   A_n    named after the representations of S_n that contain them, "(3,1,1)_1" and "(3,1,1)_2" where
///          there are two; matrices as for other groups
///   Z_n    "trivial", and for k = 1..floor(n/2) "k=7": rotation by w_k x, w_k = 2 pi k / n, x being the
///          logarithm to the first element that generates the group; for k = n/2, the sign (-1)^x
///   other  "trivial", "3d", or "3d_1", "3d_2" where several have that degree d; as eigenspaces of a random
///          symmetric element of the group algebra, acting from the right on the regular representation
///          (Dixon 1970, "Computing irreducible representations of groups"), the same at every call
/// The result has passed check_representations; tensors are on the CPU. Takes milliseconds for n = 120, a
/// second for n = 720.
ORRERY_API std::vector<Representation> irreducible_representations(const FiniteGroup& group);

/// Throws orrery::Error unless `representations` are all irreducible representations of `group`: orthogonal
/// matrices that multiply as the elements do, each irreducible of its type, with orthogonal characters and n
/// basis functions in all. The tolerance is 1e-10: rounding stays below 1e-11, and a mistake is of order 1/n.
ORRERY_API void check_representations(const FiniteGroup& group,
                                      const std::vector<Representation>& representations);

/// The share of each representation in m functions on the group, x [n, m]: of their sum of squares about each
/// function's own mean. Returns [representations] float64; 0 for the trivial one, the mean; the others add up
/// to 1, or are all 0 if all functions are constant.
ORRERY_API torch::Tensor representation_shares(const torch::Tensor& x,
                                               const std::vector<Representation>& representations);

/// The energies of m functions of two elements x, y about their own means, by representation. Functions of x
/// alone, of y alone and of the product x y alone are orthogonal unless constant, so the energies explained
/// by the entries of rho(x), of rho(y) and of rho(x y) add up.
struct PairEnergies {
  torch::Tensor left, right, product;  ///< [representations, m] float64; 0 for the trivial one
  /// [m] float64: the sum of squares about the mean; 0 for a function that is constant up to rounding
  torch::Tensor total;
};
/// values: [n*n, m] float32 or float64, row x*n + y.
ORRERY_API PairEnergies pair_energies(const torch::Tensor& values, const FiniteGroup& group,
                                      const std::vector<Representation>& representations);

/// The components of logits [n*n, n], column z for element z, along the functions chi(x y z^-1) of (x, y, z),
/// one for each representation: orthogonal, and scaled to norm 1 over all n*n*n entries.
struct CharacterFit {
  torch::Tensor coefficients;  ///< [representations] float64: inner products
  /// [representations] float64: cosine similarity with the logits about their overall mean; 0 for the trivial
  /// one. The squares are shares of the variance of the logits.
  torch::Tensor similarity;
};
ORRERY_API CharacterFit fit_characters(const torch::Tensor& logits, const FiniteGroup& group,
                                       const std::vector<Representation>& representations);

/// The sum over representations of `coefficients` [representations] times the function chi(x y z^-1), scaled
/// to norm 1: [n*n, n] float64. With the coefficients of fit_characters, the part of the logits along
/// characters.
ORRERY_API torch::Tensor character_logits(const torch::Tensor& coefficients, const FiniteGroup& group,
                                          const std::vector<Representation>& representations);

/// Projects each column of x [n*n, m] on the span of the entries of rho(x y). Returns [n*n, m] float64.
ORRERY_API torch::Tensor project_on_product(const torch::Tensor& x, const FiniteGroup& group,
                                            const Representation& representation);

/// The grid of a task, laid out over its group: row x*n + y holds the input of the elements x and y. Indices
/// are the elements, or those of a cyclic structure.
class ORRERY_API GroupView : public OperandGrid {
 public:
  /// `group` must be group_of(observation.structure). Throws orrery::Error if its order differs, and what
  /// OperandGrid throws.
  GroupView(const Observation& observation, const FiniteGroup& group);
};

}  // namespace orrery
