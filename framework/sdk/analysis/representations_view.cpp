#include <fmt/format.h>
#include <orrery/error.h>
#include <orrery/fourier.h>
#include <orrery/groups.h>

#include <algorithm>
#include <numeric>

namespace orrery {
namespace {

// Which element a token stands for as left and as right operand, and an output class: -1 for none.
struct Meaning {
  std::vector<int64_t> left, right, result;
  int64_t left_position, right_position;
};

Meaning meaning_in(const Structure& structure) {
  if (!structure.group) {
    const CyclicStructure& cyclic = *structure.cyclic;
    return {cyclic.left, cyclic.right, cyclic.result, cyclic.left_position, cyclic.right_position};
  }
  std::vector<int64_t> same(structure.group->table.size());
  std::iota(same.begin(), same.end(), 0);
  return {same, same, same, structure.group->left_position, structure.group->right_position};
}

const Batch& grid_of(const Observation& observation) {
  const Split& split = observation.split;
  if (!split.grid || !split.train_rows.defined() || !split.test_rows.defined())
    throw UsageError(
        "the task does not list its whole grid of inputs, over which representations are measured",
        "leave the probe out");
  if (observation.logits.dim() != 3 || observation.logits.size(1) != 1)
    throw UsageError(fmt::format("representations are measured at one read-out position; the task has {}",
                                 observation.spec.read_out.size()),
                     "leave the probe out");
  if (observation.logits.size(0) != split.grid->size())
    throw Error(fmt::format("the grid has {} inputs, but {} were observed", split.grid->size(),
                            observation.logits.size(0)));
  return *split.grid;
}

// Where each element stands in `map`: [n] positions.
torch::Tensor places_of(const std::vector<int64_t>& map, int64_t n, const char* what) {
  std::vector<int64_t> places(n, -1);
  for (size_t value = 0; value < map.size(); ++value) {
    const int64_t element = map[value];
    if (element == -1) continue;
    if (element < 0 || element >= n || places[element] != -1)
      throw Error(fmt::format("the structure of {} elements gives {} {} the element {}, which {}", n, what,
                              value, element,
                              element < 0 || element >= n ? "does not exist" : "is taken already"));
    places[element] = static_cast<int64_t>(value);
  }
  const auto missing = std::find(places.begin(), places.end(), -1) - places.begin();
  if (missing < n)
    throw Error(fmt::format("the structure of {} elements has no {} for the element {}", n, what, missing));
  return torch::tensor(places, torch::kInt64);
}

// The element at `position` of each input: [rows], -1 where the token is none.
std::vector<int64_t> elements_at(const Batch& grid, int64_t position, const std::vector<int64_t>& map) {
  if (position < 0 || position >= grid.tokens.size(1))
    throw Error(
        fmt::format("the structure has an operand at position {} of {}", position, grid.tokens.size(1)));
  const auto tokens = grid.tokens.select(1, position).to(torch::kInt64).contiguous();
  std::vector<int64_t> elements;
  for (const int64_t token : at::ArrayRef<int64_t>(tokens.data_ptr<int64_t>(), tokens.numel())) {
    if (token < 0 || token >= static_cast<int64_t>(map.size()))
      throw Error(fmt::format("the structure says nothing of token {} at position {}", token, position));
    elements.push_back(map[token]);
  }
  return elements;
}

// The row of the grid that holds each pair of elements (x, y): [n*n], at x*n + y.
torch::Tensor rows_of(const Batch& grid, const Meaning& meaning, int64_t n) {
  const auto left = elements_at(grid, meaning.left_position, meaning.left);
  const auto right = elements_at(grid, meaning.right_position, meaning.right);
  std::vector<int64_t> rows(n * n, -1);
  for (size_t row = 0; row < left.size(); ++row) {
    if (left[row] < 0 || right[row] < 0) continue;
    int64_t& cell = rows[left[row] * n + right[row]];
    if (cell != -1)
      throw Error(fmt::format("rows {} and {} of the grid both hold the elements {} and {}", cell, row,
                              left[row], right[row]));
    cell = static_cast<int64_t>(row);
  }
  const auto missing = std::find(rows.begin(), rows.end(), -1) - rows.begin();
  if (missing < n * n)
    throw Error(fmt::format("no row of the grid holds the elements {} and {}", missing / n, missing % n));
  return torch::tensor(rows, torch::kInt64);
}

// The entries of `rows` that are among `chosen`, as positions in `rows`.
torch::Tensor cells_among(const torch::Tensor& rows, const torch::Tensor& chosen, int64_t grid_size) {
  const auto is_chosen = torch::zeros({grid_size}, torch::kBool).index_fill_(0, chosen, true);
  return is_chosen.index_select(0, rows).nonzero().flatten();
}

}  // namespace

GroupView::GroupView(const Observation& observation, const FiniteGroup& group) {
  const int64_t n = group.order();
  const Batch& grid = grid_of(observation);
  const Meaning meaning = meaning_in(observation.structure);
  left_ = places_of(meaning.left, n, "left operand");
  right_ = places_of(meaning.right, n, "right operand");
  classes_ = places_of(meaning.result, n, "class");
  rows_ = rows_of(grid, meaning, n);
  labels_ = grid.labels.select(1, 0).index_select(0, rows_);
  train_ = cells_among(rows_, observation.split.train_rows, grid.size());
  test_ = cells_among(rows_, observation.split.test_rows, grid.size());

  // An unembedding may have columns beyond the classes, for "=" in published networks: they are no answers.
  const auto n_classes = static_cast<int64_t>(meaning.result.size());
  if (observation.logits.size(2) < n_classes)
    throw Error(fmt::format("the structure speaks of {} classes, the logits of {}", n_classes,
                            observation.logits.size(2)));
  logits_ = inputs(observation.logits.select(1, 0).narrow(1, 0, n_classes)).to(torch::kFloat64);
}

torch::Tensor GroupView::inputs(const torch::Tensor& x) const { return x.index_select(0, rows_); }
torch::Tensor GroupView::classes(const torch::Tensor& x) const { return x.index_select(-1, classes_); }
torch::Tensor GroupView::left(const torch::Tensor& x) const { return x.index_select(0, left_); }
torch::Tensor GroupView::right(const torch::Tensor& x) const { return x.index_select(0, right_); }

torch::Tensor GroupView::to_classes(const torch::Tensor& x) const {
  return torch::zeros({x.size(0), logits_.size(1)}, x.options()).index_copy_(1, classes_, x);
}

std::vector<std::pair<std::string, double>> GroupView::losses(const torch::Tensor& logits) const {
  const auto loss = cross_entropy(logits, labels_);
  std::vector<std::pair<std::string, double>> means;
  const auto add = [&](const char* name, const torch::Tensor& part) {
    if (part.numel() > 0) means.emplace_back(name, part.mean().item<double>());
  };
  add("train", loss.index_select(0, train_));
  add("test", loss.index_select(0, test_));
  add("all", loss);
  return means;
}

}  // namespace orrery
