#include "engine/check/bitwise.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace orrery::engine::checks {
namespace {

torch::Tensor cloned(const torch::Tensor& x) { return x.defined() ? x.detach().clone() : x; }

// ", at row 3": the first row in which tensors of one shape and dtype differ.
std::string first_row(const torch::Tensor& a, const torch::Tensor& b) {
  if (!a.defined() || !b.defined() || a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type() ||
      a.dim() == 0 || a.numel() == 0)
    return "";
  const torch::Tensor rows = a.ne(b).reshape({a.size(0), -1}).any(1).nonzero();
  return rows.numel() == 0 ? "" : fmt::format(", at row {}", rows[0].item<int64_t>());
}

// The first name that one of two ordered lists has and the other lacks, or "".
template <class List, class NameOf>
std::string names_differ(const char* what, const List& a, const List& b, NameOf&& name_of) {
  const auto has = [&](const List& list, const std::string& name) {
    return std::any_of(list.begin(), list.end(), [&](const auto& entry) { return name_of(entry) == name; });
  };
  for (const auto& entry : a)
    if (!has(b, name_of(entry)))
      return fmt::format("{} \"{}\" is there the first time only", what, name_of(entry));
  for (const auto& entry : b)
    if (!has(a, name_of(entry)))
      return fmt::format("{} \"{}\" is there the second time only", what, name_of(entry));
  for (size_t i = 0; i < a.size(); ++i)
    if (name_of(a[i]) != name_of(b[i]))
      return fmt::format("{} \"{}\" comes in another order", what, name_of(a[i]));
  return "";
}

bool same_value(const Value& a, const Value& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  if (x && y) return same(*x, *y);
  const auto* xs = std::get_if<std::vector<double>>(&a);
  const auto* ys = std::get_if<std::vector<double>>(&b);
  if (xs && ys)
    return std::equal(xs->begin(), xs->end(), ys->begin(), ys->end(),
                      [](double p, double q) { return same(p, q); });
  return a == b;
}

std::string figure_difference(const Figure& a, const Figure& b) {
  if (a.kind != b.kind || a.title != b.title || a.x_label != b.x_label || a.y_label != b.y_label ||
      a.traces.size() != b.traces.size() || a.x_ticks != b.x_ticks || a.y_ticks != b.y_ticks)
    return fmt::format("figure \"{}\" differs in its title, labels, ticks or number of traces", a.name);
  for (size_t i = 0; i < a.traces.size(); ++i) {
    const Trace &x = a.traces[i], &y = b.traces[i];
    if (x.name != y.name || x.labels != y.labels || x.facet != y.facet || !same(x.x, y.x) ||
        !same(x.y, y.y) || !same(x.z, y.z) || !same(x.y_error, y.y_error))
      return fmt::format("figure \"{}\" differs in trace \"{}\"", a.name, x.name);
  }
  return "";
}

std::string finding_difference(const Finding& a, const Finding& b) {
  if (a.kind != b.kind) return fmt::format("finding \"{}\" is of kind {}, then {}", a.name, a.kind, b.kind);
  if (a.fields.size() != b.fields.size()) return fmt::format("finding \"{}\" has other fields", a.name);
  for (const auto& [field, value] : a.fields) {
    const auto other = b.fields.find(field);
    if (other == b.fields.end()) return fmt::format("finding \"{}\" has other fields", a.name);
    if (!same_value(value, other->second))
      return fmt::format("finding \"{}\" has {} {}, then {}", a.name, field, to_string(value),
                         to_string(other->second));
  }
  return "";
}

}  // namespace

bool same(const torch::Tensor& a, const torch::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const torch::Tensor x = a.detach().cpu().contiguous(), y = b.detach().cpu().contiguous();
  return x.numel() == 0 || std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

std::string difference(const std::string& name, const Batch& a, const Batch& b) {
  const auto first = a.tensors(), second = b.tensors();
  const auto other = [](const auto& tensors, const std::string& part) {
    for (const auto& [known, tensor] : tensors)
      if (known == part) return tensor;
    return torch::Tensor();
  };
  for (const auto& [part, tensor] : first)
    if (const torch::Tensor now = other(second, part); !same(tensor, now))
      return fmt::format("{}.{}{}", name, part, first_row(tensor, now));
  for (const auto& [part, tensor] : second)
    if (!other(first, part).defined()) return fmt::format("{}.{}", name, part);
  return "";
}

std::string difference(const Split& a, const Split& b) {
  if (std::string found = difference("train", a.train, b.train); !found.empty()) return found;
  if (std::string found = difference("test", a.test, b.test); !found.empty()) return found;
  if (a.grid.has_value() != b.grid.has_value()) return "grid, which is there once only";
  if (a.grid)
    if (std::string found = difference("grid", *a.grid, *b.grid); !found.empty()) return found;
  if (!same(a.train_rows, b.train_rows)) return "train_rows" + first_row(a.train_rows, b.train_rows);
  if (!same(a.test_rows, b.test_rows)) return "test_rows" + first_row(a.test_rows, b.test_rows);
  return "";
}

std::string difference(const Record& a, const Record& b) {
  const auto first = [](const auto& entry) { return entry.first; };
  const auto named = [](const auto& entry) { return entry.name; };
  for (const std::string& found : {names_differ("scalar", a.scalars, b.scalars, first),
                                   names_differ("tensor", a.tensors, b.tensors, first),
                                   names_differ("figure", a.figures, b.figures, named),
                                   names_differ("finding", a.findings, b.findings, named)})
    if (!found.empty()) return found;
  for (size_t i = 0; i < a.scalars.size(); ++i)
    if (!same(a.scalars[i].second, b.scalars[i].second))
      return fmt::format("scalar \"{}\" is {}, then {}", a.scalars[i].first, a.scalars[i].second,
                         b.scalars[i].second);
  for (size_t i = 0; i < a.tensors.size(); ++i)
    if (!same(a.tensors[i].second, b.tensors[i].second))
      return fmt::format("tensor \"{}\" differs{}", a.tensors[i].first,
                         first_row(a.tensors[i].second, b.tensors[i].second));
  for (size_t i = 0; i < a.figures.size(); ++i)
    if (std::string found = figure_difference(a.figures[i], b.figures[i]); !found.empty()) return found;
  for (size_t i = 0; i < a.findings.size(); ++i)
    if (std::string found = finding_difference(a.findings[i], b.findings[i]); !found.empty()) return found;
  return a.headlines == b.headlines ? "" : "other scalars are headlines";
}

void seed_global_generator() { at::manual_seed(0x6f7272657279); }

Batch copy(const Batch& batch) {
  return batch.tokens.defined() ? batch.rows(torch::arange(batch.size(), torch::kInt64)) : batch;
}

Split copy(const Split& split) {
  Split own{copy(split.train), copy(split.test), {}, cloned(split.train_rows), cloned(split.test_rows)};
  if (split.grid) own.grid = copy(*split.grid);
  return own;
}

}  // namespace orrery::engine::checks
