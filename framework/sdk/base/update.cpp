#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/update.h>

namespace orrery {

torch::Tensor UpdateState::get(const std::string& name, torch::IntArrayRef sizes,
                               torch::TensorOptions options) {
  const auto [at, is_new] = tensors_.try_emplace(name);
  torch::Tensor& kept = at->second;
  if (is_new) kept = torch::zeros(sizes, options);
  if (kept.sizes() != sizes || kept.scalar_type() != c10::typeMetaToScalarType(options.dtype()))
    throw Error(fmt::format("its state \"{}\" is a tensor [{}] of dtype {}, and is asked for as [{}] of {}",
                            name, fmt::join(kept.sizes(), ", "), toString(kept.scalar_type()),
                            fmt::join(sizes, ", "), toString(c10::typeMetaToScalarType(options.dtype()))),
                "ask for it with the same sizes in every step");
  if (kept.device() != options.device()) kept = kept.to(options.device());  // read from a file
  return kept;
}

torch::Tensor UpdatedWeight::state(const std::string& name, torch::IntArrayRef sizes) const {
  return state_->get(name + "/" + name_, sizes, value_.options().requires_grad(false));
}

torch::Tensor UpdateStep::state(const std::string& name, torch::IntArrayRef sizes) const {
  return kept->get(name, sizes, torch::TensorOptions(torch::kFloat64));
}

Update::~Update() = default;

bool Update::perturbs_weights() const { return false; }

std::string Update::refusal(const std::string&, const torch::Tensor&) const { return ""; }

std::string to_string(Update::Stage stage) {
  switch (stage) {
    case Update::Stage::gradients:
      return "gradients";
    case Update::Stage::optimizer:
      return "optimizer";
    case Update::Stage::weights:
      return "weights";
  }
  return "unknown";
}

}  // namespace orrery
