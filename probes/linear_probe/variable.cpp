#include "variable.h"

#include <orrery/error.h>
#include <orrery/operand_grid.h>

#include <charconv>
#include <cmath>

using orrery::Observation;
using orrery::UsageError;
using torch::Tensor;

namespace {

const std::string kWave = "wave ", kToken = "token at ";

// The whole number that follows `prefix` in `name`; -1 if none does.
int64_t number_after(const std::string& prefix, const std::string& name) {
  if (name.rfind(prefix, 0) != 0) return -1;
  int64_t number = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, number);
  return error == std::errc() && stop == end ? number : -1;
}

orrery::OperandIndices indices_of(const orrery::Structure& structure) {
  return structure.cyclic ? orrery::OperandIndices(*structure.cyclic)
                          : orrery::OperandIndices(*structure.group);
}

}  // namespace

Variable::Variable(const std::string& name) : name_(name) {
  if (name == "label") kind_ = Kind::label;
  if (name == "operand_a") kind_ = Kind::operand_a;
  if (name == "operand_b") kind_ = Kind::operand_b;
  if (name == "sum") kind_ = Kind::sum;
  for (const auto& [prefix, kind, lowest] :
       {std::tuple(kWave, Kind::wave, int64_t{1}), std::tuple(kToken, Kind::token, int64_t{0})}) {
    if (name.rfind(prefix, 0) != 0) continue;
    kind_ = kind;
    number_ = number_after(prefix, name);
    if (number_ < lowest)
      throw UsageError("no variable is called \"" + name + "\"",
                       "write \"" + prefix + "3\", with a whole number from " + std::to_string(lowest));
  }
  if (name.empty())
    throw UsageError("a variable has no name",
                     "name one: label, operand_a, operand_b, sum, \"wave 3\", \"token at 0\" or an auxiliary "
                     "label of the task");
}

void Variable::add_to(orrery::Needs& needs) const {
  using orrery::Capability;
  if (kind_ == Kind::sum || kind_ == Kind::wave) needs.structure = {Capability::cyclic};
  if (kind_ == Kind::operand_a || kind_ == Kind::operand_b)
    needs.structure_any = {Capability::cyclic, Capability::group};
  if (kind_ == Kind::auxiliary) needs.auxiliary.push_back(name_);
}

std::string Variable::refusal(const orrery::TaskSpec& spec) const {
  if (kind_ != Kind::token || number_ < spec.n_ctx) return "";
  return "there is no \"" + name_ + "\": the positions are 0 to " + std::to_string(spec.n_ctx - 1);
}

Variable::Values Variable::indices(const Observation& observation) const {
  const orrery::OperandIndices indices = indices_of(observation.structure);
  const int64_t n = indices.order();
  const Tensor pairs = indices.pairs(observation.inputs.tokens);
  const Tensor i = pairs.div(n, "floor"), j = pairs.remainder(n);
  const Tensor known = pairs >= 0;
  if (kind_ == Kind::operand_a) return {i, known};
  if (kind_ == Kind::operand_b) return {j, known};
  if (kind_ == Kind::sum) return {(i + j).remainder(n), known};
  if (2 * number_ > n)
    throw UsageError("there is no \"" + name_ + "\" modulo " + std::to_string(n),
                     "frequencies are 1 to " + std::to_string(n / 2));
  const Tensor angle = ((i + j) * number_).remainder(n).to(torch::kFloat64) * (2 * M_PI / double(n));
  return {torch::stack({angle.cos(), angle.sin()}, 1), known};
}

Variable::Values Variable::values(const Observation& observation) const {
  const orrery::Batch& inputs = observation.inputs;
  const auto all_known = [](const Tensor& x) { return torch::ones(x.sizes(), torch::kBool); };
  if (kind_ == Kind::token) {
    const Tensor token = inputs.tokens.select(1, number_).contiguous();
    return {token, all_known(token)};
  }
  if (kind_ == Kind::label)
    return {inputs.labels, inputs.scored.defined() ? inputs.scored : all_known(inputs.labels),
            Values::Along::outputs};
  if (kind_ != Kind::auxiliary) return indices(observation);
  const Tensor label = inputs.auxiliary.at(name_);
  if (label.dim() == 1) return {label, all_known(label)};
  const auto n_read = static_cast<int64_t>(observation.spec.read_out.size());
  return {label, all_known(label), label.size(1) == n_read ? Values::Along::outputs : Values::Along::context};
}

Tensor Variable::Values::at(const Tensor& x, int64_t position, const orrery::TaskSpec& spec) const {
  if (along == Along::inputs) return x;
  if (along == Along::context) return x.select(1, position < 0 ? spec.n_ctx - 1 : position);
  const auto n_read = static_cast<int64_t>(spec.read_out.size());
  int64_t next = position < 0 ? n_read - 1 : 0;
  while (next < n_read - 1 && spec.read_out[next] < position) ++next;
  return x.select(1, next);
}
