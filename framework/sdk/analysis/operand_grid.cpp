#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/operand_grid.h>

#include <algorithm>
#include <numeric>

#include "sdk/analysis/grid_rows.h"

namespace orrery {
namespace {

const char* const kOneToOne =
    "the task's structure() is to give every index to exactly one of its left values, right values and "
    "classes";

// The position of each index in `map`: [order]. Values without an index are left out.
torch::Tensor inverse_of(const std::vector<int64_t>& map, int64_t order, const std::string& name) {
  std::vector<int64_t> values(order, -1);
  for (size_t value = 0; value < map.size(); ++value) {
    const int64_t index = map[value];
    if (index == -1) continue;
    const bool exists = index >= 0 && index < order;
    if (!exists || values[index] != -1)
      throw Error(fmt::format("the structure of order {} gives {}[{}] the index {}, which {}", order, name,
                              value, index, exists ? "is taken already" : "does not exist"),
                  kOneToOne);
    values[index] = static_cast<int64_t>(value);
  }
  const auto missing = std::find(values.begin(), values.end(), -1) - values.begin();
  if (missing < order)
    throw Error(
        fmt::format("the structure of order {} has no value in {} with index {}", order, name, missing),
        kOneToOne);
  return torch::tensor(values, torch::kInt64);
}

const Batch& grid_of(const Observation& observation) {
  const Split& split = observation.split;
  if (!split.grid || !split.train_rows.defined() || !split.test_rows.defined())
    throw UsageError(
        "the task does not list its whole grid of inputs, which is laid out over its two operands",
        "leave the probe out");
  if (observation.logits.dim() != 3 || observation.logits.size(1) != 1)
    throw UsageError(fmt::format("a grid over two operands has one read-out position; the task has {}",
                                 observation.spec.read_out.size()),
                     "leave the probe out");
  if (observation.logits.size(0) != split.grid->size())
    throw Error(fmt::format("the grid has {} inputs, but {} were observed", split.grid->size(),
                            observation.logits.size(0)));
  return *split.grid;
}

}  // namespace

torch::Tensor rows_of_pairs(const torch::Tensor& pairs, int64_t order) {
  std::vector<int64_t> rows(order * order, -1);
  const auto pair = pairs.contiguous();
  for (int64_t row = 0; row < pair.numel(); ++row) {
    const int64_t here = pair.data_ptr<int64_t>()[row];
    if (here < 0) continue;
    if (rows[here] != -1)
      throw Error(fmt::format("rows {} and {} of the grid both hold the indices {} and {}", rows[here], row,
                              here / order, here % order));
    rows[here] = row;
  }
  const auto missing = std::find(rows.begin(), rows.end(), -1) - rows.begin();
  if (missing < order * order)
    throw Error(
        fmt::format("no row of the grid holds the indices {} and {}", missing / order, missing % order),
        "the grid of a task lists every pair (Split::grid); which of them are trained and tested on "
        "is for train_rows and test_rows to say");
  return torch::tensor(rows, torch::kInt64);
}

torch::Tensor pairs_among(const torch::Tensor& rows, const torch::Tensor& chosen, int64_t grid_size) {
  const auto is_chosen = torch::zeros({grid_size}, torch::kBool).index_fill_(0, chosen, true);
  return is_chosen.index_select(0, rows).nonzero().flatten();
}

Losses mean_losses(const torch::Tensor& loss, const torch::Tensor& weights, const torch::Tensor& train,
                   const torch::Tensor& test) {
  Losses means;
  const auto add = [&](const char* name, const torch::Tensor& part, const torch::Tensor& of_part) {
    if (part.numel() == 0) return;
    const auto mean = of_part.defined() ? (part * of_part).sum() / of_part.sum() : part.mean();
    means.emplace_back(name, mean.item<double>());
  };
  const auto of = [](const torch::Tensor& all, const torch::Tensor& rows) {
    return all.defined() ? all.index_select(0, rows) : all;
  };
  add("train", of(loss, train), of(weights, train));
  add("test", of(loss, test), of(weights, test));
  add("all", loss, weights);
  return means;
}

int64_t OperandIndices::Map::index_of(int64_t value) const {
  return value >= 0 && value < static_cast<int64_t>(index.size()) ? index[value] : -1;
}

torch::Tensor OperandIndices::Map::laid_out(const torch::Tensor& x, int64_t dim) const {
  const auto last = values.max().item<int64_t>();
  if (last >= x.size(dim))
    throw Error(fmt::format("the structure gives {}[{}] an index, but there are {} values to lay out", name,
                            last, x.size(dim)),
                kOneToOne);
  return x.index_select(dim, values);
}

torch::Tensor OperandIndices::Map::tokens_at(const torch::Tensor& tokens) const {
  if (position < 0 || position >= tokens.size(1))
    throw Error(fmt::format("the structure has an operand at position {} of {}", position, tokens.size(1)));
  return tokens.select(1, position).to(torch::kInt64);
}

torch::Tensor OperandIndices::Map::indices(const torch::Tensor& tokens) const {
  const auto token = tokens_at(tokens), table = torch::tensor(index, torch::kInt64);
  const auto known = torch::logical_and(token >= 0, token < table.size(0));
  return table.index_select(0, token.clamp(0, table.size(0) - 1)).masked_fill(known.logical_not(), -1);
}

OperandIndices::Map OperandIndices::make_map(const char* name, const std::vector<int64_t>& index,
                                             int64_t position) const {
  return {name, index, inverse_of(index, order_, name), position};
}

OperandIndices::OperandIndices(const CyclicStructure& cyclic) : order_(cyclic.order) {
  if (order_ < 1) throw Error(fmt::format("there is no group of order {}", order_));
  left_ = make_map("left", cyclic.left, cyclic.left_position);
  right_ = make_map("right", cyclic.right, cyclic.right_position);
  result_ = make_map("result", cyclic.result, -1);
}

OperandIndices::OperandIndices(const GroupStructure& group)
    : order_(static_cast<int64_t>(group.table.size())) {
  if (order_ < 1) throw Error("there is no group of order 0");
  std::vector<int64_t> elements(order_);
  std::iota(elements.begin(), elements.end(), 0);
  left_ = make_map("left", elements, group.left_position);
  right_ = make_map("right", elements, group.right_position);
  result_ = make_map("result", elements, -1);
}

int64_t OperandIndices::left_index(int64_t token) const { return left_.index_of(token); }
int64_t OperandIndices::right_index(int64_t token) const { return right_.index_of(token); }
int64_t OperandIndices::result_index(int64_t output_class) const { return result_.index_of(output_class); }

torch::Tensor OperandIndices::left(const torch::Tensor& x) const { return left_.laid_out(x, 0); }
torch::Tensor OperandIndices::right(const torch::Tensor& x) const { return right_.laid_out(x, 0); }
torch::Tensor OperandIndices::classes(const torch::Tensor& x) const { return result_.laid_out(x, -1); }

torch::Tensor OperandIndices::pairs(const torch::Tensor& tokens) const {
  const auto i = left_.indices(tokens), j = right_.indices(tokens);
  return (i * order_ + j).masked_fill(torch::logical_or(i < 0, j < 0), -1);
}

torch::Tensor OperandIndices::to_classes(const torch::Tensor& x) const {
  return torch::zeros({x.size(0), n_classes()}, x.options()).index_copy_(1, result_.values, x);
}

OperandGrid::OperandGrid(OperandIndices indices, const Observation& observation)
    : indices_(std::move(indices)) {
  const Batch& grid = grid_of(observation);
  for (const auto* operand : {&indices_.left_, &indices_.right_})
    if (const auto most = operand->tokens_at(grid.tokens).max().item<int64_t>();
        most >= static_cast<int64_t>(operand->index.size()))
      throw Error(
          fmt::format("the structure says nothing of token {} at position {}", most, operand->position));
  rows_ = rows_of_pairs(indices_.pairs(grid.tokens), order());
  labels_ = inputs(grid.labels.select(1, 0));
  if (grid.weights.defined()) weights_ = inputs(grid.weights.reshape({-1})).to(torch::kFloat64);
  train_ = pairs_among(rows_, observation.split.train_rows, grid.size());
  test_ = pairs_among(rows_, observation.split.test_rows, grid.size());

  // An unembedding may have columns beyond the classes, for "=" in published networks: they are not classes.
  if (observation.logits.size(2) < indices_.n_classes())
    throw Error(fmt::format("the structure speaks of {} classes, the logits of {}", indices_.n_classes(),
                            observation.logits.size(2)));
  logits_ = inputs(observation.logits.select(1, 0).narrow(1, 0, indices_.n_classes())).to(torch::kFloat64);
}

Losses OperandGrid::losses(const torch::Tensor& logits) const {
  return mean_losses(cross_entropy(logits, labels_), weights_, train_, test_);
}

}  // namespace orrery
