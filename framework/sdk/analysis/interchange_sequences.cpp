#include <fmt/format.h>
#include <orrery/error.h>

#include <algorithm>

#include "sdk/analysis/interchange_ready.h"

namespace orrery {
namespace {

using torch::Tensor;

constexpr int64_t kFitted = 4096;  // inputs that the direction of a carry is found on

// The whole layer, and each of its heads.
std::vector<InterchangeSite> sites_of_heads(const Observation& observation, const char* glob,
                                            int64_t head_dim, const std::vector<std::string>& asked) {
  std::vector<InterchangeSite> sites;
  std::vector<std::string> names;
  for (const std::string& name : observation.model.hook_point_names())
    if (matches(glob, name) &&
        (asked.empty() || std::any_of(asked.begin(), asked.end(),
                                      [&](const std::string& other) { return matches(other, name); })))
      names.push_back(name);
  if (names.empty()) return sites;
  const torch::NoGradGuard no_grad;
  const Tensor one = observation.split.test.tokens.narrow(0, 0, 1).to(observation.model.device());
  const ActivationCache cache = run_with_cache(observation.model, one, names).cache;
  for (const std::string& name : names) {
    sites.push_back({.hook = name});
    for (int64_t head = 0; head < cache[name].size(head_dim); ++head)
      sites.push_back({.hook = name, .dim = head_dim, .entry = head});
  }
  return sites;
}

// At the output positions of each example: the earlier position of the repeat, and what followed there.
struct Repeats {
  Tensor tokens;   // [inputs, n_ctx]
  Tensor labels;   // [inputs, n_read]
  Tensor earlier;  // [inputs, n_read]: -1 where the label is not told by one
  Tensor once;     // [inputs, n_read] bool: the earlier position repeats none itself, so there is one only
  int64_t classes;

  // What the base has behind the source's earlier position.
  Tensor by_position(const Tensor& base, const Tensor& source) const {
    const Tensor next = (earlier.index_select(0, source) + 1).clamp_min(0);
    const Tensor token = tokens.index_select(0, base).gather(1, next);
    return where_known(torch::where(token < classes, token, -torch::ones_like(token)), base, source);
  }
  Tensor by_value(const Tensor& base, const Tensor& source) const {
    return where_known(labels.index_select(0, source), base, source);
  }

 private:
  Tensor where_known(const Tensor& label, const Tensor& base, const Tensor& source) const {
    const Tensor told = torch::logical_and(once.index_select(0, source), earlier.index_select(0, base) >= 0);
    return torch::where(told, label, -torch::ones_like(label));
  }
};

Repeats repeats_in(const Batch& batch, const TaskSpec& spec) {
  const Tensor read_out = torch::tensor(spec.read_out, torch::kInt64);
  const Tensor at = batch.repeat_of.index_select(1, read_out);
  const Tensor next = batch.tokens.gather(1, (at + 1).clamp_min(0));
  const Tensor known = torch::logical_and(at >= 0, next == batch.labels);
  const Tensor earlier = torch::where(known, at, -torch::ones_like(at));
  const Tensor before = batch.repeat_of.gather(1, at.clamp_min(0));
  return {batch.tokens, batch.labels, earlier, torch::logical_and(known, before < 0), spec.d_vocab_out};
}

// Where the digits of a sum stand: of place value k (0: the ones) in each number, and in the output.
struct Digits {
  int64_t n = 0, base = 0, n_sum = 0;
  bool reversed = false;  // the operands, least significant digit first
  std::vector<int64_t> place_read =
      {};  // output position of each digit of the sum, as an index into read_out

  int64_t in_operand(int64_t place) const { return reversed ? place : n - 1 - place; }
  Tensor digit(const Tensor& tokens, int64_t operand, int64_t place) const {
    if (place >= n) return torch::zeros({tokens.size(0)}, torch::kInt64);  // the last carry stands alone
    return tokens.select(1, operand * (n + 1) + in_operand(place));
  }
  // [inputs]: the sum of the two digits, and the carry into them.
  Tensor sum(const Tensor& tokens, int64_t place) const {
    return digit(tokens, 0, place) + digit(tokens, 1, place);
  }
  Tensor carry(const Tensor& tokens, int64_t place) const {
    Tensor carry = torch::zeros({tokens.size(0)}, torch::kInt64);
    for (int64_t p = 0; p < place; ++p) carry = (sum(tokens, p) + carry).div(base, "floor");
    return carry;
  }
  bool fits(const Batch& batch) const {
    for (int64_t place = 0; place < n_sum; ++place) {
      const Tensor digit = (sum(batch.tokens, place) + carry(batch.tokens, place)).remainder(base);
      if (!torch::equal(digit, batch.labels.select(1, place_read[static_cast<size_t>(place)]))) return false;
    }
    return true;
  }
};

// The order of the operands' digits is not declared: the one under which the labels are sums.
Digits digits_of(const TaskSpec& spec, const Batch& batch) {
  Digits digits{.base = spec.d_vocab_out, .n_sum = static_cast<int64_t>(spec.groups.size())};
  digits.n = (spec.n_ctx - 2 - digits.n_sum) / 2;
  for (int64_t place = 0; place < digits.n_sum; ++place) {
    const auto at = std::find(spec.groups.begin(), spec.groups.end(), fmt::format("digit_{}", place));
    digits.place_read.push_back(at - spec.groups.begin());
  }
  if (digits.n >= 1 && 2 * digits.n + 2 + digits.n_sum == spec.n_ctx)
    for (const bool reversed : {false, true}) {
      digits.reversed = reversed;
      if (digits.fits(batch)) return digits;
    }
  throw UsageError(
      "the loss groups name digits, but the labels are no sums of two numbers written digit by "
      "digit",
      "carries are those of inputs X + Y = SUM with a token for each digit, in the normal or the reversed "
      "order");
}

// The carry less its mean among the inputs with the same sum of digits: what the digits do not say.
Tensor beside_digits(const Tensor& carry, const Tensor& sum) {
  Tensor rest = carry.to(torch::kFloat64);
  const Tensor sums = std::get<0>(at::_unique(sum));
  for (int64_t i = 0; i < sums.size(0); ++i) {
    const Tensor same = (sum == sums[i]).to(torch::kFloat64);
    rest = rest - same * ((rest * same).sum() / same.sum());
  }
  return rest;
}

// [pairs, n_read], -1 but at one output.
Tensor at_output(const Tensor& label, int64_t output, int64_t n_read) {
  Tensor labels = torch::full({label.size(0), n_read}, -1, torch::kInt64);
  labels.select(1, output).copy_(label);
  return labels;
}

CausalVariable carry_into(int64_t place, const Digits& digits, const VariableSet& set, const TaskSpec& spec,
                          std::vector<InterchangeSite> sites, uint64_t seed) {
  const int64_t output = digits.place_read[static_cast<size_t>(place)];
  const auto n_read = static_cast<int64_t>(spec.read_out.size());
  const Tensor sum = digits.sum(set.inputs.tokens, place), carry = digits.carry(set.inputs.tokens, place);
  const auto labelled = [=, base = digits.base](const Tensor& sums, const Tensor& carries) {
    return at_output((sum.index_select(0, sums) + carry.index_select(0, carries)).remainder(base), output,
                     n_read);
  };
  for (InterchangeSite& site : sites) site.position = spec.read_out[static_cast<size_t>(output)];
  const Tensor& fitted = set.fit_inputs.tokens;
  const Tensor functions = beside_digits(digits.carry(fitted, place), digits.sum(fitted, place)).unsqueeze(0);
  return {fmt::format("carry_{}", place),
          fmt::format("the carry into digit {}", place),
          [=](const Tensor& base, const Tensor& source) { return labelled(base, source); },
          {[=](const Tensor&, const Tensor& source) { return labelled(source, source); }},
          functions,
          interchanging::in_random_order(functions, seed),
          std::move(sites)};
}

}  // namespace

namespace interchanging {

VariableSet repeat_variables(const Observation& observation, const VariableOptions& options) {
  VariableSet set{observation.split.test, observation.split.test, {}};
  if (!set.inputs.repeat_of.defined())
    throw UsageError("the task declares repeats, but its test set does not say where (Batch::repeat_of)");
  const Repeats repeats = repeats_in(set.inputs, observation.spec);
  const CounterfactualLabels position = [repeats](const Tensor& base, const Tensor& source) {
    return repeats.by_position(base, source);
  };
  const CounterfactualLabels value = [repeats](const Tensor& base, const Tensor& source) {
    return repeats.by_value(base, source);
  };
  set.variables = {{"position",
                    "where the token stood before",
                    position,
                    {value},
                    {},
                    {},
                    sites_of_heads(observation, "*attn.hook_pattern", 1, options.sites)},
                   {"value",
                    "the token that followed there",
                    value,
                    {position},
                    {},
                    {},
                    sites_of_heads(observation, "*attn.hook_z", 2, options.sites)}};
  std::erase_if(set.variables, [](const CausalVariable& variable) { return variable.sites.empty(); });
  if (set.variables.empty())
    throw UsageError(
        "the earlier position of a repeat is looked for in attention heads (*attn.hook_pattern, "
        "*attn.hook_z), and this model has none there",
        "");
  return set;
}

bool has_digits(const TaskSpec& spec) {
  for (size_t place = 0; place < spec.groups.size(); ++place)
    if (std::count(spec.groups.begin(), spec.groups.end(), fmt::format("digit_{}", place)) != 1) return false;
  return spec.groups.size() >= 2;
}

VariableSet carry_variables(const Observation& observation, const VariableOptions& options) {
  const Batch& train = observation.split.train;
  const Tensor few = torch::arange(std::min(kFitted, train.size()), torch::kInt64);
  VariableSet set{observation.split.test, train.rows(few), {}};
  const Digits digits = digits_of(observation.spec, set.inputs);
  std::vector<std::string> globs = options.sites;
  if (globs.empty()) {
    globs = usual_sites(observation.model);
    std::erase(globs, "logits");  // not linear in a carry
  }
  const std::vector<InterchangeSite> sites = sites_matching(observation.model, globs);
  for (int64_t place = 1; place < digits.n_sum; ++place)
    set.variables.push_back(carry_into(place, digits, set, observation.spec, sites, options.seed));
  return set;
}

}  // namespace interchanging
}  // namespace orrery
