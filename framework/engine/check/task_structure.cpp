// Checks that the structure a task declares is that of its data, because probes rely on it.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/groups.h>
#include <orrery/operand_grid.h>

#include <map>
#include <optional>
#include <set>

#include "engine/check/task_checks.h"

namespace orrery::engine::checks {
namespace {

// The error in a pair of operand positions, or "".
std::string positions_fault(const TaskSpec& spec, int64_t left, int64_t right) {
  if (left < 0 || right < 0 || left >= spec.n_ctx || right >= spec.n_ctx || left == right)
    return fmt::format("the operands are said to stand at positions {} and {} of {}", left, right,
                       spec.n_ctx);
  if (spec.read_out.size() != 1)
    return fmt::format("it reads {} positions, and the structure speaks of one result", spec.read_out.size());
  return "";
}

struct Row {
  std::string batch;
  int64_t number, left, right, label;
};

// Every example, as operands and label.
template <class See>
void for_each_row(const Variant& variant, int64_t left, int64_t right, See&& see) {
  for (const auto& [name, batch] : variant.batches()) {
    const torch::Tensor tokens = batch->tokens.contiguous(), labels = batch->labels.contiguous();
    const int64_t width = tokens.size(1);
    const auto *token = tokens.data_ptr<int64_t>(), *label = labels.data_ptr<int64_t>();
    for (int64_t row = 0; row < batch->size(); ++row)
      see(Row{name, row, token[row * width + left], token[row * width + right], label[row]});
  }
}

// The error in the indices of `structure`, or "" and the indices.
template <class OneStructure>
std::string indices_fault(const OneStructure& structure, std::optional<OperandIndices>& indices) {
  try {
    indices.emplace(structure);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

// A pair that is missing from the grid, or "".
std::string pairs_fault(const OperandIndices& indices, const Batch& grid) {
  const torch::Tensor pairs = indices.pairs(grid.tokens);
  const int64_t held = std::get<0>(at::_unique(pairs.masked_select(pairs >= 0))).numel();
  const int64_t all = indices.order() * indices.order();
  return held == all ? "" : fmt::format("the grid holds {} of the {} pairs of indices", held, all);
}

std::string cyclic_fault(const Variant& variant, int64_t& n) {
  const CyclicStructure& cyclic = *variant.structure.cyclic;
  std::optional<OperandIndices> found;
  std::string fault = positions_fault(variant.spec, cyclic.left_position, cyclic.right_position);
  if (fault.empty()) fault = indices_fault(cyclic, found);
  if (!fault.empty()) return fault;
  const OperandIndices& indices = *found;
  for_each_row(variant, cyclic.left_position, cyclic.right_position, [&](const Row& row) {
    const int64_t i = indices.left_index(row.left), j = indices.right_index(row.right);
    if (i < 0 || j < 0 || !fault.empty()) return;
    ++n;
    const int64_t wanted = (i + j) % cyclic.order, got = indices.result_index(row.label);
    if (got != wanted)
      fault = fmt::format(
          "row {} of {}: left[{}] + right[{}] = {} + {} = {} (mod {}), but its label {} has index {}",
          row.number, row.batch, row.left, row.right, i, j, wanted, cyclic.order, row.label, got);
  });
  return fault.empty() && variant.split.grid ? pairs_fault(indices, *variant.split.grid) : fault;
}

std::string group_label_fault(const Variant& variant, int64_t& n) {
  const GroupStructure& group = *variant.structure.group;
  std::optional<OperandIndices> indices;
  std::string fault = positions_fault(variant.spec, group.left_position, group.right_position);
  if (fault.empty()) fault = indices_fault(group, indices);
  if (!fault.empty()) return fault;
  for_each_row(variant, group.left_position, group.right_position, [&](const Row& row) {
    const int64_t x = indices->left_index(row.left), y = indices->right_index(row.right);
    if (x < 0 || y < 0 || !fault.empty()) return;
    ++n;
    if (const int64_t product = group.table[x][y]; product != row.label)
      fault = fmt::format("row {} of {}: the table has {} for the product of {} and {}, but the label is {}",
                          row.number, row.batch, product, x, y, row.label);
  });
  return fault;
}

using Tokens = std::vector<int64_t>;

// The tokens at the relevant positions, with the labels seen for them.
struct Dependence {
  struct Seen {
    Tokens labels;
    std::string where;  // first
  };
  std::map<Tokens, Seen> by_relevant;
  int64_t repeats = 0;  // examples that have the same tokens there as an earlier one
  std::string fault;
};

Tokens row_of(const torch::Tensor& x, int64_t row) {
  const int64_t* data = x.data_ptr<int64_t>() + row * x.size(1);
  return {data, data + x.size(1)};
}

Dependence dependence(const Variant& variant) {
  const Tokens& positions = variant.structure.relevant_positions->positions;
  Dependence found;
  for (const auto& [name, batch] : variant.batches()) {
    const torch::Tensor relevant =
        batch->tokens.index_select(1, torch::tensor(positions, torch::kInt64)).contiguous();
    const torch::Tensor labels = batch->labels.contiguous();
    for (int64_t row = 0; row < batch->size(); ++row) {
      const std::string where = fmt::format("row {} of {}", row, name);
      const auto [seen, is_new] =
          found.by_relevant.try_emplace(row_of(relevant, row), Dependence::Seen{row_of(labels, row), where});
      found.repeats += !is_new;
      if (!is_new && seen->second.labels != row_of(labels, row)) {
        found.fault = fmt::format("{} and {} agree at positions {}, but one has label {} and the other {}",
                                  seen->second.where, where, fmt::join(positions, ", "),
                                  fmt::join(seen->second.labels, ", "), fmt::join(row_of(labels, row), ", "));
        return found;
      }
    }
  }
  return found;
}

// A position that never changes the label in examples that differ there alone (and such examples exist); or
// -1.
int64_t idle_position(const Variant& variant, const Dependence& found) {
  const Tokens& positions = variant.structure.relevant_positions->positions;
  for (size_t at = 0; at < positions.size(); ++at) {
    std::map<Tokens, std::set<Tokens>> labels;
    std::map<Tokens, int64_t> count;
    for (const auto& [relevant, seen] : found.by_relevant) {
      Tokens others = relevant;
      others.erase(others.begin() + static_cast<int64_t>(at));
      labels[others].insert(seen.labels);
      ++count[others];
    }
    const auto varied = [](const auto& entry) { return entry.second > 1; };
    const auto matters = [](const auto& entry) { return entry.second.size() > 1; };
    if (std::any_of(count.begin(), count.end(), varied) &&
        std::none_of(labels.begin(), labels.end(), matters))
      return positions[at];
  }
  return -1;
}

std::string relevant_fault(const Variant& variant, bool& tells) {
  const Tokens& positions = variant.structure.relevant_positions->positions;
  const std::set<int64_t> distinct(positions.begin(), positions.end());
  if (positions.empty() || distinct.size() != positions.size() || *distinct.begin() < 0 ||
      *distinct.rbegin() >= variant.spec.n_ctx)
    return fmt::format("the positions are [{}]; expected different ones of 0 to {}",
                       fmt::join(positions, ", "), variant.spec.n_ctx - 1);
  const Dependence found = dependence(variant);
  if (!found.fault.empty()) return found.fault;
  tells = tells || found.repeats > 0;
  const int64_t idle = idle_position(variant, found);
  return idle < 0 ? "" : fmt::format("no label changes with what stands at position {}", idle);
}

// The first error in one sequence's repeat_of, or "".
std::string repeat_fault(const int64_t* token, const int64_t* repeat_of, int64_t n_ctx,
                         const RepeatStructure& of) {
  std::vector<int64_t> occurrences(n_ctx, 1);  // of the token at each position, up to there
  int64_t complete = 0;
  for (int64_t i = 0; i < n_ctx; ++i) {
    const int64_t earlier = repeat_of[i];
    if (earlier == -1) continue;
    if (earlier < 0 || earlier >= i)
      return fmt::format("repeat_of[{}] is {}; expected -1 or an earlier position", i, earlier);
    if (token[earlier] != token[i])
      return fmt::format("position {} is said to repeat position {}, but there are tokens {} and {}", i,
                         earlier, token[i], token[earlier]);
    occurrences[i] = occurrences[earlier] + 1;
    complete += occurrences[i] == of.times;
  }
  if (complete != of.length)
    return fmt::format("{} of its tokens occur {} times, and the stretch is said to have {}", complete,
                       of.times, of.length);
  return "";
}

std::string repeats_fault(const Variant& variant) {
  for (const auto& [name, batch] : variant.batches()) {
    if (!batch->repeat_of.defined()) return fmt::format("{}.repeat_of is undefined", name);
    const torch::Tensor tokens = batch->tokens.contiguous(), repeat_of = batch->repeat_of.contiguous();
    const int64_t n_ctx = tokens.size(1);
    for (int64_t row = 0; row < batch->size(); ++row) {
      const std::string fault =
          repeat_fault(tokens.data_ptr<int64_t>() + row * n_ctx, repeat_of.data_ptr<int64_t>() + row * n_ctx,
                       n_ctx, *variant.structure.repeats);
      if (!fault.empty()) return fmt::format("row {} of {}: {}", row, name, fault);
    }
  }
  return "";
}

}  // namespace

Result cyclic_structure(TaskUnderCheck& task) {
  int64_t n = 0, declared = 0;
  for (const Variant& variant : task.variants()) {
    if (!variant.structure.cyclic) continue;
    ++declared;
    if (const std::string fault = cyclic_fault(variant, n); !fault.empty())
      return failed(variant.at(fault),
                    "result[c] = left[a] + right[b] (mod order) must hold for every c = a op b "
                    "(orrery/structure.h)");
  }
  return declared ? ok(counted(n, "example")) : not_applicable("it declares no cyclic structure");
}

Result cayley_table(TaskUnderCheck& task) {
  std::vector<int64_t> orders;
  for (const Variant& variant : task.variants()) {
    if (!variant.structure.group) continue;
    const GroupStructure& group = *variant.structure.group;
    task.note(variant.at("the Cayley table"));
    try {
      orders.push_back(FiniteGroup(group.table, group.names).order());
    } catch (const Error& error) {
      return failed(variant.at(error.what()), error.hint());
    }
    const int64_t order = orders.back();
    if (order > variant.spec.d_vocab || order > variant.spec.d_vocab_out)
      return failed(variant.at(fmt::format("the table has {} elements, but d_vocab is {} and d_vocab_out {}",
                                           order, variant.spec.d_vocab, variant.spec.d_vocab_out)),
                    "tokens and classes 0..n-1 must be the elements");
  }
  if (orders.empty()) return not_applicable("it declares no group structure");
  return ok(fmt::format("order {}: closed, identity, inverses, associative", fmt::join(orders, ", ")));
}

Result group_labels(TaskUnderCheck& task) {
  int64_t n = 0, declared = 0;
  for (const Variant& variant : task.variants()) {
    if (!variant.structure.group || !variant.structure.group->label_is_product) continue;
    ++declared;
    if (const std::string fault = group_label_fault(variant, n); !fault.empty())
      return failed(
          variant.at(fault),
          "table[x][y] must be the label of (x, y), or set label_is_product = false for another word");
  }
  return declared ? ok(counted(n, "example"))
                  : not_applicable("it declares no group whose product is the label");
}

Result relevant_positions(TaskUnderCheck& task) {
  bool declared = false, tells = false;
  for (const Variant& variant : task.variants()) {
    if (!variant.structure.relevant_positions) continue;
    declared = true;
    if (const std::string fault = relevant_fault(variant, tells); !fault.empty())
      return failed(variant.at(fault),
                    "name in RelevantPositions every position that the label depends on, and no "
                    "other");
  }
  if (!declared) return not_applicable("it declares no relevant positions");
  return tells ? ok()
               : not_applicable("no two examples agree at the relevant positions, so that it cannot be told");
}

Result repeats(TaskUnderCheck& task) {
  bool declared = false;
  for (const Variant& variant : task.variants()) {
    if (!variant.structure.repeats) continue;
    declared = true;
    if (const std::string fault = repeats_fault(variant); !fault.empty())
      return failed(variant.at(fault),
                    "repeat_of holds the nearest earlier position of the same token of the "
                    "stretch, -1 elsewhere (Batch in orrery/task.h)");
  }
  return declared ? ok() : not_applicable("it declares no repeats");
}

}  // namespace orrery::engine::checks
