// Checks that hold for the data of every task.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <algorithm>
#include <unordered_map>

#include "engine/check/bitwise.h"
#include "engine/check/task_checks.h"
#include "engine/experiment/check_split.h"

namespace orrery::engine::checks {
namespace {

// The first entry of `values` outside 0 to end - 1: "train.labels[12, 0] is 113".
std::string out_of_range(const std::string& name, const torch::Tensor& values, int64_t end) {
  const torch::Tensor wrong = (values.lt(0) | values.ge(end)).nonzero();
  if (wrong.numel() == 0) return "";
  const auto row = wrong[0][0].item<int64_t>(), column = wrong[0][1].item<int64_t>();
  return fmt::format("{}[{}, {}] is {}; expected 0 to {}", name, row, column,
                     values[row][column].item<int64_t>(), end - 1);
}

Result in_range(TaskUnderCheck& task, const char* part, torch::Tensor Batch::*member,
                int64_t (*end)(const TaskSpec&), const char* advice) {
  int64_t n = 0;
  for (const Variant& variant : task.variants())
    for (const auto& [name, batch] : variant.batches()) {
      n += (batch->*member).numel();
      const std::string found =
          out_of_range(fmt::format("{}.{}", name, part), batch->*member, end(variant.spec));
      if (!found.empty()) return failed(variant.at(found), advice);
    }
  return ok(fmt::format("{} {}", n, part));
}

std::string bytes_of(const torch::Tensor& tokens, int64_t row) {
  const int64_t width = tokens.size(1);
  const auto* data = tokens.data_ptr<int64_t>() + row * width;
  return {reinterpret_cast<const char*>(data), static_cast<size_t>(width) * sizeof(int64_t)};
}

// The first row of `batch` with each sequence of tokens.
std::unordered_map<std::string, int64_t> rows_by_tokens(const Batch& batch) {
  const torch::Tensor tokens = batch.tokens.contiguous();
  std::unordered_map<std::string, int64_t> rows;
  for (int64_t row = 0; row < batch.size(); ++row) rows.emplace(bytes_of(tokens, row), row);
  return rows;
}

struct Overlap {
  int64_t count = 0, test_row = -1, train_row = -1;  // the first that both have
};

Overlap overlap(const Batch& train, const Batch& test) {
  const auto in_train = rows_by_tokens(train);
  const torch::Tensor tokens = test.tokens.contiguous();
  Overlap found;
  for (int64_t row = 0; row < test.size(); ++row) {
    const auto same = in_train.find(bytes_of(tokens, row));
    if (same != in_train.end() && found.count++ == 0) found = {1, row, same->second};
  }
  return found;
}

std::string grid_fault(const Variant& variant) {
  const Split& split = variant.split;
  for (const auto& [name, rows, batch] : {std::tuple{"train", &split.train_rows, &split.train},
                                          std::tuple{"test", &split.test_rows, &split.test}}) {
    check_rows(fmt::format("{}_rows", name), *rows, *split.grid);
    const std::string differs = difference(name, split.grid->rows(*rows), *batch);
    if (!differs.empty())
      return fmt::format("{} is not what the grid has in the rows {}_rows", differs, name);
  }
  const auto distinct = static_cast<int64_t>(rows_by_tokens(*split.grid).size());
  if (distinct != split.grid->size())
    return fmt::format("of the grid's {} rows only {} are different", split.grid->size(), distinct);
  return "";
}

std::string group_fault(const Variant& variant) {
  const std::vector<std::string>& names = variant.spec.groups;
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i].empty() || std::find(names.begin(), names.begin() + i, names[i]) != names.begin() + i)
      return fmt::format("the name of loss group {}, \"{}\", is empty or there twice", i, names[i]);
  std::vector<bool> seen(names.size(), false);
  for (const auto& [name, batch] : variant.batches()) {
    const std::string found =
        out_of_range(name + ".groups", batch->groups, static_cast<int64_t>(names.size()));
    if (!found.empty()) return found;
    const torch::Tensor groups = batch->groups.contiguous();
    for (int64_t i = 0; i < groups.numel(); ++i) seen[groups.data_ptr<int64_t>()[i]] = true;
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  return missing == seen.end()
             ? ""
             : fmt::format("no label is in loss group \"{}\"", names[missing - seen.begin()]);
}

}  // namespace

Result makes_its_data(TaskUnderCheck& task) {
  const auto n = static_cast<int64_t>(task.variants().size());
  std::string text = n > 1 ? fmt::format("as given and with {}", counted(n - 1, "other choice")) : "";
  if (!task.refused().empty()) text += fmt::format("; it refuses {}", fmt::join(task.refused(), ", "));
  return ok(text);
}

Result shapes(TaskUnderCheck& task) {
  for (const Variant& variant : task.variants()) {
    try {
      check_shapes(variant.spec, variant.split);
      if (variant.spec.endless)
        for (const Batch* sample : {&variant.sample, &variant.final_sample})
          check_sample_shapes(variant.spec, 64, *sample);
      if (variant.split.train.size() == 0)
        return failed(variant.at("there are no training examples"), "give at least one");
    } catch (const Error& error) {
      return failed(variant.at(error.what()), "orrery/task.h says what each tensor of Batch must be");
    }
  }
  return ok();
}

Result tokens_in_range(TaskUnderCheck& task) {
  return in_range(
      task, "tokens", &Batch::tokens, [](const TaskSpec& spec) { return spec.d_vocab; },
      "raise d_vocab in spec(), or fix the tokens");
}

Result labels_in_range(TaskUnderCheck& task) {
  return in_range(
      task, "labels", &Batch::labels,
      [](const TaskSpec& spec) { return has_one_logit(spec.loss) ? int64_t{2} : spec.d_vocab_out; },
      "raise d_vocab_out in spec(), or fix the labels (0 and 1 for a loss of one logit)");
}

Result train_and_test_disjoint(TaskUnderCheck& task) {
  std::string endless;
  for (const Variant& variant : task.variants()) {
    const Overlap found = overlap(variant.split.train, variant.split.test);
    if (variant.spec.endless) {
      endless = fmt::format(
          "it draws training examples without end; of the {} in the test set {} in train too",
          variant.split.test.size(), found.count == 1 ? "1 is" : fmt::format("{} are", found.count));
      continue;
    }
    if (found.count > 0)
      return failed(
          variant.at(fmt::format("{} of the {} test inputs are trained on: row {} of test is row {} "
                                 "of train, \"{}\"",
                                 found.count, variant.split.test.size(), found.test_row, found.train_row,
                                 variant.task->show(variant.split.test.tokens[found.test_row]))),
          "divide the inputs into two sets before drawing repeatedly, or draw without repeats");
  }
  return endless.empty() ? ok() : not_applicable(endless);
}

Result grid_holds_both(TaskUnderCheck& task) {
  bool any = false;
  for (const Variant& variant : task.variants()) {
    if (!variant.split.grid) continue;
    any = true;
    if (const std::string fault = grid_fault(variant); !fault.empty())
      return failed(variant.at(fault), "make the split with Split::of_grid(grid, train_rows, test_rows)");
  }
  return any ? ok(fmt::format("{} inputs", task.variants().front().split.grid->size()))
             : not_applicable("it does not list every possible input");
}

Result loss_groups(TaskUnderCheck& task) {
  bool any = false;
  for (const Variant& variant : task.variants()) {
    if (variant.spec.groups.empty()) continue;
    any = true;
    if (const std::string fault = group_fault(variant); !fault.empty())
      return failed(variant.at(fault), "give each label the index of its group in TaskSpec::groups");
  }
  return any ? ok(counted(static_cast<int64_t>(task.variants().front().spec.groups.size()), "group"))
             : not_applicable("it has one loss only");
}

Result shows_its_inputs(TaskUnderCheck& task) {
  for (const Variant& variant : task.variants())
    for (const auto& [name, batch] : variant.batches())
      for (int64_t row = 0; row < std::min<int64_t>(batch->size(), 16); ++row) {
        const std::string text = variant.task->show(batch->tokens[row]);
        if (text.empty() || text.find('\n') != std::string::npos)
          return failed(variant.at(fmt::format("show() of row {} of {} is \"{}\"", row, name, text)),
                        "write the input on one line");
      }
  const Variant& given = task.variants().front();
  return ok(given.task->show(given.split.train.tokens[0]));
}

}  // namespace orrery::engine::checks
