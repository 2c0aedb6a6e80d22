// Sums written digit by digit, and sums that need a given sub-task of addition at a given place.
#pragma once

#include <orrery/task.h>

#include <string>
#include <utility>
#include <vector>

/// What decides a digit of the sum. s_i is the sum of both digits at place i (0 are the ones) in base B, and
/// a column with s_i = B - 1 passes on a carry that comes into it.
enum class SubTask {
  BA,       ///< base add: the column below makes no carry and passes none on (or there is none)
  UC1,      ///< use carry 1: the column below makes a carry, s >= B
  US9,      ///< use sum 9: it has s = B - 1 and passes on the carry that the next one below makes
  cascade,  ///< use sum 9, cascading: the carry comes through two such columns or more
  MS9       ///< make sum 9 without use: it has s = B - 1, as may some below, and no carry comes
};
/// All of them with their names, in this order.
const std::vector<std::pair<std::string, SubTask>>& sub_tasks();

/// How a task writes sums: first number, "+", second number, "=", sum. Tokens and classes 0..base-1 are
/// digits.
struct Layout {
  int64_t base = 10, n_digits = 0, n_sum = 0;            ///< n_sum: n_digits, or one more with the last carry
  bool operands_reversed = false, sum_reversed = false;  ///< the ones come first

  /// The position of the digit of a place in number 0 or 1, and that of the sum.
  int64_t operand_position(int64_t number, int64_t place) const;
  int64_t sum_position(int64_t place) const;
  /// Which of the output positions predicts that digit of the sum.
  int64_t output(int64_t place) const { return sum_reversed ? place : n_sum - 1 - place; }
};

/// Why a task of these shapes does not write sums like this, "" if it may.
std::string no_sums(const orrery::TaskSpec& spec);
/// The layout of `examples` [n, n_ctx]: that in which all of them are sums. Throws orrery::UsageError if
/// there is none.
Layout layout_of(const orrery::TaskSpec& spec, const torch::Tensor& examples);

/// Sums of one sub-task at one place of the sum.
struct Cell {
  SubTask sub_task;
  int64_t place;
  orrery::Batch sums;  ///< tokens and labels
};
/// `n` sums for each sub-task and place at which there are any. Digits are drawn uniformly among those that
/// fulfil the condition, up to the largest digits of each column in `examples`; the length of a cascade, and
/// of the columns of MS9, uniformly among those that are possible.
std::vector<Cell> cells(const Layout& layout, const torch::Tensor& examples, int64_t n, torch::Generator rng);
