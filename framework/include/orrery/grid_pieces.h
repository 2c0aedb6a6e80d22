// The grid of a task with two operands, shown to a probe piece by piece. The logits of all pairs of a group
// of 720 elements are 373 million numbers; what a probe makes of them, means and losses, adds up over pieces.
// A probe that looks this way asks for Inputs::none and is handed nothing by the host.
#pragma once

#include <orrery/export.h>
#include <orrery/groups.h>
#include <orrery/hooks.h>
#include <orrery/operand_grid.h>
#include <orrery/probe.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace orrery {

/// Some of the n*n pairs (i, j) of indices; the first dimension of every tensor runs over them. On the CPU.
struct GridPiece {
  torch::Tensor pairs;    ///< [m] int64: i*n + j. A piece of all pairs has them in order: 0, 1, ..., n*n - 1
  torch::Tensor logits;   ///< [m, classes] float64: of all classes that the structure lists
  ActivationCache cache;  ///< [m, ...] float32: activations at the output position
};

/// The pieces of a grid. Of an observation of Inputs::grid it is one, what was observed. Of Inputs::none the
/// model is run, by the pass that the host would take, 4,096 inputs at a time: once and for all pairs
/// together where all logits are at most `held` numbers, otherwise anew for each each(). Inputs with an
/// operand without an index are left out. Use it from one thread at a time.
class ORRERY_API GridPieces {
 public:
  static constexpr int64_t most_held = int64_t{1} << 25;  ///< 256 MB of float64

  /// globs: the hook points whose activations a piece holds. The observation must outlive this. Throws what
  /// OperandGrid throws.
  GridPieces(OperandIndices indices, const Observation& observation, const std::vector<std::string>& globs,
             int64_t held = most_held);
  GridPieces(OperandIndices, const Observation&&, const std::vector<std::string>&, int64_t = 0) = delete;

  const OperandIndices& indices() const { return indices_; }
  int64_t order() const { return indices_.order(); }       ///< n
  const torch::Tensor& labels() const { return labels_; }  ///< [n*n] int64, by pair

  /// Shows each pair once.
  void each(const std::function<void(const GridPiece& piece)>& look) const;

  /// The means of `loss` [n*n] float64, by pair, as OperandGrid::losses takes them.
  Losses losses(const torch::Tensor& loss) const;
  /// The cross-entropy of each pair, [n*n] float64 in nats, where the logits of pair p are row rows[p] of
  /// `table` [n, classes] float64.
  torch::Tensor cross_entropies(const torch::Tensor& table, const torch::Tensor& rows) const;
  /// The same of base(piece) [m, classes] float64 less that row, for each of `tables`; an undefined table
  /// subtracts nothing.
  std::vector<torch::Tensor> cross_entropies_less(
      const std::vector<torch::Tensor>& tables, const torch::Tensor& rows,
      const std::function<torch::Tensor(const GridPiece& piece)>& base) const;

 private:
  GridPiece observed() const;
  GridPiece laid_out() const;
  void run(const std::function<void(const torch::Tensor& logits, const ActivationCache& cache)>& look) const;

  OperandIndices indices_;
  const Observation& observation_;
  std::vector<std::string> hook_points_;
  torch::Tensor rows_, labels_;  // int64 [n*n]: of the grid, and of the pairs
  torch::Tensor weights_;        // float64 [n*n], undefined if all are 1
  torch::Tensor train_, test_;   // int64: pairs
  std::optional<GridPiece> whole_;
};

/// Sums over pairs (x, y) of m functions of them, taken piece by piece in float64. Row x*n + y is the pair.
class ORRERY_API PairSums {
 public:
  /// operands: whether the means over pairs with the same x, or the same y, are asked for.
  explicit PairSums(const FiniteGroup& group, bool operands = true);

  /// pairs: [k] int64; values: [k, m] float32 or float64.
  void add(const torch::Tensor& pairs, const torch::Tensor& values);

  /// Means over the n pairs with the same x, y, or product x y, once every pair was added: [n, m] float64.
  torch::Tensor by_left() const { return left_ / n_; }
  torch::Tensor by_right() const { return right_ / n_; }
  torch::Tensor by_product() const { return product_ / n_; }
  torch::Tensor mean() const { return mean_; }  ///< [m] float64
  /// [m] float64: the sum of squares about the mean; 0 for a function that is constant up to rounding.
  torch::Tensor energy() const;

 private:
  void start(const torch::Tensor& values);

  int64_t n_;
  bool operands_;
  torch::Tensor products_;                 // [n*n] int64
  torch::Tensor left_, right_, product_;   // [n, m]
  torch::Tensor mean_, energy_, squares_;  // [m]
  double count_ = 0, epsilon_ = 0;
};

/// pair_energies (orrery/groups.h) of what was added to `sums`, which must have been asked for operands.
ORRERY_API PairEnergies pair_energies(const PairSums& sums,
                                      const std::vector<Representation>& representations);
/// fit_characters of logits whose means over the pairs with the same product are `by_product` [n, n] float64,
/// column z for element z. `energy`: their sum of squares over all entries, about the mean that similarity
/// is to leave out: the overall one, or that of each pair over the elements, which characters do not see
/// either.
ORRERY_API CharacterFit fit_characters(const torch::Tensor& by_product, double energy,
                                       const FiniteGroup& group,
                                       const std::vector<Representation>& representations);
/// character_logits by product: row x y of [n, n] float64 holds those of every pair with that product.
ORRERY_API torch::Tensor characters_by_product(const torch::Tensor& coefficients, const FiniteGroup& group,
                                               const std::vector<Representation>& representations);

}  // namespace orrery
