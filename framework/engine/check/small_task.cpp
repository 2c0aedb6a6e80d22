#include "engine/check/small_task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>

#include <optional>

namespace orrery::engine::checks {
namespace {

// The cost of a forward pass over the data, and of a weight matrix.
int64_t cost(const Variant& variant) {
  const Split& split = variant.split;
  const int64_t examples = split.grid ? split.grid->size() : split.train.size() + split.test.size();
  return examples * variant.spec.n_ctx + variant.spec.d_vocab + variant.spec.d_vocab_out;
}

bool enough(int64_t now, int64_t before, int64_t least) { return now >= std::min(before, least); }

bool is_as_good(const Variant& smaller, const Variant& before) {
  for (const Capability capability : all_capabilities)
    if (offers(smaller.structure, capability) != offers(before.structure, capability)) return false;
  if (smaller.split.grid.has_value() != before.split.grid.has_value()) return false;
  return (!before.split.grid || enough(smaller.split.grid->size(), before.split.grid->size(), 100)) &&
         enough(smaller.split.train.size(), before.split.train.size(), 16) &&
         enough(smaller.split.test.size(), before.split.test.size(), 16) &&
         enough(smaller.spec.d_vocab, before.spec.d_vocab, 8) &&
         enough(smaller.spec.d_vocab_out, before.spec.d_vocab_out, 8) &&
         enough(smaller.spec.n_ctx, before.spec.n_ctx, 8) && smaller.spec.endless == before.spec.endless;
}

std::optional<Variant> try_variant(const TaskSource& source, const Values& values) {
  try {
    return make_variant(source, values, "");
  } catch (const std::exception&) {
    return std::nullopt;  // too small for this task
  }
}

int64_t value_of(const Field& field, const Values& values) {
  const auto found = values.find(field.name);
  return std::get<int64_t>(found == values.end() ? field.fallback : found->second);
}

// Primes come first, because some groups need them.
std::vector<int64_t> lower_values(int64_t value) {
  std::vector<int64_t> lower;
  for (const int64_t candidate :
       {value / 2, int64_t{64}, int64_t{31}, int64_t{11}, int64_t{7}, int64_t{5}, int64_t{4}, int64_t{3}})
    if (candidate < value && candidate > 0) lower.push_back(candidate);
  return lower;
}

// The cheapest variant with one parameter lowered; nothing if none is cheaper.
std::optional<Variant> lowered(const TaskSource& source, const Field& field, const Variant& now,
                               const Variant& original) {
  std::optional<Variant> best;
  for (const int64_t value : lower_values(value_of(field, now.values))) {
    Values values = now.values;
    values[field.name] = value;
    auto candidate = try_variant(source, values);
    if (candidate && is_as_good(*candidate, original) && cost(*candidate) < cost(best ? *best : now))
      best = std::move(candidate);
  }
  return best;
}

}  // namespace

Variant make_small(const TaskSource& source, const Values& given) {
  const Variant original = make_variant(source, given, "");
  Variant now = make_variant(source, given, "");
  for (bool changed = true; changed;) {
    changed = false;
    for (const Field& field : source.fields) {
      if (!std::holds_alternative<int64_t>(field.fallback)) continue;
      if (auto smaller = lowered(source, field, now, original)) {
        now = std::move(*smaller);
        changed = true;
      }
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, value] : now.values)
    if (!given.contains(name) || given.at(name) != value)
      names.push_back(fmt::format("{} = {}", name, to_string(value)));
  now.name = fmt::format("{}", fmt::join(names, ", "));
  return now;
}

}  // namespace orrery::engine::checks
