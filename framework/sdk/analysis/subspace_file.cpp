#include <fmt/format.h>
#include <fmt/ranges.h>
#include <orrery/error.h>
#include <orrery/subspace.h>

#include "sdk/files/tensors.h"

namespace orrery {
namespace {

TensorFile read_file(const std::string& path) {
  try {
    return read_tensors(path);
  } catch (const Error& error) {
    throw UsageError(error.what(), error.hint().empty()
                                       ? "expected a safetensors file; a relative path starts at the folder "
                                         "the program was started in"
                                       : error.hint());
  }
}

}  // namespace

torch::Tensor read_tensor(const std::string& path, const std::string& name) {
  const TensorFile file = read_file(path);
  std::vector<std::string> names;
  for (const auto& [stored, value] : file.tensors) {
    if (stored == name || (name.empty() && file.tensors.size() == 1)) return value;
    names.push_back(stored);
  }
  const std::string which = name.empty() ? fmt::format("holds {} tensors, and none is named", names.size())
                                         : fmt::format("has no tensor \"{}\"", name);
  throw UsageError(fmt::format("{} {}{}", path, which, did_you_mean(name, names)),
                   names.empty() ? "" : fmt::format("the file has: {}", fmt::join(names, ", ")));
}

}  // namespace orrery
