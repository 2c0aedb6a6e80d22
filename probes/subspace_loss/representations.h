// The subspaces that the entries of representations of a group span, kept or removed where the logits are
// linear: by their means over the pairs with the same product, so that no table over all pairs is held.
#pragma once

#include <orrery/grid_pieces.h>
#include <orrery/probe.h>
#include <orrery/subspace.h>

#include <cstdint>
#include <string>
#include <vector>

namespace subspace_loss {

/// The group of a task with its representations.
struct Represented {
  orrery::FiniteGroup group;
  std::string name;
  std::vector<orrery::Representation> all;
};
Represented represented(const orrery::Structure& structure);
orrery::OperandIndices indices_in(const orrery::Structure& structure);

/// Positions in Represented::all, ascending, and the share of each in the sum of squares of the logits about
/// the mean of each input over the elements.
struct KeyRepresentations {
  std::vector<int64_t> keys;
  std::vector<double> shares;
};
/// Those that `names` lists; for {"all"} every one, the trivial one included; for {} the nontrivial ones
/// whose character has a cosine with these logits above 0.005 (Chughtai et al. 2023). Throws
/// orrery::UsageError for a name that the group does not have, or that is listed twice.
KeyRepresentations find_key_representations(const std::vector<std::string>& names,
                                            const orrery::GridPieces& grid, const Represented& of);

/// The entries of the representations `keys`: orthonormal functions [m, n] of an element.
torch::Tensor entries_of(const std::vector<int64_t>& keys, const Represented& of);
/// These as functions of the product x y, or of x and of y, over the pairs in the order of x*n + y.
orrery::OverInputs functions_of_product(const torch::Tensor& functions, const Represented& of);
orrery::OverInputs functions_of_elements(const torch::Tensor& functions);

/// A cut where the logits are linear.
struct LinearCut {
  enum class Site { logits, neurons, neurons_alone };  ///< see orrery::SubspaceCut
  Site site = Site::logits;
  orrery::Part part = orrery::Part::keep;
  orrery::Bias bias = orrery::Bias::none;
};
/// The losses of the network as it is, then under the cut of the entries of each of `sets` as functions of
/// the product. `grid` holds "*mlp.hook_post" unless the site is the logits. Throws orrery::UsageError where
/// these are several layers, or the logits are not linear in them.
std::vector<orrery::Losses> losses_by_product(const LinearCut& how,
                                              const std::vector<std::vector<int64_t>>& sets,
                                              const orrery::GridPieces& grid, const Represented& of,
                                              const orrery::Observation& observation);

}  // namespace subspace_loss
