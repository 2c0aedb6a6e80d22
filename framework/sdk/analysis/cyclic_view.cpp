#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/operands.h>

#include <algorithm>
#include <limits>

namespace orrery {
namespace {

const CyclicStructure& cyclic_of(const Observation& observation) {
  if (!observation.structure.cyclic)
    throw UsageError(
        "the task declares no cyclic structure, so its inputs have no frequencies",
        "probe a task whose operation is addition in a cyclic group, such as modular_arithmetic with "
        "operation \"add\"");
  return *observation.structure.cyclic;
}

const Batch& grid_of(const Observation& observation) {
  const Split& split = observation.split;
  if (!split.grid || !split.train_rows.defined() || !split.test_rows.defined())
    throw UsageError("the task does not list its whole grid of inputs, over which frequencies are measured");
  if (observation.logits.dim() != 3 || observation.logits.size(1) != 1)
    throw UsageError(fmt::format("frequencies are measured at one read-out position; the task has {}",
                                 observation.spec.read_out.size()));
  if (observation.logits.size(0) != split.grid->size())
    throw Error(fmt::format("the grid has {} inputs, but {} were observed", split.grid->size(),
                            observation.logits.size(0)));
  return *split.grid;
}

// Where each index stands in `map`: [order] positions. What the map has no index for is left out.
torch::Tensor inverse_of(const std::vector<int64_t>& map, int64_t order, const char* what) {
  std::vector<int64_t> at(order, -1);
  for (size_t value = 0; value < map.size(); ++value) {
    const int64_t index = map[value];
    if (index == -1) continue;
    if (index < 0 || index >= order || at[index] != -1)
      throw Error(fmt::format("the cyclic structure of order {} gives {} {} the index {}, which {}", order,
                              what, value, index,
                              index < 0 || index >= order ? "does not exist" : "is taken already"));
    at[index] = static_cast<int64_t>(value);
  }
  for (int64_t index = 0; index < order; ++index)
    if (at[index] == -1)
      throw Error(
          fmt::format("the cyclic structure of order {} has no {} with index {}", order, what, index));
  return torch::tensor(at, torch::kInt64);
}

// The index of the token at `position` of each input: [rows], -1 where it has none.
std::vector<int64_t> indices_at(const Batch& grid, int64_t position, const std::vector<int64_t>& map) {
  if (position < 0 || position >= grid.tokens.size(1))
    throw Error(fmt::format("the cyclic structure has an operand at position {} of {}", position,
                            grid.tokens.size(1)));
  const auto tokens = grid.tokens.select(1, position).to(torch::kInt64).contiguous();
  std::vector<int64_t> indices;
  for (const int64_t token : at::ArrayRef<int64_t>(tokens.data_ptr<int64_t>(), tokens.numel())) {
    if (token < 0 || token >= static_cast<int64_t>(map.size()))
      throw Error(
          fmt::format("the cyclic structure says nothing of token {} at position {}", token, position));
    indices.push_back(map[token]);
  }
  return indices;
}

// The row of the grid that holds each pair of indices (i, j): [n*n], at i*n + j.
torch::Tensor rows_of(const Batch& grid, const CyclicStructure& cyclic) {
  const int64_t n = cyclic.order;
  const auto left = indices_at(grid, cyclic.left_position, cyclic.left);
  const auto right = indices_at(grid, cyclic.right_position, cyclic.right);
  std::vector<int64_t> rows(n * n, -1);
  for (size_t row = 0; row < left.size(); ++row) {
    if (left[row] < 0 || right[row] < 0) continue;
    int64_t& cell = rows[left[row] * n + right[row]];
    if (cell != -1)
      throw Error(fmt::format("rows {} and {} of the grid both hold the indices {} and {}", cell, row,
                              left[row], right[row]));
    cell = static_cast<int64_t>(row);
  }
  const auto missing = std::find(rows.begin(), rows.end(), -1) - rows.begin();
  if (missing < n * n)
    throw Error(fmt::format("no row of the grid holds the indices {} and {}", missing / n, missing % n),
                "the grid of a task lists every pair (Split::grid); which of them are trained and tested on "
                "is for train_rows and test_rows to say");
  return torch::tensor(rows, torch::kInt64);
}

// The entries of `rows` that are among `chosen`, as positions in `rows`.
torch::Tensor cells_among(const torch::Tensor& rows, const torch::Tensor& chosen, int64_t grid_size) {
  const auto is_chosen = torch::zeros({grid_size}, torch::kBool).index_fill_(0, chosen.to(torch::kCPU), true);
  return is_chosen.index_select(0, rows).nonzero().flatten();
}

torch::Tensor selected(const torch::Tensor& x, int64_t dim, const torch::Tensor& index) {
  return x.index_select(dim, index.to(x.device()));
}

}  // namespace

CyclicView::CyclicView(const Observation& observation) : observation_(observation) {
  const CyclicStructure& cyclic = cyclic_of(observation);
  const Batch& grid = grid_of(observation);
  order_ = cyclic.order;
  if (order_ < 2) throw Error(fmt::format("a cyclic group of order {} has no frequencies", order_));
  left_ = inverse_of(cyclic.left, order_, "the left operand");
  inverse_of(cyclic.right, order_, "the right operand");
  classes_ = inverse_of(cyclic.result, order_, "class");
  rows_ = rows_of(grid, cyclic);
  labels_ = selected(grid.labels.select(1, 0), 0, rows_);
  train_ = cells_among(rows_, observation.split.train_rows, grid.size());
  test_ = cells_among(rows_, observation.split.test_rows, grid.size());

  // An unembedding may have columns beyond the numbers, for "=" in published networks: they are no answers.
  const auto n_classes = static_cast<int64_t>(cyclic.result.size());
  if (observation.logits.size(2) < n_classes)
    throw Error(fmt::format("the cyclic structure speaks of {} classes, the logits of {}", n_classes,
                            observation.logits.size(2)));
  logits_ = inputs(observation.logits.select(1, 0).narrow(1, 0, n_classes)).to(torch::kFloat64);
}

torch::Tensor CyclicView::inputs(const torch::Tensor& x) const { return selected(x, 0, rows_); }
torch::Tensor CyclicView::classes(const torch::Tensor& x) const { return selected(x, -1, classes_); }
torch::Tensor CyclicView::left(const torch::Tensor& x) const { return selected(x, 0, left_); }

std::vector<std::pair<std::string, double>> CyclicView::losses(const torch::Tensor& logits) const {
  const auto loss = cross_entropy(logits, labels_);
  std::vector<std::pair<std::string, double>> means;
  const auto add = [&](const char* name, const torch::Tensor& part) {
    if (part.numel() > 0) means.emplace_back(name, part.mean().item<double>());
  };
  add("train", selected(loss, 0, train_));
  add("test", selected(loss, 0, test_));
  add("all", loss);
  return means;
}

const NeuronSpectrum& CyclicView::neurons() const {
  if (neurons_) return *neurons_;
  const auto activations = inputs(neuron_activations(observation_, "hook_post").select(1, 0));
  neurons_ = neuron_spectrum(activations.view({order_, order_, activations.size(1)}));
  return *neurons_;
}

torch::Tensor CyclicView::embedding() const {
  return left(operand_embedding(observation_, observation_.structure.cyclic->left_position));
}

torch::Tensor CyclicView::embedding_norms() const { return fourier_norms(embedding()); }

const torch::Tensor& CyclicView::logit_coefficients() const {
  if (!logit_coefficients_.defined()) logit_coefficients_ = cosine_coefficients(classes(logits_));
  return logit_coefficients_;
}

torch::Tensor CyclicView::logit_shares() const {
  const auto scored = classes(logits_);
  const double variance = (scored - scored.mean()).square().sum().item<double>();
  auto energy = logit_coefficients().square();
  energy[0] = 0;
  // Logits that are all equal vary by rounding only.
  const double rounding = std::numeric_limits<double>::epsilon();
  const bool varies = variance > scored.square().sum().item<double>() * rounding * rounding;
  return varies ? energy / variance : torch::zeros_like(energy);
}

}  // namespace orrery
