#include <orrery/probe.h>

#include <algorithm>

namespace orrery {
namespace {

using Tokens = std::vector<int64_t>;

Tokens row_of(const torch::Tensor& tokens, int64_t row) {
  const torch::Tensor own = tokens[row].to(torch::kInt64).contiguous();
  return {own.data_ptr<int64_t>(), own.data_ptr<int64_t>() + own.numel()};
}

// The rows of the grid that agree with each other in every position but one, for each such position.
class Neighbours {
 public:
  Neighbours(const torch::Tensor& tokens, const std::vector<int64_t>& positions) : positions_(positions) {
    by_rest_.resize(positions_.size());
    for (int64_t row = 0; row < tokens.size(0); ++row) {
      grid_.push_back(row_of(tokens, row));
      for (size_t at = 0; at < positions_.size(); ++at) by_rest_[at][rest(grid_.back(), at)].push_back(row);
    }
  }

  /// The positions at which there is a row beside `whole` itself.
  std::vector<size_t> choices(const Tokens& whole) const {
    std::vector<size_t> all;
    for (size_t at = 0; at < positions_.size(); ++at) {
      const auto found = by_rest_[at].find(rest(whole, at));
      if (found != by_rest_[at].end() && found->second.size() > 1) all.push_back(at);
    }
    return all;
  }
  /// Those rows.
  std::vector<int64_t> rows(const Tokens& whole, size_t at) const {
    std::vector<int64_t> all;
    for (const int64_t row : by_rest_[at].at(rest(whole, at)))
      if (grid_[row] != whole) all.push_back(row);
    return all;
  }

 private:
  Tokens rest(Tokens whole, size_t at) const {
    whole[positions_[at]] = -1;
    return whole;
  }

  std::vector<int64_t> positions_;
  std::vector<Tokens> grid_;
  std::vector<std::map<Tokens, std::vector<int64_t>>> by_rest_;
};

std::vector<int64_t> positions_that_matter(const Structure& structure, const torch::Tensor& tokens) {
  if (structure.relevant_positions) return structure.relevant_positions->positions;
  std::vector<int64_t> positions;
  for (int64_t at = 0; at < tokens.size(1); ++at)
    if ((tokens.select(1, at) != tokens[0][at]).any().item<bool>()) positions.push_back(at);
  return positions;
}

int64_t draw(int64_t n, const torch::Generator& rng) {
  return torch::randint(n, {1}, rng, torch::kInt64).item<int64_t>();
}

// The next in a random order, so that no example is its own partner.
Batch others(const Batch& clean, const torch::Generator& rng) {
  const torch::Tensor order = torch::randperm(clean.size(), rng, torch::kInt64);
  return clean.rows(torch::empty_like(order).index_put_({order}, order.roll(1)));
}

// Where the grid has no neighbour of a row, one drawn from all others.
int64_t partner(const Neighbours& neighbours, const Batch& grid, const Tokens& whole,
                const torch::Generator& rng) {
  const std::vector<size_t> choices = neighbours.choices(whole);
  if (choices.empty()) {
    const int64_t n = grid.size(), row = draw(n, rng);
    return n > 1 && row_of(grid.tokens, row) == whole ? (row + 1 + draw(n - 1, rng)) % n : row;
  }
  const std::vector<int64_t> rows =
      neighbours.rows(whole, choices[draw(static_cast<int64_t>(choices.size()), rng)]);
  return rows[draw(static_cast<int64_t>(rows.size()), rng)];
}

}  // namespace

Batch corrupted_by_default(const Batch& clean, const Split& split, const Structure& structure,
                           torch::Generator rng) {
  if (!split.grid) return others(clean, rng);
  const Batch& grid = *split.grid;
  const Neighbours neighbours(grid.tokens, positions_that_matter(structure, grid.tokens));
  std::vector<int64_t> rows;
  for (int64_t example = 0; example < clean.size(); ++example)
    rows.push_back(partner(neighbours, grid, row_of(clean.tokens, example), rng));
  return grid.rows(torch::tensor(rows, torch::kInt64));
}

}  // namespace orrery
