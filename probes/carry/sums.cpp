#include "sums.h"

#include <orrery/error.h>

#include <optional>

using torch::Tensor;

namespace {

int64_t drawn(int64_t below, const torch::Generator& rng) {
  return torch::randint(below, {1}, rng, torch::kInt64).item<int64_t>();
}

// The digits of both numbers by place, [rows, n_digits] each.
struct Digits {
  Tensor a, b;
};

Digits digits_in(const Layout& layout, const Tensor& tokens) {
  std::vector<Tensor> a, b;
  for (int64_t place = 0; place < layout.n_digits; ++place) {
    a.push_back(tokens.select(1, layout.operand_position(0, place)));
    b.push_back(tokens.select(1, layout.operand_position(1, place)));
  }
  return {torch::stack(a, 1), torch::stack(b, 1)};
}

Tensor written(const Layout& layout, const Digits& digits) {
  const int64_t n = layout.n_digits;
  const Tensor tokens = torch::zeros({digits.a.size(0), 2 * n + 2 + layout.n_sum}, torch::kInt64);
  tokens.select(1, n).fill_(layout.base);
  tokens.select(1, 2 * n + 1).fill_(layout.base + 1);
  Tensor carry = torch::zeros({digits.a.size(0)}, torch::kInt64);
  for (int64_t place = 0; place < layout.n_sum; ++place) {
    Tensor column = carry;
    if (place < n) {
      const Tensor a = digits.a.select(1, place), b = digits.b.select(1, place);
      tokens.select(1, layout.operand_position(0, place)).copy_(a);
      tokens.select(1, layout.operand_position(1, place)).copy_(b);
      column = column + a + b;
    }
    tokens.select(1, layout.sum_position(place)).copy_(column.remainder(layout.base));
    carry = column.div(layout.base, "floor");
  }
  return tokens;
}

// What a column adds up to: less than B - 1, just that, more, or anything.
enum class Column { less, nine, more, any };

// Draws the digits of a column among the pairs that fulfil its condition.
class Pairs {
 public:
  Pairs(const Layout& layout, const Digits& seen) {
    for (int64_t place = 0; place < layout.n_digits; ++place)
      for (const Column column : {Column::less, Column::nine, Column::more, Column::any})
        pairs_.push_back(among(layout.base, seen.a.select(1, place).max().item<int64_t>(),
                               seen.b.select(1, place).max().item<int64_t>(), column));
  }
  bool none(int64_t place, Column column) const { return at(place, column).empty(); }
  std::pair<int64_t, int64_t> draw(int64_t place, Column column, const torch::Generator& rng) const {
    const auto& all = at(place, column);
    return all[static_cast<size_t>(drawn(static_cast<int64_t>(all.size()), rng))];
  }

 private:
  using List = std::vector<std::pair<int64_t, int64_t>>;
  const List& at(int64_t place, Column column) const {
    return pairs_[static_cast<size_t>(4 * place) + static_cast<size_t>(column)];
  }
  static List among(int64_t base, int64_t largest_a, int64_t largest_b, Column column) {
    List all;
    for (int64_t a = 0; a <= largest_a; ++a)
      for (int64_t b = 0; b <= largest_b; ++b) {
        const Column is = a + b < base - 1 ? Column::less : a + b == base - 1 ? Column::nine : Column::more;
        if (column == Column::any || column == is) all.emplace_back(a, b);
      }
    return all;
  }
  std::vector<List> pairs_;
};

// The conditions on the columns below `place`, the highest first, for each length that the sub-task may have.
std::vector<std::vector<Column>> conditions(SubTask sub_task, int64_t place) {
  const auto nines = [](int64_t length, std::optional<Column> below) {
    std::vector<Column> columns(static_cast<size_t>(length), Column::nine);
    if (below) columns.push_back(*below);
    return columns;
  };
  std::vector<std::vector<Column>> all;
  if (sub_task == SubTask::BA) all = {place == 0 ? nines(0, {}) : nines(0, Column::less)};
  if (sub_task == SubTask::UC1) all = {nines(0, Column::more)};
  if (sub_task == SubTask::US9) all = {nines(1, Column::more)};
  if (sub_task == SubTask::cascade)
    for (int64_t length = 2; length < place; ++length) all.push_back(nines(length, Column::more));
  if (sub_task == SubTask::MS9)
    for (int64_t length = 1; length <= place; ++length)
      all.push_back(length < place ? nines(length, Column::less) : nines(length, {}));
  return all;
}

// Those that the columns below `place` can fulfil.
std::vector<std::vector<Column>> possible(SubTask sub_task, int64_t place, const Pairs& pairs) {
  std::vector<std::vector<Column>> kept;
  for (const auto& columns : conditions(sub_task, place)) {
    bool fits = static_cast<int64_t>(columns.size()) <= place;
    for (size_t i = 0; fits && i < columns.size(); ++i)
      fits = !pairs.none(place - 1 - static_cast<int64_t>(i), columns[i]);
    if (fits) kept.push_back(columns);
  }
  return kept;
}

}  // namespace

const std::vector<std::pair<std::string, SubTask>>& sub_tasks() {
  static const std::vector<std::pair<std::string, SubTask>> all = {{"BA", SubTask::BA},
                                                                   {"UC1", SubTask::UC1},
                                                                   {"US9", SubTask::US9},
                                                                   {"cascade", SubTask::cascade},
                                                                   {"MS9", SubTask::MS9}};
  return all;
}

int64_t Layout::operand_position(int64_t number, int64_t place) const {
  return number * (n_digits + 1) + (operands_reversed ? place : n_digits - 1 - place);
}

int64_t Layout::sum_position(int64_t place) const { return 2 * n_digits + 2 + output(place); }

std::string no_sums(const orrery::TaskSpec& spec) {
  const auto n_sum = static_cast<int64_t>(spec.read_out.size());
  const int64_t operands = spec.n_ctx - 2 - n_sum, n = operands / 2;
  bool fits = spec.d_vocab == spec.d_vocab_out + 2 && spec.d_vocab_out >= 2 && operands > 0 &&
              operands % 2 == 0 && (n_sum == n || n_sum == n + 1);
  for (int64_t i = 0; fits && i < n_sum; ++i) fits = spec.read_out[i] == 2 * n + 1 + i;
  return fits ? "" : "the task does not write sums as digit_addition does: number + number = sum";
}

Layout layout_of(const orrery::TaskSpec& spec, const Tensor& examples) {
  const auto n_sum = static_cast<int64_t>(spec.read_out.size());
  for (const auto& [operands, sum] :
       {std::pair(false, false), std::pair(false, true), std::pair(true, true)}) {
    const Layout layout{spec.d_vocab_out, (spec.n_ctx - 2 - n_sum) / 2, n_sum, operands, sum};
    const Digits digits = digits_in(layout, examples);
    if ((digits.a < layout.base).all().item<bool>() && (digits.b < layout.base).all().item<bool>() &&
        written(layout, digits).equal(examples))
      return layout;
  }
  throw orrery::UsageError("the examples of the task are no sums",
                           "leave the probe out, or train on digit_addition");
}

std::vector<Cell> cells(const Layout& layout, const Tensor& examples, int64_t n, torch::Generator rng) {
  const Pairs pairs(layout, digits_in(layout, examples));
  std::vector<Cell> all;
  for (const auto& [name, sub_task] : sub_tasks())
    for (int64_t place = 0; place < layout.n_sum; ++place) {
      const auto choices = possible(sub_task, place, pairs);
      if (choices.empty()) continue;
      const Digits digits{torch::empty({n, layout.n_digits}, torch::kInt64),
                          torch::empty({n, layout.n_digits}, torch::kInt64)};
      for (int64_t row = 0; row < n; ++row) {
        const auto& columns = choices[static_cast<size_t>(drawn(static_cast<int64_t>(choices.size()), rng))];
        for (int64_t at = 0; at < layout.n_digits; ++at) {
          const int64_t below = place - 1 - at;
          const bool free = below < 0 || below >= static_cast<int64_t>(columns.size());
          const auto [a, b] = pairs.draw(at, free ? Column::any : columns[static_cast<size_t>(below)], rng);
          digits.a[row][at] = a;
          digits.b[row][at] = b;
        }
      }
      const Tensor tokens = written(layout, digits);
      const Tensor labels = tokens.narrow(1, 2 * layout.n_digits + 2, layout.n_sum).clone();
      all.push_back({sub_task, place, {.tokens = tokens, .labels = labels}});
    }
  return all;
}
