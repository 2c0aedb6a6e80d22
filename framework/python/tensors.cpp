// Tensors of LibTorch as those of PyTorch, and back. The only file that sees PyTorch's own headers.
#include <fmt/format.h>
#include <orrery/error.h>
#include <torch/csrc/autograd/python_variable.h>

#include "python/binding.h"

namespace orrery::python {

py::object to_python(const torch::Tensor& tensor) {
  if (!tensor.defined()) return py::none();
  return py::reinterpret_steal<py::object>(THPVariable_Wrap(tensor));
}

torch::Tensor to_tensor(const py::handle& object, const std::string& what) {
  if (THPVariable_Check(object.ptr())) return THPVariable_Unpack(object.ptr());
  throw UsageError(fmt::format("{}: expected a torch.Tensor, got {}", what,
                               std::string(py::str(py::type::handle_of(object).attr("__name__")))));
}

py::dict to_python(const std::vector<std::pair<std::string, torch::Tensor>>& tensors) {
  py::dict all;
  for (const auto& [name, tensor] : tensors) all[py::str(name)] = to_python(tensor);
  return all;
}

}  // namespace orrery::python
