#include "loader/shown.h"

#include <fmt/format.h>
#include <orrery/error.h>

namespace orrery {
namespace {

// Tensors made in inference mode have no count.
int64_t writes_to(const torch::Tensor& tensor) { return tensor.is_inference() ? 0 : tensor._version(); }

}  // namespace

Shown& Shown::add(std::string name, const torch::Tensor& tensor) {
  all_.push_back({std::move(name), tensor, tensor.data_ptr(), writes_to(tensor)});
  return *this;
}

Shown& Shown::add(const std::string& name, const Batch& batch) {
  for (const auto& [part, tensor] : batch.tensors()) add(name + "." + part, tensor);
  return *this;
}

std::string Shown::written() const {
  for (const One& one : all_)
    if (writes_to(one.tensor) != one.writes || one.tensor.data_ptr() != one.memory) return one.name;
  return "";
}

void Shown::refuse_writes() const {
  if (const std::string what = written(); !what.empty())
    throw Error(fmt::format("it wrote into {}, which it was given to read", what),
                "work on a copy, made with clone()");
}

}  // namespace orrery
