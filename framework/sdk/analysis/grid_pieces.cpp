#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/grid_pieces.h>

#include <algorithm>
#include <map>
#include <set>

#include "sdk/analysis/grid_rows.h"

namespace orrery {
namespace {

constexpr int64_t kInputsAtOnce = 4096;  // as many as the host sends through the model together

const Batch& grid_in(const Observation& observation) {
  const Split& split = observation.split;
  if (!split.grid || !split.train_rows.defined() || !split.test_rows.defined())
    throw UsageError(
        "the task does not list its whole grid of inputs, which is laid out over its two operands",
        "leave the probe out");
  if (observation.spec.read_out.size() != 1)
    throw UsageError(fmt::format("a grid over two operands has one read-out position; the task has {}",
                                 observation.spec.read_out.size()),
                     "leave the probe out");
  return *split.grid;
}

// The names that match any of `globs`, each once, in alphabetical order.
std::vector<std::string> names_matching(const std::vector<std::string>& names,
                                        const std::vector<std::string>& globs) {
  std::set<std::string> found;
  for (const std::string& name : names)
    for (const std::string& glob : globs)
      if (matches(glob, name)) found.insert(name);
  return {found.begin(), found.end()};
}

// Rows of what a pass gave at the output position: x [inputs, 1, ...].
torch::Tensor rows_at_output(const torch::Tensor& x, const torch::Tensor& rows) {
  return x.select(1, 0).index_select(0, rows);
}

ActivationCache rows_at_output(const ActivationCache& cache, const std::vector<std::string>& names,
                               const torch::Tensor& rows) {
  ActivationCache chosen;
  for (const std::string& name : names) chosen.put(name, rows_at_output(cache[name], rows));
  return chosen;
}

}  // namespace

GridPieces::GridPieces(OperandIndices indices, const Observation& observation,
                       const std::vector<std::string>& globs, int64_t held)
    : indices_(std::move(indices)), observation_(observation) {
  const Batch& grid = grid_in(observation);
  rows_ = rows_of_pairs(indices_.pairs(grid.tokens), order());
  labels_ = grid.labels.select(1, 0).index_select(0, rows_);
  if (grid.weights.defined())
    weights_ = grid.weights.reshape({-1}).index_select(0, rows_).to(torch::kFloat64);
  train_ = pairs_among(rows_, observation.split.train_rows, grid.size());
  test_ = pairs_among(rows_, observation.split.test_rows, grid.size());
  if (observation.logits.defined()) {
    hook_points_ = names_matching(observation.cache.names(), globs);
    whole_ = observed();
    return;
  }
  // An unembedding may have columns beyond the classes, for "=" in published networks: they are not classes.
  if (observation.spec.d_vocab_out < indices_.n_classes())
    throw Error(fmt::format("the structure speaks of {} classes, the logits of {}", indices_.n_classes(),
                            observation.spec.d_vocab_out));
  hook_points_ = names_matching(observation.model.hook_point_names(), globs);
  if (order() * order() * indices_.n_classes() <= held) whole_ = laid_out();
}

GridPiece GridPieces::observed() const {
  const Observation& seen = observation_;
  if (seen.logits.dim() != 3 || seen.logits.size(1) != 1 ||
      seen.logits.size(0) != observation_.split.grid->size())
    throw Error(fmt::format("the grid has {} inputs, but {} were observed", observation_.split.grid->size(),
                            seen.logits.size(0)));
  if (seen.logits.size(2) < indices_.n_classes())
    throw Error(fmt::format("the structure speaks of {} classes, the logits of {}", indices_.n_classes(),
                            seen.logits.size(2)));
  return {torch::arange(rows_.size(0), torch::kInt64),
          rows_at_output(seen.logits.narrow(2, 0, indices_.n_classes()), rows_).to(torch::kFloat64),
          rows_at_output(seen.cache, hook_points_, rows_)};
}

GridPiece GridPieces::laid_out() const {
  std::vector<torch::Tensor> logits;
  std::map<std::string, std::vector<torch::Tensor>> kept;
  run([&](const torch::Tensor& of_piece, const ActivationCache& cache) {
    logits.push_back(of_piece);
    for (const std::string& name : hook_points_) kept[name].push_back(cache[name]);
  });
  ActivationCache all;
  for (const auto& [name, pieces] : kept) all.put(name, torch::cat(pieces));
  return {torch::arange(rows_.size(0), torch::kInt64),
          rows_at_output(torch::cat(logits).narrow(2, 0, indices_.n_classes()), rows_).to(torch::kFloat64),
          rows_at_output(all, hook_points_, rows_)};
}

// Logits [inputs, 1, d_vocab_out] and activations [inputs, 1, ...], float32 on the CPU, of the inputs of the
// grid in their order.
void GridPieces::run(
    const std::function<void(const torch::Tensor& logits, const ActivationCache& cache)>& look) const {
  const torch::NoGradGuard no_grad;
  Model& model = observation_.model;
  const bool fast = model.fast_read_out_keeps(hook_points_);
  const torch::Tensor& tokens = observation_.split.grid->tokens;
  for (int64_t start = 0; start < tokens.size(0); start += kInputsAtOnce) {
    const auto piece = tokens.narrow(0, start, std::min(kInputsAtOnce, tokens.size(0) - start));
    const ReadOutRequest request{
        piece.to(model.device()), observation_.spec.read_out, {}, /*observed=*/true, hook_points_};
    const auto pass = fast ? model.fast_read_out(request) : plain_read_out(model, request);
    const auto logits = pass->logits().to(torch::kCPU);
    ActivationCache cache;
    for (const auto& [name, activation] : pass->activations()) cache.put(name, activation.to(torch::kCPU));
    look(logits, cache);
  }
}

void GridPieces::each(const std::function<void(const GridPiece& piece)>& look) const {
  if (whole_) return look(*whole_);
  const auto all_pairs = indices_.pairs(observation_.split.grid->tokens);
  int64_t start = 0;
  run([&](const torch::Tensor& logits, const ActivationCache& cache) {
    const auto pairs = all_pairs.narrow(0, start, logits.size(0));
    start += logits.size(0);
    const auto rows = (pairs >= 0).nonzero().flatten();
    look({pairs.index_select(0, rows),
          rows_at_output(logits.narrow(2, 0, indices_.n_classes()), rows).to(torch::kFloat64),
          rows_at_output(cache, hook_points_, rows)});
  });
}

Losses GridPieces::losses(const torch::Tensor& loss) const {
  return mean_losses(loss, weights_, train_, test_);
}

torch::Tensor GridPieces::cross_entropies(const torch::Tensor& table, const torch::Tensor& rows) const {
  const auto log_p = table.to(torch::kFloat64).log_softmax(1);
  return -log_p.flatten().index_select(0, rows * table.size(1) + labels_);
}

std::vector<torch::Tensor> GridPieces::cross_entropies_less(
    const std::vector<torch::Tensor>& tables, const torch::Tensor& rows,
    const std::function<torch::Tensor(const GridPiece& piece)>& base) const {
  std::vector<torch::Tensor> losses;
  for (size_t i = 0; i < tables.size(); ++i) losses.push_back(torch::empty({rows.size(0)}, torch::kFloat64));
  each([&](const GridPiece& piece) {
    const auto logits = base(piece);
    const auto labels = labels_.index_select(0, piece.pairs), row = rows.index_select(0, piece.pairs);
    for (size_t i = 0; i < tables.size(); ++i)
      losses[i].index_copy_(
          0, piece.pairs,
          cross_entropy(tables[i].defined() ? logits - tables[i].index_select(0, row) : logits, labels));
  });
  return losses;
}

}  // namespace orrery
